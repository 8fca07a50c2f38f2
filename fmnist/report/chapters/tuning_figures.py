"""The figures on what a search found: tuned against default, the order before and after, the steps of each path."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fmnist.compare import Estimate, Interval, Path, Tuned, TuningComparison
from fmnist.declare import METRICS, SEARCH_METRIC, Metric
from fmnist.report import text
from fmnist.report.chapter import Figure
from fmnist.report.chapters.pairs import VERDICT_COLOURS
from fmnist.report.chapters.tuning_words import settings_changed, turned_words
from fmnist.report.plot import fit_axis, with_unit
from fmnist.report.study_data import MetricData, StudyData
from fmnist.report.style import (
    COLOURS,
    INK,
    LINE_CHARACTERS,
    QUIET,
    Styles,
    figure_of,
    in_lines,
    legend_below,
    new_axes,
    styles_of,
)

WIDE_INCHES = 6.5
NEAREST_NAMES = 0.075  # of the height, between two names at a side of the figure of the order


class Ends(NamedTuple):
    """A mean and its interval, in the unit that is shown."""

    mean: float
    low: float
    high: float


def tuned_figures(tuning: TuningComparison, primary: MetricData) -> Iterator[Figure]:
    """Each architecture's default and best point on fresh repeats, and what the search promised."""
    metric = primary.metric
    points = {item.architecture: _points(item, primary) for item in tuning.architectures}
    if not any(points.values()):
        return
    gains = {item.architecture: _gain_words(item, metric) for item in tuning.architectures}
    axes = new_axes(WIDE_INCHES, 0.7 + 0.42 * max(len(points), 2))
    draw_tuned(axes, points, gains, metric)
    shown = "; ".join(f"{name}: {words}" for name, words in gains.items()).replace("\n", ", ")
    yield Figure(
        name="tuned",
        title="Tuned against default",
        caption=(
            f"Mean {metric.label} with its 95 % interval over fresh repeats: grey the default, blue the best point."
            " The hollow diamond is the validation accuracy by which the search chose it, on other repeats and images."
            f" At the right the verdict and the difference in {text.difference_unit(metric)} with its 95 % interval."
        ),
        alt=f"Two marks for each architecture, default and best point. {shown}.",
        drawing=legend_below(axes),
    )


def _points(item: Tuned, primary: MetricData) -> dict[str, Ends]:
    """Mean and interval of what is known of an architecture, in the unit that is shown."""
    metric, points = primary.metric, {}
    for name, label in (("default", item.default), ("best point", item.tuned)):
        summary = primary.summaries.get(label)
        if summary and (name == "default" or item.pair):
            points[name] = _ends(summary.mean, summary.mean_t_interval, metric.scale)
    if item.searched.n and metric.unit == METRICS[SEARCH_METRIC].unit:
        points["in the search"] = _ends(item.searched.value, item.searched.interval(), metric.scale)
    return points


def _ends(mean: float, interval: Interval, scale: float) -> Ends:
    return Ends(*(scale * value for value in (mean, *interval)))


def _gain_words(item: Tuned, metric: Metric) -> str:
    difference = f"\n{text.difference_text(item.pair, metric)}" if item.pair and item.pair.n else ""
    return f"{turned_words(item)}{difference}"


MARKS: Mapping[str, Mapping[str, Any]] = {
    "default": {"marker": "o", "color": QUIET, "markersize": 6},
    "best point": {"marker": "D", "color": COLOURS[0], "markersize": 6},
    "in the search": {"marker": "d", "color": INK, "markersize": 7, "fillstyle": "none"},
}


def draw_tuned(axes: Axes, points: Mapping[str, Mapping[str, Ends]], gains: Mapping[str, str], metric: Metric) -> Axes:
    """Draw default and best point of each architecture, joined, above their intervals; `gains` at the right."""
    heights = {"default": -0.12, "best point": 0.12, "in the search": 0.12}
    for place, marks in enumerate(points.values()):
        there = [(marks[name].mean, place + heights[name]) for name in ("default", "best point") if name in marks]
        axes.plot(*zip(*there, strict=True) if there else ([], []), color=QUIET, linewidth=0.8)
        for name, (mean, low, high) in marks.items():
            height = place + heights[name]
            if name != "in the search":
                axes.plot([low, high], [height, height], color=MARKS[name]["color"], linewidth=1.4)
            axes.plot(mean, height, linestyle="", **MARKS[name])
    for name in MARKS:
        if any(name in marks for marks in points.values()):
            axes.plot([], [], linestyle="", label=name, **MARKS[name])
    axes.set_yticks(range(len(points)), list(map(in_lines, points)))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_xlabel(with_unit(metric))
    shown = [value for marks in points.values() for name, ends in marks.items()
             for value in (ends if name != "in the search" else ends[:1])]  # fmt: skip
    fit_axis(axes, "x", np.array(shown))
    axes.set_ylim(len(points) - 0.5, -0.5)
    _write_beside(axes, [gains[name] for name in points])
    return axes


def order_figures(tuning: TuningComparison, metric: Metric) -> Iterator[Figure]:
    """The means of all architectures before and after tuning."""
    order = tuning.order
    if order is None or np.isnan([*order.default.means.values(), *order.tuned.means.values()]).all():
        return
    axes = new_axes(WIDE_INCHES, 1.0 + 0.3 * max(len(order.tuned.means), 4))
    draw_order(axes, order.default.means, order.tuned.means, metric, styles_of(order.default.means))
    listed = (
        f"{when}: {', '.join(f'{name} {text.amount(mean, metric)}' for name, mean in ranking.means.items())}"
        for when, ranking in (("At defaults", order.default), ("Tuned", order.tuned))
    )
    yield Figure(
        name="tuning-order",
        title="The order before and after tuning",
        caption=(
            f"Mean {metric.label} of each architecture over fresh repeats, at its default and at its best point. Lines"
            " that cross change their order; the table says which pairs are told apart."
        ),
        alt=". ".join(listed) + ".",
        drawing=figure_of(axes),
    )


def draw_order(
    axes: Axes, before: Mapping[str, float], after: Mapping[str, float], metric: Metric, styles: Styles
) -> Axes:
    """Draw a line for each architecture from its mean before to that after, with its name and mean at both sides."""
    for name, style in styles.items():
        means = [before[name] * metric.scale, after[name] * metric.scale]
        axes.plot([0, 1], means, markersize=5, linewidth=1.5, **style.line_options)
    shown = np.array([*before.values(), *after.values()]) * metric.scale
    fit_axis(axes, "y", shown)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 1], ["default", "tuned"])
    axes.set_xlabel(with_unit(metric))
    axes.yaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    for x, means_of, side in ((0, before, "right"), (1, after, "left")):
        known = {name: mean for name, mean in means_of.items() if np.isfinite(mean)}
        heights = apart([mean * metric.scale for mean in known.values()], NEAREST_NAMES * np.ptp(axes.get_ylim()))
        for (name, mean), height in zip(known.items(), heights, strict=True):
            end = x + (-0.06 if side == "right" else 0.06)
            axes.plot([x, end], [mean * metric.scale, height], color=styles[name].colour, linewidth=0.5, clip_on=False)
            axes.text(end, height, f" {_short(name)}  {text.in_unit(mean, metric)} ", ha=side, va="center",
                      color=styles[name].colour, fontsize=7.5)  # fmt: skip
    return axes


def _short(name: str) -> str:
    return name if len(name) <= LINE_CHARACTERS else f"{name[: LINE_CHARACTERS - 1]}…"


def apart(values: Sequence[float], least: float) -> list[float]:
    """Move values apart as little as keeps them in order and each two at least so far from each other.

    Clusters of values that are too near are spread evenly around their mean.
    """
    order = np.argsort(values, kind="stable")
    clusters: list[list[float]] = []  # of the sorted values
    for value in np.asarray(values, dtype=float)[order]:
        clusters.append([value])
        while len(clusters) > 1 and _first(clusters[-1], least) - _last(clusters[-2], least) < least:
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    moved = [float(_first(cluster, least) + least * place) for cluster in clusters for place in range(len(cluster))]
    return [moved[place] for place in np.argsort(order, kind="stable")]


def _first(cluster: Sequence[float], least: float) -> float:
    return float(np.mean(cluster)) - least * (len(cluster) - 1) / 2


def _last(cluster: Sequence[float], least: float) -> float:
    return float(np.mean(cluster)) + least * (len(cluster) - 1) / 2


def path_figures(data: StudyData, tuning: TuningComparison, metric: Metric) -> Iterator[Figure]:
    """The steps of each architecture's path."""
    for place, path in enumerate(path for path in tuning.paths if path.n):
        settings = [settings_changed(data.study, step.before, step.label) for step in path.steps]
        axes = new_axes(WIDE_INCHES, 0.9 + 0.36 * (len(path.steps) + 1))
        draw_path(axes, path, settings, metric)
        told = "; ".join(
            f"{setting} {text.difference_text(step.pair, metric)}, {step.pair.verdict}"
            for setting, step in zip(settings, path.steps, strict=True)
        )
        yield Figure(
            name=f"path-{path.architecture}",
            title=f"From default to best point: {path.architecture}",
            caption=(
                f"Each bar is what one setting adds to the mean {metric.label} over {text.counted(path.n, 'repeat')},"
                f" in {text.difference_unit(metric)}; the line is its 95 % interval, paired with the configuration"
                " before it. Light blue: better, orange: worse, grey: equivalent, white: inconclusive. The last bar is"
                " the whole."
            ),
            alt=f"Bars, one a step: {told}. In all {_total_words(path.steps[-1].total, metric)}.",
            drawing=figure_of(axes),
            folded=place > 0,
        )


def _total_words(total: Estimate, metric: Metric) -> str:
    ends = [text.in_unit(value, metric, signed=True) for value in (total.value, *total.interval())]
    return ends[0] if text.NOTHING in ends else "{} [{}, {}]".format(*ends)


def draw_path(axes: Axes, path: Path, settings: Sequence[str], metric: Metric) -> Axes:
    """Draw each step as a bar from what was gained before to what is gained with it, and the whole below."""
    base, shown = 0.0, [0.0]
    texts = []
    for place, step in enumerate(path.steps):
        gain = Ends(*(metric.scale * value for value in (step.pair.mean_difference, *step.pair.interval)))
        _draw_bar(axes, place, base, gain, VERDICT_COLOURS[step.pair.verdict])
        shown += [base, *(base + value for value in gain)]
        texts.append(f"{step.pair.verdict}\n{text.difference_text(step.pair, metric)}")
        base += gain.mean
        axes.plot([base, base], [place + 0.3, place + 0.7], color=QUIET, linewidth=0.7)
    total = path.steps[-1].total
    whole = _ends(total.value, total.interval(), metric.scale)
    _draw_bar(axes, len(path.steps), 0.0, whole, COLOURS[0])
    axes.axvline(0, color=INK, linewidth=0.8)
    names = [*map(in_lines, settings), "in all"]
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"{metric.label}: difference from the default ({text.difference_unit(metric)})")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    fit_axis(axes, "x", np.array([*shown, *whole]))
    axes.set_ylim(len(names) - 0.5, -0.5)
    _write_beside(axes, [*texts, _total_words(total, metric)])
    return axes


def _write_beside(axes: Axes, words: Sequence[str]) -> None:
    """Write a text at the right of each place of the vertical axis."""
    right = axes.twinx()
    right.set_yticks(range(len(words)), list(words), fontsize=7)
    right.set_ylim(axes.get_ylim())
    right.tick_params(length=0)
    right.spines[:].set_visible(False)


def _draw_bar(axes: Axes, place: int, base: float, gain: Ends, colour: str) -> None:
    axes.barh(place, gain.mean, left=base, height=0.6, color=colour, edgecolor=INK, linewidth=0.6)
    axes.plot([base + gain.low, base + gain.high], [place, place], color=INK, linewidth=1.2)
