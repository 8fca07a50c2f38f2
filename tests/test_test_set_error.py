import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from fmnist.statistics.test_set_error import (
    accuracy_interval,
    majority_vote,
    mcnemar,
    mcnemar_p,
    variance_layers,
)


def marks(both, only_a, only_b, neither):
    right_a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    right_b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return right_a, right_b


def test_mcnemar_of_fagerland_2013():
    # table 1 there (Bentur et al. 2009): airway hyper-responsiveness of 21 children, 1 and 7 discordant
    tested = mcnemar(*marks(1, 1, 7, 12))
    assert (round(tested.exact_p, 3), round(tested.mid_p, 3)) == (0.070, 0.039)
    assert (tested.images, tested.only_a_right, tested.only_b_right) == (21, 1, 7)
    assert tested.difference == pytest.approx(-6 / 21)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_statsmodels_and_is_symmetric(only_a, only_b):
    exact_p, mid_p = mcnemar_p(only_a, only_b)
    assert exact_p == pytest.approx(reference_mcnemar([[5, only_a], [only_b, 5]], exact=True).pvalue)
    assert (exact_p, mid_p) == pytest.approx(mcnemar_p(only_b, only_a))
    assert mid_p <= exact_p <= 1


def test_mcnemar_of_equal_answers_tests_nothing_and_says_so():
    tested = mcnemar(*marks(5, 0, 0, 2))
    assert (tested.exact_p, tested.mid_p, tested.difference) == (1.0, 1.0, 0.0)
    assert not tested.interval.known
    assert tested.note == "Both are right on the same images: nothing to test."


def test_mcnemar_needs_the_same_images():
    with pytest.raises(ValueError, match=r"got \(3,\) and \(2,\), expected the same images"):
        mcnemar(np.ones(3, bool), np.ones(2, bool))


def test_bootstrap_over_images_is_that_of_drawing_images():
    right_a, right_b = marks(60, 15, 5, 20)
    drawn = np.random.default_rng(0).integers(0, 100, (20_000, 100))
    by_hand = np.quantile(right_a[drawn].mean(axis=1) - right_b[drawn].mean(axis=1), [0.025, 0.975])
    interval = mcnemar(right_a, right_b).interval
    assert [interval.lower, interval.upper] == pytest.approx(by_hand, abs=0.011)  # one image
    single = accuracy_interval(right_a)
    by_hand = np.quantile(right_a[drawn].mean(axis=1), [0.025, 0.975])
    assert [single.lower, single.upper] == pytest.approx(by_hand, abs=0.011)


def test_accuracy_interval_at_93_percent_of_10000():
    right = np.arange(10_000) < 9_300
    interval = accuracy_interval(right)
    assert (interval.upper - interval.lower) / (2 * 1.96) == pytest.approx(0.00255, rel=0.03)
    assert accuracy_interval(right, seed=1) != interval
    assert not accuracy_interval(np.array([True])).known


def test_the_two_layers_are_kept_apart():
    generator = np.random.default_rng(0)
    hardness = generator.beta(8, 1, size=4_000)
    scores = generator.random((12, 4_000)) < hardness
    layers = variance_layers(scores)
    assert (layers.runs, layers.images) == (12, 4_000)
    assert layers.mean == pytest.approx(scores.mean())
    assert layers.seed_standard_deviation == pytest.approx(scores.mean(axis=1).std(ddof=1))
    assert layers.seed_standard_error == pytest.approx(layers.seed_standard_deviation / np.sqrt(12))
    assert layers.test_set_standard_error == pytest.approx(scores.mean(axis=0).std(ddof=1) / np.sqrt(4_000))
    assert layers.standard_error**2 == pytest.approx(layers.seed_standard_error**2 + layers.test_set_standard_error**2)


def test_one_run_has_the_binomial_layer_only():
    layers = variance_layers((np.arange(1_000) < 900)[None])
    assert np.isnan(layers.seed_standard_deviation)
    assert layers.test_set_standard_error == pytest.approx(np.sqrt(0.9 * 0.1 / 999))


def test_layers_of_a_difference_pair_the_images():
    right = np.random.default_rng(1).random((3, 500)) < 0.9
    assert variance_layers(right.astype(float) - right).test_set_standard_error == 0.0


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="got 0 runs of 5 images, expected at least one of each"):
        variance_layers(np.zeros((0, 5)))


def test_majority_vote_and_its_ties():
    predicted = np.array([[0, 1, 2, 3, 3], [0, 1, 2, 4, 3], [0, 2, 2, 5, 4]])
    votes = np.stack([(predicted == number).sum(axis=0) for number in range(10)])
    # image 3: classes 3, 4 and 5 tie; 3 has won an image outright, 4 and 5 none, the lower of them wins
    assert majority_vote(votes).tolist() == [0, 1, 2, 4, 3]
