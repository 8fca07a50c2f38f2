"""The figures of one study's report, each made from its findings: what is drawn, with title and caption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fmnist.compare import cliques, pareto_front, unbarred_pairs
from fmnist.data import CLASS_NAMES, Dataset
from fmnist.declare import METRICS, Metric
from fmnist.report import plot_comparison, plot_runs
from fmnist.report.chapters.original_report import original_value
from fmnist.report.chapters.pairs import placement_mark
from fmnist.report.predictions import Example, choose_examples
from fmnist.report.study_data import Findings, MetricFindings
from fmnist.report.style import COLUMN_INCHES, Style, figure_of, legend_below, new_axes, new_figure
from fmnist.report.table import counted, in_unit, p_words
from fmnist.report.text import difference_text, difference_unit, seen_from

Section = Literal["accuracy", "costs", "curves", "classes", "confidence", "examples", "original"]
EXAMPLES = 5  # images in a row
WIDE_INCHES = 6.5
CONFUSION_INCHES = 4.6  # 10 x 10 figures that can be read


@dataclass(frozen=True, eq=False)
class Picture:
    """One figure of a report: the section it stands in, a name of its own, what it shows and how to read it."""

    section: Section
    name: str
    title: str
    caption: str
    seen: str  # what the figure shows, for who cannot see it
    figure: Figure
    folded: bool = False  # the page shows it when asked: one of many much alike


def pictures(findings: Findings, styles: Mapping[str, Style]) -> Iterator[Picture]:
    """Draw every figure that the findings allow; call within appearance.house_style."""
    yield from _distributions(findings, styles)
    yield from _verdicts(findings)
    yield from _ranks(findings)
    yield from _trade_offs(findings, styles)
    yield from _curves(findings, styles)
    yield from _classes(findings)
    yield from _reliability(findings, styles)
    yield from _examples(findings)
    yield from _originals(findings, styles)


def _distributions(findings: Findings, styles: Mapping[str, Style]) -> Iterator[Picture]:
    drawn = (name for name, metric in METRICS.items() if "distribution" in metric.figures)
    names = dict.fromkeys([findings.study.primary_metric, *drawn])
    for found in (findings.metrics[name] for name in names if name in findings.metrics):
        means = _means(found, findings)
        if means.empty:
            continue
        caption = f"{found.metric.meaning} Each point is a run, the bar below them the mean with its 95 % interval."
        if max(found.summaries[label].n for label in means.index) >= plot_runs.FEWEST_FOR_A_BOX:
            caption += (
                f" From {plot_runs.FEWEST_FOR_A_BOX} runs on a box spans the quartiles, the line in it is the median, the"
                " whiskers reach the last run within 1.5 times the box's length; of more runs than"
                f" {plot_runs.MOST_POINTS} so many are drawn as points, chosen at random."
            )
        seen = f"Points by configuration. Means: {_listed(means['mean'], found.metric)}."
        yield Picture(_section(found), f"distribution-{found.metric.name}", found.metric.label.capitalize(), caption,
                      seen, _runs(found, means, styles))  # fmt: skip


def _originals(findings: Findings, styles: Mapping[str, Style]) -> Iterator[Picture]:
    architectures = findings.study.architectures
    for found in (findings.metrics[name] for name in ("test_accuracy", "train_accuracy") if name in findings.metrics):
        means = _means(found, findings)
        means["original"] = [original_value(architectures[label], found.metric.name) for label in means.index]
        there = means["original"].dropna()
        if there.empty:
            continue
        caption = "Runs, mean and 95 % interval; a hollow diamond is the original report's figure, where it gives one."
        seen = f"Means here: {_listed(means['mean'], found.metric)}. Original report: {_listed(there, found.metric)}."
        yield Picture("original", f"original-{found.metric.name}",
                      f"{found.metric.label.capitalize()} beside the original report", caption, seen,
                      _runs(found, means, styles))  # fmt: skip


def _runs(found: MetricFindings, means: pd.DataFrame, styles: Mapping[str, Style]) -> Figure:
    values = {label: found.samples[label].to_numpy() for label in means.index}
    axes = new_axes(height=0.75 + 0.36 * max(len(values), 2))
    note = placement_mark(found) if found.refusal else ""
    return figure_of(plot_runs.draw_distribution(axes, values, means, found.metric, styles, note=note))


def _section(found: MetricFindings) -> Section:
    return found.metric.chapter


def _means(found: MetricFindings, findings: Findings) -> pd.DataFrame:
    """Give mean and bounds of its interval of each shown label, in stored units; a bound that is not known is nan."""
    summaries = {label: found.summaries[label] for label in findings.ordered if label in found.summaries}
    rows = [(item.mean, item.mean_t_interval.lower, item.mean_t_interval.upper) for item in summaries.values()]
    return pd.DataFrame(rows, index=list(summaries), columns=["mean", "low", "high"], dtype=float)


def _listed(values: pd.Series, metric: Metric) -> str:
    """Write stored values of a metric into a sentence: own_v1 91.32 %, own_v2 90.21 %."""
    return ", ".join(f"{label} {in_unit(value, metric)} {metric.unit}".rstrip() for label, value in values.items())


def _verdicts(findings: Findings) -> Iterator[Picture]:
    for found in findings.metrics.values():
        if not found.pairs:
            continue
        metric, labels = found.metric, [label for label in findings.ordered if label in found.samples]
        views = [seen_from(pair, min(pair.a, pair.b, key=labels.index)) for pair in found.pairs]
        cells = {(view.label, view.other): (view.verdict, difference_text(view, metric)) for view in views}
        axes = new_axes(max(COLUMN_INCHES, 1.3 + 0.85 * (len(labels) - 1)), 0.9 + 0.46 * (len(labels) - 1))
        plot_comparison.draw_verdicts(axes, labels, cells)
        what = "ratio" if metric.by_ratio else f"mean difference in {difference_unit(metric)}"
        caption = (
            "The row's configuration against the column's: ▲ better, ▼ worse, = equivalent, ? inconclusive; below it"
            f" the {what} of {metric.label}, the row's to the column's, with its 95 % interval."
        )
        counts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(view.verdict for view in views).items())
        seen = f"Table of {len(cells)} pairs, the best configuration first: {counts}."
        yield Picture(_section(found), f"verdicts-{metric.name}", f"Verdicts by {metric.label}", caption, seen,
                      figure_of(axes))  # fmt: skip


def _ranks(findings: Findings) -> Iterator[Picture]:
    tested, primary = findings.friedman, findings.primary
    if tested is None or primary is None or np.isnan(tested.p):
        return
    groups = cliques(tested.labels, primary.pairs)
    ranks = dict(zip(tested.labels, tested.average_ranks, strict=True))  # by rank
    statistic = "every repeat ranks them alike" if np.isinf(tested.f_statistic) else f"F = {tested.f_statistic:.1f}"
    axes = new_axes(WIDE_INCHES, 1.0 + 0.1 * len(ranks))
    plot_comparison.draw_critical_difference(axes, ranks, groups)
    caption = (
        f"Average rank by {primary.metric.label} over {tested.n:,} complete repeats; 1 is best. A bar joins"
        " configurations that no verdict tells apart (adjusted pairwise tests, not one critical distance)."
        f" Friedman test of all: {statistic}, {p_words(tested.p)}. Blocks are"
        " repeats: the test speaks of new seeds and validation splits on this data set, not of other data sets."
    )
    if tested.left_out:
        caption += f" Left out: {counted(tested.left_out, 'repeat')} without a value of each."
    alone = unbarred_pairs(groups, primary.pairs)
    if alone:
        caption += f" Not told apart either: {'; '.join(f'{a} and {b}' for a, b in alone)}."
    places = ", ".join(f"{label} {rank:.2f}" for label, rank in ranks.items())
    joined = "; ".join(" and ".join(group) for group in groups if len(group) > 1)
    seen = f"Ranks on a line: {places}. {f'Bars join {joined}' if joined else 'No bar'}."
    yield Picture("accuracy", "critical-difference", "Average ranks", caption, seen, figure_of(axes))


def _trade_offs(findings: Findings, styles: Mapping[str, Style]) -> Iterator[Picture]:
    gain = findings.metrics.get("test_accuracy")
    for name in (name for name, metric in METRICS.items() if "trade-off" in metric.figures):
        cost = findings.metrics.get(name)
        if cost is None or gain is None:
            continue
        costs, gains = _means(cost, findings), _means(gain, findings)
        labels = [label for label in costs.index if label in gains.index]
        if not labels:
            continue
        costs, gains = costs.loc[labels], gains.loc[labels]
        axes = new_axes(height=2.5)
        caption = "Means with their 95 % intervals."
        front: list[str] = []
        if cost.refusal:
            plot_runs.mark(axes, placement_mark(cost))
        else:
            points = np.column_stack([costs["mean"], gains["mean"]])
            front = list(costs.index[pareto_front(points, ["down", gain.metric.direction])])
            caption += f" Not beaten in both means at once (Pareto front): {', '.join(front)}."
        plot_comparison.draw_trade_off(axes, costs, gains, (cost.metric, gain.metric), styles, front)
        spent = _listed(costs["mean"], cost.metric)
        seen = f"{_listed(gains['mean'], gain.metric)}, at {cost.metric.label} of {spent}."
        yield Picture("costs", f"trade-off-{name}", f"Accuracy against {cost.metric.label}", caption, seen,
                      legend_below(axes))  # fmt: skip


def _reliability(findings: Findings, styles: Mapping[str, Style]) -> Iterator[Picture]:
    for label in findings.predicted:
        sums = findings.predictions[label]
        curve = sums.calibration.curve()
        axes = plot_runs.draw_reliability(new_axes(2.6, 2.6), *curve, styles[label])
        error = 100 * sums.calibration.expected_error.mean()
        caption = f"n = {sums.runs:,} together. Mean expected calibration error of a run {error:.2f} points."
        seen = f"Curve from a confidence of {np.nanmin(curve[0]):.2f} to 1 beside the diagonal."
        yield Picture("confidence", f"reliability-{label}", f"{label}: reliability", caption, seen, figure_of(axes))


def _curves(findings: Findings, styles: Mapping[str, Style]) -> Iterator[Picture]:
    epochs = {label: rows for label in findings.ordered if len(rows := findings.epochs_of(label))}
    if not epochs:
        return
    axes = plot_runs.draw_validation(new_axes(), epochs, styles)
    caption = "Mean over the runs, thin once some have stopped, while at least half of them go on."
    ends = {
        label: plot_runs.mean_curve(frame, "validation_accuracy")["mean"].iloc[-1] for label, frame in epochs.items()
    }
    seen = f"Curves. At their ends: {', '.join(f'{label} {100 * end:.1f} %' for label, end in ends.items())}."
    yield Picture("curves", "validation", "Validation accuracy by epoch", caption, seen, legend_below(axes))
    for label, frame in epochs.items():
        caption = (
            f"n = {frame['run'].nunique():,}. Means over the runs with bands of one standard deviation, thin once some"
            " have stopped, while at least half of them go on; training (dashed) with dropout and augmentation on, as"
            " its epoch ran. Learning rate: median and range."
        )
        seen = f"Accuracy, loss and learning rate by epoch, up to {100 * ends[label]:.1f} % validation accuracy."
        yield Picture("curves", f"curves-{label}", f"{label}: learning curves", caption, seen,
                      _curve(frame, styles[label]))  # fmt: skip


def _curve(epochs: pd.DataFrame, style: Style) -> Figure:
    figure = new_figure(COLUMN_INCHES, 4.4)
    grid = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.3])
    plot_runs.draw_curves(grid[0], epochs, "accuracy", style).legend(loc="lower right")
    plot_runs.draw_curves(grid[1], epochs, "loss", style)
    plot_runs.draw_learning_rate(grid[2], epochs)
    figure.align_ylabels()
    return figure


def _classes(findings: Findings) -> Iterator[Picture]:
    there = findings.predicted
    if not there:
        return
    recall = pd.DataFrame({label: findings.predictions[label].recall_by_run.mean(axis=0) for label in there}).T
    recall.columns = pd.Index(CLASS_NAMES)
    axes = plot_runs.draw_recall(new_axes(WIDE_INCHES, 0.9 + 0.26 * max(len(there), 2)), recall)
    caption = "Share of each class's test images classified rightly, in %, mean over runs; darker is higher."
    lowest = [f"{label} {row.idxmin()} {100 * row.min():.1f} %" for label, row in recall.iterrows()]
    seen = f"Shaded table. Lowest recall of each: {', '.join(lowest)}."
    yield Picture("classes", "recall", "Recall by class", caption, seen, figure_of(axes))
    for label in there:
        sums = findings.predictions[label]
        axes = plot_runs.draw_confusion(new_axes(CONFUSION_INCHES, CONFUSION_INCHES), sums.confusion, CLASS_NAMES)
        caption = f"{counted(sums.runs, 'run')} summed, in % of each true class; shares under 0.05 % are blank."
        wrong = np.where(np.eye(len(CLASS_NAMES), dtype=bool), 0, sums.confusion)
        true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
        seen = f"Dark diagonal. Most frequent mistake: {CLASS_NAMES[true]} taken for {CLASS_NAMES[predicted]}."
        yield Picture("classes", f"confusion-{label}", f"{label}: confusion matrix", caption, seen, figure_of(axes),
                      folded=label != there[0])  # fmt: skip


def _examples(findings: Findings) -> Iterator[Picture]:
    for label in findings.predicted:
        example, data = findings.predictions[label].example, findings.data
        if example is None or data is None:
            continue
        wrong, right = choose_examples(example, data.test_labels, EXAMPLES)
        caption = (
            f"Test images of repeat {example.repeat}. Above: the mistakes it was surest of, framed, each with the class"
            " predicted, its probability and the true class. Below: drawn at random among those it has right."
        )
        mistakes = zip(data.test_labels[wrong], example.predicted[wrong], strict=True)
        named = [f"{CLASS_NAMES[true]} taken for {CLASS_NAMES[predicted]}" for true, predicted in mistakes]
        seen = f"Images. The mistakes: {', '.join(named) or 'none'}."
        yield Picture("examples", f"examples-{label}", f"{label}: wrong and right", caption, seen,
                      _example_sheet(example, data, (wrong, right)), folded=label != findings.predicted[0])  # fmt: skip


def _example_sheet(example: Example, data: Dataset, rows: tuple[np.ndarray, np.ndarray]) -> Figure:
    figure = new_figure(5.3, 3.1)
    grid = figure.subplots(2, EXAMPLES)
    for row, chosen in zip(grid, rows, strict=True):
        for axes in row[len(chosen) :]:
            axes.set_visible(False)
        for axes, image in zip(row, chosen, strict=False):
            true, predicted = (CLASS_NAMES[classes[image]] for classes in (data.test_labels, example.predicted))
            plot_runs.draw_example(axes, data.test_images[image], true, predicted, float(example.confidence[image]))
    return figure
