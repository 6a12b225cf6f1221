"""The kernels' constants say the same as the rooms that kernels may not import."""

from mmbot.kernels import layout as L  # noqa: N812 (a block of constants)
from mmbot.model import market_rows as rows


def test_row_kinds_are_those_of_the_model() -> None:
    kinds = ("BID", "ASK", "BUY", "SELL", "CONFIRMED", "SNAPSHOT", "TROUBLE", "LAST")
    assert [getattr(L, f"{kind}_ROW") for kind in kinds] == [getattr(rows, kind) for kind in kinds]
    assert L.KIND_MASK == rows.KIND
