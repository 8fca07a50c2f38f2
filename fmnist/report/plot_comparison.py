"""Figures of how configurations compare: each function draws numbers on an Axes and returns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fmnist.declare import Metric
from fmnist.report.plot_runs import fit_axis, with_unit
from fmnist.report.style import INK, QUIET, Style, in_lines

VERDICT_COLOURS = {"better": "#9ecae1", "worse": "#fdae6b", "equivalent": "#d9d9d9", "inconclusive": "white"}
VERDICT_SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "inconclusive": "?"}


def draw_critical_difference(axes: Axes, ranks: Mapping[str, float], cliques: Sequence[Sequence[str]]) -> Axes:
    """Draw average ranks on a line, the best (1) at the left; a bar joins configurations that are not told apart.

    After Demsar (2006), figure 1, with the cliques of the adjusted pairwise tests in place of one critical distance.
    """
    ordered = sorted(ranks, key=lambda label: ranks[label])
    count, half = len(ordered), (len(ordered) + 1) // 2
    bars = [sorted(ranks[label] for label in clique) for clique in cliques if len(clique) > 1]
    levels = stack_bars([(bar[0], bar[-1]) for bar in bars])
    first_line = 0.35 + 0.22 * (max(levels, default=-1) + 1)
    axes.plot([1, max(count, 2)], [0, 0], color=INK, linewidth=1)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, -0.12], color=INK, linewidth=0.8)
        axes.text(tick, -0.18, str(tick), ha="center", va="bottom", fontsize=7.5)
    for level, bar in zip(levels, bars, strict=True):
        axes.plot([bar[0] - 0.04, bar[-1] + 0.04], [0.2 + 0.22 * level] * 2, color=INK, linewidth=3.2)
    margin = 0.06 * max(count - 1, 1)
    for place, label in enumerate(ordered):
        left = place < half
        depth = first_line + 0.32 * (place if left else count - 1 - place)
        end = 1 - margin if left else max(count, 2) + margin
        axes.plot([ranks[label], ranks[label], end], [0, depth, depth], color=INK, linewidth=0.7)
        text = f"{in_lines(label)}  {ranks[label]:.2f}" if left else f"{ranks[label]:.2f}  {in_lines(label)}"
        axes.text(end - 0.03 if left else end + 0.03, depth, text, ha="right" if left else "left", va="center")
    axes.set_ylim(first_line + 0.32 * half, -0.5)
    axes.axis("off")
    return axes


def stack_bars(bars: Sequence[tuple[float, float]]) -> list[int]:
    """Give each bar (from, to), ordered by its start, the lowest level at which it touches none."""
    ends: list[float] = []  # of the last bar of each level
    levels = []
    for start, end in bars:
        level = next((place for place, last in enumerate(ends) if last < start - 0.1), len(ends))
        ends[level : level + 1] = [end]
        levels.append(level)
    return levels


def draw_verdicts(axes: Axes, labels: Sequence[str], cells: Mapping[tuple[str, str], tuple[str, str]]) -> Axes:
    """Draw the verdict on each pair once: the row's configuration is better, worse, equivalent or inconclusive.

    `cells` maps (row, column), the row before the column in `labels`, to (verdict, difference as text); the verdict has
    a sign besides its colour.
    """
    for (row, column), (verdict, difference) in cells.items():
        x, y = labels.index(column), labels.index(row)
        axes.fill_between([x - 0.48, x + 0.48], y - 0.46, y + 0.46, color=VERDICT_COLOURS[verdict], linewidth=0)
        axes.text(x, y - 0.24, VERDICT_SIGNS[verdict], ha="center", va="center", fontsize=8, fontfamily="DejaVu Sans")
        axes.text(x, y + 0.16, difference.replace(" [", "\n["), ha="center", va="center", fontsize=6.5)
    axes.set_xticks(range(1, len(labels)), map(in_lines, labels[1:]), rotation=40, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(labels) - 1), map(in_lines, labels[:-1]))
    axes.xaxis.tick_top()
    axes.set(xlim=(0.5, len(labels) - 0.5), ylim=(len(labels) - 1.5, -0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def draw_trade_off(
    axes: Axes,
    costs: pd.DataFrame,
    gains: pd.DataFrame,
    metrics: tuple[Metric, Metric],
    styles: Mapping[str, Style],
    front: Sequence[str] = (),
) -> Axes:
    """Draw the gain against the cost, means with their intervals, and the Pareto front as steps.

    `costs` and `gains` have the labels as index and the columns mean, low, high in stored units of `metrics`, of the
    cost and the gain; an interval that is nan is not drawn.
    """
    across, up = costs * metrics[0].scale, gains * metrics[1].scale
    reach = [np.nan_to_num((shown["high"] - shown["low"]) / 2) for shown in (across, up)]
    for label, x, y, dx, dy in zip(costs.index, across["mean"], up["mean"], *reach, strict=True):
        style = styles[str(label)]
        axes.errorbar(x, y, xerr=dx, yerr=dy, fmt=style.marker, color=style.colour, markersize=6, elinewidth=0.8,
                      label=str(label))  # fmt: skip
    if front:
        best = across["mean"][list(front)].sort_values()
        axes.step(best, up["mean"][best.index], where="post", color=QUIET, linewidth=0.9, linestyle="--", zorder=0,
                  label="Pareto front")  # fmt: skip
    fit_axis(axes, "x", across.to_numpy(dtype=float), stretch=True)
    fit_axis(axes, "y", up.to_numpy(dtype=float))
    axes.set(xlabel=with_unit(metrics[0]), ylabel=with_unit(metrics[1]))
    return axes
