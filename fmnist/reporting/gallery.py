"""The figures of one study's report, each made from its findings: what is drawn, with title and caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fmnist import figures
from fmnist.data import CLASS_NAMES, Dataset
from fmnist.reporting import comparison_figures
from fmnist.reporting.appearance import COLUMN_INCHES, Look, figure_of, new_axes, new_figure, rows_height
from fmnist.reporting.findings import Findings, MetricFindings
from fmnist.reporting.original import original_value
from fmnist.reporting.pair_text import difference_text, difference_unit, seen_from
from fmnist.reporting.predictions import Example
from fmnist.reporting.study_tables import placement_mark
from fmnist.schema import METRICS
from fmnist.statistics.ranking import GENERALISES_TO, Friedman, cliques, unbarred_pairs
from fmnist.statistics.trade_offs import TARGET_ACCURACY, pareto_front, performance_profile
from fmnist.statistics.verdicts import RELATIVE_KINDS
from fmnist.tables import counted, p_value

Section = Literal["comparison", "costs", "curves", "classes", "confidence", "examples", "original"]
EXAMPLES = 5  # images in a row
WIDE_INCHES = 6.5


@dataclass(frozen=True, eq=False)
class Picture:
    """One figure of a report: the section it stands in, the name of its files, what it shows and how to read it."""

    section: Section
    name: str
    title: str
    caption: str
    figure: Figure


def pictures(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    """Draw every figure that the findings allow; call within appearance.house_style."""
    yield from _distributions(findings, looks)
    yield from _verdicts(findings)
    yield from _ranks(findings)
    yield from _trade_offs(findings, looks)
    yield from _profile(findings, looks)
    yield from _curves(findings, looks)
    yield from _classes(findings)
    yield from _reliability(findings, looks)
    yield from _examples(findings)
    yield from _originals(findings, looks)


def _distributions(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    names = dict.fromkeys([findings.study.primary_metric, "test_accuracy", "test_loss", "train_seconds",
                           "epoch_seconds", "host_allocated_bytes", "device_peak_bytes"])  # fmt: skip
    for found in (findings.metrics[name] for name in names if name in findings.metrics):
        values = {label: column.to_numpy() for label, column in found.of(findings.ordered).items()}
        if not values:
            continue
        mark = placement_mark(found) if found.refusal else ""
        axes = new_axes(height=rows_height(len(values)))
        figures.draw_distribution(axes, values, found.metric, looks, note=mark)
        caption = (
            f"{found.metric.meaning} Each point is a run; the box spans the quartiles, the line in it is the median,"
            " the whiskers reach the last run within 1.5 times the box's length."
        )
        most = max(len(column) for column in values.values())
        if most > figures.MOST_POINTS:
            caption += f" Of each configuration {figures.MOST_POINTS} runs are drawn as points, chosen at random."
        section: Section = "comparison" if found.metric.kind == "accuracy" else "costs"
        yield Picture(
            section, f"distribution-{found.metric.name}", found.metric.label.capitalize(), caption, figure_of(axes)
        )


def _verdicts(findings: Findings) -> Iterator[Picture]:
    for found in findings.metrics.values():
        if not found.pairs:
            continue
        labels = [label for label in findings.ordered if label in found.samples]
        side = max(COLUMN_INCHES, 1.3 + 0.58 * len(labels))
        axes = new_axes(side, 0.75 + 0.42 * len(labels))
        comparison_figures.draw_verdicts(axes, labels, verdict_cells(found))
        caption = (
            f"The row's configuration against the column's: ▲ better, ▼ worse, = equivalent, ? undecided; below it the"
            f" {_difference_words(found)}."
        )
        yield Picture("comparison" if found.metric.kind == "accuracy" else "costs", f"verdicts-{found.metric.name}",
                      f"Verdicts by {found.metric.label}", caption, figure_of(axes))  # fmt: skip


def _difference_words(found: MetricFindings) -> str:
    label = found.metric.label
    if found.metric.kind in RELATIVE_KINDS:
        return f"ratio of the row's {label} to the column's"
    return f"mean difference of {label} in {difference_unit(found.metric)}, row less column"


def _ranks(findings: Findings) -> Iterator[Picture]:
    tested, primary = findings.friedman, findings.primary
    if tested is None or primary is None or np.isnan(tested.p):
        return
    groups = cliques(tested.labels, primary.pairs)
    ranks = dict(zip(tested.labels, tested.average_ranks, strict=True))
    axes = new_axes(WIDE_INCHES, 1.0 + 0.1 * len(ranks))
    comparison_figures.draw_critical_difference(axes, ranks, groups)
    caption = (
        f"Average rank by {primary.metric.label} over {tested.n:,} complete repeats; 1 is best. A bar joins"
        " configurations that no verdict tells apart (adjusted pairwise tests, not one critical distance)."
        f" Friedman test of all: {_friedman_words(tested)}. {GENERALISES_TO}"
    )
    if tested.left_out:
        caption += f" Left out: {counted(tested.left_out, 'repeat')} without a value of each."
    alone = unbarred_pairs(groups, primary.pairs)
    if alone:
        caption += f" Not told apart either: {'; '.join(f'{a} and {b}' for a, b in alone)}."
    yield Picture("comparison", "critical-difference", "Average ranks", caption, figure_of(axes))


def _friedman_words(tested: Friedman) -> str:
    p = p_value(tested.p).replace("<", "< ") if tested.p < 0.001 else f"= {p_value(tested.p)}"
    if np.isinf(tested.f_statistic):
        return f"every repeat ranks them alike, p {p} (exact)"
    return f"F = {tested.f_statistic:.1f}, p {p}"


def verdict_cells(found: MetricFindings) -> dict[tuple[str, str], tuple[str, str]]:
    """Give verdict and difference of each ordered pair of labels."""
    cells: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in found.pairs:
        for label in (pair.a, pair.b):
            view = seen_from(pair, label)
            cells[view.label, view.other] = (view.verdict, difference_text(view, found.metric, interval=False))
    return cells


def _trade_offs(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    gain = findings.metrics.get("test_accuracy")
    for name in ("train_seconds", "host_allocated_bytes", "device_peak_bytes"):
        cost = findings.metrics.get(name)
        if cost is None or gain is None:
            continue
        labels = [label for label in findings.ordered if label in cost.summaries and label in gain.summaries]
        if not labels:
            continue
        costs = pd.DataFrame(
            [(cost.summaries[label].mean, cost.summaries[label].standard_deviation, gain.summaries[label].mean,
              gain.summaries[label].standard_deviation) for label in labels],
            index=labels, columns=["cost", "cost_std", "gain", "gain_std"],
        )  # fmt: skip
        axes = new_axes(height=2.5 + 0.16 * len(labels) / 2)
        caption = "Means, with bars of one standard deviation over runs."
        front: list[str] = []
        if cost.refusal:
            axes.set_title(placement_mark(cost), color="#a03000", fontsize=7.5)
        else:
            marked = pareto_front(costs[["cost", "gain"]].to_numpy(), ["down", gain.metric.direction])
            front = [label for label, is_marked in zip(labels, marked, strict=True) if is_marked]
            caption += f" Not beaten in both means at once (Pareto front): {', '.join(front)}."
        comparison_figures.draw_trade_off(axes, costs, cost.metric, gain.metric, looks, front)
        yield Picture("costs", f"trade-off-{name}", f"Accuracy against {cost.metric.label}", caption, figure_of(axes))


def _profile(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    times = findings.target_times
    if findings.timing_refusal or times.shape[1] < 2:
        return
    profile = performance_profile(times[[label for label in findings.ordered if label in times]])
    if profile.empty:
        return
    axes = new_axes(height=2.6 + 0.16 * (times.shape[1] + 1) // 2)
    shares = {str(label): profile[label].to_numpy() for label in profile.columns}
    comparison_figures.draw_profile(axes, profile.index.to_numpy(), shares, looks)
    caption = (
        f"Training time to {100 * TARGET_ACCURACY:g} % validation accuracy: share of"
        f" repeats (n = {len(times.dropna()):,}) in which a configuration needs at most so many times the time of that"
        " repeat's fastest. A curve ends at the share that reaches the target at all (Dolan and More 2002)."
    )
    yield Picture("costs", "performance-profile", "Performance profile", caption, figure_of(axes))


def _reliability(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    for label in findings.predicted:
        sums = findings.predictions[label]
        axes = new_axes(2.6, 2.6)
        figures.draw_reliability(axes, *sums.calibration.curve(), looks[label])
        error = 100 * sums.calibration.expected_error.mean()
        caption = (
            f"n = {sums.runs:,}, all predictions together. Mean expected calibration error of a run {error:.2f} points."
        )
        yield Picture("confidence", f"reliability-{label}", f"{label}: reliability", caption, figure_of(axes))


def _curves(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    there = [label for label in findings.ordered if len(findings.epochs_of(label))]
    if not there:
        return
    axes = new_axes(height=2.6 + 0.16 * (len(there) + 1) // 2)
    figures.draw_validation(axes, {label: findings.epochs_of(label) for label in there}, looks)
    caption = "Mean over the runs, while at least half of them go on."
    yield Picture("curves", "validation", "Validation accuracy by epoch", caption, figure_of(axes))
    for label in there:
        epochs = findings.epochs_of(label)
        runs = epochs["run"].nunique()
        caption = (
            f"n = {runs:,}. Means over the runs with bands of one standard deviation, while at least half of them go"
            " on; training (dashed) with dropout and augmentation on, as its epoch ran. Learning rate: median and"
            " range."
        )
        yield Picture("curves", f"curves-{label}", f"{label}: learning curves", caption, _curve(epochs, looks[label]))


def _curve(epochs: pd.DataFrame, look: Look) -> Figure:
    figure = new_figure(COLUMN_INCHES, 4.4)
    grid = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.3])
    figures.draw_curves(grid[0], epochs, "accuracy", look).legend(loc="lower right")
    figures.draw_curves(grid[1], epochs, "loss", look)
    figures.draw_learning_rate(grid[2], epochs)
    figure.align_ylabels()
    return figure


def _classes(findings: Findings) -> Iterator[Picture]:
    there = findings.predicted
    if not there:
        return
    recall = pd.DataFrame(
        [findings.predictions[label].recall_by_run.mean(axis=0) for label in there], there, list(CLASS_NAMES)
    )
    axes = new_axes(WIDE_INCHES, rows_height(len(there), around=0.9))
    figures.draw_recall(axes, recall)
    caption = "Share of each class's test images classified rightly, in %, mean over runs; darker is higher."
    yield Picture("classes", "recall", "Recall by class", caption, figure_of(axes))
    for label in there:
        sums = findings.predictions[label]
        axes = figures.draw_confusion(new_axes(COLUMN_INCHES, COLUMN_INCHES), sums.confusion, CLASS_NAMES)
        caption = (
            f"All {sums.runs:,} {'runs' if sums.runs > 1 else 'run'} summed, in % of each true class; shares under"
            " 0.05 % are blank."
        )
        yield Picture("classes", f"confusion-{label}", f"{label}: confusion matrix", caption, figure_of(axes))


def _examples(findings: Findings) -> Iterator[Picture]:
    for label in findings.predicted:
        sums = findings.predictions[label]
        if sums.example is None or findings.data is None:
            continue
        caption = (
            f"Test images of repeat {sums.example.repeat}. Above: the mistakes it was surest of, framed, each with the"
            " class predicted, its probability and the true class. Below: drawn at random among those it has right."
        )
        figure = _example_sheet(sums.example, findings.data)
        yield Picture("examples", f"examples-{label}", f"{label}: wrong and right", caption, figure)


def _example_sheet(example: Example, data: Dataset) -> Figure:
    wrong, right = choose_examples(example, data.test_labels)
    figure = new_figure(5.3, 3.1)
    grid = figure.subplots(2, EXAMPLES, squeeze=False)
    for row, chosen in zip(grid, (wrong, right), strict=True):
        for axes in row[len(chosen) :]:
            axes.set_visible(False)
        for axes, image in zip(row, chosen, strict=False):
            true, predicted = (CLASS_NAMES[classes[image]] for classes in (data.test_labels, example.predicted))
            figures.draw_example(axes, data.test_images[image], true, predicted, float(example.confidence[image]))
    return figure


def choose_examples(example: Example, true_classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose images of one run: the mistakes with the highest confidence, and right ones at random (seed 0)."""
    is_right = example.predicted == true_classes
    wrong, right = np.flatnonzero(~is_right), np.flatnonzero(is_right)
    surest = wrong[np.argsort(-example.confidence[wrong].astype(float), kind="stable")[:EXAMPLES]]
    return surest, np.random.default_rng(0).choice(right, min(EXAMPLES, len(right)), replace=False)


def _originals(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    for name in ("test_accuracy", "train_accuracy"):
        found = findings.metrics.get(name)
        if found is None:
            continue
        rows = {}
        for label in found.of(findings.ordered):
            interval = found.summaries[label].mean_t_interval
            rows[label] = {"mean": found.summaries[label].mean, "low": interval.lower, "high": interval.upper,
                           "original": original_value(findings.study.architectures[label], name)}  # fmt: skip
        summary = pd.DataFrame.from_dict(rows, orient="index")
        if summary.empty or summary["original"].isna().all():
            continue
        axes = new_axes(height=rows_height(len(summary)) + 0.4)
        comparison_figures.draw_intervals(axes, summary, METRICS[name], looks)
        caption = "Where the original report gives no figure there is no diamond."
        yield Picture("original", f"original-{name}", f"{found.metric.label.capitalize()} beside the original report",
                      caption, figure_of(axes))  # fmt: skip
