"""What several chapters draw: the runs of each configuration, on axes that begin and end at a tick."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from fmnist.declare import Metric
from fmnist.report.style import INK, WARNING, Style, Styles, in_lines

Numbers = npt.NDArray[np.float64]

MOST_POINTS = 300  # drawn for each configuration; more would hide the box and swell the file
FEWEST_FOR_A_BOX = 20
MARGIN = 0.06  # of the span, above and below it
STEPS = [1, 2, 5, 10]  # between an axis' ticks, times powers of ten
STRETCHED_FROM, MOST_STRETCHED = 4.0, 1e9  # the largest value by the smallest, on a log axis
MOST_DECADES = 3  # with a tick at each step; beyond, at the powers of ten alone


def draw_distribution(
    axes: Axes,
    values: Mapping[str, Numbers],
    means: pd.DataFrame,
    metric: Metric,
    styles: Styles,
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
    thin = {"color": INK, "linewidth": 0.7}
    axes.boxplot([values], positions=[place - 0.12], orientation="horizontal", widths=0.5, patch_artist=True,
                 showfliers=False, manage_ticks=False, medianprops={"color": INK, "linewidth": 1.2}, whiskerprops=thin,
                 boxprops={"facecolor": "white", "edgecolor": style.colour, "linewidth": 0.9},
                 capprops=thin)  # fmt: skip


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
