"""The tests of one pair: paired t, exact signed rank, equivalence, effect sizes; and Holm's adjustment of a family.

All take differences d = a - b of common repeats, on the scale of the analysis (accuracy, or the logarithm of a time or
memory). Tests over many samples at once take shape (..., n) and test along the last axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from fmnist.compare.intervals import SAME, Array, constant, mean_of

Alternative = Literal["two-sided", "greater", "less"]
Basis = Literal["paired t", "signed rank", "none"]  # which test decides on a difference
MOST_FOR_EXACT = 100  # differences; beyond, the normal approximation of the signed-rank test is as good


def paired_t(differences: Array, shift: float = 0.0, alternative: Alternative = "two-sided") -> Array:
    """P value of Student's paired t test that the mean of `differences`, shape (..., n), is `shift`.

    Assumes normal differences; where the null hypothesis is that a and b are exchangeable the differences are
    symmetric, which is what the test needs most. NaN for n < 2 and where all differences are equal: there is no spread
    to hold the mean against.
    """
    n = differences.shape[-1]
    flat = constant(differences)
    if n < 2:
        return np.full(flat.shape, np.nan)
    varied = np.where(flat[..., None], np.arange(n), differences)  # scipy warns of a sample without spread
    p_values = stats.ttest_1samp(varied, shift, axis=-1, alternative=alternative).pvalue
    return np.asarray(np.where(flat, np.nan, p_values))


def signed_rank(differences: Array) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test that `differences`, shape (n,), are symmetric about 0.

    Wilcoxon (1945). Differences of 0 are left out, tied sizes share their mean rank, and the null
    distribution of the rank sum is the exact one given these ties, up to 100 differences (beyond: normal
    approximation with ties corrected). 1 where no difference is left; NaN for n = 0.
    """
    if len(differences) == 0:
        return float("nan")
    moved = differences[np.abs(differences) > SAME]
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


def equivalence_t(differences: Array, margin: float) -> Array:
    """P value of the two one-sided t tests (TOST) that the mean of `differences`, shape (..., n), lies within +-margin.

    Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15: the null hypothesis |mean| >= margin is rejected
    where both one-sided tests reject, so the greater of their p values counts. NaN as in `paired_t`.
    """
    return np.maximum(paired_t(differences, -margin, "greater"), paired_t(differences, margin, "less"))


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


def standardized_difference(differences: Array) -> float:
    """Cohen's d_z, mean / s of `differences`, shape (n,), Cohen (1988); biased away from 0 at small n.

    NaN for n < 2 and for equal differences.
    """
    if len(differences) < 2 or constant(differences):
        return float("nan")
    return float(differences.mean() / differences.std(ddof=1))


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


def win_share(differences: Array) -> float:
    """Share of `differences`, shape (n,), that are positive, those of 0 counted by half; NaN for n = 0."""
    return mean_of((differences > SAME) + (np.abs(differences) <= SAME) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTests:
    """P values of one pair, not adjusted; NaN where a test cannot be made."""

    signed_rank_p: float  # Wilcoxon, two-sided
    difference_p: float  # decides on a difference: paired t, or signed rank where there is no spread
    equivalence_p: float  # two one-sided tests at the margin, by the same test; NaN without a margin
    basis: Basis  # what decides


UNTESTED = PairTests(signed_rank_p=float("nan"), difference_p=float("nan"), equivalence_p=float("nan"), basis="none")


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
    flat = bool(constant(differences))
    rank_p = signed_rank(differences)
    equal_p = float("nan")
    if margin is not None:
        within = 0.5 ** len(differences) if abs(differences.mean()) < margin - SAME else 1.0
        equal_p = within if flat else float(equivalence_t(differences, margin))
    return PairTests(
        signed_rank_p=rank_p,
        difference_p=rank_p if flat else float(paired_t(differences)),
        equivalence_p=equal_p,
        basis="signed rank" if flat else "paired t",
    )
