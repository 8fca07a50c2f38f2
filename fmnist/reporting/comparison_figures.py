"""Figures of how configurations compare: each function draws numbers on an Axes and returns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from fmnist.figures import Numbers, draw_mean, fit_axis, name_rows, with_unit
from fmnist.reporting.appearance import INK, QUIET, Look, in_lines
from fmnist.schema import Metric

VERDICT_COLOURS = {"better": "#9ecae1", "worse": "#fdae6b", "equivalent": "#d9d9d9", "undecided": "white"}
VERDICT_SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": "?"}


def draw_intervals(axes: Axes, summary: pd.DataFrame, metric: Metric, looks: Mapping[str, Look]) -> Axes:
    """Draw mean and interval of each configuration beside the figure the original report gives, a hollow diamond.

    `summary` has the labels as index and the columns mean, low, high and original, in stored units; nan is left out.
    """
    shown = summary * metric.scale
    for place, (label, row) in enumerate(shown.iterrows()):
        look = looks[str(label)]
        draw_mean(axes, row, place, look.marker, look.colour)
        axes.plot(row["original"], place, marker="d", markersize=7, markerfacecolor="none", markeredgecolor=INK,
                  linestyle="")  # fmt: skip
    axes.plot([], [], marker="o", color=INK, linestyle="-", label="here: mean, 95 % interval")
    axes.plot([], [], marker="d", markerfacecolor="none", markeredgecolor=INK, linestyle="", label="original report")
    name_rows(axes, [str(label) for label in summary.index])
    axes.set_xlabel(with_unit(metric))
    fit_axis(axes, "x", shown.to_numpy(dtype=float))
    return axes


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
    """Draw the verdict on each pair once: the row's configuration is better, worse, equivalent or undecided.

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
    axes: Axes, costs: pd.DataFrame, cost: Metric, gain: Metric, looks: Mapping[str, Look], front: Sequence[str] = ()
) -> Axes:
    """Draw the gain against the cost, means with bars of one standard deviation, and the Pareto front as steps.

    `costs` has the labels as index and the columns cost, cost_std, gain, gain_std in stored units.
    """
    for label, row in costs.iterrows():
        look = looks[str(label)]
        x, dx = row["cost"] * cost.scale, np.nan_to_num(row["cost_std"]) * cost.scale
        y, dy = row["gain"] * gain.scale, np.nan_to_num(row["gain_std"]) * gain.scale
        axes.errorbar(x, y, xerr=dx, yerr=dy, fmt=look.marker, color=look.colour, markersize=6, elinewidth=0.8,
                      label=str(label))  # fmt: skip
    if front:
        best = costs.loc[list(front)].sort_values("cost")
        axes.step(best["cost"] * cost.scale, best["gain"] * gain.scale, where="post", color=QUIET, linewidth=0.9,
                  linestyle="--", zorder=0, label="Pareto front")  # fmt: skip
    fit_axis(axes, "x", _with_spread(costs, "cost") * cost.scale, stretch=True)
    fit_axis(axes, "y", _with_spread(costs, "gain") * gain.scale)
    axes.set(xlabel=with_unit(cost), ylabel=with_unit(gain))
    return axes


def _with_spread(costs: pd.DataFrame, name: str) -> Numbers:
    spread = costs[f"{name}_std"].fillna(0)
    return np.concatenate([costs[name] - spread, costs[name] + spread])


def draw_profile(axes: Axes, ratios: Numbers, shares: Mapping[str, Numbers], looks: Mapping[str, Look]) -> Axes:
    """Draw the share of repeats in which a configuration's cost is within each ratio of that repeat's lowest.

    `ratios` has the shape (points,), from 1; `shares` maps labels to the same shape. After Dolan and More (2002).
    """
    for place, (label, share) in enumerate(shares.items()):
        look = looks[label]
        axes.step(ratios, share, where="post", color=look.colour, linestyle=look.line, marker=look.marker,
                  markevery=(place, max(len(ratios) // 6, 1)), label=label)  # fmt: skip
    axes.set_xscale("log")
    ticks = (1, 1.2, 1.5, 2, 3) if ratios.max() <= 4 else (1, 2, 5, 10, 20, 50, 100)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("ratio to the fastest of the repeat")
    axes.set_ylabel("share of repeats")
    axes.set_ylim(-0.03, 1.03)
    return axes
