"""Tables of how training went, from a study's findings: epochs, how hard it was, time to a target."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fmnist.compare import (
    FAMILY_ERROR,
    TARGET_ACCURACY,
    at_epoch_limit,
    holm,
    log_spread_ratio,
    standard_deviation_interval,
    wilson_interval,
)
from fmnist.report.chapters.claim_measures import common_values
from fmnist.report.epochs import STAGES, stages_of
from fmnist.report.study_data import Findings
from fmnist.report.table import NOTHING, Columns, Row, Table, figure, make_table, number, p_words

EPOCH_QUANTITIES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss", "learning_rate")
EPOCH_COLUMNS: Columns = {
    "training accuracy, %": figure("train_accuracy", 100, 2),
    "validation accuracy, %": figure("validation_accuracy", 100, 2),
    "training loss": figure("train_loss", digits=4),
    "validation loss": figure("validation_loss", digits=4),
    "learning rate": lambda row: NOTHING if pd.isna(row["learning_rate"]) else f"{row['learning_rate']:.2g}",
}
EPOCH_NOTE = (
    "Training figures are means over the epoch's steps, with dropout and augmentation on; learning rates are means."
)


def epochs_table(findings: Findings) -> Table | None:
    """First, middle and last epoch of each configuration, over its runs."""
    stages = stages_of(findings.epochs)
    stages["stage"] = pd.Categorical(stages["stage"], STAGES, ordered=True)
    stages["label"] = pd.Categorical(stages["label"], findings.ordered, ordered=True)
    rows = over_runs(stages, ["label", "stage"], ("epoch", *EPOCH_QUANTITIES))
    columns: Columns = {"configuration": "label", "n": "n", "stage": "stage", "epoch": figure("epoch", digits=1),
                        **EPOCH_COLUMNS}  # fmt: skip
    note = (
        "Mean ± standard deviation over n runs, each with its own last epoch; the middle one of k is (k + 1) / 2,"
        f" rounded down. {EPOCH_NOTE}"
    )
    return make_table("curves", "epochs", "First, middle and last epoch", rows, columns, note)


def over_runs(epochs: pd.DataFrame, by: list[str], quantities: Sequence[str]) -> list[dict[Any, Any]]:
    """Give n, and mean and standard deviation of each quantity, of each group of epochs, one epoch a run."""
    groups = epochs.groupby(by, observed=True)
    frame = groups.size().rename("n").to_frame()
    for quantity in quantities:
        frame[quantity] = groups[quantity].mean()
        frame[f"{quantity}_standard_deviation"] = groups[quantity].std()
    return frame.reset_index().to_dict("records")


def trainability_table(findings: Findings) -> Table | None:
    """Which configuration was hardest to train: divergence, overfitting, the epoch it peaked at, spread of seeds."""
    outcomes = findings.study.outcomes
    tried = set(outcomes["label"])
    rows = [
        {"label": label, **trainability(outcomes[outcomes["label"] == label])}
        for label in findings.every_label
        if label in tried
    ]
    columns: Columns = {
        "configuration": "label",
        "n": "n",
        "diverged": _diverged,
        "generalisation gap, points": figure("generalisation_gap", 100, 2),
        "best epoch": figure("best_epoch", digits=1),
        "ended by the limit of epochs": "at_epoch_limit",
        "epochs run": figure("epochs_run", digits=1),
        "spread of seeds, points": figure("seed_spread", 100, 3),
    }
    note = (
        "Generalisation gap: training accuracy, dropout and augmentation off, less test accuracy. Best epoch: that of"
        " the lowest validation loss; it might have come later in runs that their limit of epochs ended. Spread of"
        " seeds: standard deviation of the test accuracy between repeats, with Bonett's 95 % interval."
        f" {spread_words(findings)}"
    )
    return make_table("curves", "trainability", "How hard it was to train", rows, columns, note)


def _diverged(row: Row) -> str:
    share = [number(100 * row[f"diverged_{end}"], 0) for end in ("lower", "upper")]
    return "{} of {} [{}, {} %]".format(row["diverged"], row["runs"], *share) if row["runs"] else NOTHING


def trainability(rows: pd.DataFrame) -> dict[str, Any]:
    """Measure how training went for one configuration, over all its rows; accuracies are fractions.

    Failed runs tell of the machine and are only counted; means and spreads are over runs that did not diverge.
    """
    trained = rows[rows["status"] == "ok"]
    diverged = int((rows["status"] == "diverged").sum())
    runs = len(trained) + diverged
    share = wilson_interval(diverged, runs)
    figures = {
        "runs": runs, "failed": len(rows) - runs, "diverged": diverged,
        "diverged_share": diverged / runs if runs else math.nan,
        "diverged_lower": share.lower, "diverged_upper": share.upper,
        "n": len(trained), "at_epoch_limit": at_epoch_limit(trained),
    }  # fmt: skip
    quantities = trained.assign(generalisation_gap=trained["train_accuracy"] - trained["test_accuracy"])
    for name, values in quantities[["generalisation_gap", "best_epoch", "epochs_run"]].astype(float).items():
        figures |= {str(name): values.mean(), f"{name}_standard_deviation": values.std()}
    accuracy = trained["test_accuracy"].astype(float)
    spread = standard_deviation_interval(np.array(accuracy.dropna(), np.float64))
    return {**figures, "seed_spread": accuracy.std(), "seed_spread_lower": spread.lower,
            "seed_spread_upper": spread.upper}  # fmt: skip


def spread_words(findings: Findings) -> str:
    """Name the pairs whose spreads between repeats differ surely."""
    accuracy = findings.metrics.get("test_accuracy")
    samples = accuracy.of(findings.ordered) if accuracy else {}
    if len(samples) < 2:
        return ""
    pairs = itertools.combinations(samples, 2)
    compared = [(a, b, log_spread_ratio(*common_values(samples[a], samples[b]))) for a, b in pairs]
    tested = [(a, b, ratio) for a, b, ratio in compared if not math.isnan(ratio.value)]
    if not tested:
        return "Too few repeats to compare spreads."
    adjusted = holm(np.array([ratio.p_value(abs(ratio.value)) for _, _, ratio in tested]))
    basis = "mean absolute deviation from the median, jackknifed log ratio, Holm-adjusted over the pairs"
    parts = [
        f"{a if ratio.value < 0 else b} is more consistent than {b if ratio.value < 0 else a} (spread"
        f" {number(math.exp(-abs(ratio.value)), 2)} times as large, {p_words(p)})"
        for (a, b, ratio), p in zip(tested, adjusted, strict=True)
        if p <= FAMILY_ERROR
    ]
    return f"{'; '.join(parts) or 'No two spreads differ surely'} ({basis})."


def target_table(findings: Findings) -> Table | None:
    """Training time until the validation accuracy first reaches the target; None where times may not be compared.

    Runs that miss it count as infinite, so that quartiles are by order and not interpolated: between a finite and an
    infinite time there is nothing.
    """
    times = findings.target_times
    if findings.timing_refusal:
        return None
    rows: list[dict[str, Any]] = []
    for label in (label for label in findings.ordered if label in times):
        known = times[label].dropna().to_numpy(dtype=float)
        quartiles = np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf") if len(known) else [math.nan] * 3
        rows.append(
            {"label": label, "n": len(known), "reached": int(np.isfinite(known).sum()),
             **dict(zip(("lower_quartile", "median", "upper_quartile"), quartiles, strict=True))}
        )  # fmt: skip
    columns: Columns = {
        "configuration": "label",
        "n": "n",
        "reach it": "reached",
        "median, s": figure("median", digits=1),
        "lower quartile, s": figure("lower_quartile", digits=1),
        "upper quartile, s": figure("upper_quartile", digits=1),
    }
    title = f"Time to {100 * TARGET_ACCURACY:g} % validation accuracy"
    note = "Training time until the end of the first epoch that reaches it. Exclusive rows of one hardware."
    return make_table("costs", "time-to-target", title, rows, columns, note)
