"""How many repeats would decide: the power of the paired t test and of the two one-sided tests."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

from scipy import special

POWER = 0.8
MOST_REPEATS = 10_000  # nobody trains more; beyond, a pair counts as out of reach


def difference_power(n: int, standardized: float, alpha: float) -> float:
    """Chance that the two-sided paired t test at level `alpha` rejects, for a true mean of `standardized` spreads.

    Noncentral t with n - 1 degrees of freedom and noncentrality standardized * sqrt(n), Cohen (1988), chapter 2.
    """
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    shift = abs(standardized) * math.sqrt(n)
    return 1 - noncentral_t(critical, n - 1, shift) + noncentral_t(-critical, n - 1, shift)


def equivalence_power(n: int, standardized: float, margin: float, alpha: float) -> float:
    """Chance that both one-sided t tests at level `alpha` reject; `standardized` and `margin` in spreads.

    Difference of two noncentral t probabilities (Julious 2004, Statistics in Medicine 23), at least 0.
    """
    critical, root = float(special.stdtrit(n - 1, 1 - alpha)), math.sqrt(n)
    below = 1 - noncentral_t(critical, n - 1, (margin - abs(standardized)) * root)
    return max(0.0, below - noncentral_t(critical, n - 1, (margin + abs(standardized)) * root))


def noncentral_t(t: float, degrees: int, shift: float) -> float:
    """P(T <= t) of the noncentral t distribution.

    scipy 1.17 gives NaN in places of the far lower tail; there the normal approximation of Abramowitz and Stegun
    (1964), 26.7.10, is as good as 0.
    """
    chance = float(special.nctdtr(degrees, shift, t))
    if not math.isnan(chance):
        return chance
    return float(special.ndtr((t * (1 - 1 / (4 * degrees)) - shift) / math.sqrt(1 + t**2 / (2 * degrees))))


def repeats_for_difference(standardized: float, alpha: float) -> float:
    """Fewest repeats at which the difference test reaches POWER; infinite where more than 10,000, or never."""
    return _fewest(lambda n: difference_power(n, standardized, alpha)) if standardized else math.inf


def repeats_for_equivalence(standardized: float, margin: float, alpha: float) -> float:
    """Fewest repeats at which the equivalence test reaches POWER; infinite where more than 10,000, or never."""
    reachable = abs(standardized) < margin  # not where the margin is NaN
    return _fewest(lambda n: equivalence_power(n, standardized, margin, alpha)) if reachable else math.inf


def repeats_range(lower: float, upper: float, margin: float, alpha: float) -> tuple[float, float]:
    """Fewest and most repeats for a verdict with a chance of 0.8, were the true effect anywhere in [lower, upper].

    Effects and `margin` (NaN: none) are in spreads of the differences; the verdict is that of the difference or of the
    equivalence test, whichever needs fewer. Infinite where that is more than 10,000. What is needed is most about
    half-way to the margin, where both tests need as many, and falls on both sides: the range is reached at an end of
    the interval, at 0 or there.
    """
    differ, equal = (float(special.ndtri(1 - level) + special.ndtri(POWER)) for level in (alpha / 2, alpha))
    turn = margin * differ / (differ + equal)
    turns = (effect for effect in (0.0, -turn, turn) if lower < effect < upper)
    needed = [
        min(repeats_for_difference(effect, alpha), repeats_for_equivalence(effect, margin, alpha))
        for effect in (lower, upper, *turns)
    ]
    return min(needed), max(needed)


def _fewest(power_at: Callable[[int], float]) -> float:
    """Smallest n in [2, MOST_REPEATS] with power_at(n) >= POWER, for a power that grows with n; else infinite."""
    n = 2 + bisect.bisect_left(range(2, MOST_REPEATS + 1), POWER, key=power_at)
    return n if n <= MOST_REPEATS else math.inf
