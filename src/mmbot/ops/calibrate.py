"""Calibration: a model's numbers from a scenario's data, as an overlay that says where they came from."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from mmbot.calibration.glft import Intensities, fit
from mmbot.calibration.reach import Reach
from mmbot.config.scenario import load_scenario
from mmbot.errors import ConfigError
from mmbot.model.events import MarketEvent
from mmbot.runtime.tape import Part, TapeFeed, cache_folder, open_tape
from mmbot.units import SECOND


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted intensities, and what they were fitted to. `ended_ns`: of the data that was used."""

    scenario: str
    kind: str
    symbol: str
    sha256: str
    started_ns: int
    ended_ns: int
    left_out: int
    fitted: Intensities


def calibrate_glft(
    name: str,
    scenarios: Path,
    data: Path | None,
    *,
    symbol: str | None,
    window_ns: int,
    duration_ns: int | None,
    nearest_bps: float,
) -> Calibration:
    """`symbol`: `venue:SYMBOL`, needed where a scenario has several; `duration_ns`: from the beginning, None
    for all; `nearest_bps`: where the fit begins. Raises ConfigError, RecordingError and CalibrationError.
    """
    scenario, _ = load_scenario(name, scenarios)
    keys = [instrument.key for instrument in scenario.instruments]
    if symbol is None and len(keys) > 1:
        raise ConfigError(f"--symbol: needed, scenario {name} has {', '.join(keys)}")
    tape = open_tape(scenario, name, data, cache_folder(), Part(symbol))
    feed = tape.feeds[0]
    started_ns, ended_ns = feed.columns.meta.first_ns, feed.columns.meta.last_ns
    if duration_ns is not None:
        ended_ns = min(ended_ns, started_ns + duration_ns)
    reach = Reach(window_ns)
    reach.take(_until(feed, ended_ns))
    return Calibration(
        scenario=name,
        kind=tape.kind,
        symbol=feed.instrument.key,
        sha256=feed.sha256,
        started_ns=started_ns,
        ended_ns=ended_ns,
        left_out=reach.left_out,
        fitted=fit(reach, nearest_bps),
    )


def overlay(done: Calibration) -> str:
    """A file for --config-override."""
    lines = [
        "spread:",
        "  model: glft",
        "glft:",
        f"  intensity_per_s: {done.fitted.intensity_per_s:.6g}",
        f"  decay_per_bps: {done.fitted.decay_per_bps:.6g}",
    ]
    return "".join(f"{line}\n" for line in (*(f"# {line}" for line in _provenance(done)), *lines))


def _provenance(done: Calibration) -> Iterator[str]:
    fitted, worst = done.fitted, done.fitted.worst
    mark = ", SYNTHETIC DATA" if done.kind == "synthetic" else ""
    hours = (done.ended_ns - done.started_ns) / SECOND / 3600
    yield f"made by `mmbot calibrate glft` from scenario {done.scenario}, {done.kind}{mark}: {done.symbol}"
    yield f"data sha256 {done.sha256}"
    yield f"received {done.started_ns} to {done.ended_ns} ns, {hours:.2f} h"
    yield f"windows of {fitted.window_s:g} s: {fitted.observations // 2}, and {done.left_out} without a book"
    yield "rate at which trades reach a distance d from the mid, of either side: A exp(-k d)"
    yield f"A = {fitted.intensity_per_s:.5g} per second, standard error {fitted.intensity_error_per_s:.2g}"
    yield f"k = {fitted.decay_per_bps:.5g} per bps, standard error {fitted.decay_error_per_bps:.2g}"
    yield f"chi squared a degree of freedom {fitted.chi2_per_freedom:.3g}, 1 where the law holds"
    yield f"the fit is off most at {worst.distance_bps:.3g} bps, by a factor of {worst.factor:.2f}"
    yield "   d bps   reached   observed/s   fitted/s"
    for rate in fitted.rates:
        seen, fit_says = f"{rate.observed_per_s:10.5g}", f"{rate.fitted_per_s:10.5g}"
        yield f"{rate.distance_bps:8.3f}  {rate.reached:8d}   {seen} {fit_says}"


def _until(feed: TapeFeed, ended_ns: int) -> Iterator[MarketEvent]:
    return takewhile(lambda event: event.recv_ns < ended_ns, feed.events())
