"""Errors and coverages held against their nominal values, on simulated studies with fixed seeds.

Tolerances are four binomial standard errors: a right procedure fails one of these checks once in 16,000 seeds.
"""

import numpy as np
import pandas as pd
import pytest

from benchmarks.stopping_rule import simulate_stopping
from fmnist.compare.comparison import compare_pairs
from fmnist.compare.intervals import mean_estimate, wilson_interval
from fmnist.compare.paired import equivalence_t, holm, paired_t, signed_rank
from fmnist.compare.sequential import planned_analyses
from fmnist.declare.metrics import METRICS

ALPHA = 0.05


def samples(studies, n, seed=0, **distribution):
    return np.random.default_rng(seed).normal(size=(studies, n), **distribution)


def tolerance(studies, share=ALPHA):
    return 4 * np.sqrt(share * (1 - share) / studies)


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_paired_t_errs_as_often_as_it_says(n):
    studies = 20_000
    assert np.mean(paired_t(samples(studies, n)) <= ALPHA) == pytest.approx(ALPHA, abs=tolerance(studies))


@pytest.mark.parametrize("n", [5, 10, 30])
def test_paired_t_stays_honest_where_both_have_the_same_skewed_distribution(n):
    generator = np.random.default_rng(1)
    differences = generator.exponential(size=(20_000, n)) - generator.exponential(size=(20_000, n))
    assert np.mean(paired_t(differences) <= ALPHA) <= ALPHA + tolerance(20_000)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_signed_rank_never_errs_more_often_than_it_says(n):
    studies = 2_000
    rejected = np.mean([signed_rank(row) <= ALPHA for row in samples(studies, n, seed=n)])
    assert rejected <= ALPHA + tolerance(studies)
    assert (rejected == 0) == (n == 5)  # 2 / 2**5 is above 0.05


@pytest.mark.parametrize(("n", "margin"), [(5, 5.0), (10, 2.0), (30, 1.0)])
def test_equivalence_errs_as_often_as_it_says_at_the_margin(n, margin):
    studies = 20_000
    claimed = np.mean(equivalence_t(samples(studies, n, loc=margin), margin) <= ALPHA)
    assert claimed == pytest.approx(ALPHA, abs=tolerance(studies))


def test_equivalence_beyond_the_margin_is_claimed_less_often():
    assert np.mean(equivalence_t(samples(20_000, 10, loc=1.2), 1.0) <= ALPHA) < ALPHA / 2


def pair_differences(means, n, studies, seed):
    """Differences of all pairs of configurations, shape (studies, pairs, n): independent values, shared repeats."""
    values = np.random.default_rng(seed).normal(np.array(means)[:, None], 1.0, size=(studies, len(means), n))
    first, second = np.triu_indices(len(means), 1)
    return values[:, first] - values[:, second]


@pytest.mark.parametrize("n", [5, 10])
def test_the_family_of_differences_keeps_its_error(n):
    studies = 8_000
    wrong = np.mean((holm(paired_t(pair_differences([0] * 5, n, studies, n))) <= ALPHA).any(axis=1))
    assert ALPHA / 3 < wrong <= ALPHA + tolerance(studies)


def test_the_family_keeps_its_error_where_most_pairs_differ():
    studies = 8_000
    differences = pair_differences([0, 0, 20, 40, 60], 10, studies, 0)
    wrong = np.mean(holm(paired_t(differences))[:, 0] <= ALPHA)
    assert wrong == pytest.approx(ALPHA, abs=tolerance(studies))


def test_the_family_of_equivalences_keeps_its_error():
    studies = 8_000
    differences = pair_differences([0, 2, 4, 6], 15, studies, 0)  # neighbours differ by just the margin
    wrong = (holm(equivalence_t(differences, 2.0)) <= ALPHA).any(axis=1)
    assert 0.005 < np.mean(wrong) <= ALPHA + tolerance(studies)


def test_both_kinds_of_false_claim_together_stay_below_twice_the_level():
    studies = 8_000
    # the first two do not differ; the third is away from both by just the margin
    differences = pair_differences([0, 0, 2], 15, studies, 0)
    different = holm(paired_t(differences))[:, 0] <= ALPHA
    alike = (holm(equivalence_t(differences, 2.0)) <= ALPHA)[:, 1:].any(axis=1)
    assert np.mean(different) <= ALPHA + tolerance(studies)
    assert np.mean(alike) <= ALPHA + tolerance(studies)
    assert np.mean(different | alike) <= 2 * ALPHA


def test_verdicts_of_whole_comparisons_err_as_their_tests_do():
    studies, n = 60, 6
    metric = METRICS["test_accuracy"]
    values = np.random.default_rng(4).normal(0.9, 0.002, size=(studies, 3, n))
    repeats, labels = np.tile(np.arange(n), 3), np.repeat(["a", "b", "c"], n)
    wrong = [
        any(
            pair.verdict in ("better", "worse")
            for pair in compare_pairs(
                pd.DataFrame({"label": labels, "repeat": repeats, "test_accuracy": study.ravel()}), metric, 1e-5
            )
        )
        for study in values
    ]
    first, second = np.triu_indices(3, 1)
    expected = (holm(paired_t(values[:, first] - values[:, second])) <= ALPHA).any(axis=1)
    assert wrong == expected.tolist()


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_t_intervals_cover_as_often_as_they_say(n):
    intervals = [mean_estimate(sample).interval() for sample in samples(10_000, n)]
    covered = np.mean([interval.lower < 0 < interval.upper for interval in intervals])
    assert covered == pytest.approx(0.95, abs=tolerance(10_000))


@pytest.mark.parametrize("chance", [0.5, 0.75, 0.95])
def test_wilson_intervals_cover_on_average(chance):
    intervals = [wilson_interval(won, 20) for won in range(21)]
    holds = np.array([interval.lower <= chance <= interval.upper for interval in intervals])
    won = np.random.default_rng(0).binomial(20, chance, size=20_000)
    assert np.mean(holds[won]) == pytest.approx(0.95, abs=0.03)  # counts are few: it cannot be nearer


@pytest.mark.parametrize("analyses", [planned_analyses(30), planned_analyses(20), (5, 6, 7, 8, 9, 10)])
def test_adding_repeats_until_decided_keeps_the_error_that_peeking_breaks(analyses):
    studies = 6_000
    figures = simulate_stopping([0.0, 0.0], 1.0, 0.01, analyses, studies=studies)
    assert ALPHA - 0.015 < figures.false_difference <= ALPHA + tolerance(studies)
    assert figures.peeking_error > 2 * ALPHA


def test_adding_repeats_until_decided_keeps_the_error_over_pairs_too():
    studies = 3_000
    alike = simulate_stopping([0.0] * 4, 1.0, 0.01, planned_analyses(20), studies=studies)
    assert alike.false_difference <= ALPHA + tolerance(studies)
    stepped = simulate_stopping([0, 0, 20, 40], 1.0, 0.01, planned_analyses(20), studies=studies)
    assert stepped.false_difference == pytest.approx(ALPHA, abs=tolerance(studies))
    apart = simulate_stopping([0.0, 1.0], 1.0, 1.0, planned_analyses(20), studies=studies)
    assert apart.false_equivalence <= ALPHA + tolerance(studies)


def test_adding_repeats_until_decided_saves_runs_and_decides_nearly_as_much():
    figures = simulate_stopping([0.0, 0.0, 5.0, 10.0], 1.0, 0.7, planned_analyses(30), studies=1_000)
    assert figures.saving > 0.25
    assert figures.decided > figures.decided_by_plain_tests - 0.05
