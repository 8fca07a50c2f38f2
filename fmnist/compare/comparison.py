"""The comparison of pairs: difference, effect size, chance to win, equivalence and a verdict, over common repeats.

Multiplicity. The pairs of one metric are one family. Holm's procedure is applied twice: to the p values of the
difference tests, which decide `better` and `worse`, and to those of the equivalence tests, which decide `equivalent`.
Each keeps the chance of any false claim of its kind at 5 % (Holm 1979); the chance of a false claim of
either kind is at most twice that, and exceeds that level only where some pairs do not differ and others differ by just
the margin, since a pair cannot have both null hypotheses true. Intervals are per pair, not simultaneous.
What is generalised to: new seeds and validation splits of the same configuration on the same data, no other data set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fmnist import UserError
from fmnist.compare.comparable import metric_table
from fmnist.compare.intervals import FAMILY_ERROR, Interval, mean_interval, mean_of
from fmnist.compare.paired_tests import (
    Basis,
    PairTests,
    cliffs_delta,
    holm,
    pair_tests,
    standardized_difference,
    win_share,
)
from fmnist.compare.power import repeats_range
from fmnist.compare.sequential import PairDecision
from fmnist.compare.verdicts import PairSample, Verdict, decide_verdict, pair_samples
from fmnist.declare import Metric

FEWEST_TO_PLAN = 5  # common repeats; the spread of fewer is too rough to plan by


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Configuration `a` against `b` on one metric, over the repeats in which both have a finite value.

    Figures are in stored units (multiply by Metric.scale to show them) and NaN where they cannot be known. Differences,
    ratio, d_z and Cliff's delta are of a to b in the metric's own sense (positive: a is larger, also where smaller is
    better); verdict and probability speak of a being better.
    """

    metric: str
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
    d_z: float  # paired Cohen's d, mean / standard deviation of the differences (or log ratios)
    cliffs_delta: float
    probability_a_better: float  # share of common repeats won by a, ties by half
    verdict: Verdict  # of a against b
    decision: PairDecision | None  # of the group-sequential design that gave the verdict; None: the tests above did
    # fewest and most common repeats at which the verdict has a chance of 0.8, were the true difference anywhere in its
    # interval and the spread the observed one, at the level that Bonferroni leaves the pair; infinite above 10,000;
    # None for a pair that is decided, below 5 repeats, without a spread, and where a design plans the next analysis
    repeats_to_decide: tuple[float, float] | None


def compare_pairs(
    frame: pd.DataFrame,
    metric: Metric,
    margin: float | None,
    *,
    labels: Sequence[str] | None = None,
    decisions: Sequence[PairDecision] = (),
) -> list[PairComparison]:
    """Compare every pair of labels on one metric over their common repeats; one family for Holm's adjustment.

    `frame` has one row per label and repeat (columns label, repeat and the metric; see comparable.select_comparable).
    `labels` gives the pairs' order (a before b; default: alphabetical). `margin` is the smallest difference that
    matters: stored units for accuracy, a fraction for time, memory and size; None leaves equivalence untested.
    Time, memory and size are compared on logarithms, with the margin log(1 + margin) on either side. `decisions` of a
    group-sequential design over the same labels in the same order give the verdicts in place of these tests, which do
    not allow for its analyses.

    Raises UserError for a margin that is not positive, for two rows of one label and repeat, and for time or memory
    of shared rows or mixed hardware.
    """
    if margin is not None and not margin > 0:
        raise UserError(f"margin: got {margin}, expected a number above 0, or None to leave equivalence untested")
    samples = pair_samples(metric_table(frame, metric, labels), metric, margin)
    tests = [pair_tests(sample.differences, sample.limit) for sample in samples]
    decided = {(decision.a, decision.b): decision for decision in decisions}
    level = FAMILY_ERROR / max(sum(not np.isnan(pair.difference_p) for pair in tests), 1)
    return [
        _describe(sample, adjusted, metric, margin, decided.get((sample.a, sample.b)), level)
        for sample, adjusted in zip(samples, _adjust(tests), strict=True)
    ]


def _adjust(tests: Sequence[PairTests]) -> list[PairTests]:
    """Adjust each of the three kinds of p value over the family of pairs, by Holm's procedure."""
    adjusted: dict[str, list[Any]] = {
        kind: holm(np.array([getattr(pair, kind) for pair in tests])).tolist()
        for kind in ("signed_rank_p", "difference_p", "equivalence_p")
    }
    return [
        replace(pair, **{kind: p_values[place] for kind, p_values in adjusted.items()})
        for place, pair in enumerate(tests)
    ]


def _describe(
    sample: PairSample,
    tests: PairTests,
    metric: Metric,
    margin: float | None,
    decision: PairDecision | None,
    level: float,
) -> PairComparison:
    """Put one pair's figures together; `tests` are adjusted, `level` is its share of the error by Bonferroni."""
    differences, n = sample.differences, len(sample.differences)
    gaps = sample.values_a - sample.values_b
    logs = differences if metric.by_ratio else np.empty(0)
    claims = {"different": tests.difference_p <= FAMILY_ERROR, "equivalent": tests.equivalence_p <= FAMILY_ERROR}
    verdict = decision.verdict if decision else decide_verdict(mean_of(differences), metric, **claims)
    is_planned = verdict == "inconclusive" and not decision
    ratio_interval = mean_interval(logs)
    return PairComparison(
        metric=metric.name,
        a=sample.a,
        b=sample.b,
        n=n,
        left_out=sample.left_out,
        no_ratio=sample.no_ratio,
        mean_difference=mean_of(gaps),
        interval=mean_interval(gaps),
        ratio=math.exp(mean_of(logs)),
        ratio_interval=Interval(lower=math.exp(ratio_interval.lower), upper=math.exp(ratio_interval.upper)),
        basis=tests.basis,
        difference_p_holm=tests.difference_p,
        signed_rank_p_holm=tests.signed_rank_p,
        margin=margin,
        equivalence_p_holm=tests.equivalence_p,
        d_z=standardized_difference(differences),
        cliffs_delta=cliffs_delta(sample.values_a, sample.values_b),
        probability_a_better=win_share(differences if metric.direction == "up" else -differences),
        verdict=verdict,
        decision=decision,
        repeats_to_decide=_repeats_to_decide(sample, level) if is_planned else None,
    )


def _repeats_to_decide(sample: PairSample, level: float) -> tuple[float, float] | None:
    """Plan the repeats of an inconclusive pair; more than there are, since these did not decide."""
    n, interval = len(sample.differences), mean_interval(sample.differences)
    if n < FEWEST_TO_PLAN or not interval.known:
        return None
    spread = float(sample.differences.std(ddof=1))
    margin = float("nan") if sample.limit is None else sample.limit / spread
    fewest, most = repeats_range(interval.lower / spread, interval.upper / spread, margin, level)
    return max(fewest, n + 1), max(most, n + 1)
