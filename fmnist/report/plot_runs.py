"""Figures of what the runs did: each function draws numbers on an Axes and returns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from fmnist.declare import Metric
from fmnist.report.style import INK, QUIET, WARNING, Style, in_lines

Numbers = npt.NDArray[np.float64]

MOST_POINTS = 300  # drawn for each configuration; more would hide the box and swell the file
FEWEST_FOR_A_BOX = 20
FEWEST_FOR_A_COURSE = 4  # epochs
FIRST_EPOCH_TAKES = 3.0  # a first epoch that makes the span of a curve so many times as large is left outside
MARGIN = 0.06  # of the span, above and below it
STEPS = [1, 2, 5, 10]  # between an axis' ticks, times powers of ten
STRETCHED_FROM, MOST_STRETCHED = 4.0, 1e9  # the largest value by the smallest, on a log axis
MOST_DECADES = 3  # with a tick at each step; beyond, at the powers of ten alone


def draw_distribution(
    axes: Axes,
    values: Mapping[str, Numbers],
    means: pd.DataFrame,
    metric: Metric,
    styles: Mapping[str, Style],
    *,
    note: str = "",
) -> Axes:
    """Draw each configuration's runs as points, below them their mean with its interval.

    `values` maps labels to stored values of `metric`, shape (n,); from 20 runs on a box stands behind the points
    (median, quartiles, whiskers to 1.5 times their distance). `means` has the labels as index and the columns mean,
    low, high and, if the original report's figures are to be drawn as hollow diamonds, original, in stored units; what
    is nan is not drawn.
    """
    shown = means.loc[list(values)] * metric.scale
    for place, ((label, stored), (_, row)) in enumerate(zip(values.items(), shown.iterrows(), strict=True)):
        style, below = styles[label], place + 0.26
        if len(stored) >= FEWEST_FOR_A_BOX:
            _draw_box(axes, stored * metric.scale, place, style)
        _draw_points(axes, stored * metric.scale, place, style)
        axes.plot([row["low"], row["high"]], [below, below], color=INK, linewidth=1.4)
        axes.plot(row["mean"], below, marker="|", color=INK, markersize=6, linestyle="")
        if "original" in row:
            axes.plot(row["original"], below, marker="d", color=INK, markersize=7, fillstyle="none", linestyle="")
    axes.set_yticks(range(len(values)), [in_lines(f"{label} (n={len(stored):,})") for label, stored in values.items()])
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_xlabel(with_unit(metric))
    drawn = np.concatenate([*values.values(), *means.to_numpy(dtype=float)]) * metric.scale
    fit_axis(axes, "x", drawn, stretch=metric.by_ratio)
    return mark(axes, note)


def mark(axes: Axes, note: str) -> Axes:
    """Say above a figure what a reader must know first."""
    axes.set_title(note, color=WARNING, fontsize=7.5)
    return axes


def _draw_box(axes: Axes, values: Numbers, place: int, style: Style) -> None:
    axes.boxplot(
        [values],
        positions=[place - 0.12],
        orientation="horizontal",
        widths=0.5,
        showfliers=False,  # every point is drawn anyway
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": "white", "edgecolor": style.colour, "linewidth": 0.9},
        medianprops={"color": INK, "linewidth": 1.2},
        whiskerprops={"color": INK, "linewidth": 0.7},
        capprops={"color": INK, "linewidth": 0.7},
    )


def _draw_points(axes: Axes, values: Numbers, place: int, style: Style) -> None:
    random = np.random.default_rng(place)
    if len(values) > MOST_POINTS:
        values = random.choice(values, MOST_POINTS, replace=False)
    heights = place - 0.12 + random.uniform(-0.16, 0.16, len(values)) * (len(values) > 1)
    size, alpha, edge = (6, 0.5, 0.2) if len(values) > 50 else (14, 0.9, 0.5)
    axes.scatter(values, heights, s=size, marker=style.marker, color=style.colour, alpha=alpha, edgecolor="white",
                 linewidth=edge, zorder=3)  # fmt: skip


def fit_axis(axes: Axes, which: Literal["x", "y"], values: Numbers, *, stretch: bool = False) -> None:
    """Let an axis begin and end at a tick beyond the values; nan is left out.

    With `stretch` it gets a log scale where the values span a factor of 4 to a billion.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-6 * abs(high):  # all alike
        low, high = low - 0.01 * (abs(low) or 1), high + 0.01 * (abs(high) or 1)
    if stretch and low > 0 and STRETCHED_FROM * low < high < MOST_STRETCHED * low:
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        ticks = np.outer(powers, STEPS[:3] if len(powers) <= MOST_DECADES + 1 else STEPS[:1]).ravel()
        axes.set(**{f"{which}scale": "log"})
    else:
        beyond = MARGIN * (high - low)
        low, high = low - beyond, high + beyond
        ticks = np.asarray(MaxNLocator(5, steps=STEPS).tick_values(low, high))
    first = max(int(np.searchsorted(ticks, low, side="right")) - 1, 0)
    ticks = ticks[first : int(np.searchsorted(ticks, high)) + 1]
    axis.set_major_locator(FixedLocator(ticks.tolist()))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set(**{f"{which}lim": (ticks[0], ticks[-1])})


def with_unit(metric: Metric) -> str:
    """Name a metric with the unit its values are shown in."""
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


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


def draw_validation(axes: Axes, epochs: Mapping[str, pd.DataFrame], styles: Mapping[str, Style]) -> Axes:
    """Draw the mean validation accuracy by epoch of every configuration together; thin once runs have stopped."""
    curves = {label: mean_curve(frame, "validation_accuracy") for label, frame in epochs.items()}
    for label, curve in curves.items():
        curve["mean"] *= 100
        _draw_curve(axes, curve, **styles[label].line_options, markevery=max(len(curve) // 6, 1), label=label)
    look_past_first_epoch(axes, {label: curve["mean"] for label, curve in curves.items()})
    count_epochs(axes, max(int(curve.index.max()) for curve in curves.values()))
    axes.set_ylabel("validation accuracy (%)")
    return axes


def draw_confusion(axes: Axes, counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> Axes:
    """Draw counts of shape (true, predicted) as percent of each true class; shares under 0.05 % are left blank."""
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(totals, 1)
    one, none = np.strings.mod("%.1f", percent), np.strings.mod("%.0f", percent)  # digits after the point
    texts = np.where(percent < 0.05, "", np.where(percent < 9.95, one, none))
    _draw_shaded(axes, np.sqrt(percent), (0, 10.5), texts)  # the root shows the mistakes beside the diagonal
    axes.set_xticks(range(len(class_names)), class_names, rotation=90)
    axes.set_yticks(range(len(class_names)), class_names)
    axes.set(xlabel="predicted class", ylabel="true class")
    return axes


def draw_recall(axes: Axes, recall: pd.DataFrame) -> Axes:
    """Draw the mean recall (rows configurations, columns classes, in [0, 1]) as a table shaded by its value."""
    percent = recall.to_numpy(dtype=float) * 100
    lowest = float(np.floor(np.nanmin(percent)))
    _draw_shaded(axes, percent, (lowest - 0.3 * (100 - lowest), 105), np.strings.mod("%.1f", percent))
    axes.set_aspect("auto")
    axes.set_xticks(range(recall.shape[1]), list(recall.columns), rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(recall.shape[0]), map(in_lines, recall.index))
    return axes


def _draw_shaded(axes: Axes, shade: Numbers, span: tuple[float, float], texts: npt.NDArray[np.str_]) -> None:
    """Draw a table of texts, each cell shaded by where its value lies in the span; on dark cells they are white."""
    axes.imshow(shade, cmap="Blues", vmin=span[0], vmax=span[1])
    dark_from = span[0] + 0.6 * (span[1] - span[0])
    for (row, column), text in np.ndenumerate(texts):
        if text:
            colour = "white" if shade[row, column] > dark_from else INK
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_example(axes: Axes, image: npt.NDArray[np.uint8], true: str, predicted: str, confidence: float) -> Axes:
    """Draw one image, shape (side, side), with the class predicted, its probability, and the true class."""
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    right = true == predicted
    axes.spines[:].set(visible=True, color=QUIET if right else WARNING, linewidth=0.8 if right else 1.4)
    verdict = f"{predicted}\n{100 * confidence:.1f} %" + ("" if right else f"\ntrue: {true}")
    axes.set_xlabel(verdict, fontsize=7, labelpad=2)
    return axes


def draw_reliability(axes: Axes, confidence: Numbers, accuracy: Numbers, share: Numbers, style: Style) -> Axes:
    """Draw how often a prediction of each confidence is right; on the diagonal the confidence is deserved.

    Three arrays of shape (bins,): mean confidence and accuracy of each bin, and its share of the predictions in
    [0, 1], drawn as bars from below. Empty bins are nan.
    """
    edges = np.linspace(0, 1, len(share) + 1)
    axes.bar(edges[:-1], share, width=np.diff(edges), align="edge", color="#dddddd", edgecolor="white", linewidth=0.5)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
    there = np.isfinite(confidence)
    axes.plot(confidence[there], accuracy[there], **style.line_options, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share right (bars: share of predictions)")
    axes.set_aspect("equal")
    return axes
