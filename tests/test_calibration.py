import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.compare.calibration import BINS, calibration_bins

PREDICTIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def one_run(confidence, right):
    return calibration_bins(np.array([confidence], dtype=float), np.array([right], dtype=bool))


def test_error_by_hand():
    confidence = np.array([[0.95, 0.95, 0.85, 0.55, 0.57]])
    right = np.array([[True, False, True, True, False]])
    bins = calibration_bins(confidence, right)
    # bins of a fifteenth: {0.95, 0.95} gap 0.45, {0.85} gap 0.15, {0.55, 0.57} gap 0.06
    assert bins.expected_error == pytest.approx([(2 * 0.45 + 0.15 + 2 * 0.06) / 5])
    assert bins.overconfidence == pytest.approx([0.774 - 0.6])
    assert bins.brier == pytest.approx([np.mean((confidence - right) ** 2)])


def test_bins_hold_their_upper_edge():
    bins = one_run([0.0, 3 / 15, 3 / 15 + 1e-7, 1.0], [False, True, True, True])
    assert np.flatnonzero(bins.counts[0]).tolist() == [0, 2, 3, BINS - 1]


def test_a_run_is_measured_alone_and_runs_together_only_in_the_curve():
    confidence = np.array([[0.9, 0.9], [0.9, 0.9]])
    right = np.array([[True, True], [True, False]])
    bins = calibration_bins(confidence, right)
    assert bins.expected_error == pytest.approx([0.1, 0.4])
    assert bins.accuracy.tolist() == [1.0, 0.5]
    mean_confidence, accuracy, share = bins.curve()
    filled = share > 0
    assert [*mean_confidence[filled], *accuracy[filled], *share[filled]] == pytest.approx([0.9, 0.75, 1.0])
    assert np.isnan(accuracy[~filled]).all()
    pooled = one_run(confidence.ravel(), right.ravel()).expected_error
    assert pooled < bins.expected_error.mean()  # what the two claim too much and too little cancels


def test_predictions_that_hold_what_they_claim_are_calibrated():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.1, 1, size=(1, 200_000))
    right = generator.random((1, 200_000)) < confidence
    bins = calibration_bins(confidence, right)
    assert bins.expected_error < 0.006
    assert bins.overconfidence == pytest.approx(0, abs=0.004)
    worse = calibration_bins(confidence, generator.random((1, 200_000)) < confidence - 0.1)
    assert worse.expected_error == pytest.approx([0.1], abs=0.006)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"got shape \(1, 2\), expected that of right, \(1, 3\)"):
        one_run([0.5, 0.5], [True] * 3)
    with pytest.raises(ValueError, match=r"got 0.5 to 1.5, expected numbers in \[0, 1\]"):
        one_run([0.5, 1.5], [True] * 2)
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\]"):
        one_run([0.5, math.nan], [True] * 2)


@given(PREDICTIONS, st.randoms())
def test_errors_are_bounded_and_free_of_order(predictions, random):
    confidence, right = zip(*predictions, strict=True)
    bins = one_run(confidence, right)
    assert abs(bins.overconfidence[0]) - 1e-9 <= bins.expected_error[0] <= 1 + 1e-9
    assert bins.counts.sum() == len(right)
    order = list(range(len(right)))
    random.shuffle(order)
    again = one_run([confidence[place] for place in order], [right[place] for place in order])
    assert again.expected_error == pytest.approx(bins.expected_error)
