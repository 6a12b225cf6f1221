"""The steps of the release workflow: one marker each. A step that runs the bot has a fixture whose value is
its run.
"""

from collections.abc import Mapping
from types import MappingProxyType

DATASET = "dataset"
"""The step that is judged by a dataset instead of a run."""
DAILY = "daily"
"""The step that is judged by the facts of a day."""
DOCUMENTS = (DATASET, DAILY)
"""Steps that are judged by one document, which is made of runs that were played before."""
AB = "ab"
"""The step that is judged by an experiment."""

STEPS: Mapping[str, str] = MappingProxyType(
    {
        "prep": "configuration and rollback snapshot",
        "shadow": "the bot on a market, without sending orders, against latency and cache gates",
        "soak": "a long run, looking for drift, leak and decay",
        DATASET: "aggregation of soak feeds into a calibration dataset",
        AB: "candidate against baseline, by the plan of an experiment",
        "lock": "locking of the performance baseline",
        DAILY: "the daily operations report",
        "rehearsal": "the red button under load",
        "ci": "pull-request gates against the locked baseline",
        "sim": "simulation of faults",
        "bench": "measurement of speed",
        "stats": "proof of the statistics by simulation",
    }
)

RUN_FIXTURES: Mapping[str, str] = MappingProxyType(
    {
        "shadow_run": "shadow",
        "soak_run": "soak",
        "ci_run": "ci",
        "calibration_dataset": DATASET,
        "daily_facts": DAILY,
        "ab_experiment": AB,
    }
)
