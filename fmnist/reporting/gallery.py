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
from fmnist.reporting.appearance import (
    COLUMN_INCHES,
    Look,
    figure_of,
    legend_below,
    new_axes,
    new_figure,
    rows_height,
)
from fmnist.reporting.findings import Findings, MetricFindings
from fmnist.reporting.original import original_value
from fmnist.reporting.pair_text import difference_text, difference_unit, seen_from
from fmnist.reporting.predictions import Example
from fmnist.reporting.study_tables import placement_mark
from fmnist.schema import METRICS, Metric
from fmnist.statistics.ranking import GENERALISES_TO, Friedman, cliques, unbarred_pairs
from fmnist.statistics.trade_offs import TARGET_ACCURACY, pareto_front, performance_profile
from fmnist.statistics.verdicts import RELATIVE_KINDS
from fmnist.tables import counted, in_unit, p_value

Section = Literal["comparison", "costs", "curves", "classes", "confidence", "examples", "original"]
EXAMPLES = 5  # images in a row
WIDE_INCHES = 6.5
CONFUSION_INCHES = 4.6  # 10 x 10 figures that can be read
FEWEST_FOR_A_PROFILE = 10  # repeats; of fewer the shares are steps too high to read


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
        axes = new_axes(height=rows_height(len(values), each=0.36))
        means = _means(found, list(values))
        figures.draw_distribution(axes, values, means, found.metric, looks, note=mark)
        caption = f"{found.metric.meaning} Each point is a run, the bar below them the mean with its 95 % interval."
        most = max(len(column) for column in values.values())
        if most >= figures.FEWEST_FOR_A_BOX:
            caption += (
                f" From {figures.FEWEST_FOR_A_BOX} runs on a box spans the quartiles, the line in it is the median, the"
                " whiskers reach the last run within 1.5 times the box's length."
            )
        if most > figures.MOST_POINTS:
            caption += f" Of each configuration {figures.MOST_POINTS} runs are drawn as points, chosen at random."
        seen = f"Points by configuration. Means: {_listed(means['mean'], found.metric)}."
        yield Picture(_section(found), f"distribution-{found.metric.name}", found.metric.label.capitalize(), caption,
                      seen, figure_of(axes))  # fmt: skip


def _section(found: MetricFindings) -> Section:
    return "comparison" if found.metric.kind == "accuracy" else "costs"


def _means(found: MetricFindings, labels: list[str]) -> pd.DataFrame:
    """Give mean and bounds of its interval of each label, in stored units; a bound that is not known is nan."""
    intervals = {label: found.summaries[label].mean_t_interval for label in labels}
    rows = [(found.summaries[label].mean, item.lower, item.upper) for label, item in intervals.items()]
    return pd.DataFrame(rows, index=labels, columns=["mean", "low", "high"], dtype=float)


def _listed(values: pd.Series, metric: Metric) -> str:
    """Write stored values of a metric into a sentence: own_v1 91.32 %, own_v2 90.21 %."""
    return ", ".join(f"{label} {in_unit(value, metric)} {metric.unit}".rstrip() for label, value in values.items())


def _verdicts(findings: Findings) -> Iterator[Picture]:
    for found in findings.metrics.values():
        if not found.pairs:
            continue
        labels = [label for label in findings.ordered if label in found.samples]
        cells = verdict_cells(found, labels)
        axes = new_axes(max(COLUMN_INCHES, 1.3 + 0.85 * (len(labels) - 1)), 0.9 + 0.46 * (len(labels) - 1))
        comparison_figures.draw_verdicts(axes, labels, cells)
        caption = (
            f"The row's configuration against the column's: ▲ better, ▼ worse, = equivalent, ? undecided; below it the"
            f" {_difference_words(found)}, with its 95 % interval."
        )
        verdicts = [verdict for verdict, _ in cells.values()]
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
        seen = f"Table of {len(cells)} pairs, the best configuration first: {counts}."
        yield Picture(_section(found), f"verdicts-{found.metric.name}", f"Verdicts by {found.metric.label}", caption,
                      seen, figure_of(axes))  # fmt: skip


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
    places = ", ".join(f"{label} {ranks[label]:.2f}" for label in sorted(ranks, key=lambda label: ranks[label]))
    joined = "; ".join(" and ".join(group) for group in groups if len(group) > 1)
    seen = f"Ranks on a line: {places}. {f'Bars join {joined}' if joined else 'No bar'}."
    yield Picture("comparison", "critical-difference", "Average ranks", caption, seen, figure_of(axes))


def _friedman_words(tested: Friedman) -> str:
    p = p_value(tested.p).replace("<", "< ") if tested.p < 0.001 else f"= {p_value(tested.p)}"
    if np.isinf(tested.f_statistic):
        return f"every repeat ranks them alike, p {p} (exact)"
    return f"F = {tested.f_statistic:.1f}, p {p}"


def verdict_cells(found: MetricFindings, labels: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Give verdict and difference of each pair, seen from the one that stands first in `labels`."""
    cells: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in found.pairs:
        view = seen_from(pair, min(pair.a, pair.b, key=labels.index))
        cells[view.label, view.other] = (view.verdict, difference_text(view, found.metric))
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
        axes = new_axes(height=2.5)
        caption = "Means, with bars of one standard deviation over runs."
        front: list[str] = []
        if cost.refusal:
            axes.set_title(placement_mark(cost), color="#a03000", fontsize=7.5)
        else:
            marked = pareto_front(costs[["cost", "gain"]].to_numpy(), ["down", gain.metric.direction])
            front = [label for label, is_marked in zip(labels, marked, strict=True) if is_marked]
            caption += f" Not beaten in both means at once (Pareto front): {', '.join(front)}."
        comparison_figures.draw_trade_off(axes, costs, cost.metric, gain.metric, looks, front)
        seen = (
            f"{_listed(costs['gain'], gain.metric)}, at {cost.metric.label} of {_listed(costs['cost'], cost.metric)}."
        )
        yield Picture("costs", f"trade-off-{name}", f"Accuracy against {cost.metric.label}", caption, seen,
                      legend_below(axes))  # fmt: skip


def _profile(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    times = findings.target_times
    if findings.timing_refusal or times.shape[1] < 2:
        return
    if len(times.dropna()) < FEWEST_FOR_A_PROFILE:
        return
    profile = performance_profile(times[[label for label in findings.ordered if label in times]])
    axes = new_axes(height=2.6)
    shares = {str(label): profile[label].to_numpy() for label in profile.columns}
    comparison_figures.draw_profile(axes, profile.index.to_numpy(), shares, looks)
    caption = (
        f"Training time to {100 * TARGET_ACCURACY:g} % validation accuracy: share of"
        f" repeats (n = {len(times.dropna()):,}) in which a configuration needs at most so many times the time of that"
        " repeat's fastest. A curve ends at the share that reaches the target at all (Dolan and More 2002)."
    )
    fastest = ", ".join(f"{label} {share[0]:.2f}" for label, share in shares.items())
    seen = f"Rising steps, one for each configuration. Share of repeats in which it is the fastest: {fastest}."
    yield Picture("costs", "performance-profile", "Performance profile", caption, seen, legend_below(axes))


def _reliability(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    for label in findings.predicted:
        sums = findings.predictions[label]
        axes = new_axes(2.6, 2.6)
        curve = sums.calibration.curve()
        figures.draw_reliability(axes, *curve, looks[label])
        error = 100 * sums.calibration.expected_error.mean()
        caption = (
            f"n = {sums.runs:,}, all predictions together. Mean expected calibration error of a run {error:.2f} points."
        )
        seen = f"Curve from a confidence of {np.nanmin(curve[0]):.2f} to 1 beside the diagonal."
        yield Picture("confidence", f"reliability-{label}", f"{label}: reliability", caption, seen, figure_of(axes))


def _curves(findings: Findings, looks: Mapping[str, Look]) -> Iterator[Picture]:
    there = [label for label in findings.ordered if len(findings.epochs_of(label))]
    if not there:
        return
    axes = new_axes(height=2.6)
    figures.draw_validation(axes, {label: findings.epochs_of(label) for label in there}, looks)
    caption = "Mean over the runs, thin once some have stopped, while at least half of them go on."
    last = {label: _last_accuracies(findings.epochs_of(label)) for label in there}
    seen = f"Curves. At their ends: {', '.join(f'{label} {100 * last[label][1]:.1f} %' for label in there)}."
    yield Picture("curves", "validation", "Validation accuracy by epoch", caption, seen, legend_below(axes))
    for label in there:
        epochs = findings.epochs_of(label)
        caption = (
            f"n = {epochs['run'].nunique():,}. Means over the runs with bands of one standard deviation, thin once some"
            " have stopped, while at least half of them go on; training (dashed) with dropout and augmentation on, as"
            " its epoch ran. Learning rate: median and range."
        )
        training, validation = (100 * value for value in last[label])
        seen = (
            f"Accuracy, loss and learning rate by epoch. At the end {training:.1f} % training, {validation:.1f} %"
            " validation accuracy."
        )
        yield Picture("curves", f"curves-{label}", f"{label}: learning curves", caption, seen,
                      _curve(epochs, looks[label]))  # fmt: skip


def _last_accuracies(epochs: pd.DataFrame) -> tuple[float, float]:
    """Give the mean training and validation accuracy at the ends of the drawn curves, in [0, 1]."""
    train, validation = (figures.mean_curve(epochs, f"{part}_accuracy")["mean"] for part in ("train", "validation"))
    return float(train.iloc[-1]), float(validation.iloc[-1])


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
    seen = f"Shaded table. Lowest recall of each: {_lowest_recalls(recall)}."
    yield Picture("classes", "recall", "Recall by class", caption, seen, figure_of(axes))
    for label in there:
        sums = findings.predictions[label]
        axes = figures.draw_confusion(new_axes(CONFUSION_INCHES, CONFUSION_INCHES), sums.confusion, CLASS_NAMES)
        caption = (
            f"All {sums.runs:,} {'runs' if sums.runs > 1 else 'run'} summed, in % of each true class; shares under"
            " 0.05 % are blank."
        )
        wrong = np.where(np.eye(len(CLASS_NAMES), dtype=bool), 0, sums.confusion)
        true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
        seen = f"Dark diagonal. Most frequent mistake: {CLASS_NAMES[true]} taken for {CLASS_NAMES[predicted]}."
        yield Picture("classes", f"confusion-{label}", f"{label}: confusion matrix", caption, seen, figure_of(axes),
                      folded=label != there[0])  # fmt: skip


def _lowest_recalls(recall: pd.DataFrame) -> str:
    lowest = zip(recall.index, recall.idxmin(axis="columns"), recall.min(axis="columns"), strict=True)
    return ", ".join(f"{label} {name} {100 * value:.1f} %" for label, name, value in lowest)


def _examples(findings: Findings) -> Iterator[Picture]:
    for label in findings.predicted:
        sums = findings.predictions[label]
        if sums.example is None or findings.data is None:
            continue
        caption = (
            f"Test images of repeat {sums.example.repeat}. Above: the mistakes it was surest of, framed, each with the"
            " class predicted, its probability and the true class. Below: drawn at random among those it has right."
        )
        wrong = choose_examples(sums.example, findings.data.test_labels)[0]
        mistakes = zip(findings.data.test_labels[wrong], sums.example.predicted[wrong], strict=True)
        named = [f"{CLASS_NAMES[true]} taken for {CLASS_NAMES[predicted]}" for true, predicted in mistakes]
        seen = f"Images. The mistakes: {', '.join(named) or 'none'}."
        yield Picture("examples", f"examples-{label}", f"{label}: wrong and right", caption, seen,
                      _example_sheet(sums.example, findings.data), folded=label != findings.predicted[0])  # fmt: skip


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
        labels = list(found.of(findings.ordered))
        originals = [original_value(findings.study.architectures[label], name) for label in labels]
        summary = _means(found, labels).assign(original=np.array(originals, dtype=float))
        if summary["original"].isna().all():
            continue
        axes = new_axes(height=rows_height(len(summary)))
        comparison_figures.draw_intervals(axes, summary, METRICS[name], looks)
        caption = "Where the original report gives no figure there is no diamond."
        seen = (
            f"Means here: {_listed(summary['mean'], found.metric)}. Original report:"
            f" {_listed(summary['original'].dropna(), found.metric)}."
        )
        yield Picture("original", f"original-{name}", f"{found.metric.label.capitalize()} beside the original report",
                      caption, seen, legend_below(axes))  # fmt: skip
