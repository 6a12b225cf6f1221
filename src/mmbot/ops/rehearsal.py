"""The way back, walked before it is needed: a rollback on the paper exchange, with the plan's own arms.

An exchange on this machine plays the market of the plan's scenario; a bot trades the candidate alone on it,
on the plan's live scenario, over real sockets, with an account folder and a rollout of its own that go when
it is over. When the candidate has an order at the exchange, the rollback is pressed. It is rehearsed when the
baseline is proven to be in force, the exchange lists no order of the candidate, and none is left at the end.
"""

import asyncio
import contextlib
import queue
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mmbot.clock import stopwatch, wall_ns
from mmbot.errors import ConfigError
from mmbot.experiment.arms import BASELINE
from mmbot.experiment.plan import Experiment, Stage, load_experiment
from mmbot.experiment.rollout import Action
from mmbot.model.orders import own_prefix
from mmbot.runtime.account_folder import AccountFolder
from mmbot.runtime.live_request import LiveRequest
from mmbot.runtime.paper import PaperRequest, open_exchange
from mmbot.runtime.rollout_folder import RolloutFolder
from mmbot.runtime.trade_run import Account, TradeRun
from mmbot.units import SECOND
from mmbot.venues.credentials import Credentials, Secret
from mmbot.venues.paper.exchange import PaperExchange
from mmbot.venues.paper.server import PaperServer

_KEY, _SECRET = "rehearsal", "rehearsal-secret"
_LONGEST_S = 60.0
"""A candidate that has no order by then does not quote, and a baseline that is not back by then is none."""


class _Row(msgspec.Struct):
    kind: str
    detail: dict[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`took_s`: from the button until the baseline was proven to be in force; `config_sha256`: its hash."""

    took_s: float
    config_sha256: str
    candidate_orders: int


def rehearse(path: Path, scenarios: Path, data: Path | None) -> Rehearsal:
    """Walk it. Raises ConfigError where the way back does not end on the baseline."""
    experiment = load_experiment(path, scenarios, live=True)
    plan = experiment.plan
    served = PaperRequest(
        scenario=plan.scenario,
        scenarios=scenarios,
        config=plan.files(BASELINE),
        data=data,
        keys={_KEY: _SECRET},
        balances={},
    )
    with tempfile.TemporaryDirectory() as folder, _exchange(served) as (exchange, port):
        rollouts = Path(folder) / "rollouts"
        _accept(RolloutFolder(rollouts / plan.name), experiment)
        request = LiveRequest(
            scenario=plan.live or "",
            scenarios=scenarios / "live",
            config=plan.files(BASELINE),
            run_id="rehearsal",
            directory=Path(folder) / "run",
            duration_s=_LONGEST_S,
            host=f"http://127.0.0.1:{port}",
            plan=path,
            rollouts=rollouts,
        )
        account = Account(Credentials(_KEY, Secret(_SECRET)), AccountFolder("rehearsal", Path(folder)))
        account.folder.claim()
        try:
            return _walk(TradeRun(request, account), exchange)
        finally:
            account.folder.release()


def _accept(folder: RolloutFolder, experiment: Experiment) -> None:
    """A rollout of its own, at its end: the candidate quotes alone."""
    folder.plan(experiment, wall_ns())
    folder.record(Action.REHEARSED, wall_ns())
    for stage in Stage:
        folder.record(Action.BEGUN, wall_ns(), stage=stage)
        folder.record(Action.PASSED, wall_ns(), stage=stage)
    folder.record(Action.ACCEPTED, wall_ns())


def _walk(run: TradeRun, exchange: PaperExchange) -> Rehearsal:
    """Press the button once the candidate has an order; end the run when the baseline is back."""
    pressed_ns: int | None = None
    seen = 0
    found: Rehearsal | None = None
    for feed, lines in run:
        if pressed_ns is None:
            seen = len(_candidates(exchange))
            if seen:
                pressed_ns = stopwatch()
                run.rollback("rehearsal")
        elif feed == "events" and found is None:
            sha256 = _baseline_sha256(lines)
            if sha256 is not None:
                found = Rehearsal((stopwatch() - pressed_ns) / SECOND, sha256, seen)
                if left := _candidates(exchange):
                    raise ConfigError(f"rehearsal: the exchange still has {', '.join(left)} of the candidate")
                run.halt("rehearsed")
    if found is None:
        what = "the candidate had no order" if pressed_ns is None else "the baseline did not come back"
        raise ConfigError(f"rehearsal: {what} within {_LONGEST_S:g} s")
    expected = run.settings.sha256()
    if found.config_sha256 != expected:
        raise ConfigError(f"rehearsal: config_sha256 was {found.config_sha256}, expected {expected}")
    return found


def _baseline_sha256(lines: bytes) -> str | None:
    """Of what every cluster runs on, if one of these events says that the baseline is in force."""
    for row in msgspec.json.Decoder(_Row).decode_lines(lines):
        if row.kind == "course_in_force" and row.detail["course"] == "baseline":
            hashes = {str(value) for key, value in row.detail.items() if key.endswith(".config_sha256")}
            return " and ".join(sorted(hashes))
    return None


def _candidates(exchange: PaperExchange) -> list[str]:
    """Client ids of the candidate's orders at the exchange."""
    desks = list(exchange.members[_KEY].account.desks.values())
    orders = [order for desk in desks for order in list(desk.open.values())]
    return [order.link_id for order in orders if order.link_id.startswith(own_prefix("B"))]


@contextlib.contextmanager
def _exchange(request: PaperRequest) -> Iterator[tuple[PaperExchange, int]]:
    """Served inside, in a thread of its own."""
    exchange, _ = open_exchange(request, wall_ns)
    listening: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with PaperServer(exchange, 1.0, wall_ns).running(0) as server:
            listening.put(server.port)
            await stop.wait()

    def main() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 (raised by whoever waits for it)
            listening.put(error)
        finally:
            loop.close()

    thread = threading.Thread(target=main, name="exchange")
    thread.start()
    port = listening.get()
    try:
        if isinstance(port, BaseException):
            raise port
        yield exchange, port
    finally:
        if not isinstance(port, BaseException):
            loop.call_soon_threadsafe(stop.set)
        thread.join()
