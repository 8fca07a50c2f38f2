"""The chapter on time and memory: distributions, verdicts on pairs, trade-offs with accuracy, time to a target."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fmnist.compare import TARGET_ACCURACY, pareto_front
from fmnist.declare import Metric
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.chapters.metrics import distributions, listed, means_of, placement_mark
from fmnist.report.chapters.pairs import pair_methods, pair_tables, verdict_figures
from fmnist.report.plot import fit_axis, mark, with_unit
from fmnist.report.study_data import MetricData, StudyData
from fmnist.report.style import QUIET, Styles, legend_below, new_axes
from fmnist.report.table import Columns, Table, column, make_table, present


def costs_chapter(data: StudyData, styles: Styles) -> Chapter:
    """What the configurations cost."""
    metrics = data.metrics_of("costs")
    return Chapter(
        key="costs",
        title="Time and memory",
        figures=itertools.chain(
            distributions(metrics, data, styles),
            verdict_figures(metrics, data),
            trade_offs(metrics, data, styles),
        ),
        tables=present(*pair_tables(metrics, data), target_table(data)),
        methods=pair_methods(metrics),
    )


def trade_offs(costs: Sequence[MetricData], data: StudyData, styles: Styles) -> Iterator[Figure]:
    """Mean accuracy against each cost of which such a figure is made."""
    gain = data.metrics.get("test_accuracy")
    if gain is None:
        return
    for cost in (item for item in costs if "trade-off" in item.metric.figures):
        across, up = means_of(cost, data), means_of(gain, data)
        labels = [label for label in across.index if label in up.index]
        if not labels:
            continue
        across, up, front = across.loc[labels], up.loc[labels], []
        axes, caption = new_axes(height=2.5), "Means with their 95 % intervals."
        if cost.refusal:
            mark(axes, placement_mark(cost))
        else:
            points = np.column_stack([across["mean"], up["mean"]])
            front = list(across.index[pareto_front(points, ["down", gain.metric.direction])])
            caption += f" Not beaten in both means at once (Pareto front): {', '.join(front)}."
        draw_trade_off(axes, across, up, (cost.metric, gain.metric), styles, front)
        spent = listed(across["mean"], cost.metric)
        alt = f"{listed(up['mean'], gain.metric)}, at {cost.metric.label} of {spent}."
        yield Figure(name=f"trade-off-{cost.metric.name}", title=f"Accuracy against {cost.metric.label}",
                     caption=caption, alt=alt, drawing=legend_below(axes))  # fmt: skip


def draw_trade_off(
    axes: Axes,
    costs: pd.DataFrame,
    gains: pd.DataFrame,
    metrics: tuple[Metric, Metric],
    styles: Styles,
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


def target_table(data: StudyData) -> Table | None:
    """Training time until the validation accuracy first reaches the target; None where times may not be compared.

    Runs that miss it count as infinite, so that quartiles are by order and not interpolated: between a finite and an
    infinite time there is nothing.
    """
    times = data.target_times
    if data.timing_refusal:
        return None
    rows: list[dict[str, Any]] = []
    for label in (label for label in data.ranked_labels if label in times):
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
        "median, s": column("median", digits=1),
        "lower quartile, s": column("lower_quartile", digits=1),
        "upper quartile, s": column("upper_quartile", digits=1),
    }
    title = f"Time to {100 * TARGET_ACCURACY:g} % validation accuracy"
    note = "Training time until the end of the first epoch that reaches it. Exclusive rows of one hardware."
    return make_table("time-to-target", title, rows, columns, note)
