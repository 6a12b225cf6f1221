"""What the artifacts of a walk say, read back against the rows of the runs that they are about.

    python -m tests.system.workflow_claims artifacts/virtual/demo-14d

Every artifact that people know by name is there. One of a step that could not be judged says NO_DATA and why;
the figures of the others are counted again here from the rows, by sums and sorting, without the plugin.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from mmbot.ops.evidence import Record, State, standing
from mmbot.ops.workflow import TASKS, Task, task_named
from mmbot.runtime import provenance

STAGES = ("fetch_md", "spread", "guards", "inventory", "queue_aware", "emit", "tick_total")
MS = 1e6


def checked(out: Path) -> Iterator[str]:
    """A line for each artifact, with what was found. AssertionError for a claim that does not hold."""
    for task in TASKS:
        record = believed(task, out)
        for pattern, files in task.found(out):
            assert files, f"{task.name}: {pattern} is not there"
            if record.verdict == "NO_DATA" and not pattern.startswith("docs/"):
                _says_no_data(task, files)
            yield f"{task.name}: {pattern}: {record.label}"
    for name, check in (("shadow", _shadow), ("soak", _soak), ("dataset", _dataset)):
        task = task_named(name)
        assert task is not None
        if believed(task, out).verdict != "NO_DATA":
            yield f"{name}: {check(out)}"


def believed(task: Task, out: Path) -> Record:
    """The record of a session, whose verdict lies beside as it was written."""
    found = standing(task, out, source_sha256=provenance.source_sha256(), now_ns=2**62)
    assert found.state not in (State.NOT_BELIEVED, State.NOT_RUN), f"{task.name}: {found.why}"
    assert found.record is not None
    return found.record


def _says_no_data(task: Task, files: Sequence[Path]) -> None:
    """Where a step that was begun left artifacts of another stage, one of them does."""
    texts = [path.read_text(encoding="utf-8") for path in files]
    assert any("NO_DATA" in text for text in texts), f"{task.name}: none of {files} says NO_DATA"


def _run(out: Path, step: str) -> Path:
    [directory] = [path.parent for path in (out / "runs").glob(f"{step}-*/manifest.json")]
    return directory


def _columns(directory: Path, feed: str, columns: str) -> dict[str, Any]:
    files = str(directory / f"{feed}_*.jsonl")
    sql = f"SELECT {columns} FROM read_json_auto(?)"  # noqa: S608 (names of this module)
    with duckdb.connect() as database:
        found: dict[str, Any] = database.execute(sql, [files]).fetchnumpy()
    return found


def _ticks(directory: Path) -> dict[str, Any]:
    times = ", ".join(f"{stage}_ns" for stage in STAGES)
    return _columns(directory, "pipeline_ticks", f"{times}, wait_ns, cache, deadline_miss")


def _rank(values: Any, share: float) -> float:
    return float(np.sort(values)[math.ceil(share * len(values)) - 1])


def _near(claim: float, exact: float, error: float) -> None:
    assert exact <= claim * (1 + 1e-12), f"{claim} is below {exact}"
    assert claim <= exact * (1 + error) * (1 + 1e-12), f"{claim} is more than {error} above {exact}"


def _shadow(out: Path) -> str:
    claims = json.loads((out / "baseline/stage_budgets.json").read_bytes())
    ticks = _ticks(_run(out, "shadow"))
    count, error = len(ticks["tick_total_ns"]), claims["quantiles"]["relative_error_at_most"]
    assert claims["tick_count"] == count
    for stage in STAGES:
        waits = ticks["wait_ns"] if stage in ("fetch_md", "tick_total") else 0
        times = ticks[f"{stage}_ns"] + waits
        said = claims["tick_total"] if stage == "tick_total" else claims["stages"][stage]
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            _near(said[f"{name}_ms"], _rank(times, share) / MS, error)
        assert math.isclose(said["mean_ms"], times.mean() / MS, rel_tol=1e-9)
        assert said["max_ms"] == times.max() / MS
    assert math.isclose(claims["md_cache"]["hit_ratio"], (ticks["cache"] == "hit").mean(), rel_tol=1e-12)
    assert math.isclose(
        claims["tick_total"]["deadline_miss_rate"], ticks["deadline_miss"].mean(), abs_tol=1e-12
    )
    return f"{count} ticks, seven stages, cache and deadline as in the rows"


def _soak(out: Path) -> str:
    rules = json.loads((out / "verdicts/soak.json").read_bytes())["rules"]
    said = {rule["rule"].split(" ")[0]: rule["value"] for rule in rules if rule["section"] == "require"}
    directory = _run(out, "soak")
    ticks = _ticks(directory)
    assert math.isclose(said["md_cache.hit_ratio"], (ticks["cache"] == "hit").mean(), rel_tol=1e-12)
    assert math.isclose(said["deadline_miss.ratio"], 100 * ticks["deadline_miss"].mean(), abs_tol=1e-12)
    _near(said["tick_total.p95"], _rank(ticks["tick_total_ns"] + ticks["wait_ns"], 0.95) / MS, 2.0**-11)
    published = sorted((out / "edge/feeds").glob("*.jsonl"))
    for path in published:
        assert path.read_bytes() == (directory / path.name).read_bytes(), path.name
    return f"{len(ticks['cache'])} ticks; {len(published)} files are published as they were written"


def _dataset(out: Path) -> str:
    [path] = (out / "edge/datasets").glob("calib_*.json")
    totals = json.loads(path.read_bytes())["totals"]
    fills = _columns(out / "edge/feeds", "fills", "symbol, price, qty, fee, liquidity")
    for total in totals:
        mine = fills["symbol"] == total["symbol"]
        assert total["fills"] == mine.sum()
        notional = float((fills["price"][mine] * fills["qty"][mine]).sum())
        assert math.isclose(total["notional"], notional, rel_tol=1e-9)
        assert math.isclose(total["fees"], float(fills["fee"][mine].sum()), rel_tol=1e-9, abs_tol=1e-9)
    return f"{len(fills['symbol'])} fills of {len(totals)} symbols, notional and fees as in the feeds"


if __name__ == "__main__":
    sys.stdout.write("\n".join([*checked(Path(sys.argv[1])), ""]))
