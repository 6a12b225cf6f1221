"""What the steps share that needs the bot and the plugin at once: here alone do both meet.

Without the plugin (`-p no:mmgates`) there is nothing to run here, and collection stays clean.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbot.clock import wall_ns
from mmbot.errors import MmbotError
from mmbot.ops.prep import Asked, Prep, PrepRequest, prepare, write
from mmbot.runtime import provenance
from pytest_mmgates.errors import MmgatesError
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.options import Options, read_options


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Only what lies in this directory asks; None leaves the answer to others."""
    without_plugin = not config.pluginmanager.hasplugin("mmgates")
    return True if without_plugin and collection_path.suffix == ".py" else None


@pytest.fixture(scope="session")
def prep(pytestconfig: pytest.Config) -> Prep:
    """Every check of prep, once per session; log and snapshot are written before the first is judged."""
    try:
        prepared = prepare(_request(read_options(pytestconfig)))
        write(prepared)
    except (MmbotError, MmgatesError) as error:
        pytest.fail(str(error), pytrace=False)
    return prepared


def _request(options: Options) -> PrepRequest:
    """What the person asked for, and what the gates ask of it."""
    return PrepRequest(
        config=[_from_here(path) for path in options.config_of("prep")],
        scenarios=options.selected,
        folder=options.scenarios_dir,
        data=options.data_dir,
        out=options.out_dir,
        asked=list(_asked(options)),
        code=provenance.code(),
        now_ns=wall_ns(),
    )


def _asked(options: Options) -> Iterator[Asked]:
    """Edge that the gates ask for. A gate file that cannot be read is an error here, as it is where it is
    used.
    """
    for path in sorted(options.gates_dir.glob("*.yaml")):
        gate = read_gate(path, shown_as=options.shown(path))
        for rule, line in zip(gate.require, gate.lines, strict=True):
            if rule.metric == "net_bps" and rule.bound.op in (">=", ">", "=="):
                least = rule.bound.limit.base(rule.definition.dimension)
                yield Asked(str(rule), f"{gate.file}:{line}", least, rule.symbol)


def _from_here(path: Path) -> Path:
    """As people write it: the snapshot keeps the paths, and `mmbot rollback` opens them from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
