import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from fmnist.compare.paired_tests import equivalence_t
from fmnist.compare.power import (
    MOST_REPEATS,
    difference_power,
    equivalence_power,
    repeats_for_difference,
    repeats_for_equivalence,
)


@pytest.mark.parametrize(("n", "effect", "alpha"), [(5, 1.0, 0.05), (20, 0.5, 0.01), (200, -0.2, 0.05)])
def test_difference_power_agrees_with_statsmodels(n, effect, alpha):
    assert difference_power(n, effect, alpha) == pytest.approx(TTestPower().power(effect, n, alpha), abs=1e-9)


def test_repeats_for_cohens_medium_effect():
    # paired t test, d_z = 0.5, level 0.05 two-sided, power 0.8: 34 pairs in G*Power and in Cohen's tables
    assert repeats_for_difference(0.5, 0.05) == 34


def test_power_is_known_and_grows_with_repeats_and_effect():
    effects = [0.01, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 100.0]
    power = np.array([[difference_power(n, effect, 1e-3) for n in range(2, 40)] for effect in effects])
    assert np.all(np.diff(power, axis=0) > -1e-9)
    assert np.all(np.diff(power, axis=1) > -1e-9)
    alike = np.array([[equivalence_power(n, 0.3, margin, 1e-3) for n in range(2, 40)] for margin in effects[2:]])
    assert np.all(np.diff(alike, axis=0) > -1e-9)
    assert np.all(np.diff(alike, axis=1) > -1e-9)


@pytest.mark.parametrize("effect", [0.02, 0.3, -1.0, 4.0, 60.0])
def test_repeats_are_the_fewest_that_reach_the_power(effect):
    n = repeats_for_difference(effect, 0.05 / 15)
    assert difference_power(n, effect, 0.05 / 15) >= 0.8 if n < math.inf else abs(effect) < 0.05
    assert n in (2, math.inf) or difference_power(n - 1, effect, 0.05 / 15) < 0.8


def test_equivalence_power_is_what_simulation_gives():
    samples = np.random.default_rng(0).normal(0.2, 1.0, size=(20_000, 25))
    simulated = float(np.mean(equivalence_t(samples, 1.0) <= 0.05))
    assert equivalence_power(25, 0.2, 1.0, 0.05) == pytest.approx(simulated, abs=0.01)


def test_repeats_for_equivalence():
    n = repeats_for_equivalence(0.2, 1.0, 0.05)
    assert equivalence_power(n, 0.2, 1.0, 0.05) >= 0.8 > equivalence_power(n - 1, 0.2, 1.0, 0.05)


@pytest.mark.parametrize("effect", [0.0, 1e-5])
def test_no_number_of_repeats_shows_a_difference_that_is_none(effect):
    assert repeats_for_difference(effect, 0.05) == math.inf


@pytest.mark.parametrize(("effect", "margin"), [(1.0, 1.0), (2.0, 1.0), (0.0, float("nan")), (0.9999, 1.0)])
def test_no_number_of_repeats_shows_an_equivalence_that_is_none(effect, margin):
    assert repeats_for_equivalence(effect, margin, 0.05) == math.inf


def test_the_largest_number_is_within_reach():
    assert repeats_for_difference(0.03, 0.05) <= MOST_REPEATS
