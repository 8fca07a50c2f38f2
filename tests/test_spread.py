import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare.spread import at_epoch_limit, log_spread_ratio, standard_deviation_interval

ALPHA = 0.05


def spread_p(a, b):
    ratio = log_spread_ratio(a, b)
    return math.nan if math.isnan(ratio.value) else ratio.p_value(abs(ratio.value))


def draw(kind, generator, size):
    """Runs of one configuration: normal, heavy-tailed, or normal with 7 % stopped early, 4 standard deviations low."""
    if kind == "t3":
        return generator.standard_t(3, size)
    return generator.normal(size=size) - (4.0 * (generator.random(size) < 0.07) if kind == "stopped early" else 0.0)


@pytest.mark.parametrize("n", [10, 15, 30])
@pytest.mark.parametrize("kind", ["normal", "t3", "stopped early"])
def test_the_test_of_spreads_keeps_its_level(kind, n):
    generator, studies = np.random.default_rng([n, len(kind)]), 2_000
    a, b = draw(kind, generator, (2, studies, n)) + 0.5 * generator.normal(size=(studies, n))
    wrong = np.mean([spread_p(*pair) <= ALPHA for pair in zip(a, b, strict=True)])
    assert 0.02 < wrong <= ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / studies)


def test_the_test_of_spreads_sees_a_spread_three_times_as_large():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 500, 15)) * np.array([3.0, 1.0])[:, None, None]
    assert np.mean([spread_p(*pair) <= ALPHA for pair in zip(a, b, strict=True)]) > 0.8
    bounds = np.array([log_spread_ratio(*pair).interval() for pair in zip(a, b, strict=True)])
    assert np.mean((bounds[:, 0] < math.log(3)) & (math.log(3) < bounds[:, 1])) > 0.93


def test_the_ratio_and_its_jackknife_by_hand():
    a, b = np.array([1.0, 2.0, 4.0, 9.0, 3.0]), np.array([2.0, 2.5, 1.0, 3.0, 2.2])
    deviations = [np.abs(sample - np.median(sample)) for sample in (a, b)]
    whole = math.log(deviations[0].mean() / deviations[1].mean())
    without = [math.log(np.delete(deviations[0], i).mean() / np.delete(deviations[1], i).mean()) for i in range(5)]
    ratio = log_spread_ratio(a, b)
    assert ratio.value == pytest.approx(whole)
    assert ratio.standard_error == pytest.approx(math.sqrt(4 / 5 * np.sum((without - np.mean(without)) ** 2)))
    assert (ratio.n, ratio.degrees_of_freedom) == (5, 4)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=9))
def test_spreads_are_compared_either_way_round_and_in_any_unit(pairs):
    a, b = np.array(pairs, dtype=float).reshape(-1, 2).T
    ratio = log_spread_ratio(a, b)
    assert log_spread_ratio(b, a).value == pytest.approx(-ratio.value, nan_ok=True)
    assert log_spread_ratio(7 * a + 3, b).value == pytest.approx(ratio.value + math.log(7), nan_ok=True)
    p = spread_p(a, b)
    assert math.isnan(p) or 0 <= p <= 1


def test_too_few_runs_and_runs_without_spread_allow_no_ratio():
    calm = np.array([0.9, 0.91, 0.92, 0.93])
    for a, b in ((calm, np.full(4, 0.9)), (calm[:2], calm[:2] * 2), (calm, np.array([0.9, 0.9, 0.9, 0.8])),
                 (np.empty(0), np.empty(0))):  # fmt: skip
        assert math.isnan(log_spread_ratio(a, b).value)
        assert math.isnan(spread_p(a, b))


def test_bonetts_interval_by_hand():
    sample = np.array([9.0, 10.0, 10.5, 11.0, 12.0, 14.0, 19.0, 12.5])
    n, z = 8, stats.norm.ppf(0.975)
    kurtosis = n * np.sum((sample - stats.trim_mean(sample, 0.25)) ** 4) / np.sum((sample - sample.mean()) ** 2) ** 2
    c = n / (n - z)
    half = z * c * math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    interval = standard_deviation_interval(sample)
    assert interval.lower == pytest.approx(math.sqrt(c * sample.var(ddof=1)) * math.exp(-half / 2))
    assert interval.upper == pytest.approx(math.sqrt(c * sample.var(ddof=1)) * math.exp(half / 2))
    assert not standard_deviation_interval(sample[:4]).known
    assert not standard_deviation_interval(np.ones(9)).known


@pytest.mark.parametrize(("kind", "true", "least"), [("normal", 1.0, 0.93), ("stopped early", 1.429, 0.85)])
def test_the_interval_of_a_spread_covers_more_than_chi_square_does(kind, true, least):
    samples = draw(kind, np.random.default_rng(3), (800, 10))
    bonett = [standard_deviation_interval(sample) for sample in samples]
    covered = np.mean([item.lower < true < item.upper for item in bonett])
    squares = 9 * samples.var(axis=1, ddof=1) / true**2
    chi_square = np.mean((squares > stats.chi2.ppf(0.025, 9)) & (squares < stats.chi2.ppf(0.975, 9)))
    assert covered > max(least, chi_square - 0.02)


def test_runs_that_the_limit_of_epochs_ended_are_counted():
    rows = pd.DataFrame({"epochs_run": [20, 19, 30, None], "epochs": [20, 20, 30, 20]})
    assert at_epoch_limit(rows) == 2
