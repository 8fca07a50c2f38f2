import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fmnist.compare.intervals import is_constant, mean_estimate, summarize, wilson_interval

SAMPLE = np.random.default_rng(3).gamma(2.0, size=24)
VARIED = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=4, max_size=12, unique=True)


def test_t_interval_agrees_with_scipy():
    theirs = stats.ttest_1samp(SAMPLE, 0).confidence_interval(0.95)
    ours = mean_estimate(SAMPLE).interval()
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high))


@given(VARIED)
def test_interval_of_the_negated_sample_is_mirrored(values):
    sample = np.array(values)
    plain, negated = mean_estimate(sample).interval(), mean_estimate(-sample).interval()
    assert (negated.lower, negated.upper) == pytest.approx((-plain.upper, -plain.lower), rel=1e-9, abs=1e-6)


@given(VARIED, st.floats(-100, 100))
def test_interval_moves_with_the_sample(values, shift):
    sample = np.array(values)
    plain, moved = mean_estimate(sample).interval(), mean_estimate(sample + shift).interval()
    assert (moved.lower, moved.upper) == pytest.approx((plain.lower + shift, plain.upper + shift), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (7, 10), (10, 10), (1, 3), (250, 1000)])
def test_wilson_agrees_with_statsmodels(successes, n):
    ours = wilson_interval(successes, n)
    assert (ours.lower, ours.upper) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-12)


def test_wilson_of_certain_trials_ends_at_one():
    assert (wilson_interval(10, 10).upper, wilson_interval(0, 10).lower) == (1.0, 0.0)


def test_wilson_without_trials_is_unknown():
    assert not wilson_interval(0, 0).known


def test_summary_of_a_plain_sample():
    summary = summarize([1.0, 2.0, 3.0, 4.0, 10.0])
    assert (summary.n, summary.mean, summary.median) == (5, 4.0, 3.0)
    assert (summary.lower_quartile, summary.upper_quartile) == (2.0, 4.0)
    assert (summary.minimum, summary.maximum) == (1.0, 10.0)
    assert summary.standard_deviation == pytest.approx(math.sqrt(12.5))


@pytest.mark.parametrize(
    ("values", "n", "known"),
    [
        ([], 0, False),
        ([math.nan, None], 0, False),
        ([0.9], 1, False),
        ([0.9, 0.8], 2, True),
        ([0.9, 0.9, 0.9], 3, False),
        ([0.1 + 0.2, 0.3, 0.3], 3, False),
        ([0.9, math.inf, 0.8, 0.7], 3, True),
    ],
)
def test_summary_of_a_degenerate_sample(values, n, known):
    summary = summarize(values)
    assert summary.n == n
    assert summary.mean_t_interval.known == known
    assert math.isnan(summary.mean) == (n == 0)
    assert math.isnan(summary.standard_deviation) == (n < 2)


def test_constant_rows_are_seen_through_rounding():
    rows = np.array([[0.9123 - 0.91, 0.9223 - 0.92], [0.0, 1e-9], [1e9, 1e9]])
    assert is_constant(rows).tolist() == [True, False, True]
    assert [mean_estimate(row).interval().known for row in rows] == [False, True, False]
