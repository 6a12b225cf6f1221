"""The names of series in an expression of Prometheus: what is left when everything else is taken away."""

import re

_WORDS = frozenset({"and", "or", "unless", "offset", "on", "ignoring", "by", "without", "sum", "max"})


def series_in(expr: str) -> set[str]:
    text = re.sub(r'"[^"]*"', "", expr)
    text = re.sub(r"\{[^}]*\}", "", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    text = re.sub(r"\b(?:by|without|on|ignoring) \([^)]*\)", "", text)
    text = re.sub(r"\boffset \w+", "", text)
    names = re.findall(r"[a-zA-Z_:][\w:]*(?!\w)(?! *\()", text)
    return {name for name in names if name not in _WORDS}
