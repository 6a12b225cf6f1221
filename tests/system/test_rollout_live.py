"""A rollout with real processes on the paper exchange: who quotes when, and how fast the candidate goes."""

import asyncio
import contextlib
from asyncio.subprocess import Process
from pathlib import Path

import numpy as np
import pytest
from tests.system.live import WIDE, trading_desk
from tests.system.rolling import LONG, PLAN, Rolling
from tests.system.test_live_kills import books_are_right

from mmbot import audit
from mmbot.experiment.rollout import Status
from mmbot.ops.rehearsal import rehearse
from mmbot.ops.rollouts import followers
from mmbot.units import SECOND

GONE_WITHIN_S = 5.0
SEEN_WITHIN_S = 15.0
"""A look each 10 s, one batch of rows later, and the way back."""
SAFETY = """\
gate: ab
evidence: {duration: ">= 1m", ticks: ">= 100", source: [synthetic]}
owner: nobody
runbook: none.md
accept: ["delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 24"]
safety: ["B.deadline_miss.ratio[10s] < 2%, n >= 20"]
"""
"""No candidate of this machine holds it: `rolling.CANDIDATE` has next to no time for a tick."""


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_red_button_takes_every_order_of_the_candidate_and_the_baseline_quotes_on(
    tmp_path: Path,
) -> None:
    async with trading_desk(tmp_path, speed=1.0, config=WIDE) as desk:
        rolling = Rolling(desk, **LONG)
        rolling.begin("replay", "10", "50")
        with rolling.judged():
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


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_rule_of_safety_that_breaks_in_a_paper_session_takes_the_candidate_away(
    tmp_path: Path,
) -> None:
    """`pytest -m ab` trades on the paper exchange, watches arm B, and rolls it back."""
    async with trading_desk(tmp_path, speed=1.0, config=WIDE) as desk:
        rolling = Rolling(desk, **LONG, gate="gates/ab.yaml")
        session = await rolling.judge(SAFETY)
        await desk.until(lambda: "B" in rolling.arms)
        assert len(followers(tmp_path / "artifacts/running", rolling.folder.path)) == 1
        code, said = await desk.ended(session, 120)
        assert "FAIL (SYNTHETIC) B.deadline_miss.ratio[10s] < 2%" in said, said
        assert (code, desk.open, rolling.both) == (1, 0, [])
        violated_ns = rolling.violated_ns(said)
        [asked], [back] = rolling.records("rollback"), rolling.records("rolled_back")
        assert asked["reason"].startswith("stop rule deadline_miss.ratio[10s]")
        assert back["config_sha256"] == rolling.experiment.settings["A"].sha256()
        assert 0 < (rolling.last_ns["B"] - violated_ns) / SECOND < SEEN_WITHIN_S
        assert rolling.gone_s() < GONE_WITHIN_S


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_candidate_whose_ticks_take_longer_than_those_of_the_baseline_did_is_rolled_back(
    tmp_path: Path,
) -> None:
    """Eight quotes a side take their time; what they are held against was measured in the first 10 s."""
    rule = "regress(tick_total.p95)[10s] <= 10%"
    async with trading_desk(tmp_path, speed=1.0, config=WIDE) as desk:
        rolling = Rolling(desk, block="20s", washout="1s", seed=4, gate="gates/ab.yaml")
        candidate = "emit: {levels: 8, order_notional_quote: 100}\n"
        (tmp_path / "experiments/wider.b.yaml").write_text(candidate)
        text = SAFETY.replace("B.deadline_miss.ratio[10s] < 2%, n >= 20", f"{rule}, n >= 20, no_data wait")
        session = await rolling.judge(text)
        code, said = await desk.ended(session, 180)
        assert f"FAIL (SYNTHETIC) {rule}" in said, said
        assert (code, desk.open, rolling.both) == (1, 0, [])
        [asked], [back] = rolling.records("rollback"), rolling.records("rolled_back")
        assert asked["reason"].startswith(f"stop rule {rule.replace('<=', '>')}")
        assert back["config_sha256"] == rolling.experiment.settings["A"].sha256()
        assert rolling.gone_s() < GONE_WITHIN_S


@pytest.mark.slow
def test_a_rehearsal_walks_the_way_back(tmp_path: Path) -> None:
    rehearsed = asyncio.run(_planned(tmp_path))
    with contextlib.chdir(tmp_path):
        done = rehearse(PLAN, Path("scenarios"), None)
    assert done.config_sha256 == rehearsed.experiment.settings["A"].sha256()
    assert done.candidate_orders > 0
    assert done.took_s < GONE_WITHIN_S


async def _planned(folder: Path) -> Rolling:
    async with trading_desk(folder) as desk:
        return Rolling(desk)


class Trials:
    """Bots and buttons that are killed at random moments, one after the other, in one account."""

    def __init__(self, rolling: Rolling, seed: int) -> None:
        self.rolling = rolling
        self.draw = np.random.default_rng(seed)
        self.bot: Process | None = None

    @property
    def wanted(self) -> set[str]:
        """Who has to quote, by the log: the first block of the stage is the candidate's."""
        return {"B"} if self.rolling.state.status is Status.FIFTY else {"A"}

    async def trial(self) -> None:
        """Kill a bot, or somebody who presses a button, or both at once; nothing is ever undecided."""
        what = self.draw.choice(["bot", "button", "both"])
        bot = await self.quoting()
        if what != "bot":
            button = str(self.draw.choice(["pause", "resume"]))
            pressed = await self.rolling.desk.process("rollout", button, "wider")
            looked, moment = self.rolling.looks, int(self.draw.integers(1, 150))
            await self.rolling.desk.until(lambda: self.rolling.looks - looked >= moment)
            await _kill(pressed)
        if what != "button":
            desk = self.rolling.desk
            first, moment = desk.entered, int(self.draw.integers(1, 30))
            try:
                await desk.until(lambda: desk.entered - first >= moment)
            except TimeoutError:
                raise AssertionError(await self.story()) from None
            await _kill(bot)
            self.bot = None
        self.check()

    async def quoting(self) -> Process:
        """A bot that runs, and quotes what the log says."""
        if self.bot is None:
            self.bot = await self.rolling.bot()
        wanted = self.wanted
        try:
            await self.rolling.desk.until(lambda: self.rolling.arms == wanted)
        except TimeoutError:
            raise AssertionError(await self.story()) from None
        return self.bot

    async def story(self) -> str:
        """What the bot said, did last, and was to do."""
        assert self.bot is not None
        alive = self.bot.returncode
        await _kill(self.bot)
        _, said = await self.rolling.desk.ended(self.bot)
        rows = [*self.rolling.desk.rows("events")[-12:], self.rolling.desk.rows("pipeline_ticks")[-1]]
        return f"{alive=} {self.rolling.arms} for {self.wanted}: {said} {rows} {self.rolling.state}"

    def check(self) -> None:
        assert self.rolling.both == []
        assert audit.broken_line(self.rolling.folder.log) is None
        assert self.rolling.state.status in (Status.FIFTY, Status.PAUSED)


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(10))
async def test_ten_kills_one_after_another(seed: int, tmp_path: Path) -> None:
    """A hundred in all: the log stays whole, the next bot is in its stage, no two arms quote one symbol."""
    async with trading_desk(tmp_path) as desk:
        rolling = Rolling(desk, **LONG)
        rolling.begin("replay", "10", "50")
        trials = Trials(rolling, seed)
        with rolling.judged():
            for _ in range(10):
                await trials.trial()
            bot = await trials.quoting()
            button = await desk.process("rollout", "rollback", "wider")
            code, said = await desk.ended(button)
            assert code == 0, said
            await desk.until(lambda: rolling.arms == {"A"})
            bot.terminate()
            assert (await desk.traded(bot))[0] == 0
        assert rolling.state.returned == rolling.experiment.settings["A"].sha256()
        assert rolling.both == []
        books_are_right(desk)
