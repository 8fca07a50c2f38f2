"""What a claim speaks of, measured on a study's runs: each function gives parts as estimates of plain arrays.

Accuracy, recall and gaps carry both layers of uncertainty, of seeds and of test images (see
fmnist.compare.test_set); times, memory, spreads and epochs that of the seeds. Each gives at least one part, or
raises UndecidableError where the runs do not allow it.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fmnist.compare import (
    Estimate,
    at_epoch_limit,
    layered_estimate,
    log_spread_ratio,
    mean_estimate,
    variance_layers,
    variance_layers_of_means,
)
from fmnist.data import CLASS_NAMES
from fmnist.declare import METRICS
from fmnist.report.predictions import PredictionSums, accuracy_difference, right_difference
from fmnist.report.study_data import StudyData, common_values
from fmnist.report.text import number

NEW_SEEDS = "new seeds, these test images"
NEW_IMAGES = "new seeds and other test images of this kind"
MOST_CENSORED = 0.2  # share of runs ended by the epoch limit; above it a mean best epoch tells of the limit


class UndecidableError(Exception):
    """Why a claim cannot be decided, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """How an estimate is written."""

    name: str
    digits: int
    scale: float = 1.0
    logarithm: bool = False  # the estimate is that of a ratio

    def text(self, estimate: Estimate) -> str:
        """Write an estimate with its 95 % interval and n: +0.25 [-0.10, +0.60] pp (n = 10)."""
        values = np.array([estimate.value, *estimate.interval()])
        shown = np.exp(values) if self.logarithm else values
        texts = (number(value, self.digits, scale=self.scale, signed=not self.logarithm) for value in shown)
        return "{} [{}, {}] ".format(*texts) + f"{self.name} (n = {number(estimate.n)})"


POINTS = Unit(name="pp", digits=2, scale=100)  # percentage points
TIMES = Unit(name="times", digits=2, logarithm=True)
EPOCHS = Unit(name="epochs", digits=1)


@dataclass(frozen=True, slots=True)
class Part:
    """One estimate that a claim speaks of. Evidence shows the deciding part of each group."""

    words: str
    estimate: Estimate
    group: str = ""


def accuracy_gap(data: StudyData, label: str, *others: str) -> list[Part]:
    """Test accuracy of a configuration less that of each other one.

    Without `others` of all others of the study, of which evidence shows the nearest.
    """
    every = others or [name for name in data.study.labels if name != label]
    sums = _predictions(data, [label, *every])
    return [
        Part(f"{label} less {other}", accuracy_difference(sums[label], sums[other]), group=other if others else "")
        for other in every
    ]


def tuning_gain(data: StudyData, architecture: str) -> list[Part]:
    """Test accuracy of an architecture's best point of a search less that of its default.

    Where the best point is the default they do not differ, as surely as anything is known.
    """
    labels = data.study.tuning["labels"].get(architecture)
    if labels is None:
        raise UndecidableError(f"{architecture} was not tuned")
    if len(labels) > 1:
        return accuracy_gap(data, labels[-1], labels[0])
    _require_finished(data, labels[0])
    n = len(_rows(data, labels[0])[0])
    certain = Estimate(value=0.0, standard_error=sys.float_info.min, degrees_of_freedom=1, n=n)
    return [Part(f"{labels[0]} is the best point of the search", certain)]


def cost_ratio(data: StudyData, label: str, other: str, metric: str) -> list[Part]:
    """A time or memory of one configuration as a multiple of another's, as a logarithm."""
    _require_finished(data, label, other)
    measured, name = data.metrics.get(metric), METRICS[metric].label
    if measured is None or measured.refusal:
        raise UndecidableError(measured.refusal if measured else f"no run has a value of {name}")
    a, b = common_values(measured.samples[label], measured.samples[other])
    return [Part(f"{name} of {label} to that of {other}", mean_estimate(np.log(a / b)))]


def spread_ratio(data: StudyData, label: str, other: str) -> list[Part]:
    """The spread of a configuration's test accuracy between repeats as a multiple of another's, as a logarithm."""
    samples = [rows["test_accuracy"] for rows in _rows(data, label, other)]
    words = f"mean deviation from the median, {label} to {other}"
    return [Part(words, log_spread_ratio(*common_values(*samples)))]


def generalisation_gap(data: StudyData, label: str, other: str) -> list[Part]:
    """Training less test accuracy: a configuration's less another's."""
    sums = _predictions(data, [label, other])
    a, b = common_values(*(rows["train_accuracy"] - rows["test_accuracy"] for rows in _rows(data, label, other)))
    difference = right_difference(sums[label], sums[other])
    layers = [variance_layers(difference)] if len(difference) else []
    return [Part(f"gap of {label} less that of {other}", layered_estimate(a - b, *layers))]


def best_epoch_gap(data: StudyData, label: str, other: str) -> list[Part]:
    """Epoch of the lowest validation loss: a configuration's less another's. Not read where the limit decides it."""
    both = _rows(data, label, other)
    ended = [at_epoch_limit(rows) for rows in both]
    if any(count > MOST_CENSORED * len(rows) for count, rows in zip(ended, both, strict=True)):
        first, second = (f"{count} of {len(rows)}" for count, rows in zip(ended, both, strict=True))
        raise UndecidableError(
            f"the best epoch is censored by the limit of epochs in {first} runs of {label} and {second} of {other}"
        )
    a, b = common_values(*(rows["best_epoch"] for rows in both))
    return [Part(f"best epoch of {label} less that of {other}", mean_estimate(a - b))]


def recall_gap(data: StudyData, *classes: str) -> list[Part]:
    """Recall of each class named less that of each class not named, in every configuration of the study."""
    predictions = _predictions(data, data.study.labels)
    named = [CLASS_NAMES.index(name) for name in classes]
    others = [number for number in range(len(CLASS_NAMES)) if number not in named]
    return [
        Part(f"{label}: {CLASS_NAMES[a]} less {CLASS_NAMES[b]}", estimate, group=label)
        for label, sums in predictions.items()
        for a, b, estimate in recall_gaps(sums, named, others)
    ]


def mistake_gap(data: StudyData, true_class: str, taken_for: str) -> list[Part]:
    """Share of a class taken for one other class less that taken for each further one, in every configuration."""
    predictions = _predictions(data, data.study.labels)
    true, predicted = CLASS_NAMES.index(true_class), CLASS_NAMES.index(taken_for)
    return [
        Part(
            f"{label}: taken for {taken_for} less for {CLASS_NAMES[other]}",
            share_gap(sums, true, predicted, other),
            group=label,
        )
        for label, sums in predictions.items()
        for other in range(len(CLASS_NAMES))
        if other not in (true, predicted)
    ]


def recall_gaps(
    sums: PredictionSums, named: Sequence[int], others: Sequence[int]
) -> Iterator[tuple[int, int, Estimate]]:
    """Recall of each class named less that of each other class, within runs; the classes' images are apart."""
    recall, right = sums.recall_by_run, sums.right
    layers = {item: variance_layers(right[:, sums.true_classes == item]) for item in (*named, *others)}
    for a in named:
        for b in others:
            yield a, b, layered_estimate(recall[:, a] - recall[:, b], layers[a], layers[b])


def share_gap(sums: PredictionSums, true: int, predicted: int, other: int) -> Estimate:
    """Share of the images of class `true` taken for `predicted` less that taken for `other`, within runs."""
    images = sums.true_classes == true
    counts = sums.confusion_by_run[:, true]
    size = int(images.sum())
    by_run = (counts[:, predicted] - counts[:, other]) / size
    by_image = (sums.votes[predicted, images] - sums.votes[other, images]) / sums.runs
    mean_square = float((counts[:, predicted] + counts[:, other]).sum() / (size * sums.runs))
    return layered_estimate(by_run, variance_layers_of_means(by_run, by_image, mean_square))


def _predictions(data: StudyData, labels: Sequence[str]) -> dict[str, PredictionSums]:
    _require_finished(data, *labels)
    lacking = [label for label in labels if label not in data.predictions]
    if lacking:
        reason = data.dataset_problem or f"no predictions of {', '.join(lacking)} are stored"
        raise UndecidableError(f"what test images it would meet is not known: {reason}")
    return {label: data.predictions[label] for label in labels}


def _rows(data: StudyData, *labels: str) -> list[pd.DataFrame]:
    """Give the finished rows of each label, the repeat as index."""
    _require_finished(data, *labels)
    rows = data.study.finished.set_index("repeat")
    return [rows[rows["label"] == label] for label in labels]


def _require_finished(data: StudyData, *labels: str) -> None:
    there = data.study.finished_labels
    missing = [label for label in labels if label not in there]
    if missing:
        raise UndecidableError(f"no finished run of {', '.join(missing)}")
