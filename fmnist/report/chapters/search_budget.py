"""The chapter on what a search found for what it spent: the best so far of each strategy."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fmnist.compare import FEWEST_FOR_A_BAND, BudgetFigures, Curve, by_strategy, complete, strategy_curve
from fmnist.declare import METRICS, SEARCH_METRIC
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.plot import fit_axis
from fmnist.report.search_data import SearchData
from fmnist.report.style import QUIET, Styles, legend_below, new_axes, styles_of
from fmnist.report.table import Columns, Table, column, make_table, present
from fmnist.report.text import core_time, core_unit, names, number

METRIC = METRICS[SEARCH_METRIC]
SEEN_FROM = 0.1  # of what was spent: the heights before it do not stretch the axis


def search_budget_chapter(data: SearchData) -> Chapter:
    """The best so far against what was spent."""
    return Chapter(
        key="budget",
        title="Best so far by budget",
        figures=budget_curves(data),
        tables=present(budget_table(data)),
        methods=[
            "What a run cost is the time of all cores in it (on a GPU: its wall time on its share). Strategies are"
            " compared at the same cost, not at the same number of points; a run that two tracks asked for is computed"
            " once and counted in both. Points count when they are done."
        ],
    )


def budget_curves(data: SearchData) -> Iterator[Figure]:
    """The best validation accuracy so far against core time, an architecture each."""
    styles = styles_of(strategy.name for strategy in data.strategies)
    for place, name in enumerate(data.architectures):
        tracks = [item for item in data.tracks_of(name) if complete(item.points)]
        if not tracks or max(len(item.points) for item in tracks) < 2:
            continue
        curves = {strategy.name: strategy_curve(group) for strategy, group in by_strategy(tracks).items()}
        budget = data.budget_of(name) if len(curves) > 1 else math.nan
        axes = draw_best_so_far(new_axes(), curves, budget, styles)
        yield Figure(name=f"budget-{name}", title=f"{name}: best so far", caption=_caption(curves, budget),
                     alt=f"Rising steps. At their ends: {_ends(curves)}.", drawing=legend_below(axes),
                     folded=place > 0)  # fmt: skip


def _caption(curves: Mapping[str, Curve], budget: float) -> str:
    banded = [name for name, curve in curves.items() if len(curve.by_seed) >= FEWEST_FOR_A_BAND]
    single = [name for name, curve in curves.items() if len(curve.by_seed) < FEWEST_FOR_A_BAND]
    seeds = ", ".join(f"{name} {number(len(curve.by_seed))}" for name, curve in curves.items())
    sentences = [f"Highest validation accuracy of a complete point against core time. Seeds: {seeds}."]
    if banded:
        sentences.append(f"{names(banded)}: mean over the seeds with its 95 % interval, as far as every seed goes.")
    if single:
        sentences.append(f"{names(single)}: a line for each seed; {FEWEST_FOR_A_BAND} seeds would make a band.")
    if not math.isnan(budget):
        sentences.append(f"Dashed: the budget at which the table compares them, {core_time(budget)}.")
    return " ".join(sentences)


def _ends(curves: Mapping[str, Curve]) -> str:
    ends = {name: np.nanmean(curve.by_seed[:, -1]) for name, curve in curves.items()}
    return ", ".join(f"{name} {number(end, METRIC.digits, scale=METRIC.scale)} %" for name, end in ends.items())


def draw_best_so_far(axes: Axes, curves: Mapping[str, Curve], budget: float, styles: Styles) -> Axes:
    """Draw the best value so far as steps over core time: mean and band of at least 5 seeds, else a line a seed.

    `curves` are by strategy, in stored units; `budget` is in core-seconds, nan where none is marked.
    """
    furthest = max(curve.core_seconds[-1] for curve in curves.values())
    length, unit = core_unit(furthest)
    seen = []
    for name, curve in curves.items():
        x, style = curve.core_seconds / length, styles[name]
        options: dict[str, Any] = {"color": style.colour, "linestyle": style.line, "drawstyle": "steps-post"}
        if len(curve.by_seed) >= FEWEST_FOR_A_BAND:
            axes.plot(x, METRIC.scale * curve.mean, label=name, **options)
            low, high = METRIC.scale * curve.lower, METRIC.scale * curve.upper
            axes.fill_between(x, low, high, step="post", color=style.colour, alpha=0.14, linewidth=0)
            values = np.concatenate([curve.mean, curve.lower, curve.upper])
        else:
            for place, line in enumerate(curve.by_seed):
                label = name if place == 0 else None
                axes.plot(x, METRIC.scale * line, linewidth=0.9, alpha=0.8, label=label, **options)
            values = curve.by_seed.ravel()
        late = np.tile(curve.core_seconds >= SEEN_FROM * curve.core_seconds[-1], len(values) // len(x))
        seen.append(values[late])
    if not math.isnan(budget):
        axes.axvline(budget / length, color=QUIET, linestyle="--", linewidth=0.8, zorder=0)
    fit_axis(axes, "x", np.array([0.0, furthest / length]))
    axes.set_xlim(0, 1.02 * furthest / length)
    fit_axis(axes, "y", METRIC.scale * np.concatenate(seen))
    axes.set(xlabel=f"spent ({unit})", ylabel=f"best {METRIC.label} so far (%)")
    return axes


def budget_table(data: SearchData) -> Table | None:
    """What each strategy reached at shares of the budget; None of one strategy."""
    if len(data.strategies) < 2:
        return None
    several = len(data.search.architectures) > 1
    rows = [
        _row(name, figures, several)
        for name in data.architectures
        if not math.isnan(data.budget_of(name))
        for figures in data.budget_figures(name)
    ]
    columns: Columns = {
        "strategy": "shown",
        "budget": lambda row: f"{100 * row['share']:g} %: {core_time(row['core_seconds'])}",
        "seeds": "n",
        f"best {METRIC.label} so far, {METRIC.unit}": column("best", METRIC.scale, METRIC.digits),
    }
    against = data.baseline
    if against is not None:
        heading = f"against {against.name}, percentage points"
        columns = {**columns, heading: column("difference", METRIC.scale, METRIC.digits, signed=True), "pairs": "pairs"}
    note = (
        "Mean over n seeds of the strategy, in brackets its 95 % interval by Student's t; a seed without a complete"
        f" point at that cost is left out. {_budget_words(data)} A track that spent less keeps its best."
    )
    if against is not None:
        note += " Differences are paired by seed."
    return make_table("budget", "Best so far at the same budget", rows, columns, note, is_main=True)


def _budget_words(data: SearchData) -> str:
    declared = data.search.budget.core_seconds
    if declared is not None:
        return f"Budget: the declared {core_time(declared)} of each track."
    return "Budget: what every track of the architecture has spent."


def _row(architecture: str, figures: BudgetFigures, several: bool) -> dict[str, Any]:
    name = figures.strategy.name
    return {
        "architecture": architecture,
        "strategy": name,
        "shown": f"{architecture}: {name}" if several else name,
        "share": figures.share,
        "core_seconds": figures.core_seconds,
        "n": len(figures.by_seed),
        "best": figures.mean,
        "best_lower": figures.interval.lower,
        "best_upper": figures.interval.upper,
        "difference": figures.difference,
        "difference_lower": figures.difference_interval.lower,
        "difference_upper": figures.difference_interval.upper,
        "pairs": figures.pairs,
    }
