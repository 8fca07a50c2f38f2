"""The chapter on learning: curves by epoch, first and last epochs, and how hard each configuration was to train."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from fmnist.compare import (
    FAMILY_ERROR,
    at_epoch_limit,
    holm,
    log_spread_ratio,
    standard_deviation_interval,
    wilson_interval,
)
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.epochs import STAGES, stages_of
from fmnist.report.plot import MARGIN, STEPS
from fmnist.report.study_data import StudyData, common_values
from fmnist.report.style import COLUMN_INCHES, INK, QUIET, Style, Styles, legend_below, new_axes, new_figure
from fmnist.report.table import Columns, Row, Table, column, make_table, present
from fmnist.report.text import NOTHING, number, p_words

FEWEST_FOR_A_COURSE = 4  # epochs
FIRST_EPOCH_TAKES = 3.0  # a first epoch that makes the span of a curve so many times as large is left outside
EPOCH_QUANTITIES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss", "learning_rate")
EPOCH_COLUMNS: Columns = {
    "training accuracy, %": column("train_accuracy", 100, 2),
    "validation accuracy, %": column("validation_accuracy", 100, 2),
    "training loss": column("train_loss", digits=4),
    "validation loss": column("validation_loss", digits=4),
    "learning rate": lambda row: NOTHING if pd.isna(row["learning_rate"]) else f"{row['learning_rate']:.2g}",
}
EPOCH_NOTE = (
    "Training figures are means over the epoch's steps, with dropout and augmentation on; learning rates are means."
)


def curves_chapter(data: StudyData, styles: Styles) -> Chapter:
    """How training went."""
    tables = present(epochs_table(data), trainability_table(data))
    return Chapter(key="curves", title="Learning curves", figures=curve_figures(data, styles), tables=tables)


def curve_figures(data: StudyData, styles: Styles) -> Iterator[Figure]:
    """Validation accuracy of all configurations together, and the curves of each; one epoch makes no curve."""
    epochs = {label: rows for label in data.ranked_labels if len(rows := data.epochs_of(label))}
    with_a_course = {label: rows for label, rows in epochs.items() if rows["epoch"].max() > 1}
    if not with_a_course:
        return
    axes = draw_validation(new_axes(), epochs, styles)
    caption = "Mean over the runs, thin once some have stopped, while at least half of them go on."
    means = {label: mean_curve(rows, "validation_accuracy")["mean"] for label, rows in epochs.items()}
    ends = {label: f"{number(mean.iloc[-1], 1, scale=100)} %" for label, mean in means.items()}
    alt = f"Curves. At their ends: {', '.join(f'{label} {end}' for label, end in ends.items())}."
    yield Figure(name="validation", title="Validation accuracy by epoch", caption=caption, alt=alt,
                 drawing=legend_below(axes))  # fmt: skip
    for label, rows in with_a_course.items():
        caption = (
            f"n = {number(rows['run'].nunique())}. Means over the runs with bands of one standard deviation, thin once"
            " some have stopped, while at least half of them go on; training (dashed) with dropout and augmentation on,"
            " as its epoch ran. Learning rate: median and range."
        )
        alt = f"Accuracy, loss and learning rate by epoch, up to {ends[label]} validation accuracy."
        yield Figure(name=f"curves-{label}", title=f"{label}: learning curves", caption=caption, alt=alt,
                     drawing=_draw_curves(rows, styles[label]))  # fmt: skip


def _draw_curves(epochs: pd.DataFrame, style: Style) -> Drawing:
    drawing = new_figure(COLUMN_INCHES, 4.4)
    grid = drawing.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.3])
    draw_curves(grid[0], epochs, "accuracy", style).legend(loc="lower right")
    draw_curves(grid[1], epochs, "loss", style)
    draw_learning_rate(grid[2], epochs)
    drawing.align_ylabels()
    return drawing


def draw_curves(axes: Axes, epochs: pd.DataFrame, quantity: str, style: Style) -> Axes:
    """Draw training (dashed) and validation (line) by epoch: mean over repeats, band of one standard deviation.

    `epochs` has one row for each epoch of each run of one configuration; `quantity` is `accuracy` or `loss`.
    An epoch is drawn while at least half of the runs reach it: the mean of a few survivors is another mean.
    """
    scale = 100 if quantity == "accuracy" else 1
    curves = {}
    parts = (("train", "training", "--", QUIET), ("validation", "validation", "-", style.colour))
    for part, name, line, colour in parts:
        curve = curves[name] = mean_curve(epochs, f"{part}_{quantity}").fillna({"std": 0})
        curve[["mean", "std"]] *= scale
        _draw_curve(axes, curve, linestyle=line, color=colour, label=name)
        low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
        axes.fill_between(curve.index, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylabel("accuracy (%)" if quantity == "accuracy" else "loss (nats)")
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    look_past_first_epoch(axes, {name: curve["mean"] for name, curve in curves.items()})
    return axes


def _draw_curve(axes: Axes, curve: pd.DataFrame, **style: Any) -> None:
    """Draw a mean by epoch, thin and pale from the epoch after which not every run goes on."""
    whole = curve[curve["count"] == curve["count"].max()]
    axes.plot(whole.index, whole["mean"], **style)
    fewer = curve.loc[whole.index[-1] :]
    if len(fewer) > 1:
        axes.plot(fewer.index, fewer["mean"], **(style | {"marker": "", "label": None, "linewidth": 0.7, "alpha": 0.6}))


def count_epochs(axes: Axes, last: int) -> None:
    """Let the x axis begin at epoch 1 and have a tick there."""
    last = max(last, 2)
    ticks = np.asarray(MaxNLocator(5, integer=True, steps=STEPS).tick_values(1, last))
    axes.set_xlim(1 - 0.02 * last, 1.02 * last)
    axes.xaxis.set_major_locator(FixedLocator([1, *ticks[(ticks > 1) & (ticks <= last)].tolist()]))
    axes.set_xlabel("epoch")


def look_past_first_epoch(axes: Axes, curves: Mapping[str, pd.Series]) -> None:
    """Let the y axis span the later epochs where the first would take most of it, and write what lies outside.

    `curves` are the drawn means by epoch; with fewer than four epochs there is no course to look at.
    """
    means = pd.DataFrame(curves)
    if len(means) < FEWEST_FOR_A_COURSE:
        return
    first, later = means.iloc[0], means.iloc[1:]
    low, high = np.nanmin(later.to_numpy()), np.nanmax(later.to_numpy())
    whole = max(high, first.max()) - min(low, first.min())
    if not high > low or whole <= FIRST_EPOCH_TAKES * (high - low):
        return
    beyond = MARGIN * (high - low)
    low, high = low - beyond, high + beyond
    axes.set_ylim(low, high)
    for outside, height, side in ((first[first < low], 0.03, "bottom"), (first[first > high], 0.97, "top")):
        words = "\n".join(f"{name}, epoch {means.index[0]}: {value:#.3g}" for name, value in outside.items())
        axes.text(0.14, height, words, transform=axes.transAxes, verticalalignment=side, fontsize=7)


def mean_curve(epochs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Give mean, std (n - 1) and count of a column by epoch, for the epochs that at least half of the runs reach."""
    curve = epochs.groupby("epoch")[column].agg(["mean", "std", "count"])
    return curve[curve["count"] >= epochs["run"].nunique() / 2]


def draw_learning_rate(axes: Axes, epochs: pd.DataFrame) -> Axes:
    """Draw the learning rate by epoch on a log scale: median over repeats, band from the lowest to the highest."""
    by_epoch = epochs.groupby("epoch")["learning_rate"].agg(["median", "min", "max"])
    axes.step(by_epoch.index, by_epoch["median"], where="mid", color=INK)
    axes.fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], step="mid", color=INK, alpha=0.15, linewidth=0)
    axes.set_yscale("log")
    if by_epoch["min"].min() == by_epoch["max"].max():
        axes.set_yticks([by_epoch["max"].max()])
    else:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=4))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("learning rate")
    count_epochs(axes, int(by_epoch.index.max()))
    return axes


def draw_validation(axes: Axes, epochs: Mapping[str, pd.DataFrame], styles: Styles) -> Axes:
    """Draw the mean validation accuracy by epoch of every configuration together; thin once runs have stopped."""
    curves = {label: mean_curve(frame, "validation_accuracy") for label, frame in epochs.items()}
    for label, curve in curves.items():
        curve["mean"] *= 100
        _draw_curve(axes, curve, **styles[label].line_options, markevery=max(len(curve) // 6, 1), label=label)
    look_past_first_epoch(axes, {label: curve["mean"] for label, curve in curves.items()})
    count_epochs(axes, max(int(curve.index.max()) for curve in curves.values()))
    axes.set_ylabel("validation accuracy (%)")
    return axes


def epochs_table(data: StudyData) -> Table | None:
    """First, middle and last epoch of each configuration, over its runs."""
    stages = stages_of(data.epochs)
    stages["stage"] = pd.Categorical(stages["stage"], STAGES, ordered=True)
    stages["label"] = pd.Categorical(stages["label"], data.ranked_labels, ordered=True)
    rows = over_runs(stages, ["label", "stage"], ("epoch", *EPOCH_QUANTITIES))
    columns: Columns = {"configuration": "label", "n": "n", "stage": "stage", "epoch": column("epoch", digits=1),
                        **EPOCH_COLUMNS}  # fmt: skip
    note = (
        "Mean ± standard deviation over n runs, each with its own last epoch; the middle one of k is (k + 1) / 2,"
        f" rounded down. {EPOCH_NOTE}"
    )
    return make_table("epochs", "First, middle and last epoch", rows, columns, note)


def over_runs(epochs: pd.DataFrame, by: list[str], quantities: Sequence[str]) -> list[dict[Any, Any]]:
    """Give n, and mean and standard deviation of each quantity, of each group of epochs, one epoch a run."""
    groups = epochs.groupby(by, observed=True)
    frame = groups.size().rename("n").to_frame()
    for quantity in quantities:
        frame[quantity] = groups[quantity].mean()
        frame[f"{quantity}_standard_deviation"] = groups[quantity].std()
    return frame.reset_index().to_dict("records")


def trainability_table(data: StudyData) -> Table | None:
    """Which configuration was hardest to train: divergence, overfitting, the epoch it peaked at, spread of seeds."""
    outcomes = data.study.outcomes
    tried = set(outcomes["label"])
    rows = [
        {"label": label, **trainability(outcomes[outcomes["label"] == label])}
        for label in data.listed_labels
        if label in tried
    ]
    columns: Columns = {
        "configuration": "label",
        "n": "n",
        "diverged": _diverged,
        "generalisation gap, percentage points": column("generalisation_gap", 100, 2),
        "best epoch": column("best_epoch", digits=1),
        "ended by the limit of epochs": "at_epoch_limit",
        "epochs run": column("epochs_run", digits=1),
        "spread of seeds, pp": column("seed_spread", 100, 3),
    }
    note = (
        "Generalisation gap: training accuracy, dropout and augmentation off, less test accuracy. Best epoch: that of"
        " the lowest validation loss; it might have come later in runs that their limit of epochs ended. Spread of"
        " seeds: standard deviation of the test accuracy between repeats, with Bonett's 95 % interval."
        f" {spread_words(data)}"
    )
    return make_table("trainability", "How hard it was to train", rows, columns, note)


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


def spread_words(data: StudyData) -> str:
    """Name the pairs whose spreads between repeats differ significantly."""
    accuracy = data.metrics.get("test_accuracy")
    samples = accuracy.samples_of(data.ranked_labels) if accuracy else {}
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
    return f"{'; '.join(parts) or 'No two spreads differ significantly'} ({basis})."
