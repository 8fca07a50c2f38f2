"""The tests of one pair, paired t, exact signed rank and equivalence; Holm's adjustment of a family; and their power.

All take differences d = a - b of common repeats, on the scale of the analysis (accuracy, or the logarithm of a time or
memory). Tests over many samples at once take shape (..., n) and test along the last axis.
"""

import bisect
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from scipy import special, stats

from fmnist.compare.intervals import ROUNDING_ERROR, Array, is_constant
from fmnist.declare import MOST_REPEATS

Basis = Literal["paired t", "signed rank", "none"]  # which test decides on a difference
MOST_FOR_EXACT = 100  # differences; beyond, the normal approximation of the signed-rank test is as good
POWER = 0.8


def paired_t(differences: Array, shift: float = 0.0, alternative: str = "two-sided") -> Array:
    """P value of Student's paired t test that the mean of `differences`, shape (..., n), is `shift`.

    Assumes normal differences; where the null hypothesis is that a and b are exchangeable the differences are
    symmetric, which is what the test needs most. `alternative` is scipy's. NaN for n < 2 and where all differences are
    equal: there is no spread to compare the mean with.
    """
    n = differences.shape[-1]
    flat = is_constant(differences)
    if n < 2:
        return np.full(flat.shape, np.nan)
    varied = np.where(flat[..., None], np.arange(n), differences)  # scipy warns of a sample without spread
    p_values = stats.ttest_1samp(varied, shift, axis=-1, alternative=alternative).pvalue
    return np.asarray(np.where(flat, np.nan, p_values))


def equivalence_t(differences: Array, margin: float) -> Array:
    """P value of the two one-sided t tests (TOST) that the mean of `differences`, shape (..., n), lies within +-margin.

    Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15: the null hypothesis |mean| >= margin is rejected
    where both one-sided tests reject, so the greater of their p values counts. NaN as in `paired_t`.
    """
    return np.maximum(paired_t(differences, -margin, "greater"), paired_t(differences, margin, "less"))


def signed_rank(differences: Array) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test that `differences`, shape (n,), are symmetric about 0.

    Wilcoxon (1945). Differences of 0 are left out, tied sizes share their mean rank, and the null distribution of the
    rank sum is the exact one given these ties, which scipy does not have, up to 100 differences (beyond: normal
    approximation with ties corrected). 1 where no difference is left; NaN for n = 0.
    """
    if len(differences) == 0:
        return float("nan")
    moved = differences[np.abs(differences) > ROUNDING_ERROR]
    if len(moved) == 0:
        return 1.0
    # equal differences carry rounding errors of about 1e-17 that must not break their tie
    sizes = np.round(np.abs(moved), 12)
    if len(moved) > MOST_FOR_EXACT:
        return float(stats.wilcoxon(np.sign(moved) * sizes, method="asymptotic").pvalue)
    doubled = np.rint(2 * stats.rankdata(sizes)).astype(np.int64)  # mean ranks are halves at worst
    chances = _sign_flip_distribution(doubled)
    observed = int(doubled[moved > 0].sum())
    return float(min(1.0, 2 * min(chances[observed:].sum(), chances[: observed + 1].sum())))


def _sign_flip_distribution(ranks: np.ndarray) -> Array:
    """Chance of each sum of a subset of `ranks` (integers), all subsets alike: index s holds P(sum = s)."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances[rank:] = (chances[rank:] + chances[: len(chances) - rank]) / 2
        chances[:rank] /= 2
    return chances


class PairTests(NamedTuple):
    """P values of one pair; NaN where a test cannot be made."""

    signed_rank_p: float  # Wilcoxon, two-sided
    difference_p: float  # decides on a difference: paired t, or signed rank where there is no spread
    equivalence_p: float  # two one-sided tests at the margin, by the same test; NaN without a margin
    basis: Basis  # what decides


UNTESTED = PairTests(float("nan"), float("nan"), float("nan"), "none")


def pair_tests(differences: Array, margin: float | None) -> PairTests:
    """Test differences of shape (n,) for a difference and, given a margin, for equivalence within +-margin.

    The paired t test decides: repeats share one scale, their mean difference is what is asked for, and its verdict,
    interval and equivalence test agree with one another; Demsar (2006, section 3.1) warns against it across data sets,
    whose differences do not share a scale. Where all differences are equal t has no spread to work with (it would give
    p = 0 at n = 2), and the exact signed-rank test decides: of equivalence with p = 1 / 2**n within the margin, else 1.
    One difference decides nothing.
    """
    if len(differences) < 2:
        return UNTESTED
    rank_p, equal_p = signed_rank(differences), float("nan")
    if is_constant(differences):
        if margin is not None:
            equal_p = 0.5 ** len(differences) if abs(differences.mean()) < margin - ROUNDING_ERROR else 1.0
        return PairTests(rank_p, rank_p, equal_p, "signed rank")
    if margin is not None:
        equal_p = float(equivalence_t(differences, margin))
    return PairTests(rank_p, float(paired_t(differences)), equal_p, "paired t")


def holm(p_values: Array) -> Array:
    """Adjust p values along the last axis, Holm (1979), Scandinavian J. of Statistics 6: keeps the family-wise error.

    The i-th smallest of m becomes the largest (m - j + 1) p_j over j <= i, at most 1. Needs no independence.
    NaN (a test that could not be made, and so rejects nothing) stays NaN and does not count into m.
    """
    m = np.sum(~np.isnan(p_values), axis=-1, keepdims=True)
    order = np.argsort(p_values, axis=-1)  # NaN last
    ordered = np.take_along_axis(p_values, order, axis=-1)
    factors = np.maximum(m - np.arange(p_values.shape[-1]), 1)
    stepped = np.minimum(np.maximum.accumulate(ordered * factors, axis=-1), 1.0)
    adjusted = np.empty_like(stepped)
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    return np.where(np.isnan(p_values), np.nan, adjusted)


def difference_power(n: int, effect: float, alpha: float) -> float:
    """Chance that the two-sided paired t test at level `alpha` rejects; `effect`: true mean / standard deviation.

    Noncentral t with n - 1 degrees of freedom and noncentrality effect * sqrt(n), Cohen (1988), chapter 2.
    """
    critical, shift = special.stdtrit(n - 1, 1 - alpha / 2), abs(effect) * math.sqrt(n)
    return 1 - _noncentral_t(critical, n - 1, shift) + _noncentral_t(-critical, n - 1, shift)


def equivalence_power(n: int, effect: float, margin: float, alpha: float) -> float:
    """Chance that both one-sided t tests at level `alpha` reject; `effect` and `margin` in standard deviations.

    Difference of two noncentral t probabilities (Julious 2004, Statistics in Medicine 23), at least 0.
    """
    critical, root = special.stdtrit(n - 1, 1 - alpha), math.sqrt(n)
    below = 1 - _noncentral_t(critical, n - 1, (margin - abs(effect)) * root)
    return max(0.0, below - _noncentral_t(critical, n - 1, (margin + abs(effect)) * root))


def _noncentral_t(t: float, degrees: int, shift: float) -> float:
    """P(T <= t) of the noncentral t; scipy 1.17 gives NaN in places of its far tails, where it is 0 or 1."""
    chance = float(special.nctdtr(degrees, shift, t))
    return float(t > shift) if math.isnan(chance) else chance


def repeats_for_difference(effect: float, alpha: float) -> float:
    """Fewest repeats at which the difference test reaches POWER; infinite where more than 10,000, or never."""
    return _fewest(lambda n: difference_power(n, effect, alpha)) if effect else math.inf


def repeats_for_equivalence(effect: float, margin: float, alpha: float) -> float:
    """Fewest repeats at which the equivalence test reaches POWER; infinite where more than 10,000, or never."""
    reachable = abs(effect) < margin  # not where the margin is NaN
    return _fewest(lambda n: equivalence_power(n, effect, margin, alpha)) if reachable else math.inf


def repeats_range(lower: float, upper: float, margin: float, alpha: float) -> tuple[float, float]:
    """Fewest and most repeats for a verdict with a chance of 0.8, were the true effect anywhere in [lower, upper].

    Effects and `margin` (NaN: none) are in standard deviations of the differences; the verdict is that of the
    difference or of the equivalence test, whichever needs fewer. Infinite where that is more than 10,000. What is
    needed is most about half-way to the margin, where both tests need as many, and falls on both sides: the range is
    reached at an end of the interval, at 0 or there.
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
