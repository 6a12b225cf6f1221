"""Pages: one file each, that needs no network, no script and no font, and tells the verdict first.

Every text is escaped by the template. What may be markup is made in `svg` and escaped there. The page's own
policy forbids whatever else a browser could load. Equal facts give equal bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from pytest_mmgates.report.markdown import ABSENT
from pytest_mmgates.report.svg import UNSHOWN
from pytest_mmgates.report.table import RULE_FILTERS
from pytest_mmgates.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Banner:
    """What stands on top: the outcome in words, why, what to do next, and the command that does it again."""

    title: str
    verdict: str
    label: str
    reason: str = ""
    next: str = ""
    rerun: str = ""
    data_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under their heads."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    text: str = ""


def facts_page(banner: Banner, tables: Sequence[Table]) -> str:
    """The page of a step that plays no run: its checks, and what they were held against."""
    return render_page("facts.html.j2", {}, banner=banner, tables=tables)


def render_page(template: str, filters: Mapping[str, Callable[..., str]], **facts: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_mmgates", "report/templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"verdict_class": _verdict_class, **RULE_FILTERS, **filters}
    return environment.get_template(template).render(**facts)


def _verdict_class(cell: object) -> Markup | str:
    """The attribute that colours a verdict; nothing for any other text."""
    word = str(cell).partition(" ")[0]
    return Markup(f' class="{word}"') if word in list(Verdict) else ""  # noqa: S704 (one of four words)


def _shown(value: object) -> object:
    """No character is there that a page may not hold."""
    if isinstance(value, Markup):
        return value
    return ABSENT if value is None else str(value).translate(UNSHOWN)
