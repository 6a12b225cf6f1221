"""Whether the arms got what the plan gave them: the test for a sample-ratio mismatch.

An experiment whose counts do not fit its own plan lost something on the way, and what was lost is seldom
lost at random: it is void, whatever it shows. The test is against the planned share, so an unequal split that
was planned is no alarm. Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments",
KDD 2019.
"""

import math

MISMATCH_BELOW = 0.001


def exact_p(count: int, n: int, share: float) -> float:
    """Two-sided p of so many out of n when each has the chance `share`: the chances of all counts that are no
    more likely. 1 for n = 0.
    """
    if not (0 <= count <= n and 0 < share < 1):
        raise ValueError(
            f"count was {count} of {n} and share {share}, expected 0 <= count <= n, 0 < share < 1"
        )
    logs = [_log_chance(k, n, share) for k in range(n + 1)]
    # equal chances differ in their last digits
    return min(1.0, math.fsum(math.exp(log) for log in logs if log <= logs[count] + 1e-9))


def _log_chance(k: int, n: int, share: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(share) + (n - k) * math.log1p(-share)
