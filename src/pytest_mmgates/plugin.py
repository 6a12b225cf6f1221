"""Hooks only; what they decide lives in the modules they call.

Hook reference: https://docs.pytest.org/en/stable/reference/reference.html#hooks
"""

import secrets
from collections.abc import Generator
from typing import Any

import pytest

from pytest_mmgates import collection
from pytest_mmgates.controller import Controller
from pytest_mmgates.ending import outlived, passed_on
from pytest_mmgates.errors import OutputError
from pytest_mmgates.fixtures import (
    ab_experiment,
    calibration_dataset,
    ci_run,
    daily_facts,
    gate,
    locked_baseline,
    rule,
    scenario,
    shadow_run,
    soak_run,
)
from pytest_mmgates.options import Options, add_options, read_options
from pytest_mmgates.progress import Progress
from pytest_mmgates.resuming import take_over
from pytest_mmgates.runs import RunStore
from pytest_mmgates.state import STATE, State
from pytest_mmgates.steps import STEPS

__all__ = [
    "ab_experiment",
    "calibration_dataset",
    "ci_run",
    "daily_facts",
    "gate",
    "locked_baseline",
    "rule",
    "scenario",
    "shadow_run",
    "soak_run",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Markers are registered whether or not anything uses them, so that `--strict-markers` stays clean."""
    for step, what in STEPS.items():
        arguments = "scenario, scenarios, duration, gate"
        config.addinivalue_line("markers", f"{step}({arguments}): {what}; runs only with -m {step}")
    options = read_options(config)
    worker = _worker_input(config)
    if options.lock and worker:
        raise pytest.UsageError("--mmgates-lock: found workers (-n), expected one process")
    session_id = worker.get("mmgates_session_id") or _session_id(options)
    state = State(options, session_id, RunStore(options, session_id, Progress(config)))
    config.stash[STATE] = state
    if not worker:
        config.pluginmanager.register(Controller(state), "mmgates-controller")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: tell each worker which session it belongs to."""
    node.workerinput["mmgates_session_id"] = node.config.stash[STATE].session_id


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[STATE].options.check_asked()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """A session that plays runs ends in order when it is told to (`pytest_mmgates.ending`)."""
    config = session.config
    if not collection.steps_asked(config):
        return (yield)
    if _worker_input(config):
        with outlived():
            return (yield)
    if config.pluginmanager.has_plugin("dsession"):
        with passed_on():
            return (yield)
    return (yield)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    collection.parametrize(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    collection.select(items, config)


def _session_id(options: Options) -> str:
    """Drawn, or that of the session to go on with."""
    if not options.resume:
        return secrets.token_hex(4)
    try:
        return take_over(options.out_dir)
    except OutputError as error:
        raise pytest.UsageError(f"--mmgates-resume: {error}") from error


def _worker_input(config: pytest.Config) -> dict[str, str]:
    """What xdist's controller told this process; empty where this process is not a worker."""
    told: dict[str, str] = getattr(config, "workerinput", {})
    return told
