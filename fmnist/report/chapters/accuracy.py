"""The chapter on accuracy: distributions, verdicts on pairs, average ranks, and what the test set leaves open."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from fmnist.compare import VarianceLayers, cliques, unbarred_pairs, variance_layers
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.chapters.metrics import distributions
from fmnist.report.chapters.pairs import pair_methods, pair_tables, verdict_figures
from fmnist.report.predictions import right_difference
from fmnist.report.study_data import StudyData
from fmnist.report.style import INK, Styles, figure_of, in_lines, new_axes
from fmnist.report.table import Columns, Table, column, make_table, present
from fmnist.report.text import counted, number, p_words

RANKS_INCHES = 6.5


def accuracy_chapter(data: StudyData, styles: Styles) -> Chapter:
    """Which configuration classifies best."""
    metrics = data.metrics_of("accuracy")
    friedman = (
        "All configurations together were ranked by Friedman's test with repeats as blocks (Iman and Davenport's F)."
    )
    return Chapter(
        key="accuracy",
        title="Comparison",
        figures=itertools.chain(
            distributions(metrics, data, styles), verdict_figures(metrics, data), rank_figures(data)
        ),
        tables=present(*pair_tables(metrics, data), layers_table(data)),
        methods=[*pair_methods(metrics), *([friedman] if data.friedman else [])],
    )


def rank_figures(data: StudyData) -> Iterator[Figure]:
    """The average ranks on a line; none where there is nothing to rank."""
    tested, primary = data.friedman, data.primary
    if tested is None or primary is None:
        return
    ranks = dict(zip(tested.labels, tested.average_ranks, strict=True))  # the best first
    groups = cliques(tested.labels, primary.pairs)
    all_alike = math.isinf(tested.f_statistic)
    statistic = "every repeat ranks them alike" if all_alike else f"F = {number(tested.f_statistic, 1)}"
    caption = (
        f"Average rank by {primary.metric.label} over {number(tested.n)} complete repeats; 1 is best. A bar joins"
        " configurations that no verdict tells apart (adjusted pairwise tests, not one critical distance)."
        f" Friedman test of all: {statistic}, {p_words(tested.p)}. Blocks are repeats: the test speaks of new seeds and"
        " validation splits on this data set, not of other data sets."
    )
    if tested.left_out:
        caption += f" Left out: {counted(tested.left_out, 'repeat')} without a value of each."
    alone = unbarred_pairs(groups, primary.pairs)
    if alone:
        caption += f" Not told apart either: {'; '.join(f'{a} and {b}' for a, b in alone)}."
    places = ", ".join(f"{label} {number(rank, 2)}" for label, rank in ranks.items())
    joined = "; ".join(" and ".join(group) for group in groups if len(group) > 1)
    alt = f"Ranks on a line: {places}. {f'Bars join {joined}' if joined else 'No bar'}."
    axes = draw_critical_difference(new_axes(RANKS_INCHES, 1.0 + 0.1 * len(ranks)), ranks, groups)
    yield Figure(name="critical-difference", title="Average ranks", caption=caption, alt=alt, drawing=figure_of(axes))


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


def layers_table(data: StudyData) -> Table | None:
    """The two layers of uncertainty of each mean accuracy, and of its difference from the leader's."""
    labels, rows = data.predicted_labels, []
    for label in labels:
        row: dict[str, Any] = {"label": label, **_layer_figures(variance_layers(data.predictions[label].right), "")}
        difference = right_difference(data.predictions[labels[0]], data.predictions[label])
        if label != labels[0] and len(difference):
            row |= _layer_figures(variance_layers(difference), "difference_")
        rows.append(row)
    errors = {"seeds": "seed_standard_error", "test set": "test_set_standard_error"}
    columns: Columns = {
        "configuration": "label",
        "n": "runs",
        "mean accuracy, %": column("mean", 100, 2),
        "std. dev. between seeds": column("seed_standard_deviation", 100, 3),
        **{f"std. error, {layer}": column(name, 100, 3) for layer, name in errors.items()},
        "both": column("standard_error", 100, 3),
        f"{''.join(labels[:1])} minus it": column("difference_mean", 100, 2, signed=True),
        **{f"its std. error, {layer}": column(f"difference_{name}", 100, 3) for layer, name in errors.items()},
        "its both": column("difference_standard_error", 100, 3),
    }
    note = (
        "In percentage points. The error between seeds says how a rerun with other seeds would score on the same test"
        " images; it shrinks with more repeats. The error of the test set says how the same runs would score on other"
        " images of the same kind; all runs share their images, so that repeats do not shrink it. Both: for new seeds"
        " and other images; the chance of single runs on single images is in either error and counted once. Verdicts on"
        " pairs speak of seeds alone, the original report's claims of both. Differences are over common repeats."
    )
    return make_table("layers", "Two layers of uncertainty", rows, columns, note)


def _layer_figures(layers: VarianceLayers, prefix: str) -> dict[str, float]:
    figures = ("runs", "mean", "seed_standard_deviation", "seed_standard_error", "test_set_standard_error",
               "standard_error")  # fmt: skip
    return {f"{prefix}{name}": getattr(layers, name) for name in figures}
