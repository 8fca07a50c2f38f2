"""The comparison of pairs: difference, effect size, chance to win, equivalence and a verdict, over common repeats.

What `fmnist.statistics` offers, module by module (none loads TensorFlow, Ray or matplotlib):
    comparable     select_comparable, metric_table: which rows may be compared
    intervals      summarize, Interval, Summary: one configuration, one metric
    comparison     compare_pairs, PairComparison: each pair of configurations; beneath it verdicts, paired_tests, power
    ranking        friedman, average_ranks, cliques: all configurations at once
    sequential     planned_looks, decide, next_look, open_labels: adding repeats until every pair is decided;
                   adopt_decisions: its verdicts for the report; beneath it spending, beside it stopping_simulation
    test_set_error variance_layers: what the 10,000 test images leave open
    calibration    calibration_bins: whether confidence is right
    trainability   log_spread_ratio, standard_deviation_interval: spread between repeats
    claim_evaluation read_family: what estimates say of claims, under one error
    trade_offs     times_to_target, performance_profile, pareto_front: accuracy against time and memory

Multiplicity. The pairs of one metric are one family. Holm's procedure is applied twice: to the p values of the
difference tests, which decide `better` and `worse`, and to those of the equivalence tests, which decide `equivalent`.
Each keeps the chance of any false claim of its kind at 1 - confidence (Holm 1979); the chance of a false claim of
either kind is at most twice that, and exceeds that level only where some pairs do not differ and others differ by just
the margin, since a pair cannot have both null hypotheses true. Intervals are per pair, not simultaneous.
What is generalised to: new seeds and validation splits of the same configuration on the same data, no other data set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from fmnist.errors import UserError
from fmnist.schema import Metric
from fmnist.statistics.comparable import metric_table
from fmnist.statistics.intervals import (
    SAME,
    Interval,
    join_notes,
    mean_interval,
    wilson_interval,
)
from fmnist.statistics.pair_words import agreement_words, basis_words, missing_words, size_words
from fmnist.statistics.paired_tests import Basis, PairTests, cliffs_delta, standardized_difference, wins
from fmnist.statistics.power import repeats_for_difference, repeats_for_equivalence
from fmnist.statistics.verdicts import (
    RELATIVE_KINDS,
    PairSample,
    Verdict,
    adjust,
    decide_verdict,
    pair_samples,
    tests_of,
)

Reading = Literal["meaningful", "not meaningful", "not significant", "unknown"]
DecidesBy = Literal["difference", "equivalence", "value", "unknown"]
MEANINGFUL_PROBABILITY = 0.75  # Bouthillier et al. (2021), arXiv 2103.03098


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
    mean_a: float  # over the common repeats
    mean_b: float
    mean_difference: float  # mean of a - b
    t_interval: Interval  # of the mean difference, the one to read; NaN for n < 2 or differences all equal
    bootstrap_interval: Interval  # of the mean difference, BCa; NaN for n < 3 or differences all equal
    ratio: float  # time, memory and size: geometric mean of a / b; else NaN
    ratio_t_interval: Interval  # of the mean logarithm, exponentiated
    ratio_bootstrap_interval: Interval  # BCa, likewise
    t_p: float  # paired t test (of log ratios where there is a ratio), not adjusted
    t_p_holm: float  # adjusted over the family
    signed_rank_p: float  # exact Wilcoxon, not adjusted
    signed_rank_p_holm: float
    difference_p_holm: float  # decides better / worse: of the paired t test, of signed rank where there is no spread
    margin: float | None  # accuracy: in stored units; time, memory and size: fraction of b; None: none was set
    equivalence_p: float  # two one-sided tests, the greater p, not adjusted; NaN without margin
    equivalence_p_holm: float  # decides equivalent
    basis: Basis  # what decides; "value": fixed by the architecture, equal in every run
    d_z: float  # paired Cohen's d, mean / standard deviation of the differences (or log ratios)
    d_z_interval: Interval
    cliffs_delta: float
    probability_a_better: float  # share of common repeats won by a, ties by half
    probability_interval: Interval  # Wilson
    probability_reading: Reading  # interval against 0.5 and 0.75
    verdict: Verdict  # of a against b
    repeats_to_decide: int | None  # common repeats at which the verdict has a chance of 0.8, were the observed figures
    # the true ones, at the level that Bonferroni leaves the pair; None: cannot be known, or above 10,000
    decides_by: DecidesBy  # what those repeats would show
    confidence: float
    note: str  # plain words on what is special about the pair; empty where nothing is


def compare_pairs(
    frame: pd.DataFrame,
    metric: Metric,
    margin: float | None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    labels: Sequence[str] | None = None,
) -> list[PairComparison]:
    """Compare every pair of labels on one metric over their common repeats; one family for Holm's adjustment.

    `frame` has one row per label and repeat (columns label, repeat and the metric; see comparable.select_comparable).
    `labels` gives the pairs' order (a before b; default: alphabetical). `margin` is the smallest difference that
    matters: stored units for accuracy, a fraction for time, memory and size; None leaves equivalence untested.
    Time, memory and size are compared on logarithms, with the margin log(1 + margin) on either side.

    Raises ValueError for a margin that is not positive, for two rows of one label and repeat, and for time or memory
    of shared rows or mixed hardware.
    """
    if margin is not None and not margin > 0:
        raise UserError(f"margin: got {margin}, expected a number above 0, or None to leave equivalence untested")
    samples = pair_samples(metric_table(frame, metric, labels), metric, margin)
    tests = [tests_of(sample, metric) for sample in samples]
    adjusted = adjust(tests)
    level = (1 - confidence) / max(sum(not np.isnan(pair.difference_p) for pair in tests), 1)
    question = _Question(metric, margin, confidence, level, seed)
    return [
        _describe(sample, pair, adjusted_pair, question)
        for sample, pair, adjusted_pair in zip(samples, tests, adjusted, strict=True)
    ]


@dataclass(frozen=True)
class _Question:
    metric: Metric
    margin: float | None
    confidence: float
    level: float  # what Bonferroni leaves one pair of the family's error
    seed: int


def _describe(sample: PairSample, tests: PairTests, adjusted: PairTests, question: _Question) -> PairComparison:
    """Put one pair's figures together."""
    metric, confidence = question.metric, question.confidence
    differences, n = sample.differences, len(sample.differences)
    mean = float(differences.mean()) if n else float("nan")
    verdict = decide_verdict(mean, adjusted, sample.limit, metric, 1 - confidence)
    d_z, d_z_interval = standardized_difference(differences, confidence)
    repeats, decides_by = repeats_to_decide(sample, tests, question.level)
    won = wins(differences if metric.direction == "up" else -differences)
    # runs that cannot differ are no trials
    probability_interval = wilson_interval(won, 0 if tests.basis == "value" else n, confidence)
    return PairComparison(
        metric=metric.name,
        a=sample.a,
        b=sample.b,
        n=n,
        left_out=len(sample.one_sided_repeats),
        mean_a=float(sample.values_a.mean()) if n else float("nan"),
        mean_b=float(sample.values_b.mean()) if n else float("nan"),
        **_difference_figures(sample, question),
        t_p=tests.t_p,
        t_p_holm=adjusted.t_p,
        signed_rank_p=tests.signed_rank_p,
        signed_rank_p_holm=adjusted.signed_rank_p,
        difference_p_holm=adjusted.difference_p,
        margin=question.margin,
        equivalence_p=tests.equivalence_p,
        equivalence_p_holm=adjusted.equivalence_p,
        basis=tests.basis,
        d_z=d_z,
        d_z_interval=d_z_interval,
        cliffs_delta=cliffs_delta(sample.values_a, sample.values_b),
        probability_a_better=won / n if n else float("nan"),
        probability_interval=probability_interval,
        probability_reading=read_probability(probability_interval),
        verdict=verdict,
        repeats_to_decide=repeats,
        decides_by=decides_by,
        confidence=confidence,
        note=_note(sample, tests, adjusted, verdict, 1 - confidence),
    )


def read_probability(interval: Interval) -> Reading:
    """Read the interval of P(a better than b), for whichever of the two is ahead.

    After Bouthillier et al. (2021): not significant where it holds 0.5; else not meaningful where it stays
    at or below 0.75 (for b ahead: at or above 0.25), meaningful where it reaches beyond. The interval is Wilson's:
    their percentile bootstrap has no width where one side wins every repeat.
    """
    if not interval.known:
        return "unknown"
    if interval.lower <= 0.5 <= interval.upper:
        return "not significant"
    farthest = max(interval.upper, 1 - interval.lower)
    return "meaningful" if farthest > MEANINGFUL_PROBABILITY else "not meaningful"


def repeats_to_decide(sample: PairSample, tests: PairTests, level: float) -> tuple[int | None, DecidesBy]:
    """Fewest common repeats that give the verdict a chance of 0.8 at `level`, taking the observed figures for true.

    The smaller of what the difference test and the equivalence test need. Planned from an estimate, and so uncertain
    itself; a pair near the margin on one side or near 0 needs many. (None, "unknown") where nothing can be said.
    """
    differences = sample.differences
    if tests.basis == "value":
        return 1, "value"
    if tests.basis == "none":
        return None, "unknown"
    if tests.basis == "signed rank":
        return _repeats_without_spread(float(differences.mean()), sample.limit, level)
    spread = float(differences.std(ddof=1))
    standardized = float(differences.mean()) / spread
    limit = float("nan") if sample.limit is None else sample.limit / spread
    differ = repeats_for_difference(standardized, level)
    equal = repeats_for_equivalence(standardized, limit, level)
    if equal is not None and (differ is None or equal <= differ):
        return equal, "equivalence"
    return differ, "unknown" if differ is None else "difference"


def _repeats_without_spread(mean: float, limit: float | None, level: float) -> tuple[int | None, DecidesBy]:
    """The same for equal differences: the signed-rank test gives 2 / 2**n at best, its one-sided one 1 / 2**n."""
    if limit is not None and abs(mean) < limit - SAME:
        return math.ceil(-math.log2(level)), "equivalence"
    if abs(mean) <= SAME:
        return None, "unknown"
    return math.ceil(1 - math.log2(level)), "difference"


def _difference_figures(sample: PairSample, question: _Question) -> dict[str, Any]:
    """Mean difference in stored units and, for a relative metric, the ratio, each with both intervals."""
    gaps = sample.values_a - sample.values_b
    confidence, seed = question.confidence, question.seed
    relative = question.metric.kind in RELATIVE_KINDS
    logs = sample.differences if relative else np.empty(0)
    return {
        "mean_difference": float(gaps.mean()) if len(gaps) else float("nan"),
        "bootstrap_interval": mean_interval(gaps, confidence=confidence, seed=seed),
        "t_interval": mean_interval(gaps, confidence=confidence, method="t"),
        "ratio": float(np.exp(logs.mean())) if len(logs) else float("nan"),
        "ratio_bootstrap_interval": _exponentiated(mean_interval(logs, confidence=confidence, seed=seed)),
        "ratio_t_interval": _exponentiated(mean_interval(logs, confidence=confidence, method="t")),
    }


def _exponentiated(interval: Interval) -> Interval:
    return replace(interval, lower=math.exp(interval.lower), upper=math.exp(interval.upper))


def _note(sample: PairSample, tests: PairTests, adjusted: PairTests, verdict: Verdict, alpha: float) -> str:
    n = len(sample.differences)
    decided_by = basis_words(tests.basis, float(np.round(sample.differences.mean(), 12)), n) if n else ""
    return join_notes(
        missing_words(sample.a, sample.b, sample.one_sided_repeats),
        "" if tests.basis == "value" else size_words(n, no_ratio=sample.no_ratio),
        decided_by,
        agreement_words(
            n=n, alpha=alpha, verdict=verdict, t_p_holm=adjusted.t_p, signed_rank_p_holm=adjusted.signed_rank_p
        ),
    )
