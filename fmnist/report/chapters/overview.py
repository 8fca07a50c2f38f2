"""The overview: what the report lacks, and the table of results."""

import math
import shlex
from typing import Any

from fmnist.declare import METRICS, OVERVIEW_COSTS, Metric
from fmnist.report.chapter import Chapter
from fmnist.report.chapters.metrics import basis_words
from fmnist.report.study_data import MOST_COMPARED, MetricData, StudyData
from fmnist.report.style import Styles
from fmnist.report.table import Table, column, make_table, present
from fmnist.report.text import NOTHING, capitalized, counted, difference_text, difference_unit, heading, names, number


def overview_chapter(data: StudyData, _styles: Styles) -> Chapter:
    """The results at a glance."""
    return Chapter(
        key="overview",
        title="Overview",
        tables=present(results_table(data)),
        methods=[
            f"The study's primary metric is {METRICS[data.study.primary_metric].label}.",
            "Means carry 95 % intervals by Student's t.",
        ],
    )


def results_table(data: StudyData) -> Table | None:
    """The overview: label, n, accuracy with spread and interval, time, memory and verdict; the best first."""
    main = data.primary
    overview = (name for name, metric in METRICS.items() if metric.in_overview)
    metrics = [METRICS[name] for name in dict.fromkeys((data.study.primary_metric, *overview))]
    columns: dict[str, Any] = {
        "configuration": "label",
        "n": "n",
        **{heading(metric): column(metric.name, metric.scale, metric.digits) for metric in metrics},
    }
    if main and main.pairs:
        columns[f"against {data.ranked_labels[0]}, {difference_unit(main.metric)}"] = "against_best"
    rows: list[dict[str, object]] = []
    for label in data.listed_labels:
        summary = main.summaries.get(label) if main else None
        row: dict[str, object] = {"label": label, "n": summary.n if summary else 0}
        for metric in metrics:
            row |= _result_values(data, metric, label)
        if main and main.pairs:
            row["against_best"] = _against_best(data, main, label)
        rows.append(row)
    return make_table("results", "Results", rows, columns, _results_note(data), is_main=True)


def _result_values(data: StudyData, metric: Metric, label: str) -> dict[str, float]:
    """Give the mean of a metric; with its spread where it can have one, and its interval where it may be compared."""
    name, measured = metric.name, data.metrics.get(metric.name)
    if measured is None or label not in measured.summaries:
        return {name: math.nan}
    summary = measured.summaries[label]
    values = {name: summary.mean}
    if not metric.is_fixed:
        values[f"{name}_standard_deviation"] = summary.standard_deviation
    if not metric.is_fixed and not measured.refusal:
        values |= {f"{name}_lower": summary.mean_t_interval.lower, f"{name}_upper": summary.mean_t_interval.upper}
    return values


def _against_best(data: StudyData, main: MetricData, label: str) -> str:
    pair = main.pair(label, data.ranked_labels[0])
    return f"{pair.verdict}, {difference_text(pair, main.metric)}" if pair else NOTHING


def _results_note(data: StudyData) -> str:
    """Say what the figures are, and of time and memory what is not compared, each reason once."""
    reasons: dict[str, list[str]] = {}
    for measured in (data.metrics[name] for name in OVERVIEW_COSTS if name in data.metrics):
        if measured.refusal or measured.withheld:
            words = basis_words(measured)
            reasons.setdefault(f"{words[:1].lower()}{words[1:]}", []).append(measured.metric.label)
    costs = [f"{capitalized(names(labels))}: {reason}" for reason, labels in reasons.items()]
    return " ".join(["Mean ± standard deviation over n runs; in brackets the 95 % interval of the mean.", *costs])


def missing_words(data: StudyData) -> list[str]:
    """Say which runs a report lacks: failed, diverged, not there, and what was left out of the figures."""
    counts, study = data.study.counts(), data.study
    sentences = []
    for status, meaning in (("failed", "failed"), ("diverged", "diverged (loss not finite)")):
        hit = [f"{label} {number(count)}" for label, count in counts[status].items() if count]
        if hit:
            sentences.append(f"Runs that {meaning}: {', '.join(hit)}. They are counted here and in no mean.")
    sentences += _lacking_sentences(data)
    without = [label for label in study.finished_labels if data.primary and label not in data.primary.summaries]
    if without:
        metric = METRICS[study.primary_metric].label
        sentences.append(f"{names(without)} finished without a {metric}: left out where that is compared.")
    sentences += study.remarks
    if study.repeats is None:
        sentences.append("The study's manifest is not there: how many repeats were wanted is not known.")
    if data.omitted_labels:
        sentences.append(
            f"Figures and pairs show the {MOST_COMPARED} configurations with the highest mean validation accuracy;"
            f" {number(len(data.omitted_labels))} more are in the tables."
        )
    return sentences


def _lacking_sentences(data: StudyData) -> list[str]:
    """Say which repeats have no row, once for all configurations that lack the same ones."""
    study = data.study
    lacking: dict[tuple[int, ...], list[str]] = {}
    for label, repeats in study.missing_repeats.items():
        lacking.setdefault(tuple(repeats), []).append(label)
    lacking.pop((), None)
    return [
        f"{names(labels)} {'lacks' if len(labels) == 1 else 'lack'} {counted(len(missing), 'repeat')} of"
        f" {number(study.repeats)} ({', '.join(map(str, missing[:10]))}{', ...' * (len(missing) > 10)}): pairs use the"
        f" common ones. Run `python jobs/study.py {shlex.quote(study.name)}` to add them."
        for missing, labels in lacking.items()
    ]
