"""Prep: what ships is green, and each check has a mutation that makes it red, and only then no snapshot."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO, scenario_file, shipped_settings

from mmbot.clock import wall_ns
from mmbot.config.edit import written_values
from mmbot.config.settings import Settings
from mmbot.config.snapshot import SNAPSHOT, load_snapshot
from mmbot.ops.gradual import GRADUAL, load_step_back
from mmbot.ops.machine import FOLDERS
from mmbot.ops.prep import CHECKS, REQUIRED, Asked, Prep, PrepRequest, Verdict, prepare, write
from mmbot.units import SECOND

NOW_NS = 1_767_225_600_000_000_000
CODE = {"version": "0.1.0", "commit": "abc", "dirty": True}


@pytest.fixture
def request_of(tmp_path: Path) -> PrepRequest:
    """The shipped configuration and an empty overlay on the short market, in a folder of its own."""
    (tmp_path / "config.yaml").write_bytes((REPO / "config.yaml").read_bytes())
    (tmp_path / "top.yaml").write_text("telemetry: {sample_interval_s: 10}\n")
    scenario_file(tmp_path / "scenarios")
    for path in tmp_path.rglob("*.yaml"):
        os.utime(path, ns=(NOW_NS - SECOND, NOW_NS - SECOND))
    return PrepRequest(
        config=[tmp_path / "config.yaml", tmp_path / "top.yaml"],
        scenarios=["short"],
        folder=tmp_path / "scenarios",
        data=None,
        out=tmp_path / "artifacts",
        asked=[Asked("net_bps >= 0.2bps", "gates/ab.yaml:9", 0.2)],
        code=CODE,
        now_ns=NOW_NS,
    )


def written(request: PrepRequest) -> tuple[Prep, str]:
    prepared = prepare(request)
    write(prepared)
    return prepared, (request.out / "reports" / "PREP_LOG.md").read_text()


def test_what_ships_is_green_and_leaves_log_verdict_and_snapshot(request_of: PrepRequest):
    prepared, log = written(request_of)
    assert [one.name for one in prepared.checks] == list(CHECKS)
    assert {one.verdict for one in prepared.checks} == {Verdict.PASS}
    assert log.startswith(
        "# Prep: PASS\n\n2026-01-01 00:00:00 UTC, version 0.1.0, commit abc, with uncommitted"
    )
    assert "widest: spread.max_bps 30 - maker fee 2 = 28 bps a fill" in log
    assert "| queue_aware | queue_aware.enabled | not known | true |" in log
    snapshot = load_snapshot(request_of.out / "release" / SNAPSHOT)
    assert snapshot == prepared.snapshot
    for name, values in GRADUAL.items():
        step = load_step_back(name, request_of.out)
        assert {flag.key: flag.new.value for flag in step.flags} == values
        assert step.previous_config_sha256 == snapshot.config_sha256 != step.config_sha256
    verdict = msgspec.json.decode((request_of.out / "verdicts" / "prep.json").read_bytes())
    assert (verdict["verdict"], verdict["config_sha256"]) == ("PASS", snapshot.config_sha256)
    assert all((request_of.out / name).is_dir() for name in FOLDERS)


def overlay(request: PrepRequest, text: str) -> PrepRequest:
    request.config[-1].write_text(text)
    os.utime(request.config[-1], ns=(NOW_NS, NOW_NS))
    return request


def broken_snapshot(request: PrepRequest) -> PrepRequest:
    write(prepare(request))
    path = request.out / "release" / SNAPSHOT
    path.write_bytes(path.read_bytes().replace(b'"value": true', b'"value": false', 1))
    return request


def file_for_folder(request: PrepRequest) -> PrepRequest:
    request.out.mkdir()
    (request.out / "runs").write_text("")
    return request


def secret_in_a_comment(request: PrepRequest) -> PrepRequest:
    return overlay(request, 'telemetry: {sample_interval_s: 10}\n# api_key: "hQ8sk2Lm0Pq7"\n')


MUTATIONS: dict[str, tuple[Callable[[PrepRequest], PrepRequest], str]] = {
    "configuration": (
        lambda it: overlay(it, "emit: {levels: many}\n"),
        "top.yaml:1: emit.levels: Expected `int`",
    ),
    "pipeline.enabled": (lambda it: overlay(it, "pipeline:\n  enabled: false\n"), "false at "),
    "md_cache.enabled": (lambda it: overlay(it, "md_cache: {enabled: no}\n"), "top.yaml:1"),
    "guards.enabled": (lambda it: overlay(it, "guards: {enabled: off}\n"), "top.yaml:1"),
    "async_batch.enabled": (lambda it: overlay(it, "async_batch: {enabled: no}\n"), "top.yaml:1"),
    "trace.enabled": (lambda it: overlay(it, "trace: {enabled: no}\n"), "top.yaml:1"),
    "taker_cap.enabled": (lambda it: overlay(it, "taker_cap: {enabled: no}\n"), "top.yaml:1"),
    "taker_cap.max_taker_share_pct": (
        lambda it: overlay(it, "taker_cap: {max_taker_share_pct: 9.01}\n"),
        "top.yaml:1",
    ),
    "steps back": (
        lambda it: replace(it, steps_back={"quick": {"pipeline.tick_interval_ms": 10.0}}),
        "quick: pipeline.tick_interval_ms is no feature flag, expected those that a running bot can take",
    ),
    "economics": (
        lambda it: replace(overlay(it, "spread: {max_bps: 2.0}\n"), asked=[]),
        "bybit_linear:SYNTHUSDT: even the widest half spread earns nothing",
    ),
    "gates": (
        lambda it: replace(it, asked=[Asked("net_bps >= 29bps", "gates/x.yaml:9", 29.0)]),
        "gates/x.yaml:9: net_bps >= 29bps: short earns at most spread.max_bps 30 - maker fee 2 = 28 bps",
    ),
    "directories": (file_for_folder, "runs is no folder"),
    "disk": (lambda it: replace(it, soak_s=1e12), "GB free for"),
    "clock": (
        lambda it: replace(it, now_ns=NOW_NS - 2 * SECOND),
        "it is 2025-12-31 23:59:58 UTC, and ",
    ),
    "versions": (lambda it: replace(it, distribution="no-such-bot"), "no-such-bot is not installed"),
    "secrets": (secret_in_a_comment, "top.yaml:2: Secret Keyword"),
    "snapshot": (broken_snapshot, "the snapshot was changed after it was taken"),
}


def test_every_check_has_a_mutation():
    assert set(MUTATIONS) == set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_mutation_turns_its_check_red_and_keeps_the_snapshot(request_of: PrepRequest, name: str):
    mutate, found = MUTATIONS[name]
    request = mutate(request_of)
    path = request.out / "release" / SNAPSHOT
    before = path.read_bytes() if path.exists() else None
    prepared, log = written(request)
    assert prepared.check(name).verdict is Verdict.FAIL
    assert found in prepared.check(name).found
    unread = (
        {} if name != "configuration" else set(CHECKS) - {name, "directories", "clock", "versions", "secrets"}
    )
    for one in prepared.checks:
        if one.name != name:
            assert one.verdict is (Verdict.NO_DATA if one.name in unread else Verdict.PASS), one
    assert log.startswith("# Prep: FAIL\n")
    assert f"| {name} | FAIL | " in log
    assert (path.read_bytes() if path.exists() else None) == before
    verdict = msgspec.json.decode((request.out / "verdicts" / "prep.json").read_bytes())
    assert (verdict["verdict"], verdict["config_sha256"]) == ("FAIL", None)


@pytest.mark.parametrize(
    ("symbol", "verdict"),
    [(None, Verdict.FAIL), ("bybit_linear:SYNTHUSDT", Verdict.FAIL), ("other:SYMBOL", Verdict.PASS)],
)
def test_a_rule_about_one_symbol_is_held_against_that_symbol(
    request_of: PrepRequest, symbol: str | None, verdict: Verdict
):
    asked = [Asked("net_bps >= 29bps", "gates/x.yaml:9", 29.0, symbol)]
    assert prepare(replace(request_of, asked=asked)).check("gates").verdict is verdict


def test_a_scenario_that_is_not_there_is_a_red_configuration(request_of: PrepRequest):
    check = prepare(replace(request_of, scenarios=["short", "nosuch"])).check("configuration")
    assert check.verdict is Verdict.FAIL
    assert "nosuch.yaml: no such scenario" in check.found


def test_a_release_prepared_twice_still_knows_what_was_before(request_of: PrepRequest):
    written(request_of)
    overlay(request_of, "queue_aware: {enabled: no}\n")
    for _ in range(2):
        prepared, log = written(request_of)
        assert "| queue_aware | queue_aware.enabled | true | false |" in log
        assert prepared.verdict is Verdict.PASS


NOTE = ("pipeline", "md_cache", "taker_cap", "trace", "async_batch")
"""What the workflow's step 1 validates."""


def test_every_section_of_the_workflow_that_there_is_is_required():
    there = {section for section in NOTE if section in Settings.__struct_fields__}
    assert there <= {one.key.partition(".")[0] for one in REQUIRED}


def test_the_soak_overrides_say_every_required_value_themselves():
    written = written_values((REPO / "config.soak_overrides.yaml").read_text(), "soak")
    assert {one.key for one in REQUIRED} <= {".".join(path) for path in written}


def test_the_shipped_soak_overrides_are_green_on_the_shipped_demo(tmp_path: Path):
    prepared = prepare(
        PrepRequest(
            config=[REPO / "config.yaml", REPO / "config.soak_overrides.yaml"],
            scenarios=["demo", "nexo-like", "btc-like"],
            folder=REPO / "scenarios",
            data=None,
            out=tmp_path,
            asked=[],
            code=CODE,
            now_ns=wall_ns(),
        )
    )
    assert {one.name: one.verdict for one in prepared.checks if one.verdict is not Verdict.PASS} == {}
    assert prepared.snapshot is not None
    assert prepared.snapshot.config_sha256 != shipped_settings().sha256()
