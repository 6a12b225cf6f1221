"""Growth of resident memory: the slope of its floors.

Memory of a healthy process is a saw: a collector lets it rise and drop. A leak lifts the floor. So samples
are reduced to the minimum of every 10 minutes, the first hour (caches that fill, code that is compiled) is
left out, and the slope through the floors is that of Theil and Sen: the median of the slopes between all
pairs, which up to 29 % of floors in the wrong place do not move far. Hours are those of the run's clock: wall
hours live, market hours in a replay.
"""

from collections.abc import Iterable

import numpy as np

WARM_UP_NS = 3_600_000_000_000
FLOOR_NS = 600_000_000_000
LEAST_FLOORS = 12
"""Of a process that played only a piece of a run: two hours behind its warm-up."""
_NS_PER_H = 3_600_000_000_000
_MOST_FLOORS = 1024

Floor = tuple[int, float]
"""Number of the ten minutes since the end of the warm-up, bytes."""


class Floors:
    """The newest `most` floors of a run, made while its samples pass by; all of them without `most`."""

    def __init__(self, started_ns: int, most: int | None = None) -> None:
        self._first_ns = started_ns + WARM_UP_NS
        self._most = most
        self._floors: dict[int, float] = {}

    def add(self, ts_ns: int, value: float) -> None:
        if ts_ns < self._first_ns:
            return
        number = (ts_ns - self._first_ns) // FLOOR_NS
        self._floors[number] = min(value, self._floors.get(number, value))
        if self._most is not None and len(self._floors) > self._most:
            del self._floors[min(self._floors)]

    def complete(self, now_ns: int, count: int | None = None) -> list[Floor]:
        """Floors that no later sample changes: of the last `count` times ten minutes, or all."""
        end = (now_ns - self._first_ns) // FLOOR_NS
        first = 0 if count is None else end - count
        return sorted((number, value) for number, value in self._floors.items() if first <= number < end)


def slope_bytes_per_h(floors: Iterable[Floor]) -> float | None:
    """Theil-Sen slope; None of fewer than two floors."""
    points = _thinned(list(floors))
    if len(points) < 2:  # noqa: PLR2004 - a line
        return None
    numbers, values = np.array(points, dtype=np.float64).T
    one, other = np.triu_indices(len(points), 1)
    slopes = (values[other] - values[one]) / (numbers[other] - numbers[one])
    return float(np.median(slopes)) * (_NS_PER_H / FLOOR_NS)


def _thinned(floors: list[Floor]) -> list[Floor]:
    """The lower of each two neighbours while there are too many for all their pairs."""
    while len(floors) > _MOST_FLOORS:
        floors = [min(floors[at : at + 2], key=lambda floor: floor[1]) for at in range(0, len(floors), 2)]
    return floors
