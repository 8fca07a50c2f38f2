"""What the stored test predictions of a study add up to, read in batches: never all predictions at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fmnist.architectures import CLASS_COUNT
from fmnist.results import Store
from fmnist.statistics.calibration import Calibration, ReliabilityBin, calibration, reliability_bins

Counts = npt.NDArray[np.int64]
Classes = npt.NDArray[np.uint8]

RUNS_AT_ONCE = 128  # some MB of predictions; at most 255, what a count of one byte holds
HALF_PRECISION_VALUES = 2**15  # every bit pattern of a stored confidence without its sign
_COLUMNS = ["run_id", "placement", "test_predicted", "test_confidence"]


@dataclass(frozen=True, eq=False)
class Example:
    """The predictions of one run, to show images from."""

    repeat: int
    predicted: Classes  # (images,)
    confidence: npt.NDArray[np.float16]  # (images,)


@dataclass(eq=False)
class PredictionSums:
    """Sums over the runs of one configuration. `true_classes` has the shape (images,)."""

    true_classes: Classes
    runs: int = 0
    votes: Counts = field(init=False)  # (classes, images): runs that predict the class for the image
    recalls: list[npt.NDArray[np.float32]] = field(default_factory=list)  # a run's share right by class, (classes,)
    example: Example | None = None  # of the lowest repeat
    # (2, HALF_PRECISION_VALUES): wrong and right predictions by the bit pattern of their confidence. Exact, whatever
    # the bins of a diagram, and as small for a thousand runs as for one
    confidences: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.votes = np.zeros((CLASS_COUNT, len(self.true_classes)), np.int64)
        self.confidences = np.zeros((2, HALF_PRECISION_VALUES), np.int64)
        self._of_class = np.eye(CLASS_COUNT, dtype=np.float32)[self.true_classes]

    def add(self, predicted: Classes, confidence: npt.NDArray[np.float16], repeats: Counts) -> None:
        """Add runs: `predicted` and `confidence` have the shape (runs, images), `repeats` (runs,)."""
        for start in range(0, len(repeats), RUNS_AT_ONCE):
            part = slice(start, start + RUNS_AT_ONCE)
            self._add_some(predicted[part], confidence[part])
        self.runs += len(repeats)
        first = int(np.argmin(repeats))
        if self.example is None or repeats[first] < self.example.repeat:
            self.example = Example(int(repeats[first]), predicted[first].copy(), confidence[first].copy())

    def _add_some(self, predicted: Classes, confidence: npt.NDArray[np.float16]) -> None:
        right = predicted == self.true_classes
        for number in range(CLASS_COUNT):
            self.votes[number] += np.add.reduce(predicted == number, axis=0, dtype=np.uint8)
        # the sign bit, which no probability sets, tells right from wrong
        patterns = confidence.view(np.uint16) | right.astype(np.uint16) * np.uint16(HALF_PRECISION_VALUES)
        self.confidences += np.bincount(patterns.ravel(), minlength=self.confidences.size).reshape(2, -1)
        with np.errstate(invalid="ignore"):  # a class without images has no recall
            self.recalls.extend(right.astype(np.float32) @ self._of_class / self._of_class.sum(axis=0))

    @property
    def confusion(self) -> Counts:
        """Counts of shape (true class, predicted class) over all runs."""
        sums = np.zeros((CLASS_COUNT, CLASS_COUNT), np.int64)
        np.add.at(sums, self.true_classes, self.votes.T)
        return sums

    @property
    def times_right(self) -> Counts:
        """How many of the runs classify each image rightly, shape (images,)."""
        return self.votes[self.true_classes, np.arange(len(self.true_classes))]

    @property
    def accuracy_by_run(self) -> npt.NDArray[np.float64]:
        """Share of all images that a run classifies rightly, shape (runs,)."""
        sizes = self._of_class.sum(axis=0)
        return np.asarray(np.nan_to_num(self.recall_by_run) @ sizes / sizes.sum())

    @property
    def recall_by_run(self) -> npt.NDArray[np.float64]:
        """Share of each class's images that a run classifies rightly, shape (runs, classes)."""
        return np.array(self.recalls, dtype=np.float64).reshape(-1, CLASS_COUNT)

    @cached_property
    def calibration(self) -> Calibration:
        """How far the confidence of all runs' predictions is right."""
        confidence, right, times = self._confidence_counts()
        return calibration(confidence, right, times=times)

    @cached_property
    def reliability(self) -> list[ReliabilityBin]:
        """The predictions of all runs by bins of confidence."""
        confidence, right, times = self._confidence_counts()
        return reliability_bins(confidence, right, times=times)

    def _confidence_counts(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], Counts]:
        """List the kinds of prediction that occur: confidence, whether it is right, and how often."""
        right, patterns = np.nonzero(self.confidences)
        values = patterns.astype(np.uint16).view(np.float16).astype(np.float64)
        return values, right.astype(bool), self.confidences[right, patterns]


def sum_predictions(store: Store, rows: pd.DataFrame, true_classes: Classes) -> dict[str, PredictionSums]:
    """Add up the predictions of the given rows by label; they need the columns run_id, placement,
    configuration_id, label and repeat.

    Rows without predictions, or for another number of images, are left out, and so are labels without any.
    """
    wanted = {
        (run_id, placement): (label, repeat)
        for run_id, placement, label, repeat in zip(
            rows["run_id"], rows["placement"], rows["label"], rows["repeat"], strict=True
        )
    }
    sums: dict[str, PredictionSums] = {}
    for batch in store.batches(_COLUMNS, set(rows["configuration_id"])):
        places: dict[str, list[tuple[int, int]]] = {}
        for place, key in enumerate(_keys_of(batch, len(true_classes))):
            if key in wanted:
                label, repeat = wanted.pop(key)
                places.setdefault(label, []).append((place, repeat))
        for label, chosen in places.items():
            total = sums.get(label) or sums.setdefault(label, PredictionSums(true_classes))
            numbers = [place for place, _ in chosen]
            predicted, confidence = (
                _rows_at(batch[name], numbers, len(true_classes)) for name in ("test_predicted", "test_confidence")
            )
            total.add(predicted, confidence, np.array([repeat for _, repeat in chosen]))
    return sums


def _keys_of(batch: pa.Table, images: int) -> list[tuple[str, str] | None]:
    """Name the run and placement of each row; None for a row that lacks predictions of this many images."""
    lengths = [pc.list_value_length(batch[name]).to_pylist() for name in ("test_predicted", "test_confidence")]
    keys = zip(batch["run_id"].to_pylist(), batch["placement"].to_pylist(), strict=True)
    return [
        key if both == (images, images) else None for key, both in zip(keys, zip(*lengths, strict=True), strict=True)
    ]


def _rows_at(column: pa.ChunkedArray, places: list[int], images: int) -> npt.NDArray[Any]:
    """Copy the lists at `places`, each of `images` values, into an array of shape (places, images)."""
    lists = column.combine_chunks()
    values, starts = lists.values.to_numpy(), lists.offsets.to_numpy()[places]  # noqa: PD011 (Arrow's, not pandas')
    return np.stack([values[start : start + images] for start in starts])
