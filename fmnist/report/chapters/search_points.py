"""The chapter on the points of a search: a map of the two most important hyperparameters, and every point as a line."""

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Drawing

from fmnist.compare import PointResult, complete, first_pair, having, is_ordered, means_by_pair, position
from fmnist.declare import METRICS, SEARCH_METRIC, Parameter, Range, Space
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.plot import Numbers
from fmnist.report.search_data import SearchData
from fmnist.report.style import INK, figure_of, in_lines, new_axes, new_figure
from fmnist.report.text import counted, number, setting, spoken

METRIC = METRICS[SEARCH_METRIC]
COLOURS_OF_ACCURACY = "cividis_r"  # dark is better; the colour-blind tell its steps apart
WORST_SHARE = 0.05  # of the points have the palest colour, so that one that went wrong leaves steps for the others
MOST_LINES = 500
MOST_WRITTEN = 64  # cells with their figure in them
UNSET = -0.12  # where a line passes the axis of a hyperparameter that its point does not set


def search_points_chapter(data: SearchData) -> Chapter:
    """The points together."""
    return Chapter(key="points", title="Points", figures=_figures(data))


def _figures(data: SearchData) -> Iterator[Figure]:
    for place, name in enumerate(data.architectures):
        order = data.importances[name]["hyperparameter"].tolist()
        pair = first_pair(data.points[name], data.spaces[name], order)
        if pair is not None:
            yield _map_figure(data.points[name], name, pair, folded=place > 0)
    for place, name in enumerate(data.architectures):
        if len(complete(data.points[name])) > 1:
            yield _lines_figure(data.points[name], name, data.spaces[name], folded=place > 0)


def _map_figure(points: Sequence[PointResult], name: str, pair: tuple[Parameter, Parameter], *, folded: bool) -> Figure:
    cells = means_by_pair(points, *pair)
    row, place = divmod(int(np.nanargmax(cells.to_numpy())), cells.shape[1])
    tried = counted(len(having(having(points, pair[0]), pair[1])), "complete point")
    shown = " and ".join(spoken(item.name) for item in pair)
    caption = (
        f"Mean validation accuracy (%) of the points in each cell, whatever else they set ({tried}): the two most"
        " important hyperparameters that are set together."
    )
    highest = number(np.nanmax(cells.to_numpy()), 2, scale=100)
    alt = f"The highest mean, {highest} %, is at {cells.columns[place]} and {cells.index[row]}."
    return Figure(name=f"map-{name}", title=f"{name}: {shown}", caption=caption, alt=alt,
                  drawing=figure_of(draw_map(new_axes(height=_map_height(cells)), cells, pair)),
                  folded=folded)  # fmt: skip


def _map_height(cells: pd.DataFrame) -> float:
    return 1.1 + 0.28 * max(len(cells), 3)


def draw_map(axes: Axes, cells: pd.DataFrame, pair: tuple[Parameter, Parameter]) -> Axes:
    """Draw the means of `cells` (see means_by_pair) as colours, with their figures where there are few."""
    values = METRIC.scale * cells.to_numpy(dtype=float)
    low, high = shown_span(values)
    image = axes.imshow(values, cmap=COLOURS_OF_ACCURACY, vmin=low, vmax=high, aspect="auto", origin="lower")
    turned = sum(len(text) for text in cells.columns) > 24
    axes.set_xticks(range(cells.shape[1]), cells.columns, rotation=35 if turned else 0,
                    ha="right" if turned else "center", rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(range(cells.shape[0]), cells.index)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=spoken(pair[0].name), ylabel=in_lines(spoken(pair[1].name)))
    if values.size <= MOST_WRITTEN:
        for (row, place), value in np.ndenumerate(values):
            if not np.isnan(value):
                red, green, blue, _ = image.cmap((value - low) / (high - low))
                dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
                axes.text(place, row, f"{value:.2f}", ha="center", va="center", fontsize=6.5,
                          color="white" if dark else INK)  # fmt: skip
    bar = figure_of(axes).colorbar(image, ax=axes, extend="min" if np.nanmin(values) < low else "neither")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6.5)
    return axes


def shown_span(values: Numbers) -> tuple[float, float]:
    """Give the values between which colours go from the palest to the darkest: all but the worst twentieth."""
    low, high = (float(end) for end in np.nanquantile(values, [WORST_SHARE, 1]))
    return low, high if high > low else low + 1e-6


def _lines_figure(points: Sequence[PointResult], name: str, space: Space, *, folded: bool) -> Figure:
    done = complete(points)
    drawn = some_of(done)
    some = f"{number(len(drawn))} of {number(len(done))}, evenly by rank"
    caption = (
        f"Each line is a complete point ({some if len(drawn) < len(done) else f'all {number(len(done))}'}), dark ones"
        " are better; values of a choice are spread a little so that lines do not hide each other."
    )
    if any(item.parent for item in space.parameters):
        caption += " Below an axis pass the points that do not set it."
    best = drawn[0]
    alt = (
        f"Lines from hyperparameter to hyperparameter to the accuracy, from {number(done[-1].value, 2, scale=100)} % to"
        f" {number(best.value, 2, scale=100)} %."
    )
    return Figure(name=f"lines-{name}", title=f"{name}: points as lines", caption=caption, alt=alt,
                  drawing=draw_lines(drawn, space), folded=folded)  # fmt: skip


def some_of(ranked: Sequence[PointResult]) -> list[PointResult]:
    """Take at most MOST_LINES points, evenly by rank, the best and the worst among them."""
    places = np.unique(np.linspace(0, len(ranked) - 1, min(MOST_LINES, len(ranked))).round().astype(int))
    return [ranked[place] for place in places]


def draw_lines(points: Sequence[PointResult], space: Space) -> Drawing:
    """Draw points, the best first, as lines over an axis for each parameter and one for the accuracy."""
    parameters = [item for item in space.parameters if having(points, item)]
    drawing = new_figure(max(1.0 * (len(parameters) + 1), 3.5), 2.6)
    axes = drawing.add_subplot()
    accuracies = METRIC.scale * np.array([point.value for point in points], dtype=float)
    low, high = shown_span(accuracies)
    random = np.random.default_rng(0)
    heights = [_heights(points, item, random) for item in parameters]
    heights.append(np.clip((accuracies - low) / (high - low), 0, 1))
    paths = np.stack([np.tile(np.arange(len(heights)), (len(points), 1)), np.array(heights).T], axis=-1)[::-1]
    lines = LineCollection(list(paths), array=accuracies[::-1], cmap=mpl.colormaps[COLOURS_OF_ACCURACY],
                           norm=Normalize(low, high), linewidths=0.6 if len(points) > 100 else 1.0,
                           alpha=0.8)  # fmt: skip
    axes.add_collection(lines)
    ends = [_marks(item) for item in parameters]
    ends.append(_accuracy_marks(low, high, below=bool(accuracies.min() < low)))
    _draw_frame(axes, [spoken(item.name) for item in parameters], ends)
    return drawing


def _accuracy_marks(low: float, high: float, *, below: bool) -> list[tuple[float, str]]:
    return [(0.0, f"{'≤ ' if below else ''}{low:.2f}"), (0.5, f"{(low + high) / 2:.2f}"), (1.0, f"{high:.2f}")]


def _heights(points: Sequence[PointResult], item: Parameter, random: np.random.Generator) -> Numbers:
    """Where each point crosses a parameter's axis, 0 at its lowest value, 1 at its highest, UNSET where it has none."""
    domain, heights = item.domain, []
    spread = 0.0 if isinstance(domain, Range) else 0.3 / max(len(domain.values) - 1, 3)
    for point in points:
        values = point.point.values
        if item.hyperparameter not in values or not item.is_active(values):
            heights.append(UNSET)
        elif isinstance(domain, Range):
            low, high = position(domain.low, domain), position(domain.high, domain)
            heights.append((position(values[item.hyperparameter], domain) - low) / (high - low))
        else:
            ordered = _in_order(item)
            heights.append(_choice_height(ordered.index(values[item.hyperparameter]), len(ordered)))
    return np.array(heights) + spread * random.uniform(-0.5, 0.5, len(points))


def _in_order(item: Parameter) -> list[object]:
    domain = item.domain
    values = [] if isinstance(domain, Range) else list(domain.values)
    return sorted(values) if is_ordered(domain) else values


def _choice_height(place: int, count: int) -> float:
    return place / (count - 1) if count > 1 else 0.5


def _marks(item: Parameter) -> list[tuple[float, str]]:
    """Heights and texts of what is written on a parameter's axis."""
    domain = item.domain
    if isinstance(domain, Range):
        return [(0.0, setting(domain.low)), (1.0, setting(domain.high))]
    ordered = _in_order(item)
    return [(_choice_height(place, len(ordered)), setting(value)) for place, value in enumerate(ordered)]


def _draw_frame(axes: Axes, names: Sequence[str], marks: Sequence[Sequence[tuple[float, str]]]) -> None:
    """Draw the upright axes with their values, and their names below."""
    for place, written in enumerate(marks):
        axes.axvline(place, color=INK, linewidth=0.6, zorder=3)
        for height, text in written:
            axes.text(place + 0.04, height, text, fontsize=6, va="center", zorder=4,
                      bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4})  # fmt: skip
    labels = [*names, "validation accuracy (%)"]
    broken = [in_lines(label).replace(" ", "\n") for label in labels]
    axes.set_xticks(range(len(marks)), broken, fontsize=6.5)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.1, len(marks) - 1 + 0.45)
    axes.set_ylim(UNSET - 0.06, 1.08)
