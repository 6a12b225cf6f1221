"""A gate's verdict as JSON: `OUT/verdicts/<gate>.json`. Keys only grow."""

from dataclasses import asdict
from typing import Any

import msgspec

from pytest_mmgates.judge import GateVerdict, RuleVerdict
from pytest_mmgates.outages import Outage
from pytest_mmgates.report.result import RunResult
from pytest_mmgates.units import NS_PER_S
from pytest_mmgates.watch.record import moment_text


def verdict_json(result: RunResult, verdict: GateVerdict) -> dict[str, Any]:
    gate = verdict.gate
    return {
        "schema": 1,
        "gate": gate.name,
        "file": gate.file,
        "owner": gate.owner,
        "runbook": gate.runbook,
        "verdict": str(verdict.verdict),
        "label": verdict.label,
        "data_kind": verdict.data_kind,
        "reason": verdict.reason,
        "evidence": [asdict(line) for line in verdict.evidence],
        "rules": [rule_json(rule) for rule in verdict.rules],
        "warnings": [msgspec.to_builtins(record) for record in verdict.warnings],
        "comparison": _comparison(result, verdict),
        "outages": [_outage(outage) for outage in result.log.outages] if result.log else [],
        **result.identity,
    }


def _outage(outage: Outage) -> dict[str, Any]:
    """Times as ISO 8601, to the second, and exact."""
    return {
        "from": moment_text(outage.from_ns),
        "until": moment_text(outage.until_ns),
        "length_s": outage.length_ns / NS_PER_S,
        **asdict(outage),
    }


def _comparison(result: RunResult, verdict: GateVerdict) -> Any:
    """What the run came to beside the locked baseline; null for a gate that does not ask."""
    return msgspec.to_builtins(result.log.comparison) if result.log and verdict.gate.regress else None


def rule_json(rule: RuleVerdict) -> dict[str, Any]:
    """Built-in scalars only; `value`, `limit`, `measured` and `modelled` are in `unit`."""
    return {**asdict(rule), "verdict": str(rule.verdict), "label": rule.label}
