"""The chapter of runs: how many there are, which did not finish, and every metric of every configuration."""

from collections.abc import Mapping

from fmnist.compare import FAMILY_ERROR, Summary
from fmnist.declare import Metric
from fmnist.report.chapter import Chapter
from fmnist.report.chapters.metrics import basis_words
from fmnist.report.study_data import StudyData
from fmnist.report.style import Styles
from fmnist.report.table import Columns, Table, column, make_table, present
from fmnist.report.text import capitalized, names


def runs_chapter(data: StudyData, _styles: Styles) -> Chapter:
    """What all else stands on."""
    metrics = [
        metric_table(
            item.metric,
            {label: item.summaries[label] for label in data.listed_labels if label in item.summaries},
            basis_words(item),
        )
        for item in data.metrics.values()
    ]
    tables = present(
        counts_table(data),
        failures_table(data),
        *metrics,
    )
    return Chapter(key="runs", title="Runs and metrics", tables=tables)


def counts_table(data: StudyData) -> Table | None:
    """Runs wanted and there, by status: what failed or diverged is counted."""
    counts = data.study.counts().reindex(data.listed_labels).reset_index(names="label")
    columns = {{"label": "configuration", "ok": "finished"}.get(name, name): name for name in counts.columns}
    return make_table("runs", "Runs", counts.to_dict("records"), columns)


def failures_table(data: StudyData) -> Table | None:
    """Each run that failed or diverged, with its error; None if there is none."""
    rows = data.study.outcomes
    columns = {"configuration": "label", "repeat": "repeat", "status": "status", "attempts": "attempts",
               "error": "error"}  # fmt: skip
    bad = rows.loc[rows["status"] != "ok", list(columns.values())].to_dict("records")
    return make_table("failures", "Runs that did not finish", bad, columns)


def metric_table(metric: Metric, summaries: Mapping[str, Summary], basis: str) -> Table | None:
    """One metric of every configuration: n, mean, standard deviation, median, quartiles, extremes, interval.

    `basis` says in words what rows the figures are from.
    """
    figures = ("n", "mean", "standard_deviation", "median", "minimum", "lower_quartile", "upper_quartile", "maximum")
    rows = [
        {
            "label": label,
            **{name: getattr(item, name) for name in figures},
            **{f"interval_{end}": getattr(item.mean_t_interval, end) for end in ("lower", "upper")},
            "confidence": 1 - FAMILY_ERROR,
        }
        for label, item in summaries.items()
    ]
    unit = (metric.scale, metric.digits)
    columns: Columns = {
        "configuration": "label",
        "n": "n",
        "mean": column("mean", *unit),
        "std. dev.": column("standard_deviation", metric.scale, metric.digits + 1),
        **{name: column(name, *unit) for name in ("median", "minimum", "maximum")},
        "95 % interval of the mean": column("interval", *unit),
    }
    better = "higher is better" if metric.direction == "up" else "lower is better"
    title = f"{capitalized(metric.label)} ({', '.join(filter(None, (metric.unit, better)))})"
    note = " ".join(filter(None, (metric.meaning, basis, sample_words(summaries))))
    return make_table(f"metric-{metric.name}", title, rows, columns, note)


def sample_words(summaries: Mapping[str, Summary]) -> str:
    """Say which samples allow no interval, each remark once."""
    one = [label for label, item in summaries.items() if item.n == 1]
    equal = [label for label, item in summaries.items() if item.n > 1 and not item.mean_t_interval.known]
    remarks = {"One value only, without spread and interval": one, "All values equal, no interval": equal}
    return " ".join(
        f"{remark}: {'every configuration' if len(labels) == len(summaries) > 1 else names(labels)}."
        for remark, labels in remarks.items()
        if labels
    )
