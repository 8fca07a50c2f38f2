"""All numbers of one study's report, gathered once: tables, figures and sentences read them from here."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmnist.compare import (
    TARGET_ACCURACY,
    Design,
    Friedman,
    Interval,
    PairComparison,
    Summary,
    TuningComparison,
    Verdict,
    compare_pairs,
    compare_tuning,
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

MOST_COMPARED = 12  # configurations in figures and pairs; more would be neither read nor told apart
OPPOSITE: Mapping[Verdict, Verdict] = {"better": "worse", "worse": "better"}  # the other verdicts hold either way


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricData:
    """One metric of a study. The maps' keys are labels, in the study's order."""

    study: str  # its name
    metric: Metric
    samples: Mapping[str, pd.Series]  # by repeat, stored units, finite
    summaries: Mapping[str, Summary]
    refusal: str  # why the values are described and not compared; empty where they are compared
    placements: frozenset[str]  # of the rows that the values are from
    is_mixed: bool  # whether these rows are of several kinds of hardware
    withheld: tuple[str, ...]  # labels that have values, but none that may be compared
    # of the compared labels, on the primary metric and those that have a margin; empty where nothing may be compared
    pairs: tuple[PairComparison, ...]
    design: Design | None  # by which the pairs' verdicts were reached; None: by tests of a fixed number of repeats

    def samples_of(self, labels: Sequence[str]) -> dict[str, pd.Series]:
        """Give the values of those of the labels that have any."""
        return {label: self.samples[label] for label in labels if label in self.samples}

    @property
    def family(self) -> int:
        """How many pairs were tested, over which Holm's procedure adjusts."""
        return sum(pair.basis != "none" for pair in self.pairs)

    def pair(self, label: str, other: str) -> PairComparison | None:
        """Find the comparison of two labels, turned so that it is of the first against the second."""
        found = next((pair for pair in self.pairs if {pair.a, pair.b} == {label, other}), None)
        return found if found is None or found.a == label else turned(found)

    def pairs_of(self, labels: Sequence[str]) -> list[PairComparison]:
        """Give every pair of the labels, each of the one that comes first against the other."""
        return [pair for both in itertools.combinations(labels, 2) if (pair := self.pair(*both))]


def turned(pair: PairComparison) -> PairComparison:
    """Turn a comparison of a against b into that of b against a."""
    verdict = OPPOSITE.get(pair.verdict, pair.verdict)
    return replace(
        pair,
        a=pair.b,
        b=pair.a,
        mean_difference=-pair.mean_difference,
        interval=Interval(lower=-pair.interval.upper, upper=-pair.interval.lower),
        ratio=1 / pair.ratio,
        ratio_interval=Interval(lower=1 / pair.ratio_interval.upper, upper=1 / pair.ratio_interval.lower),
        d_z=-pair.d_z,
        cliffs_delta=-pair.cliffs_delta,
        probability_a_better=1 - pair.probability_a_better,
        verdict=verdict,
        decision=pair.decision and replace(pair.decision, a=pair.b, b=pair.a, verdict=verdict),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyData:
    """One study's numbers."""

    study: StudyRows
    compared_labels: list[str]  # that figures and pairs have: of a finished run, at most MOST_COMPARED, study's order
    metrics: Mapping[str, MetricData]  # by name, those of which there are values
    epochs: pd.DataFrame  # see epochs.read_epochs, of the compared labels
    # seconds to TARGET_ACCURACY: index repeat, a column a label; infinite where missed
    target_times: pd.DataFrame
    timing_refusal: str  # why those times are not compared; empty where they are
    friedman: Friedman | None  # of the primary metric; None where it is not compared or nothing can be ranked
    predictions: Mapping[str, PredictionSums]  # empty where the true classes are not known
    dataset: Dataset | None
    dataset_problem: str  # why there is no data set; empty where there is

    @property
    def primary(self) -> MetricData | None:
        """The metric that the study is decided by; None if no run finished."""
        return self.metrics.get(self.study.primary_metric)

    @cached_property
    def tuning(self) -> TuningComparison | None:
        """What a study of a search's best points compares on its primary metric; None for other studies."""
        study, labels = self.study, self.study.tuning.get("labels")
        if not labels or self.primary is None:
            return None
        fresh, _ = study.rows_for(study.primary_metric)
        margin = study.margins.get(study.primary_metric)
        return compare_tuning(fresh, study.search_rows, labels, self.primary.metric, margin)

    def metrics_of(self, chapter: str) -> list[MetricData]:
        """The metrics whose figures and pairs stand in a chapter, by the key of it."""
        return [item for item in self.metrics.values() if item.metric.chapter == chapter]

    @property
    def omitted_labels(self) -> list[str]:
        """Labels with finished runs that figures and pairs leave out."""
        return [label for label in self.study.finished_labels if label not in self.compared_labels]

    @cached_property
    def ranked_labels(self) -> list[str]:
        """The compared labels, the best mean of the primary metric first, those without a value of it last."""
        if self.primary is None:
            return self.compared_labels
        sign = 1 if self.primary.metric.direction == "down" else -1
        means = {label: sign * summary.mean for label, summary in self.primary.summaries.items()}
        return sorted(self.compared_labels, key=lambda label: means.get(label, float("inf")))

    @property
    def listed_labels(self) -> list[str]:
        """All labels of the study as tables list them: the ranked ones, then the others in the study's order."""
        return [*self.ranked_labels, *(label for label in self.study.labels if label not in self.ranked_labels)]

    @property
    def predicted_labels(self) -> list[str]:
        """The ranked labels of which there are predictions."""
        return [label for label in self.ranked_labels if label in self.predictions]

    def layered_interval(self, a: str, b: str) -> Interval | None:
        """Give the 95 % interval of the difference a - b in test accuracy for new seeds and other test images alike.

        None without predictions of both, with fewer than two common repeats, or where the seeds show no spread.
        """
        if not {a, b} <= set(self.predictions):
            return None
        interval = accuracy_difference(self.predictions[a], self.predictions[b]).interval()
        return interval if interval.known else None

    def epochs_of(self, label: str) -> pd.DataFrame:
        """The epochs of one label's runs."""
        return self.epochs[self.epochs["label"] == label]


def gather(study: StudyRows, store: Store, dataset: Dataset | None, dataset_problem: str = "") -> StudyData:
    """Compute all numbers of a study's report."""
    labels = choose_compared(study)
    rows = study.finished[study.finished["label"].isin(labels)]
    if dataset is not None and not rows.empty and set(rows["data_fingerprint"]) != {dataset.fingerprint}:
        found = ", ".join(sorted(set(rows["data_fingerprint"])))
        dataset_problem = (
            f"the runs were scored on other data (fingerprint {found}) than is found here ({dataset.fingerprint})"
        )
        dataset = None
    metrics = {name: item for name in METRICS if (item := _metric_data(study, name, labels)).samples}
    epochs = read_epochs(store, rows)
    timed, refusal = study.rows_for("train_seconds")
    timed = timed[timed["label"].isin(labels)]
    same = set(timed["run_id"] + timed["placement"]) == set(rows["run_id"] + rows["placement"])
    return StudyData(
        study=study,
        compared_labels=labels,
        metrics=metrics,
        epochs=epochs,
        target_times=target_times(epochs if same else read_epochs(store, timed), TARGET_ACCURACY),
        timing_refusal=refusal,
        friedman=_friedman(study, metrics.get(study.primary_metric), labels),
        predictions={} if dataset is None else sum_predictions(store, rows, dataset.test_labels),
        dataset=dataset,
        dataset_problem=dataset_problem,
    )


def find_dataset(directory: Path | None) -> tuple[Dataset | None, str]:
    """Load the data, or say why it cannot be: a report is made without images rather than not at all."""
    try:
        return load_data(directory), ""
    except (OSError, ValueError) as error:
        return None, str(error)


def choose_compared(study: StudyRows) -> list[str]:
    """Choose the labels for figures and pairs: all, or where there are too many, the best on validation.

    Not on the test set: its best of many would look better than it is.
    """
    labels = study.finished_labels
    if len(labels) <= MOST_COMPARED:
        return labels
    means = study.finished.groupby("label")["validation_accuracy"].mean()
    best = set(means.sort_values(ascending=False).index[:MOST_COMPARED])
    return [label for label in labels if label in best]


def target_times(epochs: pd.DataFrame, target: float) -> pd.DataFrame:
    """Give the seconds of training until each run first reaches the target: index repeat, one column a label.

    Those of pretraining count.
    """
    if epochs.empty:
        return pd.DataFrame()
    runs = epochs.groupby("run", sort=True)
    offsets = np.concatenate([[0], runs.size().cumsum()])
    accuracy, seconds = (epochs[name].to_numpy() for name in ("validation_accuracy", "seconds"))
    first = runs[["label", "repeat", "pretraining_seconds"]].first().astype({"label": str})
    first["seconds"] = first["pretraining_seconds"] + times_to_target(offsets, accuracy, seconds, target)
    return pd.pivot_table(first, index="repeat", columns="label", values="seconds", aggfunc="first", dropna=False)


def _friedman(study: StudyRows, primary: MetricData | None, labels: Sequence[str]) -> Friedman | None:
    if primary is None or not primary.pairs:
        return None
    rows, _ = study.rows_for(primary.metric.name)
    tested = friedman(rows, primary.metric, list(primary.samples_of(labels)))
    return None if np.isnan(tested.p) else tested


def _metric_data(study: StudyRows, name: str, labels: Sequence[str]) -> MetricData:
    metric = METRICS[name]
    rows, refusal = study.rows_for(name)
    values = study.values(name)
    compared = [label for label in labels if label in values]
    pairs: list[PairComparison] = []
    design = study.design if study.design and study.design.metric == name else None
    if len(compared) > 1 and not refusal and (design or name in {study.primary_metric, *study.margins}):
        decisions = study.decisions(design) if design else []
        pairs = compare_pairs(rows, metric, study.margins.get(name), labels=compared, decisions=decisions)
    has_value = set(study.finished.loc[study.finished[name].notna(), "label"])
    return MetricData(
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


def common_values(a: pd.Series, b: pd.Series) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give the values of two samples over the repeats (their index) that both have."""
    both = pd.concat([a, b], axis=1).dropna().astype(float).to_numpy()
    return both[:, 0], both[:, 1]
