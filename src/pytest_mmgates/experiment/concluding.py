"""What a stage that was played means for its rollout: told to whoever keeps it, by one callable.

The ini `mmgates_rollout = "package.module:callable"` names it: one mapping in, one out, built-in types only.
In: `plan` (path of its file), `out_dir`, `action`, `stage`, and what else is known of it (`reason`,
`data_kind`, `decision`). Out: `status`, and `began_ns`, when the stage that runs began. Actions:

    begun      a live stage is about to be played; the same again changes nothing
    passed     every rule of the gate is PASS; of stage 100 that is the end
    rollback   a rule of safety is broken: nobody trades the candidate any longer
    rejected   the candidate does harm, or is not worth having: no other stage begins

Everything else decides nothing: the stage goes on when it is played again. What is broken while the stage is
played the run records by itself; this is for rules that only the whole stage can break, and for other bots.
"""

from collections.abc import Callable
from pathlib import Path

from pytest_mmgates.errors import ExperimentError
from pytest_mmgates.experiment.ending import decided_after
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.reading import read_experiment
from pytest_mmgates.gatefile import Gate
from pytest_mmgates.judge import judge_rule
from pytest_mmgates.options import Options
from pytest_mmgates.stats.acceptance import Decision
from pytest_mmgates.sut import is_user_error, load_callable
from pytest_mmgates.verdict import Verdict

_REJECTED = (Decision.HARM, Decision.FUTILE)


def conclude(
    options: Options, gate: Gate, directory: Path, experiment: str, tell: Callable[[str], None]
) -> None:
    """Record what the stage in a directory came to, if it came to anything. A replay that did not pass is
    nobody's affair: it may be played again, with another candidate. What may not be recorded (any more) is
    told: the verdict stands all the same.
    """
    if not options.rollout_door:
        return
    try:
        _conclude(options, gate, directory, experiment)
    except Exception as error:
        if not is_user_error(error):
            raise
        tell(f"not recorded in the rollout: {error}")


def _conclude(options: Options, gate: Gate, directory: Path, experiment: str) -> None:
    log = read_experiment(directory, gate)
    found = action_of(gate, log)
    if found is not None:
        action, reason = found
        decision = str(log.decision.decision)
        record(options, experiment, action, data_kind=log.data_kind, decision=decision, reason=reason)


def action_of(gate: Gate, log: ExperimentLog) -> tuple[str, str] | None:
    """What a stage that was played means, and why; None: nothing."""
    verdicts = {rule: judge_rule(rule, gate, log).verdict for rule in gate.judged}
    decision = log.decision
    until_decided = log.facts.horizon_ns and decision.variants
    why = f"{decided_after(log)}: {decision.reason}" if until_decided else decision.reason
    if all(verdict is Verdict.PASS for verdict in verdicts.values()):
        return "passed", why
    if log.is_replay:
        return None
    broken = [rule for rule in gate.safety if verdicts[rule] is Verdict.FAIL]
    if broken:
        return "rollback", f"safety: {broken[0]}"
    return ("rejected", why) if not decision.void and decision.decision in _REJECTED else None


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
