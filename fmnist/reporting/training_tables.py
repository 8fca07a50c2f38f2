"""Tables of how training went, from a study's findings: epochs, how hard it was, time to a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fmnist.reporting.epochs import STAGES, stages_of
from fmnist.reporting.findings import Findings
from fmnist.reporting.original import ORIGINAL_EPOCHS, REPEATING_STUDY
from fmnist.reporting.study_tables import basis_words
from fmnist.schema import METRICS
from fmnist.statistics.intervals import Summary
from fmnist.statistics.trade_offs import TargetTimes, summarize_times
from fmnist.statistics.trainability import Trainability, compare_spread, trainability
from fmnist.tables import NOTHING, Table, number, p_words, records_table, with_spread

EPOCH_QUANTITIES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss", "learning_rate")
EPOCH_NOTE = (
    "Training figures are means over the epoch's steps, with dropout and augmentation on; learning rates are means."
)


def epochs_table(findings: Findings) -> Table | None:
    """First, middle and last epoch of each configuration, over its runs."""
    if findings.epochs.empty:
        return None
    stages = stages_of(findings.epochs)
    stages["stage"] = pd.Categorical(stages["stage"], STAGES, ordered=True)
    stages["label"] = pd.Categorical(stages["label"], findings.ordered, ordered=True)
    raw = _over_runs(stages, ["label", "stage"], ("epoch", *EPOCH_QUANTITIES))
    shown = [
        {
            "configuration": str(row["label"]),
            "n": str(row["n"]),
            "stage": str(row["stage"]),
            "epoch": _figure(row, "epoch", 1, 1),
            **_shown_epoch(row),
        }
        for row in raw
    ]
    note = (
        "Mean ± standard deviation over n runs, each with its own last epoch; the middle one of k is (k + 1) / 2,"
        f" rounded down. {EPOCH_NOTE}"
    )
    return records_table("epochs", "First, middle and last epoch", raw, shown, note)


def original_epochs_table(findings: Findings) -> Table | None:
    """The epochs that the original report lists, beside those of the study that repeats it; None for other studies."""
    if findings.study.name != REPEATING_STUDY:
        return None
    raw: list[dict[Any, Any]] = []
    for label in findings.ordered:
        listed = ORIGINAL_EPOCHS.get(findings.study.architectures[label], ())
        own = findings.epochs[findings.epochs["label"] == label]
        here = {row["epoch"]: row for row in _over_runs(own, ["epoch"], EPOCH_QUANTITIES)}
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
            **_shown_epoch(row),
        }
        for row in raw
    ]
    note = f"Here: mean ± standard deviation over the n runs that got that far. {EPOCH_NOTE}"
    return records_table("original-epochs", "Epochs beside the original report", raw, shown, note)


def _over_runs(epochs: pd.DataFrame, by: list[str], quantities: Sequence[str]) -> list[dict[Any, Any]]:
    """Give n, and mean and standard deviation of each quantity, of each group of epochs, one epoch a run."""
    groups = epochs.groupby(by, observed=True)
    frame = groups.size().rename("n").to_frame()
    for quantity in quantities:
        frame[quantity] = groups[quantity].mean()
        frame[f"{quantity}_standard_deviation"] = groups[quantity].std()
    return frame.reset_index().to_dict("records")


def _shown_epoch(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "training accuracy, %": _figure(row, "train_accuracy", 100, 2),
        "validation accuracy, %": _figure(row, "validation_accuracy", 100, 2),
        "training loss": _figure(row, "train_loss", 1, 4),
        "validation loss": _figure(row, "validation_loss", 1, 4),
        "learning rate": f"{row['learning_rate']:.2g}",
    }


def _figure(row: Mapping[Any, Any], quantity: str, scale: float, digits: int) -> str:
    """Write a quantity with its spread; a single value, and one quoted, has none."""
    return with_spread(row[quantity], row.get(f"{quantity}_standard_deviation", math.nan), scale, digits)


def trainability_table(findings: Findings) -> Table | None:
    """Which configuration was hardest to train: divergence, overfitting, the epoch it peaked at, spread of seeds."""
    tried = set(findings.study.outcomes["label"])
    labels = [label for label in findings.every_label if label in tried]
    measured = trainability(findings.study.outcomes, labels)
    note = (
        "Generalisation gap: training accuracy, dropout and augmentation off, less test accuracy. Best epoch: that of"
        " the lowest validation loss. Spread of seeds: standard deviation of the test accuracy between repeats."
        f" {spread_words(findings)}"
    )
    raw = [_trainability_figures(item) for item in measured]
    return records_table(
        "trainability", "How hard it was to train", raw, [_shown_trainability(i) for i in measured], note
    )


def spread_words(findings: Findings) -> str:
    """Name the pairs whose spreads between repeats differ surely."""
    accuracy = findings.metrics.get("test_accuracy")
    labels = list(accuracy.of(findings.ordered)) if accuracy else []
    if len(labels) < 2:
        return ""
    rows = findings.study.finished
    compared = compare_spread(rows[rows["label"].isin(labels)], METRICS["test_accuracy"], labels)
    tested = [pair for pair in compared if not math.isnan(pair.p_holm)]
    if not tested:
        return "Too few repeats to compare spreads."
    sure = [pair for pair in tested if pair.p_holm <= 0.05]
    if not sure:
        return "No two spreads differ surely (Pitman-Morgan test, Holm-adjusted)."
    parts = [
        f"{a} is more consistent than {b} (spread {number(min(p.ratio, 1 / p.ratio), 2)} times as large,"
        f" {p_words(p.p_holm)})"
        for p in sure
        for a, b in [(p.a, p.b) if p.ratio < 1 else (p.b, p.a)]
    ]
    return f"By the Pitman-Morgan test, Holm-adjusted: {'; '.join(parts)}."


def _trainability_figures(item: Trainability) -> dict[str, object]:
    return {
        "label": item.label,
        "runs": item.runs,
        "failed": item.failed,
        "diverged": item.diverged,
        "diverged_share": item.diverged_share,
        "diverged_lower": item.diverged_interval.lower,
        "diverged_upper": item.diverged_interval.upper,
        "n": item.best_epoch.n,
        **_mean_and_deviation("generalisation_gap", item.generalisation_gap),
        **_mean_and_deviation("best_epoch", item.best_epoch),
        **_mean_and_deviation("epochs_run", item.epochs_run),
        "seed_spread": item.seed_spread,
        "seed_spread_lower": item.seed_spread_interval.lower,
        "seed_spread_upper": item.seed_spread_interval.upper,
    }


def _mean_and_deviation(name: str, summary: Summary) -> dict[str, float]:
    return {name: summary.mean, f"{name}_standard_deviation": summary.standard_deviation}


def _shown_trainability(item: Trainability) -> dict[str, str]:
    share, spread = item.diverged_interval, item.seed_spread_interval
    of_runs = f"{item.diverged} of {item.runs} [{number(100 * share.lower, 0)}, {number(100 * share.upper, 0)} %]"
    seed = number(100 * item.seed_spread, 3)
    if spread.known:
        seed += f" [{number(100 * spread.lower, 3)}, {number(100 * spread.upper, 3)}]"
    return {
        "configuration": item.label,
        "n": f"{item.best_epoch.n:,}",
        "diverged": of_runs if item.runs else NOTHING,
        "generalisation gap, points": _mean_and_spread(item.generalisation_gap, 100, 2),
        "best epoch": _mean_and_spread(item.best_epoch, 1, 1),
        "epochs run": _mean_and_spread(item.epochs_run, 1, 1),
        "spread of seeds, points": seed,
    }


def _mean_and_spread(summary: Summary, scale: float, digits: int) -> str:
    return with_spread(summary.mean, summary.standard_deviation, scale, digits)


def target_table(findings: Findings) -> Table | None:
    """Training time until the validation accuracy first reaches the target; runs that miss it count as infinite."""
    times = findings.target_times
    if times.empty or "train_seconds" not in findings.metrics:
        return None
    raw, shown = [], []
    for label in (label for label in findings.ordered if label in times):
        item = summarize_times(times[label].dropna())
        raw.append(_target_figures(label, item))
        shown.append(
            {
                "configuration": label,
                "n": f"{item.runs:,}",
                "reach it": f"{item.reached:,} ({number(100 * item.share_reached, 0)} %)",
                "median, s": number(item.median, 1),
                "lower quartile, s": number(item.lower_quartile, 1),
                "upper quartile, s": number(item.upper_quartile, 1),
            }
        )
    note = (
        f"Target: {100 * findings.target:g} % validation accuracy, which half of all runs reach, rounded down."
        f" {basis_words(findings.metrics['train_seconds'])}"
    )
    return records_table("time-to-target", f"Time to {100 * findings.target:g} % validation accuracy", raw, shown, note)


def _target_figures(label: str, item: TargetTimes) -> dict[str, object]:
    return {
        "label": label,
        "n": item.runs,
        "reached": item.reached,
        "share_reached": item.share_reached,
        "share_lower": item.share_interval.lower,
        "share_upper": item.share_interval.upper,
        "lower_quartile": item.lower_quartile,
        "median": item.median,
        "upper_quartile": item.upper_quartile,
    }
