"""The fault table of docs/live.md: every test that it names is there."""

import re

from tests.mmbot.builders import REPO

NAMED = re.compile(r"`(test_\w+)(\.{3})?`")


def test_every_test_of_the_fault_table_is_there() -> None:
    """A cell names a file, and after it tests of that file; three dots stand for the rest of a name."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in REPO.glob("tests/**/test_*.py")}
    rows = [line for line in (REPO / "docs/live.md").read_text().splitlines() if "`test_" in line]
    assert len(rows) >= 15
    for row in rows:
        for part in re.split(r"`(?=test_\w+\.py`)", row.split("|")[-2])[1:]:
            file, _, rest = part.partition("`")
            source = sources[file]
            for name, open_end in NAMED.findall(rest):
                end = "" if open_end else r"\("
                assert re.search(rf"def {name}{end}", source), f"{file}: {name}"
