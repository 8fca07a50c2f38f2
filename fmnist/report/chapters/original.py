"""The chapter that compares a study with the original report: its figures, its epochs, its claims."""

from collections.abc import Iterator
from typing import Any

from fmnist.declare import METRICS
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.chapters.claims import claims_table
from fmnist.report.chapters.curves import EPOCH_COLUMNS, EPOCH_NOTE, EPOCH_QUANTITIES, over_runs
from fmnist.report.chapters.metrics import draw_runs, listed, means_of
from fmnist.report.chapters.original_report import (
    ORIGINAL_EPOCHS,
    ORIGINAL_FIGURES,
    OWN_CNN,
    REPEATING_STUDY,
    is_package_study,
    original_value,
)
from fmnist.report.study_data import StudyData
from fmnist.report.style import Styles
from fmnist.report.table import Columns, Row, Table, column, make_table, present
from fmnist.report.text import capitalized, heading, in_unit, number, with_spread


def original_chapter(data: StudyData, styles: Styles) -> Chapter:
    """What the original report says, and what is found here."""
    return Chapter(
        key="original",
        title="Beside the original report",
        figures=original_figures(data, styles),
        tables=present(original_table(data), original_epochs_table(data), claims_table(data)),
    )


def original_figures(data: StudyData, styles: Styles) -> Iterator[Figure]:
    """The distribution of each metric that the report gives and measured as we do, with its figures."""
    names = dict.fromkeys(item.metric for item in ORIGINAL_FIGURES if item.measured_alike)
    for measured in (data.metrics[name] for name in names if name in data.metrics):
        metric, means, few = measured.metric, means_of(measured, data), _trained_on_few(data)
        means["original"] = [
            float("nan") if label in few else original_value(data.study.architectures[label], metric.name)
            for label in means.index
        ]
        given = means["original"].dropna()
        if given.empty:
            continue
        caption = "Runs, mean and 95 % interval; a hollow diamond is the original report's figure, where it gives one."
        alt = f"Means here: {listed(means['mean'], metric)}. Original report: {listed(given, metric)}."
        yield Figure(name=f"original-{metric.name}", title=f"{capitalized(metric.label)} beside the original report",
                     caption=caption, alt=alt, drawing=draw_runs(measured, means, styles))  # fmt: skip


def original_table(data: StudyData) -> Table | None:
    """Our figures beside the original report's, where both have one."""
    rows: list[dict[str, Any]] = []
    for original in ORIGINAL_FIGURES:
        measured = data.metrics.get(original.metric)
        for label, summary in measured.summaries.items() if measured else ():
            if data.study.architectures[label] != original.architecture or label in _trained_on_few(data):
                continue
            interval = summary.mean_t_interval
            ends = (summary.mean, interval.lower, interval.upper)
            gap, low, high = (end - original.value if original.measured_alike else float("nan") for end in ends)
            rows.append(
                {"label": label, "metric": original.metric, "original": original.value, "n": summary.n,
                 "mean": summary.mean, "standard_deviation": summary.standard_deviation, "difference": gap,
                 "difference_lower": low, "difference_upper": high, "remark": original.remark}
            )  # fmt: skip
    columns: Columns = {
        "configuration": "label",
        "metric": lambda row: heading(METRICS[row["metric"]]),
        "original report": lambda row: in_unit(row["original"], METRICS[row["metric"]]),
        "here": _here,
        "difference": _difference,
        "remark": "remark",
    }
    note = (
        "The original report gives no number of repeats, no hardware, and seems to have stopped on the test set."
        " Differences carry the 95 % interval of our mean (t) around its figure; there are none where it does not say"
        f" how or on what it measured. Its own CNN, of which it does not say the version, is taken for {OWN_CNN}: the"
        " plain one, whose accuracy goes with the training accuracy given."
    )
    if data.study.name != REPEATING_STUDY or not is_package_study(data.study):
        note += f" This study has settings of its own; the package's study {REPEATING_STUDY} has the report's."
    is_main = data.study.name == REPEATING_STUDY
    return make_table("original", "Beside the original report", rows, columns, note, is_main=is_main)


def _trained_on_few(data: StudyData) -> set[str]:
    """Labels whose runs were given a part of the training images: the report's figures say nothing of those."""
    rows = data.study.finished
    return set(rows.loc[rows["train_images"].notna(), "label"])


def _here(row: Row) -> str:
    metric = METRICS[row["metric"]]
    mean = with_spread(row["mean"], row["standard_deviation"], metric.scale, metric.digits)
    return f"{mean} (n = {number(row['n'])})"


def _difference(row: Row) -> str:
    metric = METRICS[row["metric"]]
    return column("difference", metric.scale, metric.digits, signed=True)(row)


def original_epochs_table(data: StudyData) -> Table | None:
    """The epochs that the original report lists, beside those of the study that repeats it; None for other studies."""
    if data.study.name != REPEATING_STUDY or not is_package_study(data.study):
        return None
    rows: list[dict[Any, Any]] = []
    for label in data.ranked_labels:
        here = over_runs(data.epochs_of(label), ["epoch"], EPOCH_QUANTITIES)
        for original in ORIGINAL_EPOCHS.get(data.study.architectures[label], ()):
            rows.append({"label": label, "source": "original report", **original})
            rows += [{"label": label, "source": "here", **row} for row in here if row["epoch"] == original["epoch"]]
    if not any(row["source"] == "here" for row in rows):
        return None
    columns: Columns = {
        "configuration": "label",
        "epoch": "epoch",
        "source": lambda row: f"here (n = {row['n']})" if "n" in row else row["source"],
        **EPOCH_COLUMNS,
    }
    note = f"Here: mean ± standard deviation over the n runs that got that far. {EPOCH_NOTE}"
    return make_table("original-epochs", "Epochs beside the original report", rows, columns, note, is_main=True)
