"""Whether confidence is right: sums over bins of confidence, and each run's calibration from them.

Stored is, for each test image, the predicted class and the probability given to it, rounded to float16: calibration is
that of the prediction made. The negative log-likelihood needs the probability of the true class; it is `test_loss`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmnist.compare.intervals import Array

BINS = 15  # Guo et al. (2017)


@dataclass(frozen=True, eq=False)
class CalibrationBins:
    """Sums over the predictions of each run by bins of confidence (m / BINS, (m + 1) / BINS]; shapes (runs, BINS)."""

    counts: Array  # predictions
    confidence: Array  # sum of the probabilities given to the predicted classes
    right: Array  # predictions that are right
    squared_errors: Array  # sum of (probability - right)^2

    @property
    def accuracy(self) -> Array:
        """Share of each run's predictions that is right, shape (runs,)."""
        return np.asarray(self.right.sum(axis=1) / self.counts.sum(axis=1))

    @property
    def mean_confidence(self) -> Array:
        """Mean probability that each run gives to its predictions, shape (runs,)."""
        return np.asarray(self.confidence.sum(axis=1) / self.counts.sum(axis=1))

    @property
    def overconfidence(self) -> Array:
        """Mean confidence - accuracy, shape (runs,): positive where a run claims more than it holds."""
        return self.mean_confidence - self.accuracy

    @property
    def expected_error(self) -> Array:
        """Each run's expected calibration error, Guo et al. (2017), ICML, equation 3; shape (runs,), in [0, 1].

        Mean over its predictions of |accuracy - mean confidence| of their bin. Runs put together would have a smaller
        one: their errors cancel within the bins.
        """
        return np.asarray(np.abs(self.confidence - self.right).sum(axis=1) / self.counts.sum(axis=1))

    @property
    def brier(self) -> Array:
        """Each run's mean of (confidence - right)^2 of the predicted class, shape (runs,), in [0, 1]."""
        return np.asarray(self.squared_errors.sum(axis=1) / self.counts.sum(axis=1))

    def curve(self) -> tuple[Array, Array, Array]:
        """Mean confidence, accuracy and share of all predictions by bin, runs together; NaN means in an empty bin."""
        counts, confidence, right = (part.sum(axis=0) for part in (self.counts, self.confidence, self.right))
        filled = np.where(counts > 0, counts, np.nan)
        return confidence / filled, right / filled, counts / counts.sum()


def calibration_bins(confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> CalibrationBins:
    """Sort the predictions of runs into bins; both arrays have the shape (runs, images).

    Raises ValueError for different shapes and for a confidence outside [0, 1].
    """
    if confidence.shape != right.shape:
        raise ValueError(f"confidence: got shape {confidence.shape}, expected that of right, {right.shape}")
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError(f"confidence: got {confidence.min()} to {confidence.max()}, expected numbers in [0, 1]")
    probability = confidence.astype(np.float64)
    # a bin holds its upper edge, as in Guo et al.; 0 goes to the first
    place = np.maximum(np.ceil(probability * BINS).astype(np.int64) - 1, 0)
    cell = (place + BINS * np.arange(len(place))[:, None]).ravel()
    weights = (np.ones_like(probability), probability, right, (probability - right) ** 2)
    size = BINS * len(place)
    return CalibrationBins(
        *(np.bincount(cell, item.ravel(), size).astype(np.float64).reshape(-1, BINS) for item in weights)
    )
