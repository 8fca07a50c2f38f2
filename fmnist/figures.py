"""Figures of what the runs did: each function draws numbers on an Axes and returns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from fmnist.reporting.appearance import INK, QUIET, Look, numbered
from fmnist.schema import Metric

Numbers = npt.NDArray[np.float64]

MOST_POINTS = 300  # drawn for each configuration; more would hide the box and swell the file
FEWEST_FOR_A_BOX = 3
FEWEST_FOR_A_COURSE = 4  # epochs
FIRST_EPOCH_TAKES = 3.0  # a first epoch that makes the span of a curve so many times as large is left outside
MARGIN = 0.06  # of the span, above and below it


def draw_distribution(
    axes: Axes, values: Mapping[str, Numbers], metric: Metric, looks: Mapping[str, Look], *, note: str = ""
) -> Axes:
    """Draw each configuration's runs as points over a box (median, quartiles, whiskers to 1.5 times their distance).

    `values` maps labels to stored values of `metric`, shape (n,); those with fewer than three runs get points alone.
    """
    labels = list(values)
    for place, label in enumerate(labels):
        shown = values[label] * metric.scale
        if len(shown) >= FEWEST_FOR_A_BOX:
            _draw_box(axes, shown, place, looks[label])
        _draw_points(axes, shown, place, looks[label])
    _name_rows(axes, numbered(labels, [len(values[label]) for label in labels]))
    axes.set_xlabel(with_unit(metric))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if metric.kind != "accuracy" and values:
        stretch_axis(axes, np.concatenate(list(values.values())) * metric.scale)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    if note:
        axes.set_title(note, color="#a03000", fontsize=7.5)
    return axes


def _draw_box(axes: Axes, values: Numbers, place: int, look: Look) -> None:
    drawn = axes.boxplot(
        [values],
        positions=[place],
        orientation="horizontal",
        widths=0.62,
        showfliers=False,  # every point is drawn anyway
        patch_artist=True,
        manage_ticks=False,
        medianprops={"color": INK, "linewidth": 1.4},
        whiskerprops={"color": INK, "linewidth": 0.7},
        capprops={"color": INK, "linewidth": 0.7},
    )
    box = drawn["boxes"][0]
    box.set(facecolor="white", edgecolor=look.colour, linewidth=1.1, hatch=look.hatch)
    box.set_hatchcolor(look.colour + "66")


def _draw_points(axes: Axes, values: Numbers, place: int, look: Look) -> None:
    random = np.random.default_rng(place)
    if len(values) > MOST_POINTS:
        values = random.choice(values, MOST_POINTS, replace=False)
    heights = place + random.uniform(-0.2, 0.2, len(values)) * (len(values) > 1)
    many = len(values) > 50
    axes.scatter(
        values,
        heights,
        s=6 if many else 16,
        marker=look.marker,
        color=look.colour,
        alpha=0.5 if many else 0.9,
        edgecolor="white",
        linewidth=0.2 if many else 0.5,
        zorder=3,
    )


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def stretch_axis(axes: Axes, values: Numbers) -> None:
    """Give the x axis a log scale, with plain numbers at 1, 2 and 5, where the values span more than a factor of 4."""
    if not values.min() > 0 or values.max() <= 4 * values.min():
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def with_unit(metric: Metric) -> str:
    """Name a metric with the unit its values are shown in."""
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def draw_curves(axes: Axes, epochs: pd.DataFrame, quantity: str, look: Look) -> Axes:
    """Draw training (dashed) and validation (line) by epoch: mean over repeats, band of one standard deviation.

    `epochs` has one row for each epoch of each run of one configuration; `quantity` is `accuracy` or `loss`.
    An epoch is drawn while at least half of the runs reach it: the mean of a few survivors is another mean.
    """
    scale = 100 if quantity == "accuracy" else 1
    curves = {}
    for part, name, line, colour in (
        ("train", "training", "--", QUIET),
        ("validation", "validation", "-", look.colour),
    ):
        curve = curves[name] = mean_curve(epochs, f"{part}_{quantity}").fillna({"std": 0}) * scale
        axes.plot(curve.index, curve["mean"], linestyle=line, color=colour, label=name)
        low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
        axes.fill_between(curve.index, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylabel("accuracy (%)" if quantity == "accuracy" else "loss (nats)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    look_past_first_epoch(axes, {name: curve["mean"] for name, curve in curves.items()})
    return axes


def look_past_first_epoch(axes: Axes, curves: Mapping[str, pd.Series]) -> None:
    """Let the y axis span the later epochs where the first would take most of it, and write what lies outside.

    `curves` are the drawn means by epoch; with fewer than four there is no course to look at.
    """
    curves = {name: curve for name, curve in curves.items() if len(curve)}
    if max(map(len, curves.values()), default=0) < FEWEST_FOR_A_COURSE:
        return
    later = pd.concat([curve.iloc[1:] for curve in curves.values()])
    span = later.max() - later.min()
    first = {name: curve.iloc[0] for name, curve in curves.items()}
    whole = max(later.max(), *first.values()) - min(later.min(), *first.values())
    if not span > 0 or whole <= FIRST_EPOCH_TAKES * span:
        return
    low, high = later.min() - MARGIN * span, later.max() + MARGIN * span
    axes.set_ylim(low, high)
    below = [name for name, value in first.items() if value < low]
    above = [name for name, value in first.items() if value > high]
    for names, height, side in ((below, 0.03, "bottom"), (above, 0.97, "top")):
        words = "\n".join(f"{name}, epoch {curves[name].index[0]}: {first[name]:#.3g}" for name in names)
        axes.text(0.14, height, words, transform=axes.transAxes, verticalalignment=side, fontsize=6.5)


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
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def draw_validation(axes: Axes, epochs: Mapping[str, pd.DataFrame], looks: Mapping[str, Look]) -> Axes:
    """Draw the mean validation accuracy by epoch of every configuration together."""
    curves = {label: mean_curve(frame, "validation_accuracy")["mean"] * 100 for label, frame in epochs.items()}
    for label, curve in curves.items():
        look, every = looks[label], max(len(curve) // 6, 1)
        axes.plot(curve.index, curve, color=look.colour, linestyle=look.line, marker=look.marker, markevery=every,
                  label=label)  # fmt: skip
    look_past_first_epoch(axes, curves)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return name_lines(axes)


def name_lines(axes: Axes) -> Axes:
    """Put the legend below the axes, in two columns, where it hides nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=2.8, columnspacing=1.2)
    return axes


def draw_confusion(axes: Axes, counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> Axes:
    """Draw counts of shape (true, predicted) as percent of each true class; shares under 0.05 % are left blank."""
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(totals, 1)
    axes.imshow(np.sqrt(percent), cmap="Blues", vmin=0, vmax=10.5)  # the root shows the mistakes beside the diagonal
    for (true, predicted), value in np.ndenumerate(percent):
        if value >= 0.05:
            text = f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
            colour = "white" if value > 40 else INK
            axes.text(predicted, true, text, ha="center", va="center", fontsize=6, color=colour)
    axes.set_xticks(range(len(class_names)), class_names, rotation=90)
    axes.set_yticks(range(len(class_names)), class_names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return axes


def draw_recall(axes: Axes, recall: pd.DataFrame) -> Axes:
    """Draw the mean recall (rows configurations, columns classes, in [0, 1]) as a table shaded by its value."""
    percent = recall.to_numpy(dtype=float) * 100
    lowest = float(np.floor(np.nanmin(percent)))
    axes.imshow(percent, cmap="Blues", vmin=lowest - 0.3 * (100 - lowest), vmax=105, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        dark = value > lowest + 0.72 * (100 - lowest)
        axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color="white" if dark else INK)
    axes.set_xticks(range(recall.shape[1]), list(recall.columns), rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(recall.shape[0]), list(recall.index))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def draw_example(axes: Axes, image: npt.NDArray[np.uint8], true: str, predicted: str, confidence: float) -> Axes:
    """Draw one image, shape (28, 28), with the class predicted, its probability, and the true class."""
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    right = true == predicted
    axes.spines[:].set(visible=True, color=QUIET if right else "#a03000", linewidth=0.8 if right else 1.4)
    verdict = f"{predicted}\n{100 * confidence:.1f} %" + ("" if right else f"\ntrue: {true}")
    axes.set_xlabel(verdict, fontsize=7, labelpad=2)
    return axes


def draw_reliability(axes: Axes, confidence: Numbers, accuracy: Numbers, share: Numbers, look: Look) -> Axes:
    """Draw how often a prediction of each confidence is right; on the diagonal the confidence is deserved.

    Three arrays of shape (bins,): mean confidence and accuracy of each bin, and its share of the predictions in
    [0, 1], drawn as bars from below. Empty bins are nan.
    """
    edges = np.linspace(0, 1, len(share) + 1)
    axes.bar(edges[:-1], share, width=np.diff(edges), align="edge", color="#dddddd", edgecolor="white", linewidth=0.5)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
    there = np.isfinite(confidence)
    axes.plot(confidence[there], accuracy[there], color=look.colour, linestyle=look.line, marker=look.marker)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share right (bars: share of predictions)")
    axes.set_aspect("equal")
    return axes
