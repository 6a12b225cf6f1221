"""Where a recording has holes: from what broke a book to the snapshot that made it whole. Pure."""

import msgspec

from mmbot.model.events import BookSnapshot, BookTrouble, MarketEvent


class Gap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`until_ns` is null where no snapshot came any more. `kind` is a `Trouble` that breaks a book."""

    symbol: str
    kind: str
    detail: str
    from_ns: int
    until_ns: int | None


class Gaps:
    """Takes the events of a recording, in order."""

    def __init__(self) -> None:
        self._open: dict[str, Gap] = {}
        self._closed: list[Gap] = []

    def add(self, event: MarketEvent) -> None:
        if isinstance(event, BookTrouble):
            if event.trouble.breaks_book and event.symbol not in self._open:
                kind, detail = event.trouble.value, event.detail
                self._open[event.symbol] = Gap(event.symbol, kind, detail, event.recv_ns, None)
        elif isinstance(event, BookSnapshot) and event.symbol in self._open:
            gap = self._open.pop(event.symbol)
            self._closed.append(msgspec.structs.replace(gap, until_ns=event.recv_ns))

    def found(self) -> list[Gap]:
        """All of them, by the time at which they began."""
        return sorted([*self._closed, *self._open.values()], key=lambda gap: (gap.from_ns, gap.symbol))
