"""The tables that hold a study's figures against the original report's."""

from __future__ import annotations

from typing import Any

from fmnist.declare import METRICS
from fmnist.report.chapters.curves import EPOCH_COLUMNS, EPOCH_NOTE, EPOCH_QUANTITIES, over_runs
from fmnist.report.chapters.original_report import (
    ORIGINAL_EPOCHS,
    ORIGINAL_FIGURES,
    OWN_CNN,
    REPEATING_STUDY,
    is_package_study,
)
from fmnist.report.study_data import Findings
from fmnist.report.table import Columns, Row, Table, figure, heading, in_unit, make_table, with_spread


def original_table(findings: Findings) -> Table | None:
    """Our figures beside the original report's, where both have one."""
    rows: list[dict[str, Any]] = []
    for original in ORIGINAL_FIGURES:
        found = findings.metrics.get(original.metric)
        for label, summary in found.summaries.items() if found else ():
            if findings.study.architectures[label] != original.architecture:
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
    if findings.study.name != REPEATING_STUDY or not is_package_study(findings.study):
        note += f" This study has settings of its own; the package's study {REPEATING_STUDY} has the report's."
    return make_table("original", "original", "Beside the original report", rows, columns, note)


def _here(row: Row) -> str:
    metric = METRICS[row["metric"]]
    mean = with_spread(row["mean"], row["standard_deviation"], metric.scale, metric.digits)
    return f"{mean} (n = {row['n']:,})"


def _difference(row: Row) -> str:
    metric = METRICS[row["metric"]]
    return figure("difference", metric.scale, metric.digits, signed=True)(row)


def original_epochs_table(findings: Findings) -> Table | None:
    """The epochs that the original report lists, beside those of the study that repeats it; None for other studies."""
    if findings.study.name != REPEATING_STUDY or not is_package_study(findings.study):
        return None
    rows: list[dict[Any, Any]] = []
    for label in findings.ordered:
        here = over_runs(findings.epochs_of(label), ["epoch"], EPOCH_QUANTITIES)
        for original in ORIGINAL_EPOCHS.get(findings.study.architectures[label], ()):
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
    return make_table("original", "original-epochs", "Epochs beside the original report", rows, columns, note)
