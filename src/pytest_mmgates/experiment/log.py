"""An experiment as gates see it: what was planned, what was recorded, what it decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from pytest_mmgates.armrules import DeltaRule
from pytest_mmgates.experiment.decide import ExperimentDecision, decide
from pytest_mmgates.experiment.facts import REPLAY, Facts
from pytest_mmgates.experiment.record import VariantRecord
from pytest_mmgates.watch.record import WatchRecord


@dataclass(frozen=True)
class ExperimentLog:
    """One stage of an experiment that was recorded. `rule` and `sources` are those of its gate: what the
    estimate is held against, and on which kinds of data.
    """

    facts: Facts
    variants: tuple[VariantRecord, ...]
    watched: tuple[WatchRecord, ...]
    rule: DeltaRule
    sources: tuple[str, ...]

    step = "ab"
    source = "experiment"
    stalled: None = None
    outages: tuple[()] = ()

    @cached_property
    def decision(self) -> ExperimentDecision:
        return decide(self.facts, self.rule, self.sources, self.variants)

    @property
    def unfit(self) -> str | None:
        """Why there is nothing to decide: the first reason, and how many there are besides."""
        void = self.decision.void
        more = f"; {len(void) - 1} more of the kind" if len(void) > 1 else ""
        return f"{void[0]}{more}" if void else None

    @property
    def scenario(self) -> str:
        return self.facts.name

    @property
    def data_kind(self) -> str:
        """The least believable of them all."""
        kinds = {origin.data_kind for variant in self.variants for origin in variant.origins}
        return next((kind for kind in ("synthetic", "recorded", "live") if kind in kinds), "synthetic")

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(symbol for symbols in self.facts.clusters.values() for symbol in symbols)

    @property
    def duration_ns(self) -> int:
        """Of the run that was played the shortest."""
        return self.decision.duration_ns

    @property
    def tick_count(self) -> int:
        """Of both arms, under the models that had the fewest."""
        counts = [sum(times.ticks for times in variant.tick_total.values()) for variant in self.variants]
        return min(counts, default=0)

    @property
    def identity(self) -> dict[str, Any]:
        """Which plan and which runs made these numbers, and what they decide."""
        facts, decision = self.facts, self.decision
        return {
            "experiment": facts.name,
            "stage": facts.stage,
            "plan_hash": facts.plan_hash,
            "decision": str(decision.decision),
            "decision_reason": decision.reason,
            "void": list(decision.void),
            "runs": [
                {"variant": variant.name, **msgspec.to_builtins(origin)}
                for variant in self.variants
                for origin in variant.origins
            ],
        }

    @property
    def is_replay(self) -> bool:
        return self.facts.stage == REPLAY

    def slower(self) -> Sequence[tuple[str, float | None]]:
        """Of each variant, how much slower B's tick is at p95, as a share; None where an arm has no tick."""
        return [(variant.name, _slower(variant)) for variant in self.variants]


def _slower(variant: VariantRecord) -> float | None:
    a, b = variant.tick_total.get("A"), variant.tick_total.get("B")
    return b.p95_ns / a.p95_ns - 1 if a and b and a.p95_ns else None
