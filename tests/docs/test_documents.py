"""The documents say what is so."""

import re
from pathlib import Path

import msgspec
import pytest

from mmbot.calibration.block_sums import METRICS
from mmbot.calibration.dataset_columns import FILL_COLUMNS, INTERVAL_COLUMNS
from mmbot.calibration.dataset_filters import MAD_TO_SIGMA, REASONS, FilterSettings
from mmbot.execution.order_log import head, read
from mmbot.execution.order_records import CancelSent, LifecycleState
from mmbot.execution.tracked import Phase
from mmbot.model.events import Trouble
from mmbot.model.records import EventRow, FillRow, SampleRow, TickRow
from mmbot.runtime.shown import Board
from mmbot.telemetry.view import RunFacts

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_DIRECTORY = (ROOT / "docs/run-directory.md").read_text(encoding="utf-8")


def test_readme_opens_with_two_commands_and_ci_runs_the_second_to_the_letter() -> None:
    commands = re.findall(r"```bash\n(.+?)\n```", README, re.DOTALL)
    set_up, tests = commands[:2]

    assert set_up.endswith(".venv/bin/pytest -m shadow")
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().splitlines()[-1] == tests


@pytest.mark.parametrize("row", [TickRow, FillRow, SampleRow, EventRow])
def test_every_field_of_every_row_is_documented(row: type[msgspec.Struct]) -> None:
    documented = set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", RUN_DIRECTORY, re.MULTILINE)))
    )

    assert set(row.__struct_fields__) <= documented


def test_the_dataset_page_is_the_table_of_columns() -> None:
    page = (ROOT / "docs/dataset.md").read_text(encoding="utf-8")
    intervals, fills = page.split("## Columns of fills")

    for text, columns in ((intervals, INTERVAL_COLUMNS), (fills, FILL_COLUMNS)):
        rows = [f"| `{column.name}` | {column.unit} | {column.what} |" for column in columns]
        assert [
            line for line in text.split("## Columns of intervals")[-1].splitlines() if line[:3] == "| `"
        ] == rows
    left_out = intervals.split("## What is left out")[1]
    assert tuple(re.findall(r"^\| `(\w+)` \|", left_out, re.MULTILINE)[: len(REASONS)]) == REASONS


def test_the_dataset_page_names_the_shipped_limits() -> None:
    page = (ROOT / "docs/dataset.md").read_text(encoding="utf-8")
    limits = FilterSettings()

    assert f"fewer than {limits.min_coverage_ratio:.0%}".replace("%", " %") in page
    assert f"fewer than {limits.min_hit_ratio:.0%}".replace("%", " %") in page
    assert f"above {limits.max_robust_z:g}" in page
    assert f"of {limits.min_intervals}\nintervals at least" in page
    assert f"{MAD_TO_SIGMA} MAD" in page
    assert f"at least {limits.least_scale:g} = ln 1.5" in page


def test_every_kind_of_book_trouble_is_documented() -> None:
    kinds = next(line for line in RUN_DIRECTORY.splitlines() if line.startswith("| `kind`"))

    assert {trouble.value for trouble in Trouble} <= set(re.findall(r"`(\w+)`", kinds))


def test_every_scenario_file_is_named_in_the_readme() -> None:
    names = {path.stem for path in (ROOT / "scenarios").glob("*.yaml")}

    assert names == set(re.findall(r"^\| `([\w-]+)` \| .* (?:min|h)\b", README, re.MULTILINE))


def test_every_linked_file_exists() -> None:
    links = [
        (path, link)
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    ]

    assert links
    assert [str(link) for path, link in links if not (path.parent / link).exists()] == []


def test_the_order_log_page_names_every_phase_and_shows_a_real_line() -> None:
    page = (ROOT / "docs/order-log.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    (.+)$", page, re.MULTILINE)

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [phase.value for phase in Phase]
    log = head("mmA-", LifecycleState(symbols={}, positions={})) + f"{line}\n".encode()
    (record,) = read(log, "docs/order-log.md").records
    assert isinstance(record, CancelSent)


def test_the_page_on_watching_names_every_path_that_a_run_is_shown_at() -> None:
    page = (ROOT / "docs/watching.md").read_text(encoding="utf-8")
    facts = RunFacts("run", "run", "demo", None, "replay", "virtual", "synthetic", [], None)

    assert set(re.findall(r"^\| `(/\S*)` \|", page, re.MULTILINE)) == {*Board(facts).routes(), "/metrics"}


def test_every_metric_of_a_sweep_is_documented_with_what_is_better() -> None:
    page = (ROOT / "docs/sweep.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| (more|less) \|", page, re.MULTILINE)
    documented = {name: better for names, better in rows for name in re.findall(r"`(\w+)`", names)}

    assert documented == {name: "more" if one.sign > 0 else "less" for name, one in METRICS.items()}
