import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from fmnist.compare.paired import (
    MOST_REPEATS,
    difference_power,
    equivalence_power,
    equivalence_t,
    holm,
    pair_tests,
    paired_t,
    repeats_for_difference,
    repeats_for_equivalence,
    signed_rank,
)
from tests.small_frames import DARWIN_DIFFERENCES

DARWIN = np.array(DARWIN_DIFFERENCES)
DIFFERENCES = st.lists(st.integers(-40, 40).map(lambda x: x / 1e4), min_size=3, max_size=12).map(np.array)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=10).map(np.array)


def test_darwins_maize_as_published():
    assert float(paired_t(DARWIN)) == pytest.approx(0.0497, abs=5e-5)  # Fisher (1935), section 17: t = 2.148
    assert signed_rank(DARWIN) == 0.041259765625  # scipy's documentation of wilcoxon


def test_paired_t_agrees_with_scipy_on_every_side():
    samples = np.random.default_rng(1).normal(0.2, size=(4, 9))
    for side in ("two-sided", "greater", "less"):
        theirs = stats.ttest_1samp(samples, 0.1, axis=1, alternative=side).pvalue
        assert paired_t(samples, 0.1, side) == pytest.approx(theirs)


@pytest.mark.parametrize("n", [5, 20, 101, 150])
def test_signed_rank_agrees_with_scipy(n):
    sample = np.random.default_rng(n).normal(0.1, size=n)
    method = "exact" if n <= 100 else "asymptotic"
    assert signed_rank(sample) == pytest.approx(stats.wilcoxon(sample, method=method).pvalue)


def test_signed_rank_is_exact_with_ties_and_zeros():
    tied = np.array([0.1, 0.1, 0.1, -0.1, 0.2, 0.3, 0.0])
    every_sign = stats.PermutationMethod(n_resamples=10_000)
    assert signed_rank(tied) == pytest.approx(stats.wilcoxon(tied[tied != 0], method=every_sign).pvalue)


def test_signed_rank_ties_survive_rounding_errors():
    assert signed_rank(np.array([0.9123, 0.9223, 0.9323]) - np.array([0.91, 0.92, 0.93])) == 0.25


def test_equivalence_agrees_with_statsmodels():
    a, b = np.random.default_rng(5).normal(0.9, 0.002, size=(2, 12))
    assert float(equivalence_t(a - b, 0.002)) == pytest.approx(ttost_paired(a, b, -0.002, 0.002)[0])


def test_equivalence_by_ranks_halves_with_each_repeat():
    assert [pair_tests(np.full(n, 0.001), 0.002).equivalence_p for n in (2, 5)] == [1 / 4, 1 / 32]
    assert pair_tests(np.full(5, 0.912) - 0.91, 0.002).equivalence_p == 1.0  # the margin itself, but for rounding


def test_holm_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(max_examples=10)  # statsmodels takes 0.2 s a call
@given(P_VALUES)
def test_holm_agrees_with_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


@given(P_VALUES, st.randoms())
def test_holm_is_monotone_and_free_of_order(p_values, random):
    adjusted = holm(p_values)
    assert np.all(adjusted >= p_values)
    assert np.all(np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0)
    places = list(range(len(p_values)))
    random.shuffle(places)
    assert holm(p_values[places]) == pytest.approx(adjusted[places])


def test_holm_leaves_tests_that_were_not_made_out_of_the_family():
    adjusted = holm(np.array([0.02, math.nan, 0.03]))
    assert adjusted[[0, 2]] == pytest.approx([0.04, 0.04])
    assert math.isnan(adjusted[1])


def test_holm_works_along_the_last_axis():
    p_values = np.random.default_rng(0).random((3, 6))
    assert holm(p_values) == pytest.approx(np.stack([holm(row) for row in p_values]))


@given(DIFFERENCES)
def test_tests_turn_with_the_sign_of_the_differences(differences):
    one, other = pair_tests(differences, 0.001), pair_tests(-differences, 0.001)
    assert one.basis == other.basis
    for name in ("signed_rank_p", "difference_p", "equivalence_p"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, nan_ok=True)


@given(DIFFERENCES)
def test_p_values_are_probabilities_or_unknown(differences):
    tests = pair_tests(differences, 0.001)
    for p in (tests.signed_rank_p, tests.difference_p, tests.equivalence_p):
        assert math.isnan(p) or 0 <= p <= 1


def test_a_single_difference_decides_nothing():
    tests = pair_tests(np.array([0.1]), 0.002)
    assert tests.basis == "none"
    assert math.isnan(tests.difference_p)
    assert math.isnan(tests.equivalence_p)


def test_equal_differences_are_judged_by_ranks_not_by_an_infinite_t():
    two = pair_tests(np.array([0.9123 - 0.91, 0.9223 - 0.92]), 0.002)
    assert (two.basis, two.difference_p) == ("signed rank", 0.5)
    assert math.isnan(paired_t(np.array([0.1, 0.1])))
    ten = pair_tests(np.full(10, 0.01), 0.002)
    assert ten.difference_p == pytest.approx(2 / 1024)
    assert ten.equivalence_p == 1.0


def test_zero_differences_show_equivalence_only():
    tests = pair_tests(np.zeros(6), 0.002)
    assert (tests.difference_p, tests.equivalence_p) == (1.0, 1 / 64)


def test_without_a_margin_equivalence_is_unknown():
    assert math.isnan(pair_tests(DARWIN, None).equivalence_p)
    assert math.isnan(pair_tests(np.zeros(6), None).equivalence_p)


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


@pytest.mark.parametrize("effect", [3.0, 10.0, 30.0 / math.sqrt(2), 100.0, 100.0 * math.sqrt(2)])
def test_power_of_two_repeats_is_right_also_where_scipy_has_no_number(effect):
    critical, shift = stats.t.isf(0.05 / 132, 1), effect * math.sqrt(2)

    def missed(root):  # noncentral t of one degree of freedom: (Z + shift) / root, with root distributed as |Z|
        return special.ndtr(critical * root - shift) * 2 * stats.norm.pdf(root)

    turn = shift / critical
    below = integrate.quad(missed, 0, 9 + turn, points=[turn / 2, turn, 2 * turn], limit=500, epsabs=1e-13)[0]
    assert difference_power(2, effect, 0.05 / 66) == pytest.approx(1 - below, abs=1e-7)
    assert equivalence_power(2, effect, 0.05, 0.05 / 132) == pytest.approx(0.0, abs=1e-9)


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
