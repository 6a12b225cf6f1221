"""The table of metrics that a bot exports, as it prints it (`mmbot metrics --json`)."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from pytest_mmgates.errors import CommandError

SCHEMA = 1


class Exported(msgspec.Struct, frozen=True):
    """One metric. `feed` and `field` say what rows it is made from, `labels` name the field of each label."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    feed: str
    field: str | None = None
    labels: dict[str, str] = {}
    buckets: tuple[float, ...] = ()

    def label(self, field: str) -> str:
        """The label that holds the values of a field of its rows. Raises CommandError."""
        for label, of in self.labels.items():
            if of == field:
                return label
        raise CommandError(f"metric {self.name}: found no label of field {field}")


class Exports(msgspec.Struct, frozen=True):
    """The whole table."""

    schema: int
    metrics: Sequence[Exported]

    def of(self, feed: str, field: str | None, kind: str) -> Exported:
        """The metric that is made from a field of a feed; None = from the rows. Raises CommandError."""
        found = [one for one in self.metrics if (one.feed, one.field, one.kind) == (feed, field, kind)]
        if len(found) != 1:
            of = feed if field is None else f"{field} of {feed}"
            raise CommandError(f"table of metrics: found {len(found)} of kind {kind} from {of}, expected one")
        return found[0]


def read_exports(text: bytes, shown_as: str) -> Exports:
    """Raises CommandError for what is no table of metrics."""
    try:
        exports = msgspec.json.decode(text, type=Exports)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{shown_as}: was no table of metrics: {error}") from error
    if exports.schema != SCHEMA:
        raise CommandError(f"{shown_as}: schema was {exports.schema}, expected {SCHEMA}")
    return exports
