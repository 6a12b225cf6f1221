"""The four verdicts, best first."""

from enum import StrEnum


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_DATA = "NO_DATA"
    FAIL = "FAIL"

    @property
    def badness(self) -> int:
        return list(Verdict).index(self)
