"""Queue models: what moves us up, by how much, and never back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.sim.queue import Place, QueueSettings

AVERSE = QueueSettings("risk_averse")
POWER = QueueSettings("power", 2.0)
MODELS = st.sampled_from([AVERSE, POWER, QueueSettings("power", 0.5)])


def place(ahead: int = 100, settings: QueueSettings = AVERSE) -> Place:
    return Place(settings, ahead)


def test_we_join_behind_everything_that_is_displayed():
    assert place(80).ahead_lots == 80


def test_trades_take_from_the_front_and_what_is_left_of_them_is_for_us():
    standing = place(100)
    assert standing.on_trade(60) == 0
    assert standing.ahead_lots == 40
    assert standing.on_trade(60) == 20
    assert standing.ahead_lots == 0
    assert standing.on_trade(5) == 5


@pytest.mark.parametrize("settings", [AVERSE, POWER], ids=lambda model: model.name)
def test_a_display_that_only_shows_what_traded_moves_us_no_further(settings: QueueSettings):
    standing = place(100, settings)
    standing.on_trade(30)
    standing.on_display(150, 120)
    assert standing.ahead_lots == 70


def test_what_traded_is_forgotten_once_a_display_has_shown_it():
    standing = place(100, POWER)
    standing.on_trade(30)
    standing.on_display(150, 120)
    standing.on_display(120, 110)
    assert standing.ahead_lots == 70 - round(10 * 70**2 / (70**2 + 50**2))


def test_risk_averse_leavers_stood_behind_us_until_the_display_says_otherwise():
    standing = place(100)
    standing.on_display(150, 101)
    assert standing.ahead_lots == 100
    standing.on_display(101, 60)
    assert standing.ahead_lots == 60


@pytest.mark.parametrize(("power", "ahead"), [(1.0, 80), (2.0, 76), (0.5, 82)])
def test_power_shares_leavers_between_front_and_back(power: float, ahead: int):
    standing = place(100, QueueSettings("power", power))
    standing.on_display(150, 120)
    assert standing.ahead_lots == ahead


def test_with_everybody_in_front_every_leaver_was_in_front():
    standing = place(100, POWER)
    standing.on_display(100, 60)
    assert standing.ahead_lots == 60


@given(MODELS, st.integers(0, 200), st.integers(0, 300))
def test_a_growing_display_stands_behind_us(settings: QueueSettings, ahead: int, more: int):
    standing = place(ahead, settings)
    standing.on_display(ahead, ahead + more)
    assert standing.ahead_lots == ahead


happenings = st.lists(st.tuples(st.booleans(), st.integers(0, 300)), max_size=30)


@given(MODELS, st.integers(0, 300), happenings)
def test_the_size_ahead_never_grows_is_never_negative_and_never_exceeds_the_display(
    settings: QueueSettings, ahead: int, path: list[tuple[bool, int]]
):
    standing, shown, before = place(ahead, settings), ahead, ahead
    for is_trade, lots in path:
        if is_trade:
            left = standing.on_trade(lots)
            assert 0 <= left <= lots
            assert left == 0 or standing.ahead_lots == 0
        else:
            standing.on_display(shown, lots)
            shown = lots
            assert standing.ahead_lots <= shown
        assert 0 <= standing.ahead_lots <= before
        before = standing.ahead_lots


@given(st.integers(0, 200), happenings)
def test_the_probabilistic_reading_never_leaves_more_in_front_than_the_risk_averse_one(
    ahead: int, path: list[tuple[bool, int]]
):
    averse, power, shown = place(ahead), place(ahead, POWER), ahead
    for is_trade, lots in path:
        for standing in (averse, power):
            if is_trade:
                standing.on_trade(lots)
            else:
                standing.on_display(shown, lots)
        shown = shown if is_trade else lots
        assert power.ahead_lots <= averse.ahead_lots


def test_models_are_named():
    assert (AVERSE.name, POWER.name) == ("risk_averse", "power(2)")


@pytest.mark.parametrize(("model", "power"), [("risk_averse", 1.0), ("power", 0.0), ("power", -1.0)])
def test_a_power_belongs_to_the_power_model_and_to_no_other(model: str, power: float):
    with pytest.raises(ValueError, match="queue model was"):
        QueueSettings(model, power)  # type: ignore[arg-type]
