"""The tables that hold a study's figures against the original report's."""

from __future__ import annotations

from typing import Any

from fmnist.reporting.findings import Findings
from fmnist.reporting.original import ORIGINAL_EPOCHS, ORIGINAL_FIGURES, OWN_CNN, REPEATING_STUDY, is_package_study
from fmnist.reporting.training_tables import EPOCH_NOTE, EPOCH_QUANTITIES, over_runs, shown_epoch
from fmnist.tables import NOTHING, Table, heading, in_unit, mean_and_spread, records_table


def original_table(findings: Findings) -> Table | None:
    """Our figures beside the original report's, where both have one."""
    raw, shown = [], []
    for original in ORIGINAL_FIGURES:
        found = findings.metrics.get(original.metric)
        for label, architecture in findings.study.architectures.items():
            summary = found.summaries.get(label) if found else None
            if found is None or summary is None or architecture != original.architecture:
                continue
            metric, interval = found.metric, summary.mean_t_interval
            ends = (summary.mean, interval.lower, interval.upper)
            gap, low, high = (end - original.value if original.measured_alike else float("nan") for end in ends)
            raw.append(
                {"label": label, "metric": metric.name, "original": original.value, "n": summary.n,
                 "mean": summary.mean, "standard_deviation": summary.standard_deviation, "difference": gap,
                 "difference_lower": low, "difference_upper": high, "remark": original.remark}
            )  # fmt: skip
            texts = [in_unit(end, metric, signed=True) for end in (gap, low, high)]
            shown.append(
                {
                    "configuration": label,
                    "metric": heading(metric),
                    "original report": in_unit(original.value, metric),
                    "here": f"{mean_and_spread(summary, metric)} (n = {summary.n:,})",
                    "difference": texts[0] if NOTHING in texts else "{} [{}, {}]".format(*texts),
                    "remark": original.remark or NOTHING,
                }
            )
    note = (
        "The original report gives no number of repeats, no hardware, and seems to have stopped on the test set."
        " Differences carry the 95 % interval of our mean (t) around its figure; there are none where it does not say"
        f" how or on what it measured. Its own CNN, of which it does not say the version, is taken for {OWN_CNN}: the"
        " plain one, whose accuracy goes with the training accuracy given."
    )
    if findings.study.name != REPEATING_STUDY or not is_package_study(findings.study):
        note += f" This study has settings of its own; the package's study {REPEATING_STUDY} has the report's."
    return records_table("original", "Beside the original report", raw, shown, note) if raw else None


def original_epochs_table(findings: Findings) -> Table | None:
    """The epochs that the original report lists, beside those of the study that repeats it; None for other studies."""
    if findings.study.name != REPEATING_STUDY or not is_package_study(findings.study):
        return None
    raw: list[dict[Any, Any]] = []
    for label in findings.ordered:
        listed = ORIGINAL_EPOCHS.get(findings.study.architectures[label], ())
        own = findings.epochs[findings.epochs["label"] == label]
        here = {row["epoch"]: row for row in over_runs(own, ["epoch"], EPOCH_QUANTITIES)}
        for original in listed:
            raw.append({"label": label, "source": "original report", **original})
            if original["epoch"] in here:
                raw.append({"label": label, "source": "here", **here[original["epoch"]]})
    if not any(row["source"] == "here" for row in raw):
        return None
    shown = [
        {
            "configuration": str(row["label"]),
            "epoch": f"{row['epoch']:g}",
            "source": f"here (n = {row['n']})" if "n" in row else str(row["source"]),
            **shown_epoch(row),
        }
        for row in raw
    ]
    note = f"Here: mean ± standard deviation over the n runs that got that far. {EPOCH_NOTE}"
    return records_table("original-epochs", "Epochs beside the original report", raw, shown, note)
