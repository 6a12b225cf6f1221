"""What a stage that was played means for its rollout: told to whoever keeps it, by one callable.

The ini `mmgates_rollout = "package.module:callable"` names it: one mapping in, one out, built-in types only.
In: `plan` (path of its file), `out_dir`, `action`, `stage`, and what else is known of it (`reason`,
`data_kind`, `decision`). Out: `status`, and `began_ns`, when the stage that runs began. Actions:

    begun      a live stage is about to be played; the same again changes nothing
    passed     every rule of the gate is PASS; of stage 100 that is the end
    rejected   the candidate does harm, or is not worth having: no other stage begins

Everything else decides nothing: the stage goes on when it is played again. A rollback while it is played is
the run's own affair.
"""

from pathlib import Path

from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.reading import read_experiment
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.judge import judge_rule
from pytest_mmgates.options import Options
from pytest_mmgates.stats.acceptance import Decision
from pytest_mmgates.sut import load_callable
from pytest_mmgates.verdict import Verdict

_REJECTED = (Decision.HARM, Decision.FUTILE)


def conclude(options: Options, gate: Gate, directory: Path, experiment: str) -> None:
    """Record what the stage in a directory came to, if it came to anything. A replay that did not pass is
    nobody's affair: it may be played again, with another candidate.
    """
    if not options.rollout_door:
        return
    log = read_experiment(directory, gate)
    found = log.decision
    known = {"data_kind": log.data_kind, "decision": str(found.decision), "reason": found.reason}
    if not log.is_replay and not found.void and found.decision in _REJECTED:
        record(options, experiment, "rejected", **known)
    elif passes(gate, log):
        record(options, experiment, "passed", **known)


def passes(gate: Gate, log: ExperimentLog) -> bool:
    """Whether every rule of the gate is PASS."""
    return all(judge_rule(rule, gate, log).verdict is Verdict.PASS for rule in gate.judged)


def record(options: Options, experiment: str, action: str, **known: object) -> int:
    """Have it recorded; returns when the stage that runs began."""
    request: dict[str, object] = {
        "plan": str(options.plan_of(experiment)),
        "out_dir": str(options.out_dir),
        "stage": options.stage,
        "live": options.live is not None,
        "action": action,
        **known,
    }
    answer = load_callable("mmgates_rollout", options.rollout_door)(request)
    began_ns = answer.get("began_ns") if isinstance(answer, dict) else None
    if not isinstance(began_ns, int):
        raise ExperimentError(f"ini mmgates_rollout: returned {answer!r}, expected a mapping with began_ns")
    return began_ns
