"""A stage of 50 % ends when it is decided, where its bot takes that; and what is told of its end."""

import math
import shutil

import msgspec
import pytest
from tests.pytest_mmgates.experiment.recorded import (
    HOUR,
    RULE,
    SOURCES,
    START_NS,
    S,
    facts,
    live,
    planned,
    rows_of,
    write,
)
from tests.pytest_mmgates.experiment.test_blocks import GATE
from tests.pytest_mmgates.experiment.test_streaming import RUNNING

from pytest_mmgates.experiment.ending import ended, lasts
from pytest_mmgates.experiment.log import ExperimentLog
from pytest_mmgates.experiment.reading import read_experiment
from pytest_mmgates.experiment.staging import StageJudge
from pytest_mmgates.experiment.streaming import PairJudge
from pytest_mmgates.judge import judge
from pytest_mmgates.making import HaltNotes
from pytest_mmgates.rows import read_markets
from pytest_mmgates.stats.acceptance import Decision
from pytest_mmgates.sut import drive
from pytest_mmgates.watch.watch import Watch

PAIRS = 30
KNOWN = facts(blocks=planned(PAIRS), horizon_ns=202 * HOUR, minimum_ns=24 * HOUR)
"""On a tape of 61 h."""
STEP_NS = 600 * S
TAKERS = [rule for rule in GATE.of_candidate if rule.metric == "taker_share"]
"""What the stage is watched by besides: none of these fills is a taker's."""


class Foreign:
    """A bot that plays rows which are known beforehand, and cannot be finished."""

    def __init__(self, foreign_bot, folder):
        self.rows = rows_of(
            KNOWN, lambda plan: 1.0 + 0.6 * (plan.arm == "B") + 0.05 * math.sin(7 * plan.index)
        )
        for at, row in enumerate(self.rows["fills"]):
            row["decision_mid"] = row["price"] * (1 - 1e-5 * (at % 7))
        self.foreign_bot, self.folder = foreign_bot, folder
        self.reason, self.told = None, []
        self.directory = self.write(self.rows, **RUNNING) / "live/r1"

    def halt(self, reason):
        raise AssertionError(f"was to be halted: {reason}")

    def rollback(self, reason):
        raise AssertionError(f"was to be rolled back: {reason}")

    def watched(self, says):
        self.told.append(says)

    def write(self, rows, **manifest):
        shutil.rmtree(self.folder, ignore_errors=True)
        return write(self.foreign_bot, self.folder, KNOWN, rows, **manifest)

    def __iter__(self):
        played = {feed: [] for feed in self.rows}
        for from_ns in range(START_NS, self.rows["pipeline_ticks"][-1]["ts_ns"] + 1, STEP_NS):
            if self.reason is not None:
                break
            for feed, rows in self.rows.items():
                due = [row for row in rows if from_ns <= row["ts_ns"] < from_ns + STEP_NS]
                played[feed] += due
                if due:
                    yield feed, b"".join(msgspec.json.encode({**self.identity, **row}) + b"\n" for row in due)
        self.write(played, reason=self.reason)

    identity = {"run_id": "r1", "data_kind": "recorded"}  # noqa: RUF012


class Finishing(Foreign):
    def finish(self, reason):
        assert self.reason is None, "once"
        self.reason = reason


def driven(bot):
    """What was played, as it is judged at its end."""
    watch = Watch(TAKERS, (), lambda: read_markets(bot.directory), lambda _: None)
    pairs = PairJudge(GATE, bot.directory, lambda _: KNOWN)
    drive(lambda _: bot, {}, StageJudge(GATE, watch, HaltNotes(bot.folder, None), pairs))
    return read_experiment(bot.folder, GATE)


def test_a_bot_is_told_how_far_its_stage_has_come(foreign_bot, tmp_path):
    bot = Finishing(foreign_bot, tmp_path / "run")
    driven(bot)
    told = [says[-1] for says in bot.told]
    assert {(one["rule"], one["section"], one["fired"]) for one in told} == {(str(RULE), "accept", False)}
    assert told[0]["says"] is None
    assert told[-1]["says"].startswith("ACCEPT after 24 of at most 100 pairs, looks from 24 on, between +0.")
    assert {len(says) for says in bot.told} == {1 + len(TAKERS)}


def test_a_bot_is_finished_at_the_look_that_decides(foreign_bot, tmp_path):
    log = driven(Finishing(foreign_bot, tmp_path / "run"))
    why = "the lower bound is above 0, and the estimate at the floor"
    assert log.variants[0].origins[0].reason == f"decided: ACCEPT after 24 of at most 100 pairs: {why}"
    assert ended(log) == log.variants[0].origins[0].reason
    decided_ns = KNOWN.blocks[47].end_ns + KNOWN.washout_ns + 60 * S
    assert 0 < log.variants[0].ended_ns - decided_ns < 2 * STEP_NS
    assert log.decision.variants[0].pairs == 24


def test_a_bot_that_cannot_be_finished_plays_its_time_out_and_it_is_told(foreign_bot, tmp_path):
    log = driven(Foreign(foreign_bot, tmp_path / "run"))
    assert (log.decision.decision, log.decision.variants[0].looks) == (Decision.ACCEPT, 24)
    assert log.variants[0].ended_ns == START_NS + 61 * HOUR - 60 * S
    assert ended(log) == (
        "decided: ACCEPT after 24 of at most 100 pairs, and was played for 6 pairs more: this bot has no"
        " finish(reason); the market ended, and no tape is looped"
    )


def logged(made, status="complete", reason=None):
    known, [found] = made
    origins = [msgspec.structs.replace(one, status=status, reason=reason) for one in found.origins]
    variants = (msgspec.structs.replace(found, origins=origins),)
    return ExperimentLog(known, variants, (), RULE, SOURCES)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (logged(live(), "running"), None),
        (logged(live(), "halted", "stop rule x"), "halted: stop rule x"),
        (logged(live(), "complete", "decided: y"), "decided: y"),
        (logged(live(stage="10")), "its time was over"),
        (logged(live(noise_bps=9.0, horizon_ns=80 * HOUR)), "all that was planned is played"),
        (logged(live(noise_bps=9.0, horizon_ns=81 * HOUR)), "the market ended, and no tape is looped"),
        (
            logged(live(pairs=24, horizon_ns=81 * HOUR)),
            "decided: ACCEPT after 24 of at most 100 pairs; the market ended, and no tape is looped",
        ),
    ],
)
def test_why_a_stage_ended_is_told(log, words):
    assert ended(log) == words


def test_how_long_a_stage_is_played_is_told():
    assert lasts(KNOWN) == "until it is decided, after 24 h at the earliest and 202 h at the latest"
    later = msgspec.structs.replace(KNOWN, minimum_ns=100 * S, least_duration_ns=60 * S)
    assert lasts(later) == "until it is decided, after 100 s at the earliest and 202 h at the latest"
    assert lasts(facts("10")) == "for 24 h and 24 pairs, or as long as was asked for"


def test_a_stage_that_is_not_decided_says_so_in_its_verdict():
    log = logged(live(noise_bps=9.0, horizon_ns=81 * HOUR))
    accept = judge(GATE, log).rules[0]
    said = "GO_ON: nothing is decided yet in 40 of at most 100 pairs: the market ended, and no tape is looped"
    assert accept.reason.startswith(said)
