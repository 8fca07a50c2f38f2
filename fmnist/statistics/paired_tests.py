"""The tests of one pair: paired t, exact signed rank, equivalence, effect sizes; and Holm's adjustment of a family.

All take differences d = a - b of common repeats, on the scale of the analysis (accuracy, or the logarithm of a time or
memory). Tests over many samples at once take shape (..., n) and test along the last axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special, stats

from fmnist.statistics.intervals import SAME, Array, Interval, constant

Alternative = Literal["two-sided", "greater", "less"]
Basis = Literal["paired t", "signed rank", "value", "none"]  # "value": fixed by the architecture, no test
MOST_FOR_EXACT = 100  # differences; beyond, the normal approximation of the signed-rank test is as good


def paired_t(differences: Array, shift: float = 0.0, alternative: Alternative = "two-sided") -> Array:
    """P value of Student's paired t test that the mean of `differences`, shape (..., n), is `shift`.

    t = (mean - shift) / (s / sqrt(n)) on n - 1 degrees of freedom. Assumes normal differences; where the null
    hypothesis is that a and b are exchangeable the differences are symmetric, which is what the test needs most.
    NaN for n < 2 and where all differences are equal: there is no spread to hold the mean against.
    """
    n = differences.shape[-1]
    if n < 2:
        return np.full(differences.shape[:-1], np.nan)
    flat = constant(differences)
    deviation = np.where(flat, np.nan, differences.std(axis=-1, ddof=1))
    t = (differences.mean(axis=-1) - shift) / (deviation / np.sqrt(n))
    if alternative == "two-sided":
        return np.asarray(2 * special.stdtr(n - 1, -np.abs(t)))
    return np.asarray(special.stdtr(n - 1, -t if alternative == "greater" else t))


def signed_rank(differences: Array, shift: float = 0.0, alternative: Alternative = "two-sided") -> float:
    """P value of Wilcoxon's signed-rank test that `differences`, shape (n,), are symmetric about `shift`.

    Wilcoxon (1945). Differences equal to `shift` are left out, tied sizes share their mean rank, and the null
    distribution of the rank sum is the exact one given these ties, up to 100 differences (beyond: normal
    approximation with ties corrected). 1 where no difference is left; NaN for n = 0.
    """
    if len(differences) == 0:
        return float("nan")
    moved = differences - shift
    moved = moved[np.abs(moved) > SAME]
    if len(moved) == 0:
        return 1.0
    # equal differences carry rounding errors of about 1e-17 that must not break their tie
    sizes = np.round(np.abs(moved), 12)
    if len(moved) > MOST_FOR_EXACT:
        tested = stats.wilcoxon(np.sign(moved) * sizes, alternative=alternative, method="asymptotic")
        return float(tested.pvalue)
    doubled = np.rint(2 * stats.rankdata(sizes)).astype(np.int64)  # mean ranks are halves at worst
    chances = _sign_flip_distribution(doubled)
    observed = int(doubled[moved > 0].sum())
    greater, less = chances[observed:].sum(), chances[: observed + 1].sum()
    p = {"two-sided": 2 * min(greater, less), "greater": greater, "less": less}[alternative]
    return float(min(1.0, p))


def _sign_flip_distribution(ranks: np.ndarray) -> Array:
    """Chance of each sum of a subset of `ranks` (integers), all subsets alike: index s holds P(sum = s)."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances[rank:] = (chances[rank:] + chances[: len(chances) - rank]) / 2
        chances[:rank] /= 2
    return chances


def equivalence_t(differences: Array, margin: float) -> Array:
    """P value of the two one-sided t tests (TOST) that the mean of `differences`, shape (..., n), lies within +-margin.

    Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15: the null hypothesis |mean| >= margin is rejected
    where both one-sided tests reject, so the greater of their p values counts. NaN as in `paired_t`.
    """
    above = paired_t(differences, -margin, "greater")
    below = paired_t(differences, margin, "less")
    return np.maximum(above, below)


def equivalence_signed_rank(differences: Array, margin: float) -> float:
    """The same by signed-rank tests, for differences, shape (n,), without spread; at best 1 / 2**n."""
    above = signed_rank(differences, -margin, "greater")
    return max(above, signed_rank(differences, margin, "less"))


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


def standardized_difference(differences: Array, confidence: float = 0.95) -> tuple[float, Interval]:
    """Cohen's d_z, mean / s of `differences`, shape (n,), and its interval.

    Cohen (1988). The interval inverts the noncentral t distribution of t = d_z sqrt(n) (Cumming and Finch 2001,
    Educational and Psychological Measurement 61), exact for normal differences. d_z is biased away from 0 at small n.
    NaN for n < 2 and for equal differences.
    """
    unknown = Interval(lower=float("nan"), upper=float("nan"), confidence=confidence, method="noncentral t")
    n = len(differences)
    if n < 2 or constant(differences[None])[0]:
        return float("nan"), unknown
    d = float(differences.mean() / differences.std(ddof=1))
    t = d * np.sqrt(n)
    tail = (1 - confidence) / 2
    # mirrored, so that the interval of -d is exactly the mirrored interval of d
    lower, upper = (special.nctdtrinc(n - 1, share, abs(t)) / np.sqrt(n) for share in (1 - tail, tail))
    if t < 0:
        lower, upper = -upper, -lower
    return d, Interval(lower=float(lower), upper=float(upper), confidence=confidence, method="noncentral t")


def cliffs_delta(a: Array, b: Array) -> float:
    """Cliff's delta, P(a > b) - P(a < b) over all pairs of one of `a` and one of `b`, in [-1, 1]; NaN if one is empty.

    Cliff (1993), Psychological Bulletin 114. Takes no notice of the pairing.
    """
    if len(a) == 0 or len(b) == 0:
        return float("nan")
    ordered, tie = np.sort(b), SAME * max(1.0, float(np.abs(a).max()))
    below = np.searchsorted(ordered, a - tie, side="left")
    above = len(b) - np.searchsorted(ordered, a + tie, side="right")
    return float(below.sum() - above.sum()) / (len(a) * len(b))


def wins(differences: Array) -> float:
    """Number of positive `differences`, shape (n,), those of 0 by half."""
    return float(np.sum(differences > SAME) + np.sum(np.abs(differences) <= SAME) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTests:
    """P values of one pair, not adjusted; NaN where a test cannot be made."""

    t_p: float  # paired t, two-sided
    signed_rank_p: float  # Wilcoxon, two-sided
    difference_p: float  # the one that decides on a difference: paired t, or signed rank where there is no spread
    equivalence_p: float  # two one-sided tests at the margin, by the same test; NaN without a margin
    basis: Basis  # what decides


def pair_tests(differences: Array, margin: float | None) -> PairTests:
    """Test differences of shape (n,) for a difference and, given a margin, for equivalence within +-margin.

    The paired t test decides: repeats share one scale, their mean difference is what is asked for, and its verdict,
    interval and equivalence test agree with one another; Demsar (2006, section 3.1) warns against it across data sets,
    whose differences do not share a scale. Where all differences are equal t has no spread to work with (it would give
    p = 0 at n = 2), and the exact signed-rank test decides. One difference decides nothing.
    """
    limit = float("nan") if margin is None else margin
    t_p, rank_p = float(paired_t(differences)), signed_rank(differences)
    if len(differences) < 2:
        return no_tests("none")
    if constant(differences[None])[0]:
        equal_p = float("nan") if margin is None else equivalence_signed_rank(differences, margin)
        return PairTests(t_p=t_p, signed_rank_p=rank_p, difference_p=rank_p, equivalence_p=equal_p, basis="signed rank")
    equal_p = float(equivalence_t(differences, limit))
    return PairTests(t_p=t_p, signed_rank_p=rank_p, difference_p=t_p, equivalence_p=equal_p, basis="paired t")


def no_tests(basis: Basis) -> PairTests:
    """Leave every p value unknown."""
    unknown = float("nan")
    return PairTests(t_p=unknown, signed_rank_p=unknown, difference_p=unknown, equivalence_p=unknown, basis=basis)
