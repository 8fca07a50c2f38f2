"""Whether confidence is right: reliability bins, expected calibration error, and what the stored confidences allow.

Stored is, for each test image, the predicted class and the probability given to it, rounded to float16. That suffices
for calibration of the prediction made. The negative log-likelihood needs the probability of the true class: it is known
of the images classified rightly, and bounded from below for the others; the exact mean is the row's `test_loss`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmnist.statistics.intervals import Array, Interval, wilson_interval

BINS = 15  # Guo et al. (2017)
SMALLEST_DOUBT = 2.0**-12  # 1 - p of the largest p that float16 does not round up to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (lower, upper]; means are NaN in an empty bin."""

    lower: float
    upper: float
    n: int
    mean_confidence: float
    accuracy: float
    accuracy_interval: Interval  # Wilson; over images, which predictions of several runs share


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration of a set of predictions; all NaN for none."""

    n: int
    accuracy: float
    mean_confidence: float
    expected_calibration_error: float  # mean over predictions of |accuracy - confidence| of their bin, in [0, 1]
    maximum_calibration_error: float  # the largest such gap of a bin that is not empty
    brier: float  # mean of (confidence - right)^2 of the predicted class
    least_negative_log_likelihood: float  # nats per image; the true one (test_loss) is at least this

    @property
    def overconfidence(self) -> float:
        """Mean confidence - accuracy: positive where the configuration claims more than it holds."""
        return self.mean_confidence - self.accuracy


def reliability_bins(
    confidence: npt.NDArray[np.floating],
    right: npt.NDArray[np.bool_],
    bins: int = BINS,
    *,
    times: npt.NDArray[np.integer] | None = None,
) -> list[ReliabilityBin]:
    """Sort predictions into `bins` equal intervals of confidence; both arrays have one shape, e.g. (runs, images).

    `times`, of the same shape, says how often each prediction occurs (None: once).

    Raises ValueError for different shapes and for a confidence outside [0, 1].
    """
    counts, confident, correct = _bin_sums(confidence, right, bins, times)
    return [
        ReliabilityBin(
            lower=place / bins,
            upper=(place + 1) / bins,
            n=int(counts[place]),
            mean_confidence=float(confident[place] / counts[place]) if counts[place] else float("nan"),
            accuracy=float(correct[place] / counts[place]) if counts[place] else float("nan"),
            accuracy_interval=wilson_interval(int(correct[place]), int(counts[place])),
        )
        for place in range(bins)
    ]


def expected_calibration_error(
    confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], bins: int = BINS
) -> float:
    """Mean over predictions of |accuracy - mean confidence| of their bin, Guo et al. (2017), ICML, equation 3.

    In [0, 1], 0 at best; a finite sample lifts it a little. NaN for no prediction.
    """
    counts, confident, correct = _bin_sums(confidence, right, bins)
    return float(np.abs(confident - correct).sum() / counts.sum()) if counts.sum() else float("nan")


def calibration(
    confidence: npt.NDArray[np.floating],
    right: npt.NDArray[np.bool_],
    bins: int = BINS,
    *,
    times: npt.NDArray[np.integer] | None = None,
) -> Calibration:
    """Measure the calibration of predictions of one run, or of several put together; arrays of one shape.

    `times`, of the same shape, says how often each prediction occurs (None: once).
    """
    counts, confident, correct = _bin_sums(confidence, right, bins, times)
    n = int(counts.sum())
    if n == 0:
        nothing = float("nan")
        return Calibration(
            n=0, accuracy=nothing, mean_confidence=nothing, expected_calibration_error=nothing,
            maximum_calibration_error=nothing, brier=nothing, least_negative_log_likelihood=nothing,
        )  # fmt: skip
    probability = np.asarray(confidence, dtype=np.float64)
    gaps = np.abs(confident - correct)
    return Calibration(
        n=n,
        accuracy=float(correct.sum() / n),
        mean_confidence=float(confident.sum() / n),
        expected_calibration_error=float(gaps.sum() / n),
        maximum_calibration_error=float((gaps[counts > 0] / counts[counts > 0]).max()),
        brier=float(np.average((probability - right) ** 2, weights=times)),
        least_negative_log_likelihood=_least_negative_log_likelihood(probability, np.asarray(right), times),
    )


def _least_negative_log_likelihood(
    probability: Array, right: npt.NDArray[np.bool_], times: npt.NDArray[np.integer] | None
) -> float:
    """-log p of a right prediction; of a wrong one the true class has at most min(p, 1 - p), rounding allowed for."""
    doubt = np.maximum(1 - probability, SMALLEST_DOUBT)
    of_truth = np.where(right, probability, np.minimum(probability, doubt))
    with np.errstate(divide="ignore"):  # a probability of 0 costs infinitely much, and is no mistake here
        return float(np.average(-np.log(of_truth), weights=times))


def _bin_sums(
    confidence: npt.NDArray[np.floating],
    right: npt.NDArray[np.bool_],
    bins: int,
    times: npt.NDArray[np.integer] | None = None,
) -> tuple[Array, Array, Array]:
    """Per bin: number of predictions, sum of confidences, number right; each of shape (bins,)."""
    probability = np.asarray(confidence, dtype=np.float64).ravel()
    marks = np.asarray(right, dtype=np.float64).ravel()
    if np.shape(confidence) != np.shape(right):
        raise ValueError(f"confidence: got shape {np.shape(confidence)}, expected that of right, {np.shape(right)}")
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(f"confidence: got {probability.min()} to {probability.max()}, expected numbers in [0, 1]")
    # a bin holds its upper edge, as in Guo et al.; 0 goes to the first
    place = np.clip(np.ceil(probability * bins).astype(np.int64) - 1, 0, bins - 1)
    often = np.ones_like(marks) if times is None else np.asarray(times, dtype=np.float64).ravel()
    counts, confident, correct = (
        np.bincount(place, weights=often * value, minlength=bins).astype(np.float64)
        for value in (np.ones_like(marks), probability, marks)
    )
    return counts, confident, correct
