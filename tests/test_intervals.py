import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fmnist.statistics.intervals import bca_bounds, constant, mean_interval, summarize, t_bounds, wilson_interval

SAMPLE = np.random.default_rng(3).gamma(2.0, size=24)
VARIED = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=4, max_size=12, unique=True)


def test_bca_agrees_with_scipy_on_the_same_resamples():
    ours = mean_interval(SAMPLE, seed=7)
    theirs = stats.bootstrap((SAMPLE,), np.mean, n_resamples=9_999, method="BCa", rng=np.random.default_rng(7))
    assert ours.lower == pytest.approx(theirs.confidence_interval.low, abs=1e-12)
    assert ours.upper == pytest.approx(theirs.confidence_interval.high, abs=1e-12)


def test_bca_of_many_samples_is_that_of_each():
    samples = np.random.default_rng(0).normal(size=(5, 9))
    lower, upper = bca_bounds(samples, seed=2)
    for row, bounds in zip(samples, zip(lower, upper, strict=True), strict=True):
        alone = mean_interval(row, seed=2)
        assert bounds == pytest.approx((alone.lower, alone.upper), abs=1e-12)


def test_another_seed_gives_another_bootstrap():
    assert mean_interval(SAMPLE, seed=1) == mean_interval(SAMPLE, seed=1)
    assert mean_interval(SAMPLE, seed=1) != mean_interval(SAMPLE, seed=2)


def test_t_interval_agrees_with_scipy():
    theirs = stats.ttest_1samp(SAMPLE, 0).confidence_interval(0.9)
    ours = mean_interval(SAMPLE, confidence=0.9, method="t")
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high))


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="got 'percentile', expected 'BCa bootstrap' or 't'"):
        mean_interval(SAMPLE, method="percentile")


@given(VARIED)
def test_interval_of_the_negated_sample_is_mirrored(values):
    sample = np.array(values)
    plain, negated = mean_interval(sample, resamples=499), mean_interval(-sample, resamples=499)
    assert (negated.lower, negated.upper) == pytest.approx((-plain.upper, -plain.lower), rel=1e-9, abs=1e-6)


@given(VARIED, st.floats(-100, 100))
def test_interval_moves_with_the_sample(values, shift):
    sample = np.array(values)
    plain, moved = mean_interval(sample, resamples=499), mean_interval(sample + shift, resamples=499)
    assert (moved.lower, moved.upper) == pytest.approx((plain.lower + shift, plain.upper + shift), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (7, 10), (10, 10), (1, 3), (250, 1000)])
def test_wilson_agrees_with_statsmodels(successes, n):
    ours = wilson_interval(successes, n)
    assert (ours.lower, ours.upper) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-12)


def test_wilson_without_trials_is_unknown():
    assert not wilson_interval(0, 0).known


def test_summary_of_a_plain_sample():
    summary = summarize([1.0, 2.0, 3.0, 4.0, 10.0])
    assert (summary.n, summary.mean, summary.median) == (5, 4.0, 3.0)
    assert (summary.lower_quartile, summary.upper_quartile) == (2.0, 4.0)
    assert (summary.minimum, summary.maximum) == (1.0, 10.0)
    assert summary.standard_deviation == pytest.approx(math.sqrt(12.5))
    assert summary.note == ""


@pytest.mark.parametrize(
    ("values", "n", "known", "words"),
    [
        ([], 0, (False, False), "nothing to summarise"),
        ([math.nan, None], 0, (False, False), "2 values are missing or not finite and left out. No value"),
        ([0.9], 1, (False, False), "One value only"),
        ([0.9, 0.8], 2, (False, True), "Two values"),
        ([0.9, 0.9, 0.9], 3, (False, False), "All 3 values are equal"),
        ([0.1 + 0.2, 0.3, 0.3], 3, (False, False), "All 3 values are equal"),
        ([0.9, math.inf, 0.8, 0.7], 3, (True, True), "1 value is missing or not finite"),
    ],
)
def test_summary_of_a_degenerate_sample(values, n, known, words):
    summary = summarize(values)
    assert summary.n == n
    assert summary.missing == len(values) - n
    assert (summary.mean_bootstrap_interval.known, summary.mean_t_interval.known) == known
    assert math.isnan(summary.mean) == (n == 0)
    assert math.isnan(summary.standard_deviation) == (n < 2)
    assert words in summary.note


def test_constant_rows_are_seen_through_rounding():
    rows = np.array([[0.9123 - 0.91, 0.9223 - 0.92], [0.0, 1e-9], [1e9, 1e9]])
    assert constant(rows).tolist() == [True, False, True]
    assert np.isnan(t_bounds(rows)[0]).tolist() == [True, False, True]


def test_large_skewed_samples_get_the_resampled_interval_without_resampling():
    sample = np.random.default_rng(5).exponential(size=1_200)
    (lower,), (upper,) = bca_bounds(sample[None])
    resampled = stats.bootstrap((sample,), np.mean, n_resamples=4_999, method="BCa", rng=np.random.default_rng(1))
    error = sample.std() / np.sqrt(len(sample))  # the resampled bounds have a sampling error of 0.04 of it
    assert lower == pytest.approx(resampled.confidence_interval.low, abs=0.12 * error)
    assert upper == pytest.approx(resampled.confidence_interval.high, abs=0.12 * error)
    mirrored = bca_bounds(-sample[None])
    assert (mirrored[0][0], mirrored[1][0]) == pytest.approx((-upper, -lower), abs=1e-12)
