"""What the stored test predictions of a study add up to, read in batches: never all predictions at once."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fmnist.compare import (
    CalibrationBins,
    Estimate,
    calibration_bins,
    layered_estimate,
    mean_estimate,
    variance_layers,
)
from fmnist.data import CLASS_NAMES
from fmnist.store import Store

Counts = npt.NDArray[np.int64]
Classes = npt.NDArray[np.uint8]

CLASS_COUNT = len(CLASS_NAMES)

_KEYS, _PREDICTIONS = ["run_id", "placement"], ["test_predicted", "test_confidence"]  # columns


@dataclass(frozen=True, eq=False)
class Example:
    """The predictions of one run, to show images from."""

    repeat: int
    predicted: Classes  # (images,)
    confidence: npt.NDArray[np.float16]  # (images,)


def choose_examples(example: Example, true_classes: Classes, most: int) -> tuple[Counts, Counts]:
    """Choose images of one run, so many of each at most: the most confident mistakes, right ones at random (seed 0)."""
    is_right = example.predicted == true_classes
    wrong, right = np.flatnonzero(~is_right), np.flatnonzero(is_right)
    confident = wrong[np.argsort(-example.confidence[wrong].astype(float), kind="stable")[:most]]
    return confident, np.random.default_rng(0).choice(right, min(most, len(right)), replace=False)


@dataclass(eq=False)
class PredictionSums:
    """What the runs of one configuration predict: some kB a run. `true_classes` has the shape (images,)."""

    true_classes: Classes
    votes: Counts = field(init=False)  # (classes, images): runs that predict the class for the image
    example: Example | None = None  # of the lowest repeat
    _repeats: list[Counts] = field(default_factory=list)
    _confusions: list[Counts] = field(default_factory=list)
    _right: list[Classes] = field(default_factory=list)  # a bit an image
    _bins: list[CalibrationBins] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.votes = np.zeros((CLASS_COUNT, len(self.true_classes)), np.int64)

    def add(self, predicted: Classes, confidence: npt.NDArray[np.float16], repeats: Counts) -> None:
        """Add runs: `predicted` and `confidence` have the shape (runs, images), `repeats` (runs,)."""
        images, right = len(self.true_classes), predicted == self.true_classes
        self.votes += _counts(predicted * np.int64(images) + np.arange(images), CLASS_COUNT * images).reshape(
            -1, images
        )
        cell = predicted + CLASS_COUNT * self.true_classes.astype(np.int64)
        size = CLASS_COUNT**2
        counts = _counts(cell + size * np.arange(len(cell))[:, None], size * len(cell))
        self._confusions.append(counts.reshape(-1, CLASS_COUNT, CLASS_COUNT))
        self._right.append(np.packbits(right, axis=1))
        self._bins.append(calibration_bins(confidence, right))
        self._repeats.append(repeats)
        first = int(np.argmin(repeats))
        if self.example is None or repeats[first] < self.example.repeat:
            self.example = Example(int(repeats[first]), predicted[first].copy(), confidence[first].copy())

    @property
    def runs(self) -> int:
        """How many runs were added."""
        return len(self.repeats)

    @property
    def repeats(self) -> Counts:
        """The repeat of each run, shape (runs,): the order of everything below that has a row a run."""
        return np.concatenate([*self._repeats, np.empty(0, np.int64)])

    @property
    def confusion_by_run(self) -> Counts:
        """Counts of shape (runs, true class, predicted class)."""
        return np.concatenate(self._confusions)

    @property
    def confusion(self) -> Counts:
        """Counts of shape (true class, predicted class) over all runs."""
        return np.asarray(self.confusion_by_run.sum(axis=0))

    @property
    def recall_by_run(self) -> npt.NDArray[np.float64]:
        """Share of each class's images that a run classifies correctly, shape (runs, classes); NaN without images."""
        counts = self.confusion_by_run
        with np.errstate(invalid="ignore"):
            return np.asarray(counts.diagonal(axis1=1, axis2=2) / counts.sum(axis=2))

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which images each run classifies correctly, shape (runs, images)."""
        return self.marks(slice(None)).view(np.bool_)

    def marks(self, places: Counts | slice) -> npt.NDArray[np.int8]:
        """The same of the runs at `places`, as 1 and 0."""
        chosen = np.concatenate(self._right)[places]
        return np.unpackbits(chosen, axis=1, count=len(self.true_classes)).view(np.int8)

    @cached_property
    def calibration(self) -> CalibrationBins:
        """How far the confidence of each run's predictions is right."""
        parts = ("counts", "confidence", "right", "squared_errors")
        return CalibrationBins(*(np.concatenate([getattr(bins, part) for bins in self._bins]) for part in parts))


def _counts(cells: Counts, size: int) -> Counts:
    """Count how often each number below `size` is in `cells`, shape (size,)."""
    return np.bincount(cells.ravel(), minlength=size)


def right_difference(a: PredictionSums, b: PredictionSums) -> npt.NDArray[np.int8]:
    """Say of each common repeat and image whether only a (1), only b (-1) or both or neither (0) are right."""
    _, place_a, place_b = np.intersect1d(a.repeats, b.repeats, return_indices=True)
    difference = a.marks(place_a)
    difference -= b.marks(place_b)
    return difference


def accuracy_difference(a: PredictionSums, b: PredictionSums) -> Estimate:
    """Test accuracy of a less that of b over their common repeats, for new seeds and other images."""
    difference = right_difference(a, b)
    if not len(difference):
        return mean_estimate(np.empty(0))
    return layered_estimate(difference.mean(axis=1), variance_layers(difference))


def sum_predictions(store: Store, rows: pd.DataFrame, true_classes: Classes) -> dict[str, PredictionSums]:
    """Add up the predictions of the given rows by label; they need the columns run_id, placement,
    configuration_id, label and repeat.

    Rows without predictions, or for another number of images, are left out, and so are labels without any.
    """
    wanted, images = rows.set_index(_KEYS)[["label", "repeat"]], len(true_classes)
    sums: dict[str, PredictionSums] = {}
    for batch in store.batches([*_KEYS, *_PREDICTIONS], set(rows["configuration_id"])):
        own = wanted.reindex(pd.MultiIndex.from_frame(batch.select(_KEYS).to_pandas())).reset_index(drop=True)
        for name in _PREDICTIONS:
            own = own[(pc.list_value_length(batch[name]).to_numpy() == images)[own.index]]
        for label, chosen in own.groupby("label"):
            lists = batch.take(pa.array(chosen.index))
            predicted, confidence = (
                lists[name].combine_chunks().flatten().to_numpy().reshape(-1, images) for name in _PREDICTIONS
            )
            total = sums.setdefault(str(label), PredictionSums(true_classes))
            total.add(predicted, confidence, chosen["repeat"].to_numpy(np.int64))
    return sums
