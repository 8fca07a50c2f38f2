"""All numbers of one study's report, gathered once: tables, figures and sentences read them from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from fmnist.comparison import PairComparison, compare_pairs
from fmnist.data import Dataset, load_data
from fmnist.epochs import read_epochs
from fmnist.intervals import Summary, summarize
from fmnist.predictions import PredictionSums, sum_predictions
from fmnist.results import Store
from fmnist.schema import METRICS, Metric
from fmnist.selection import StudyRows

MOST_SHOWN = 12  # configurations in figures and pairs; more would be neither read nor told apart


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricFindings:
    """One metric of a study. The maps' keys are labels, in the study's order."""

    metric: Metric
    values: Mapping[str, pd.Series]  # by repeat, stored units, finite
    summaries: Mapping[str, Summary]
    refusal: str  # why the values are described and not compared; empty where they are compared
    pairs: tuple[PairComparison, ...]  # of the shown labels; empty where there is nothing to compare

    def of(self, labels: list[str]) -> dict[str, pd.Series]:
        """Give the values of those of the labels that have any."""
        return {label: self.values[label] for label in labels if label in self.values}

    def pair(self, a: str, b: str) -> PairComparison | None:
        """Find the comparison of two labels, in whichever order it was made."""
        found = (pair for pair in self.pairs if {pair.a, pair.b} == {a, b})
        return next(found, None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """One study's numbers."""

    study: StudyRows
    shown: list[str]  # labels with a finished run, at most MOST_SHOWN, in the study's order
    metrics: Mapping[str, MetricFindings]  # by name, those of which there are values
    epochs: pd.DataFrame  # see epochs.read_epochs, of the shown labels
    predictions: Mapping[str, PredictionSums]  # empty where the true classes are not known
    data: Dataset | None
    data_problem: str  # why there is no data; empty where there is

    @property
    def primary(self) -> MetricFindings | None:
        """The metric that the study is decided by; None if no run finished."""
        return self.metrics.get(self.study.primary_metric)

    @property
    def left_out(self) -> list[str]:
        """Labels with finished runs that figures and pairs do not show."""
        return [label for label in self.study.finished_labels if label not in self.shown]

    @cached_property
    def ordered(self) -> list[str]:
        """The shown labels, the best mean of the primary metric first."""
        if self.primary is None:
            return self.shown
        sign = 1 if self.primary.metric.direction == "down" else -1
        summaries = self.primary.summaries
        there = [label for label in self.shown if label in summaries]
        return sorted(there, key=lambda label: sign * summaries[label].mean)

    def epochs_of(self, label: str) -> pd.DataFrame:
        """The epochs of one label's runs."""
        return self.epochs[self.epochs["label"] == label]


def gather(study: StudyRows, store: Store, data: Dataset | None, data_problem: str = "") -> Findings:
    """Compute all numbers of a study's report."""
    shown = choose_shown(study)
    rows = study.finished[study.finished["label"].isin(shown)]
    if data is not None and not rows.empty and set(rows["data_fingerprint"]) != {data.fingerprint}:
        found = ", ".join(sorted(set(rows["data_fingerprint"])))
        problem = f"the runs were scored on other data (fingerprint {found}) than is found here ({data.fingerprint})"
        data, data_problem = None, problem
    return Findings(
        study=study,
        shown=shown,
        metrics={name: item for name in METRICS if (item := _metric_findings(study, name, shown)).values},
        epochs=read_epochs(store, rows),
        predictions={} if data is None else sum_predictions(store, rows, data.test_labels),
        data=data,
        data_problem=data_problem,
    )


def find_data(directory: Path | None) -> tuple[Dataset | None, str]:
    """Load the data, or say why it cannot be: a report is made without images rather than not at all."""
    try:
        return load_data(directory), ""
    except (OSError, ValueError) as error:
        return None, str(error)


def choose_shown(study: StudyRows) -> list[str]:
    """Choose the labels for figures and pairs: all, or where there are too many, the best on validation.

    Not on the test set: its best of many would look better than it is.
    """
    labels = study.finished_labels
    if len(labels) <= MOST_SHOWN:
        return labels
    means = study.finished.groupby("label")["validation_accuracy"].mean()
    best = set(means.sort_values(ascending=False).index[:MOST_SHOWN])
    return [label for label in labels if label in best]


def _metric_findings(study: StudyRows, name: str, shown: list[str]) -> MetricFindings:
    metric = METRICS[name]
    values, refusal = study.values(name)
    compared = [label for label in shown if label in values]
    pairs: list[PairComparison] = []
    if len(compared) > 1 and not refusal:
        long = [column.rename(name).reset_index().assign(label=label) for label, column in values.items()]
        frame = pd.concat(long, ignore_index=True)
        pairs = compare_pairs(frame, metric, study.margins.get(name), labels=compared)
    return MetricFindings(
        metric=metric,
        values=values,
        summaries={label: summarize(column) for label, column in values.items()},
        refusal=refusal,
        pairs=tuple(pairs),
    )
