"""What a claim speaks of, measured on a study's runs: each quantity gives its parts as estimates of plain arrays.

Accuracy, recall and gaps carry both layers of uncertainty, of seeds and of test images (see
fmnist.statistics.test_set_error); times, memory, spreads and epochs that of the seeds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from fmnist.data import CLASS_NAMES
from fmnist.reporting.findings import Findings
from fmnist.reporting.predictions import PredictionSums, accuracy_difference, right_difference
from fmnist.schema import METRICS
from fmnist.statistics.claim_evaluation import Estimate, layered_estimate, paired_estimate
from fmnist.statistics.intervals import Array
from fmnist.statistics.test_set_error import variance_layers, variance_layers_of_means
from fmnist.statistics.trainability import at_epoch_limit, log_spread_ratio
from fmnist.tables import number

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
        """Write an estimate with its 95 % interval: +0.25 [-0.10, +0.60] points."""
        values = np.array([estimate.value, *estimate.bounds()])
        shown = np.exp(values) if self.logarithm else self.scale * values
        texts = (number(value, self.digits, signed=not self.logarithm) for value in shown)
        return "{} [{}, {}] ".format(*texts) + self.name


POINTS = Unit(name="points", digits=2, scale=100)
TIMES = Unit(name="times", digits=2, logarithm=True)
EPOCHS = Unit(name="epochs", digits=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One estimate that a claim speaks of. Evidence shows the deciding part of each group."""

    words: str
    estimate: Estimate
    group: str = ""


class Quantity(ABC):
    """What a claim is about: how it is written, what it generalises to, and how it is measured."""

    unit: ClassVar[Unit] = POINTS
    generalises_to: ClassVar[str] = NEW_IMAGES

    @abstractmethod
    def parts(self, findings: Findings) -> list[Part]:
        """Estimate every part, at least one; raises UndecidableError where the runs do not allow it."""


@dataclass(frozen=True)
class AccuracyDifference(Quantity):
    """Test accuracy of a configuration less that of each other one."""

    label: str
    others: Sequence[str] = ()  # empty: all others of the study, of which evidence shows the nearest

    def parts(self, findings: Findings) -> list[Part]:
        """See Quantity."""
        others = self.others or [label for label in findings.study.labels if label != self.label]
        sums = _predictions(findings, [self.label, *others])
        return [
            Part(
                group=other if self.others else "",
                words=f"{self.label} less {other}",
                estimate=accuracy_difference(sums[self.label], sums[other]),
            )
            for other in others
        ]


@dataclass(frozen=True)
class CostRatio(Quantity):
    """A time or memory of one configuration as a multiple of another's."""

    label: str
    other: str
    metric: str
    unit: ClassVar[Unit] = TIMES
    generalises_to: ClassVar[str] = NEW_SEEDS

    def parts(self, findings: Findings) -> list[Part]:
        """See Quantity."""
        _require_finished(findings, self.label, self.other)
        found, name = findings.metrics.get(self.metric), METRICS[self.metric].label
        if found is None or found.refusal:
            raise UndecidableError(found.refusal if found else f"no run has a value of {name}")
        a, b = common_values(found.samples[self.label], found.samples[self.other])
        words = f"{name} of {self.label} to that of {self.other}"
        return [Part(words=words, estimate=paired_estimate(np.log(a / b)))]


@dataclass(frozen=True)
class SpreadRatio(Quantity):
    """The spread of a configuration's test accuracy between repeats as a multiple of another's."""

    label: str
    other: str
    unit: ClassVar[Unit] = TIMES
    generalises_to: ClassVar[str] = NEW_SEEDS

    def parts(self, findings: Findings) -> list[Part]:
        """See Quantity."""
        samples = [rows["test_accuracy"] for rows in _rows(findings, self.label, self.other)]
        words = f"mean deviation from the median, {self.label} to {self.other}"
        return [Part(words=words, estimate=log_spread_ratio(*common_values(*samples)))]


@dataclass(frozen=True)
class GeneralisationGap(Quantity):
    """Training less test accuracy: a configuration's less another's."""

    label: str
    other: str

    def parts(self, findings: Findings) -> list[Part]:
        """See Quantity."""
        sums = _predictions(findings, [self.label, self.other])
        rows = _rows(findings, self.label, self.other)
        a, b = common_values(*(item["train_accuracy"] - item["test_accuracy"] for item in rows))
        difference = right_difference(sums[self.label], sums[self.other])
        layers = [variance_layers(difference)] if len(difference) else []
        words = f"gap of {self.label} less that of {self.other}"
        return [Part(words=words, estimate=layered_estimate(a - b, *layers))]


@dataclass(frozen=True)
class BestEpoch(Quantity):
    """Epoch of the lowest validation loss: a configuration's less another's. Not read where the limit decides it."""

    label: str
    other: str
    unit: ClassVar[Unit] = EPOCHS
    generalises_to: ClassVar[str] = NEW_SEEDS

    def parts(self, findings: Findings) -> list[Part]:
        """See Quantity."""
        rows = _rows(findings, self.label, self.other)
        ended = [at_epoch_limit(item) for item in rows]
        if any(count > MOST_CENSORED * len(item) for count, item in zip(ended, rows, strict=True)):
            first, second = (f"{count} of {len(item)}" for count, item in zip(ended, rows, strict=True))
            raise UndecidableError(
                f"the best epoch is censored by the limit of epochs in {first} runs of {self.label} and {second} of"
                f" {self.other}"
            )
        a, b = common_values(*(item["best_epoch"] for item in rows))
        words = f"best epoch of {self.label} less that of {self.other}"
        return [Part(words=words, estimate=paired_estimate(a - b))]


@dataclass(frozen=True)
class RecallGap(Quantity):
    """Recall of each class named less that of each class not named, in every configuration of the study."""

    classes: Sequence[str]

    def parts(self, findings: Findings) -> list[Part]:
        """See Quantity."""
        named = [CLASS_NAMES.index(name) for name in self.classes]
        others = [number for number in range(len(CLASS_NAMES)) if number not in named]
        return [
            Part(group=label, words=f"{label}: {CLASS_NAMES[a]} less {CLASS_NAMES[b]}", estimate=estimate)
            for label, sums in _predictions(findings, findings.study.labels).items()
            for a, b, estimate in recall_gaps(sums, named, others)
        ]


@dataclass(frozen=True)
class MistakeGap(Quantity):
    """Share of a class taken for one other class less that taken for each further one, in every configuration."""

    true: str
    predicted: str

    def parts(self, findings: Findings) -> list[Part]:
        """See Quantity."""
        true, predicted = CLASS_NAMES.index(self.true), CLASS_NAMES.index(self.predicted)
        others = [number for number in range(len(CLASS_NAMES)) if number not in (true, predicted)]
        return [
            Part(
                group=label,
                words=f"{label}: taken for {self.predicted} less for {CLASS_NAMES[other]}",
                estimate=mistake_gap(sums, true, predicted, other),
            )
            for label, sums in _predictions(findings, findings.study.labels).items()
            for other in others
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


def mistake_gap(sums: PredictionSums, true: int, predicted: int, other: int) -> Estimate:
    """Share of the images of class `true` taken for `predicted` less that taken for `other`, within runs."""
    images = sums.true_classes == true
    counts = sums.confusion_by_run[:, true]
    size = int(images.sum())
    by_run = (counts[:, predicted] - counts[:, other]) / size
    by_image = (sums.votes[predicted, images] - sums.votes[other, images]) / sums.runs
    mean_square = float((counts[:, predicted] + counts[:, other]).sum() / (size * sums.runs))
    return layered_estimate(by_run, variance_layers_of_means(by_run, by_image, mean_square))


def _predictions(findings: Findings, labels: Sequence[str]) -> dict[str, PredictionSums]:
    _require_finished(findings, *labels)
    lacking = [label for label in labels if label not in findings.predictions]
    if lacking:
        reason = findings.data_problem or f"no predictions of {', '.join(lacking)} are stored"
        raise UndecidableError(f"what test images it would meet is not known: {reason}")
    return {label: findings.predictions[label] for label in labels}


def _rows(findings: Findings, *labels: str) -> list[pd.DataFrame]:
    """Give the finished rows of each label, the repeat as index."""
    _require_finished(findings, *labels)
    rows = findings.study.finished.set_index("repeat")
    return [rows[rows["label"] == label] for label in labels]


def _require_finished(findings: Findings, *labels: str) -> None:
    there = findings.study.finished_labels
    missing = [label for label in labels if label not in there]
    if missing:
        raise UndecidableError(f"no finished run of {', '.join(missing)}")


def common_values(a: pd.Series, b: pd.Series) -> tuple[Array, Array]:
    """Give the values of two samples over the repeats (their index) that both have."""
    both = pd.concat([a, b], axis=1).dropna().astype(float).to_numpy()
    return both[:, 0], both[:, 1]
