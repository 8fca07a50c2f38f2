import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.statistics.calibration import calibration, expected_calibration_error, reliability_bins

PREDICTIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def test_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.85, 0.55, 0.51])
    right = np.array([True, False, True, True, False])
    # bins of a tenth: {0.95, 0.95} gap 0.45, {0.85} gap 0.15, {0.55, 0.51} gap 0.03
    assert expected_calibration_error(confidence, right, bins=10) == pytest.approx((2 * 0.45 + 0.15 + 2 * 0.03) / 5)
    measured = calibration(confidence, right, bins=10)
    assert measured.maximum_calibration_error == pytest.approx(0.45)
    assert measured.overconfidence == pytest.approx(0.762 - 0.6)
    assert measured.brier == pytest.approx(np.mean((confidence - right) ** 2))


def test_bins_hold_their_upper_edge():
    bins = reliability_bins(np.array([0.0, 0.2, 0.2000001, 1.0]), np.array([False, True, True, True]), bins=5)
    assert [entry.n for entry in bins] == [2, 1, 0, 0, 1]
    assert bins[0].accuracy == 0.5
    assert math.isnan(bins[2].accuracy)
    assert not bins[2].accuracy_interval.known
    assert (bins[4].lower, bins[4].upper) == (0.8, 1.0)


def test_predictions_that_hold_what_they_claim_are_calibrated():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.1, 1, size=200_000)
    right = generator.random(200_000) < confidence
    assert expected_calibration_error(confidence, right) < 0.006
    assert calibration(confidence, right).overconfidence == pytest.approx(0, abs=0.004)
    assert expected_calibration_error(confidence, generator.random(200_000) < confidence - 0.1) == pytest.approx(
        0.1, abs=0.006
    )


def test_likelihood_is_exact_for_right_predictions_and_a_bound_for_wrong_ones():
    exact = calibration(np.array([0.5, 0.25]), np.array([True, True])).least_negative_log_likelihood
    assert exact == pytest.approx((math.log(2) + math.log(4)) / 2)
    wrong = calibration(np.array([0.9]), np.array([False])).least_negative_log_likelihood
    assert wrong == pytest.approx(-math.log(0.1))
    unsure = calibration(np.array([0.3]), np.array([False])).least_negative_log_likelihood
    assert unsure == pytest.approx(-math.log(0.3))  # the true class has less than the predicted one


def test_likelihood_of_a_wrong_prediction_that_float16_rounds_to_certainty_stays_finite():
    confidence = np.array([1.0], dtype=np.float16)
    assert calibration(confidence, np.array([False])).least_negative_log_likelihood == pytest.approx(12 * math.log(2))


def test_runs_are_pooled():
    confidence = np.array([[0.9, 0.8], [0.7, 0.6]], dtype=np.float16)
    right = np.array([[True, False], [True, True]])
    assert calibration(confidence, right) == calibration(confidence.ravel(), right.ravel())


def test_counted_predictions_are_the_same_as_repeated_ones():
    confidence, right, times = np.array([0.9, 0.6, 0.6]), np.array([True, True, False]), np.array([3, 0, 2])
    repeated = calibration(np.repeat(confidence, times), np.repeat(right, times))
    counted = calibration(confidence, right, times=times)
    for name in ("n", "accuracy", "expected_calibration_error", "brier", "least_negative_log_likelihood"):
        assert getattr(counted, name) == pytest.approx(getattr(repeated, name))
    bins = reliability_bins(confidence, right, times=times)
    again = reliability_bins(np.repeat(confidence, times), np.repeat(right, times))
    assert [entry for entry in bins if entry.n] == [entry for entry in again if entry.n]


def test_a_right_prediction_without_probability_costs_infinitely_much():
    assert calibration(np.array([0.0]), np.array([True])).least_negative_log_likelihood == math.inf


def test_no_prediction_is_unknown():
    nothing = calibration(np.array([]), np.array([], dtype=bool))
    assert nothing.n == 0
    assert math.isnan(nothing.expected_calibration_error)
    assert math.isnan(expected_calibration_error(np.array([]), np.array([], dtype=bool)))


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"got shape \(2,\), expected that of right, \(3,\)"):
        calibration(np.array([0.5, 0.5]), np.array([True] * 3))
    with pytest.raises(ValueError, match=r"got 0.5 to 1.5, expected numbers in \[0, 1\]"):
        calibration(np.array([0.5, 1.5]), np.array([True] * 2))
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\]"):
        calibration(np.array([0.5, math.nan]), np.array([True] * 2))


@given(PREDICTIONS, st.randoms())
def test_errors_are_bounded_and_free_of_order(predictions, random):
    confidence, right = (np.array(column) for column in zip(*predictions, strict=True))
    error = expected_calibration_error(confidence, right)
    measured = calibration(confidence, right)
    assert abs(measured.overconfidence) - 1e-9 <= error <= measured.maximum_calibration_error + 1e-9 <= 1 + 2e-9
    order = list(range(len(right)))
    random.shuffle(order)
    assert expected_calibration_error(confidence[order], right[order]) == pytest.approx(error)
