"""A rollout with real processes on the paper exchange: who quotes when, and how fast the candidate goes."""

from pathlib import Path

import pytest
from tests.system.live import WIDE, trading_desk
from tests.system.rolling import LONG, Rolling

from mmbot.experiment.rollout import Status

pytestmark = pytest.mark.asyncio
GONE_WITHIN_S = 5.0


async def test_the_red_button_takes_every_order_of_the_candidate_and_the_baseline_quotes_on(
    tmp_path: Path,
) -> None:
    async with trading_desk(tmp_path, speed=1.0, config=WIDE) as desk:
        rolling = Rolling(desk, **LONG)
        rolling.begin("replay", "10", "50")
        async with rolling.judged():
            bot = await rolling.bot()
            await desk.until(lambda: rolling.arms == {"B"})
            button = await desk.process("rollout", "rollback", "wider", "--reason", "takers")
            code, said = await desk.ended(button)
            await desk.until(lambda: rolling.arms == {"A"})
            state = rolling.state
            bot.terminate()
            assert (await desk.traded(bot))[0] == 0
    assert code == 0, said
    assert 0 < rolling.gone_s() < GONE_WITHIN_S
    baseline = rolling.experiment.settings["A"].sha256()
    assert (state.status, state.reason, state.returned) == (Status.ROLLED_BACK, "takers", baseline)
    assert rolling.both == []
