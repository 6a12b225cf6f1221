"""Bounds on a mean that hold at every look, however often one looks.

A fixed-time interval that is looked at hourly accepts a useless change in a fifth to two fifths of the
experiments (it is the looking that is punished, not the change). These bounds may be looked at after every
observation, and an experiment may stop at any of them.

Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics 2024, proposition B.1 (one side) of the normal mixture. For n
observations of mean m and standard deviation s, with error alpha,

    bound = m -/+ s * sqrt( 2 (n r^2 + 1) / (n r)^2 * log(1 + sqrt(n r^2 + 1) / (2 alpha)) )

They are asymptotic in n: nothing is said before `first_look` of whoever decides. `r` says where they are
narrowest; `tuned` puts that at the planned n. What holds for independent observations holds here for pairs of
blocks whose order was drawn.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FEWEST = 2
"""Observations that have a standard deviation."""
_RHOS = np.geomspace(0.1, 10, 400)


@dataclass(frozen=True, slots=True)
class Bounds:
    """`low` is a lower bound with error alpha, `high` an upper one with error alpha: together an interval
    with error 2 alpha.
    """

    n: int
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sequence:
    """A confidence sequence with error `alpha` a side. Build it by `tuned`."""

    alpha: float
    rho: float

    @classmethod
    def tuned(cls, alpha: float, planned_n: int) -> "Sequence":
        """Narrowest at `planned_n`, up to a few thousandths. Raises ValueError outside 0 < alpha < 0.5 or
        below 2 observations.
        """
        if not (0 < alpha < 0.5 and planned_n >= FEWEST):  # noqa: PLR2004 - a side's error
            raise ValueError(f"alpha was {alpha} and n {planned_n}, expected 0 < alpha < 0.5 and n >= 2")
        rhos = _RHOS / math.sqrt(planned_n)
        return cls(alpha, float(rhos[np.argmin(_width(np.float64(planned_n), rhos, alpha))]))

    def width(self, n: int) -> float:
        """Distance of a bound from the mean after n observations, in standard deviations of one."""
        return float(_width(np.float64(n), np.float64(self.rho), self.alpha))

    def widths(self, counts: Any) -> Floats:
        """The same after each of these counts, (n,)."""
        found: Floats = _width(counts.astype(np.float64), np.float64(self.rho), self.alpha)
        return found

    def bounds(self, values: Floats) -> Bounds:
        """Of values in the order in which they came; (n,) with n >= 2, all finite. Raises ValueError."""
        if values.ndim != 1 or len(values) < FEWEST or not np.isfinite(values).all():
            raise ValueError(
                f"expected at least 2 finite values in one dimension, found shape {values.shape}"
            )
        n, estimate = len(values), float(values.mean())
        reach = float(values.std(ddof=1)) * self.width(n)
        return Bounds(n, estimate, estimate - reach, estimate + reach)

    def path(self, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Estimate, low and high after each of the values, (n,) each; nan before the second."""
        counts = np.arange(1, len(values) + 1)
        means = np.cumsum(values) / counts
        # Welford's sum of squares, vectorised: exact enough where the mean is large against the spread
        before = np.concatenate(([0.0], means[:-1]))
        squares = np.cumsum((values - before) * (values - means))
        with np.errstate(divide="ignore", invalid="ignore"):
            deviations = np.sqrt(squares / (counts - 1))
        deviations[:1] = np.nan
        reach = deviations * self.widths(counts)
        return means, means - reach, means + reach


def _width(n: Any, rho: Any, alpha: float) -> Any:
    """The formula; n and rho scalars or arrays of one shape."""
    mixed = n * rho**2 + 1
    return np.sqrt(2 * mixed / (n * rho) ** 2 * np.log1p(np.sqrt(mixed) / (2 * alpha)))
