"""What became of a rule while a run plays: it fired, or it is over."""

from dataclasses import dataclass

from pytest_mmgates.watch.record import By, Section
from pytest_mmgates.watchrules import WatchRule


@dataclass(frozen=True, slots=True)
class Change:
    """`until_ns` None: it fires since `since_ns`, for the reason `why`; otherwise it did until then."""

    rule: WatchRule
    section: Section
    by: By
    since_ns: int
    why: str
    until_ns: int | None = None
