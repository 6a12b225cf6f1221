"""What a verdict needs of a run, in a size that does not grow with the run, and that can be merged.

Rows are folded into a `Tally` block by block; tallies of blocks, days, symbols and parts merge by one rule.
Metrics read nothing else.
"""

from pytest_mmgates.tally.histogram import RELATIVE_ERROR, Histogram
from pytest_mmgates.tally.tally import (
    AGE,
    WAIT,
    WAITING,
    ProcessTally,
    SymbolTally,
    Tally,
    Weighted,
    merged,
    with_wait,
)

__all__ = [
    "AGE",
    "RELATIVE_ERROR",
    "WAIT",
    "WAITING",
    "Histogram",
    "ProcessTally",
    "SymbolTally",
    "Tally",
    "Weighted",
    "merged",
    "with_wait",
]
