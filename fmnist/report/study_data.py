"""All numbers of one study's report, gathered once: tables, figures and sentences read them from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fmnist.compare import (
    TARGET_ACCURACY,
    Design,
    Friedman,
    Interval,
    PairComparison,
    Summary,
    compare_pairs,
    friedman,
    hardware_of,
    summarize,
    times_to_target,
)
from fmnist.data import Dataset, load_data
from fmnist.declare import METRICS, Metric
from fmnist.report.epochs import read_epochs
from fmnist.report.predictions import PredictionSums, accuracy_difference, sum_predictions
from fmnist.report.selection import StudyRows
from fmnist.store import Store

MOST_SHOWN = 12  # configurations in figures and pairs; more would be neither read nor told apart


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricFindings:
    """One metric of a study. The maps' keys are labels, in the study's order."""

    study: str  # its name
    metric: Metric
    samples: Mapping[str, pd.Series]  # by repeat, stored units, finite
    summaries: Mapping[str, Summary]
    refusal: str  # why the values are described and not compared; empty where they are compared
    placements: frozenset[str]  # of the rows that the values are from
    is_mixed: bool  # whether these rows are of several kinds of hardware
    withheld: tuple[str, ...]  # labels that have values, but none that may be compared
    # of the shown labels, on the primary metric and those that have a margin; empty where there is nothing to compare
    pairs: tuple[PairComparison, ...]
    design: Design | None  # by which the pairs' verdicts were reached; None: by tests of a fixed number of repeats

    def of(self, labels: list[str]) -> dict[str, pd.Series]:
        """Give the values of those of the labels that have any."""
        return {label: self.samples[label] for label in labels if label in self.samples}

    @property
    def all_shared(self) -> bool:
        """Whether every value is from a run that shared its machine."""
        return self.placements == {"shared"}

    @property
    def any_shared(self) -> bool:
        """Whether some value is from a run that shared its machine."""
        return "shared" in self.placements

    @property
    def analyses(self) -> tuple[int, ...]:
        """The repeats of the design's interim analyses; none without a design."""
        return self.design.analyses if self.design else ()

    @property
    def family(self) -> int:
        """How many pairs were tested, over which Holm's procedure adjusts."""
        return sum(pair.basis != "none" for pair in self.pairs)

    def pair(self, a: str, b: str) -> PairComparison | None:
        """Find the comparison of two labels, in whichever order it was made."""
        return next((pair for pair in self.pairs if {pair.a, pair.b} == {a, b}), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """One study's numbers."""

    study: StudyRows
    shown: list[str]  # labels with a finished run, at most MOST_SHOWN, in the study's order
    metrics: Mapping[str, MetricFindings]  # by name, those of which there are values
    epochs: pd.DataFrame  # see epochs.read_epochs, of the shown labels
    # seconds to TARGET_ACCURACY: index repeat, a column a label; infinite where missed
    target_times: pd.DataFrame
    timing_refusal: str  # why those times are not compared; empty where they are
    friedman: Friedman | None  # of the primary metric; None where it is not compared
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
        """The shown labels, the best mean of the primary metric first, those without a value of it last."""
        if self.primary is None:
            return self.shown
        sign = 1 if self.primary.metric.direction == "down" else -1
        means = {label: sign * summary.mean for label, summary in self.primary.summaries.items()}
        return sorted(self.shown, key=lambda label: means.get(label, float("inf")))

    @property
    def every_label(self) -> list[str]:
        """All labels of the study as tables list them: those of `ordered`, then the others in the study's order."""
        return [*self.ordered, *(label for label in self.study.labels if label not in self.ordered)]

    @property
    def predicted(self) -> list[str]:
        """The labels of which there are predictions, in the order of `ordered`."""
        return [label for label in self.ordered if label in self.predictions]

    def layered_interval(self, a: str, b: str) -> Interval | None:
        """Give the 95 % interval of the difference a - b in test accuracy for new seeds and other test images alike.

        None without predictions of both, with fewer than two common repeats, or where the seeds show no spread.
        """
        if not {a, b} <= set(self.predictions):
            return None
        estimate = accuracy_difference(self.predictions[a], self.predictions[b])
        interval = estimate.interval()
        return interval if interval.known else None

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
    metrics = {name: item for name in METRICS if (item := _metric_findings(study, name, shown)).samples}
    epochs = read_epochs(store, rows)
    timed, refusal = study.rows_for("train_seconds")
    timed = timed[timed["label"].isin(shown)]
    same = set(timed["run_id"] + timed["placement"]) == set(rows["run_id"] + rows["placement"])
    return Findings(
        study=study,
        shown=shown,
        metrics=metrics,
        epochs=epochs,
        target_times=target_times(epochs if same else read_epochs(store, timed), TARGET_ACCURACY),
        timing_refusal=refusal,
        friedman=_friedman(study, metrics.get(study.primary_metric), shown),
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


def target_times(epochs: pd.DataFrame, target: float) -> pd.DataFrame:
    """Give the seconds of training until each run first reaches the target: index repeat, one column a label."""
    if epochs.empty:
        return pd.DataFrame()
    runs = epochs.groupby("run", sort=True)
    offsets = np.concatenate([[0], runs.size().cumsum()])
    accuracy, seconds = (epochs[name].to_numpy() for name in ("validation_accuracy", "seconds"))
    first = runs[["label", "repeat"]].first().astype({"label": str})
    first["seconds"] = times_to_target(offsets, accuracy, seconds, target)
    return pd.pivot_table(first, index="repeat", columns="label", values="seconds", aggfunc="first", dropna=False)


def _friedman(study: StudyRows, primary: MetricFindings | None, shown: list[str]) -> Friedman | None:
    if primary is None or not primary.pairs:
        return None
    rows, _ = study.rows_for(primary.metric.name)
    return friedman(rows, primary.metric, list(primary.of(shown)))


def _metric_findings(study: StudyRows, name: str, shown: list[str]) -> MetricFindings:
    metric = METRICS[name]
    rows, refusal = study.rows_for(name)
    values = study.values(name)
    compared = [label for label in shown if label in values]
    pairs: list[PairComparison] = []
    design = study.design if study.design and study.design.metric == name else None
    if len(compared) > 1 and not refusal and (design or name in {study.primary_metric, *study.margins}):
        decisions = study.decisions(design) if design else []
        pairs = compare_pairs(rows, metric, study.margins.get(name), labels=compared, decisions=decisions)
    has_value = set(study.finished.loc[study.finished[name].notna(), "label"])
    return MetricFindings(
        study=study.name,
        metric=metric,
        samples=values,
        summaries={label: summarize(column) for label, column in values.items()},
        refusal=refusal,
        placements=frozenset(rows["placement"]),
        is_mixed=len(hardware_of(rows)) > 1,
        withheld=tuple(label for label in study.finished_labels if label in has_value and label not in values),
        pairs=tuple(pairs),
        design=design,
    )
