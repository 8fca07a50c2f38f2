"""The comparison of pairs: difference, effect size, chance to win, equivalence and a verdict, over common repeats.

Multiplicity. The pairs of one metric are one family. Holm's procedure is applied twice: to the p values of the
difference tests, which decide `better` and `worse`, and to those of the equivalence tests, which decide `equivalent`.
Each keeps the chance of any false claim of its kind at 5 % (Holm 1979); the chance of a false claim of
either kind is at most twice that, and exceeds that level only where some pairs do not differ and others differ by just
the margin, since a pair cannot have both null hypotheses true. Intervals are per pair, not simultaneous.
What is generalised to: new seeds and validation splits of the same configuration on the same data, no other data set.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from fmnist import UserError
from fmnist.compare.comparable import metric_table
from fmnist.compare.intervals import FAMILY_ERROR, Array, Interval, mean_estimate, mean_of, sample_deviation
from fmnist.compare.paired import Basis, PairTests, holm, pair_tests, repeats_range
from fmnist.declare import Metric

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
FEWEST_TO_PLAN = 5  # common repeats; the spread of fewer is too rough to plan by


@dataclass(frozen=True, kw_only=True, eq=False)
class PairSample:
    """The values of a pair over the repeats they share, and their differences on the scale of the analysis."""

    a: str
    b: str
    values_a: Array  # (n,) stored units
    values_b: Array
    differences: Array  # (n,) a - b, or log(a / b) for time, memory and size
    margin: float | None  # on the same scale
    left_out: int  # repeats with a value of one of the two only
    no_ratio: int  # common repeats left out because a value is 0 or less


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDecision:
    """What a group-sequential design knows of a pair when the analyses so far are done; see `sequential`."""

    a: str
    b: str
    verdict: Verdict  # of a against b
    analysis: int  # number, from 1, of the analysis that decided, else of the latest; 0: none was made
    n: int  # common repeats at that analysis
    final: bool  # decided, or at its last analysis


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Configuration `a` against `b` on one metric, over the repeats in which both have a finite value.

    Figures are in stored units (multiply by Metric.scale to show them) and NaN where they cannot be known. Differences,
    ratio, d_z and Cliff's delta are of a to b in the metric's own sense (positive: a is larger, also where smaller is
    better); verdict and probability speak of a being better.
    """

    a: str
    b: str
    n: int  # common repeats
    left_out: int  # repeats in which only one of the two has a value
    no_ratio: int  # common repeats left out because a value of a time, memory or size is 0 or less
    mean_difference: float  # mean of a - b
    interval: Interval  # of the mean difference, Student's t; NaN for n < 2 or differences all equal
    ratio: float  # time, memory and size: geometric mean of a / b; else NaN
    ratio_interval: Interval  # of the mean logarithm, exponentiated
    basis: Basis  # the test that decides on a difference: paired t (of log ratios where there is a ratio), or signed
    # rank where there is no spread
    difference_p_holm: float  # of that test, adjusted over the family; decides better / worse
    signed_rank_p_holm: float  # exact Wilcoxon, adjusted
    margin: float | None  # accuracy: in stored units; time, memory and size: fraction of b; None: none was set
    equivalence_p_holm: float  # two one-sided tests, the greater p, adjusted; decides equivalent; NaN without margin
    d_z: float  # paired Cohen's d (1988), mean / standard deviation of the differences (or log ratios)
    cliffs_delta: float
    probability_a_better: float  # share of common repeats in which a is better, ties by half
    verdict: Verdict  # of a against b
    decision: PairDecision | None  # of the group-sequential design that gave the verdict; None: the tests above did
    # fewest and most common repeats at which the verdict has a chance of 0.8, were the true difference anywhere in its
    # interval and the spread the observed one, at the level that Bonferroni leaves the pair; infinite above 10,000;
    # None for a pair that is decided, below 5 repeats, without a spread, and where a design gives the next analysis
    repeats_to_decide: tuple[float, float] | None


def compare_pairs(
    frame: pd.DataFrame,
    metric: Metric,
    margin: float | None,
    *,
    labels: Sequence[str] | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    decisions: Sequence[PairDecision] = (),
) -> list[PairComparison]:
    """Compare pairs of labels on one metric over their common repeats; one family for Holm's adjustment.

    `frame` has one row per label and repeat (columns label, repeat and the metric; see comparable.select_comparable).
    `labels` gives the pairs' order (a before b; default: alphabetical), `pairs` those to compare, in the order and
    direction given, each once (default: every pair of the labels). `margin` is the smallest difference that
    matters: stored units for accuracy, a fraction for time, memory and size; None leaves equivalence untested.
    Time, memory and size are compared on logarithms, with the margin log(1 + margin) on either side. `decisions` of a
    group-sequential design over the same labels in the same order give the verdicts in place of these tests, which do
    not allow for its analyses.

    Raises UserError for a margin that is not positive, ValueError for rows that metric_table refuses.
    """
    if margin is not None and not margin > 0:
        raise UserError(f"margin: got {margin}, expected a number above 0, or None to leave equivalence untested")
    samples = pair_samples(metric_table(frame, metric, labels), metric, margin, pairs)
    tests = [pair_tests(sample.differences, sample.margin) for sample in samples]
    p_values = holm(np.array([pair[:3] for pair in tests]).reshape(-1, 3).T).T.tolist()  # each kind is a family
    adjusted = [
        pair._replace(signed_rank_p=rank, difference_p=difference, equivalence_p=equivalence)
        for pair, (rank, difference, equivalence) in zip(tests, p_values, strict=True)
    ]
    decided = {(decision.a, decision.b): decision for decision in decisions}
    level = FAMILY_ERROR / max(sum(pair.basis != "none" for pair in tests), 1)
    return [
        _comparison(sample, pair, metric, margin, decided.get((sample.a, sample.b)), level)
        for sample, pair in zip(samples, adjusted, strict=True)
    ]


def pair_samples(
    table: pd.DataFrame, metric: Metric, margin: float | None, pairs: Iterable[tuple[str, str]] | None = None
) -> list[PairSample]:
    """Take the common repeats of pairs of columns of a metric_table (None: of every pair), on the analysis' scale."""
    scaled = float(np.log1p(margin)) if margin and metric.by_ratio else margin
    pairs = itertools.combinations(table.columns, 2) if pairs is None else pairs
    return [_pair_sample(table, a, b, scaled, by_ratio=metric.by_ratio) for a, b in pairs]


def decide_verdict(mean: float, metric: Metric, *, different: bool, equivalent: bool) -> Verdict:
    """Give the verdict on a against b from what could be claimed of them; `mean` is their mean difference.

    Equivalent goes before better and worse: a difference significantly below the margin does not matter.
    """
    if equivalent:
        return "equivalent"
    if different:
        return "better" if (mean > 0) == (metric.direction == "up") else "worse"
    return "inconclusive"


def cliffs_delta(a: Array, b: Array) -> float:
    """Cliff's delta, P(a > b) - P(a < b) over all pairs of one of `a` and one of `b`, in [-1, 1]; NaN if one is empty.

    Cliff (1993), Psychological Bulletin 114. Takes no notice of the pairing.
    """
    return mean_of(np.sign(a[:, None] - b).ravel())


def _pair_sample(table: pd.DataFrame, a: str, b: str, margin: float | None, *, by_ratio: bool) -> PairSample:
    both = table[[a, b]].dropna()
    usable = both[(both > 0).all(axis=1)] if by_ratio else both
    values_a, values_b = usable.to_numpy().T
    return PairSample(
        a=a,
        b=b,
        values_a=values_a,
        values_b=values_b,
        differences=np.log(values_a) - np.log(values_b) if by_ratio else values_a - values_b,
        margin=margin,
        left_out=int((table[a].notna() != table[b].notna()).sum()),
        no_ratio=len(both) - len(usable),
    )


def _comparison(
    sample: PairSample,
    tests: PairTests,
    metric: Metric,
    margin: float | None,
    decision: PairDecision | None,
    level: float,
) -> PairComparison:
    """Put one pair's figures together; `tests` are adjusted, `level` is its share of the error by Bonferroni."""
    differences = sample.differences
    gap = mean_estimate(sample.values_a - sample.values_b)
    log_ratio = mean_estimate(differences if metric.by_ratio else np.empty(0))
    significant = {"different": tests.difference_p <= FAMILY_ERROR, "equivalent": tests.equivalence_p <= FAMILY_ERROR}
    verdict = decision.verdict if decision else decide_verdict(mean_of(differences), metric, **significant)
    is_planned = verdict == "inconclusive" and not decision
    return PairComparison(
        a=sample.a,
        b=sample.b,
        n=gap.n,
        left_out=sample.left_out,
        no_ratio=sample.no_ratio,
        mean_difference=gap.value,
        interval=gap.interval(),
        ratio=math.exp(log_ratio.value),
        ratio_interval=Interval(*map(math.exp, log_ratio.interval())),
        basis=tests.basis,
        difference_p_holm=tests.difference_p,
        signed_rank_p_holm=tests.signed_rank_p,
        margin=margin,
        equivalence_p_holm=tests.equivalence_p,
        d_z=mean_of(differences) / sample_deviation(differences),
        cliffs_delta=cliffs_delta(sample.values_a, sample.values_b),
        probability_a_better=mean_of(np.heaviside(differences if metric.direction == "up" else -differences, 0.5)),
        verdict=verdict,
        decision=decision,
        repeats_to_decide=_repeats_to_decide(sample, level) if is_planned else None,
    )


def _repeats_to_decide(sample: PairSample, level: float) -> tuple[float, float] | None:
    """Plan the repeats of an inconclusive pair; more than there are, since these did not decide."""
    n, interval = len(sample.differences), mean_estimate(sample.differences).interval()
    if n < FEWEST_TO_PLAN or not interval.known:
        return None
    deviation = sample_deviation(sample.differences)
    margin = float("nan") if sample.margin is None else sample.margin / deviation
    fewest, most = repeats_range(interval.lower / deviation, interval.upper / deviation, margin, level)
    return max(fewest, n + 1), max(most, n + 1)
