"""The chapter on the hyperparameters of a search: how important each is, and what each of its values gives."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import NullLocator, StrMethodFormatter

from fmnist.compare import (
    FEWEST_FOR_IMPORTANCE,
    MOST_FOR_FANOVA,
    PointResult,
    complete,
    has_fanova,
    importances,
    is_ordered,
    means_by_value,
    trend,
)
from fmnist.declare import METRICS, SEARCH_METRIC, Parameter, Range, Space
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.plot import MARGIN, fit_axis
from fmnist.report.search_data import SearchData
from fmnist.report.style import COLOURS, INK, QUIET, figure_of, in_lines, new_axes, new_figure
from fmnist.report.table import Columns, Table, column, make_table, present
from fmnist.report.text import counted, names, number, setting, spoken

METRIC = METRICS[SEARCH_METRIC]
POINTS_COLOUR, SECOND_COLOUR = COLOURS[0], COLOURS[1]
PANELS_ACROSS = 4
PANEL_INCHES = (1.75, 1.7)  # width, height
MOST_TICK_CHARACTERS = 16  # of all values of a choice together; longer ones are turned
LOWEST_SHARE = 0.05  # of the points may lie below what a panel shows


def search_importance_chapter(data: SearchData) -> Chapter:
    """What the hyperparameters do."""
    fanova = has_fanova() and {
        name: importances(data.points[name], data.spaces[name], "fANOVA") for name in data.architectures
    }
    both = {"PED-ANOVA": data.importances, **({"fANOVA": fanova} if fanova else {})}
    return Chapter(
        key="importance",
        title="Hyperparameters",
        figures=_figures(data, both),
        tables=present(importance_table(data, both), values_table(data)),
        methods=_methods(data, list(both)),
    )


def _methods(data: SearchData, methods: Sequence[str]) -> list[str]:
    if not any(frame["importance"].notna().any() for frame in data.importances.values()):
        return []
    sentences = [
        "Importance of hyperparameters: PED-ANOVA (Watanabe et al. 2023; conditional ones as arXiv 2601.20800), as"
        " optuna computes it, for reaching the best tenth of the points, within each repeat; mean and Student's 95 %"
        " interval over the repeats, for new seeds and the same points. Pruned and failed points are left out, diverged"
        " ones count as the worst."
    ]
    if "fANOVA" in methods:
        sentences.append(
            "fANOVA (Hutter et al. 2014) stands beside it, for the whole variance, of up to"
            f" {MOST_FOR_FANOVA} points drawn at random."
        )
    return sentences


def _figures(data: SearchData, methods: Mapping[str, Mapping[str, pd.DataFrame]]) -> Iterator[Figure]:
    for place, name in enumerate(data.architectures):
        frames = {method: by_name[name] for method, by_name in methods.items()}
        if frames["PED-ANOVA"]["importance"].notna().any():
            yield _importance_figure(name, frames, folded=place > 0)
    for place, name in enumerate(data.architectures):
        if len(complete(data.points[name])) > 1:
            yield _values_figure(data, name, folded=place > 0)


def _importance_figure(name: str, frames: Mapping[str, pd.DataFrame], *, folded: bool) -> Figure:
    main = frames["PED-ANOVA"]
    first = main.iloc[0]
    caption = (
        "Share of what tells the best tenth of the points from the others (PED-ANOVA): mean over"
        f" {counted(int(first['n']), 'repeat')}, with its 95 % interval."
    )
    if "fANOVA" in frames:
        caption += " Diamonds: share of the whole variance (fANOVA)."
    shares = main.set_index("hyperparameter")["importance"]
    told = [f"{spoken(str(name))} {number(share, scale=100)} %" for name, share in shares.items()]
    axes = draw_importance(new_axes(height=0.8 + 0.26 * len(main)), frames)
    return Figure(name=f"importance-{name}", title=f"{name}: importance of hyperparameters", caption=caption,
                  alt=f"{', '.join(told)}.", drawing=figure_of(axes), folded=folded)  # fmt: skip


def draw_importance(axes: Axes, frames: Mapping[str, pd.DataFrame]) -> Axes:
    """Draw the importance of each hyperparameter with its interval, the first method's order from the top.

    `frames` maps each method to what compare.importances gives; shares are drawn in percent.
    """
    order = next(iter(frames.values()))["hyperparameter"].tolist()
    looks: tuple[dict[str, Any], ...] = (
        {"marker": "o", "color": POINTS_COLOUR},
        {"marker": "d", "color": SECOND_COLOUR, "fillstyle": "none"},
    )
    drawn = [np.zeros(1)]
    for place, ((method, frame), look) in enumerate(zip(frames.items(), looks, strict=False)):
        values = 100 * frame.set_index("hyperparameter").loc[order, ["importance", "lower", "upper"]].astype(float)
        heights = np.arange(len(order)) + (0.2 * place if len(frames) > 1 else 0)
        axes.hlines(
            heights, values["lower"].clip(0, 100), values["upper"].clip(0, 100), color=look["color"], linewidth=1.1
        )
        axes.plot(values["importance"], heights, linestyle="", label=method, **look)
        drawn.append(values.clip(0, 100).to_numpy().ravel())
    axes.set_yticks(range(len(order)), [in_lines(spoken(name)) for name in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    fit_axis(axes, "x", np.concatenate(drawn))
    axes.set_xlim(0, min(axes.get_xlim()[1], 101))
    axes.set_xlabel("importance (%)")
    if len(frames) > 1:
        axes.legend(loc="lower right")
    return axes


def importance_table(data: SearchData, methods: Mapping[str, Mapping[str, pd.DataFrame]]) -> Table | None:
    """The importance of each hyperparameter in each architecture."""
    rows = []
    for name in data.architectures:
        frames = {method: by_name[name].set_index("hyperparameter") for method, by_name in methods.items()}
        known = frames["PED-ANOVA"].dropna(subset="importance")
        for hyperparameter in known.index:
            row: dict[str, Any] = {
                "architecture": name,
                "hyperparameter": hyperparameter,
                "n": known["n"][hyperparameter],
            }
            for method, frame in frames.items():
                for figure, end in (("importance", ""), ("lower", "_lower"), ("upper", "_upper")):
                    row[f"{method}{end}"] = frame[figure][hyperparameter]
            rows.append(row)
    columns: Columns = {
        "architecture": "architecture",
        "hyperparameter": lambda row: spoken(row["hyperparameter"]),
        "repeats": "n",
        **{f"{method}, %": column(method, 100, 0) for method in methods},
    }
    note = (
        "Mean over the repeats of each repeat's importance, in brackets its 95 % interval; shares of an architecture"
        f" sum to 100 %. Below {FEWEST_FOR_IMPORTANCE} points none is given; below 50 the best tenth has fewer than"
        " five, and the figures are rough. A search that proposes good points more often shows less importance."
    )
    return make_table("importance", "Importance of hyperparameters", rows, columns, note)


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """What one panel of the figure of values shows."""

    parameter: Parameter
    frame: pd.DataFrame  # of means_by_value, or of trend where the domain is a range


def panels_of(points: Sequence[PointResult], space: Space, order: Sequence[str]) -> list[Panel]:
    """Give a panel for each parameter that complete points set, by the order of their hyperparameters."""
    ranked = sorted(space.parameters, key=lambda item: order.index(item.hyperparameter))
    made = [
        Panel(parameter=item, frame=(trend if isinstance(item.domain, Range) else means_by_value)(points, item))
        for item in ranked
    ]
    return [panel for panel in made if len(panel.frame)]


def _values_figure(data: SearchData, name: str, *, folded: bool) -> Figure:
    order = data.importances[name]["hyperparameter"].tolist()
    panels = panels_of(data.points[name], data.spaces[name], order)
    drawing, below = draw_values(panels)
    count = len(complete(data.points[name]))
    caption = (
        f"{counted(count, 'complete point')}. Points with bars: mean over all that have the value, whatever else they"
        f" set. {interval_words([panel.frame for panel in panels])}"
    )
    if any(isinstance(panel.parameter.domain, Range) for panel in panels):
        caption += " Small points: each a point of the search, the line their running mean over a fifth of them."
    if below:
        caption += f" {counted(below, 'mark')} below the panels are not shown."
    best = data.best_of(name)
    told = "" if best is None else f" The best point: {number(best.value, 2, scale=100)} %."
    shown = names([spoken(panel.parameter.name) for panel in panels])
    return Figure(name=f"values-{name}", title=f"{name}: accuracy by hyperparameter", caption=caption,
                  alt=f"A panel each for {shown}.{told}", drawing=drawing, folded=folded)  # fmt: skip


def interval_words(frames: Sequence[pd.DataFrame]) -> str:
    """Say what the intervals of means_by_value are, of those frames that are its."""
    bases = {bool(basis) for frame in frames if "is_balanced" in frame for basis in frame["is_balanced"]}
    paired, drawn = "of its distance from the mean over the values, paired over repeats", "of the mean over the points"
    if bases == {True, False}:
        return f"Intervals (95 %): {paired}, where each value was tried beside the same others; elsewhere {drawn}."
    return f"Intervals (95 %): {paired if bases == {True} else drawn}." if bases else ""


def draw_values(panels: Sequence[Panel]) -> tuple[Drawing, int]:
    """Draw a panel for each parameter at one scale of accuracy; give the figure and how many marks lie below it."""
    across = min(PANELS_ACROSS, len(panels))
    down = -(-len(panels) // across)
    drawing = new_figure(max(across * PANEL_INCHES[0], 3.5), down * PANEL_INCHES[1] + 0.25)
    grid = drawing.subplots(down, across, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("validation accuracy (%)", fontsize=7)
    return drawing, _fit_heights(grid.flat[0], panels)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    frame, domain = panel.frame, panel.parameter.domain
    if isinstance(domain, Range):
        axes.scatter(frame["value"], 100 * frame["accuracy"], s=5, color=QUIET, alpha=0.5, linewidth=0,
                     rasterized=len(frame) > 200)  # fmt: skip
        axes.plot(frame["value"], 100 * frame["mean"], color=POINTS_COLOUR)
        if domain.log:
            axes.set_xscale("log")
        _mark_ends(axes, domain)
    else:
        places = np.arange(len(frame))
        axes.vlines(places, 100 * frame["lower"], 100 * frame["upper"], color=INK, linewidth=1.1)
        line = "-" if is_ordered(domain) else ""
        axes.plot(places, 100 * frame["mean"], marker="o", color=POINTS_COLOUR, linewidth=0.8, linestyle=line)
        texts = [setting(value) for value in frame["value"]]
        turned = sum(map(len, texts)) > MOST_TICK_CHARACTERS
        axes.set_xticks(places, texts, rotation=40 if turned else 0, ha="right" if turned else "center", fontsize=6.5,
                        rotation_mode="anchor")  # fmt: skip
        axes.set_xlim(-0.5, len(frame) - 0.5)
    axes.set_title("\n".join(spoken(panel.parameter.name).split(" (")).replace(")", ""), fontsize=7)
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)


def _mark_ends(axes: Axes, domain: Range) -> None:
    """Put ticks at both ends and in the middle of a range."""
    middle = math.sqrt(domain.low * domain.high) if domain.log else (domain.low + domain.high) / 2
    axes.set_xlim(domain.low, domain.high)
    ticks = [float(domain.low), middle, float(domain.high)]
    axes.set_xticks(ticks, list(map(setting, ticks)), fontsize=6.5)
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")  # so that panels side by side keep their ticks apart
    last.set_horizontalalignment("right")
    axes.xaxis.set_minor_locator(NullLocator())


def _fit_heights(axes: Axes, panels: Sequence[Panel]) -> int:
    """Let the common axis hold all means with their intervals and most points; count the marks below it."""
    means = np.concatenate([panel.frame["mean"].to_numpy(dtype=float) for panel in panels])
    bounds = [panel.frame[end].to_numpy(dtype=float) for panel in panels for end in ("lower", "upper")
              if end in panel.frame]  # fmt: skip
    points = [panel.frame["accuracy"].to_numpy(dtype=float) for panel in panels if "accuracy" in panel.frame]
    floor = np.concatenate([means, *(np.quantile(item, [LOWEST_SHARE]) for item in points), *bounds])
    low, high = float(np.nanmin(floor)), float(np.nanmax(np.concatenate([means, *points, *bounds])))
    beyond = MARGIN * (high - low) or 0.001
    axes.set_ylim(100 * (low - beyond), 100 * (high + beyond))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return int(sum((item < low - beyond).sum() for item in points))


def values_table(data: SearchData) -> Table | None:
    """Mean accuracy of each value of each choice."""
    rows: list[dict[str, Any]] = []
    for name in data.architectures:
        order = data.importances[name]["hyperparameter"].tolist()
        for panel in panels_of(data.points[name], data.spaces[name], order):
            if not isinstance(panel.parameter.domain, Range):
                shown = panel.frame.assign(architecture=name, hyperparameter=panel.parameter.name)
                rows += [dict(zip(shown.columns, row, strict=True)) for row in shown.itertuples(index=False)]
    columns: Columns = {
        "architecture": "architecture",
        "hyperparameter": lambda row: spoken(row["hyperparameter"]),
        "value": lambda row: setting(row["value"]),
        "points": "n",
        "mean validation accuracy, %": lambda row: number(row["mean"], METRIC.digits, scale=METRIC.scale),
        "interval": lambda row: column("x", METRIC.scale, METRIC.digits)(
            {"x": math.nan, "x_lower": row["lower"], "x_upper": row["upper"]}
        ),
    }
    note = (
        f"Mean over the complete points with the value, whatever else they set. {interval_words([pd.DataFrame(rows)])}"
    )
    return make_table("values", "Accuracy by value", rows, columns, note)
