"""What several chapters show of a metric: its means, its distribution, and on what rows it stands."""

import shlex
from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.figure import Figure as Drawing

from fmnist.declare import Metric
from fmnist.report import plot
from fmnist.report.chapter import Figure
from fmnist.report.study_data import MetricData, StudyData
from fmnist.report.style import Styles, figure_of, new_axes
from fmnist.report.text import amount, capitalized, names, number


def distributions(metrics: Sequence[MetricData], data: StudyData, styles: Styles) -> Iterator[Figure]:
    """Every run of each of the metrics, as far as such figures are made of them; of the primary metric first."""
    wanted = [item for item in metrics if item is data.primary or "distribution" in item.metric.figures]
    for measured in sorted(wanted, key=lambda item: item is not data.primary):
        metric, means = measured.metric, means_of(measured, data)
        if means.empty:
            continue
        caption = f"{metric.meaning} Each point is a run, the bar below them the mean with its 95 % interval."
        if max(measured.summaries[label].n for label in means.index) >= plot.FEWEST_FOR_A_BOX:
            caption += (
                f" From {number(plot.FEWEST_FOR_A_BOX)} runs on a box spans the quartiles, the line in it is the"
                " median, the whiskers reach the last run within 1.5 times the box's length; of more runs than"
                f" {number(plot.MOST_POINTS)} so many are drawn as points, chosen at random."
            )
        alt = f"Points by configuration. Means: {listed(means['mean'], metric)}."
        yield Figure(name=f"distribution-{metric.name}", title=capitalized(metric.label), caption=caption, alt=alt,
                     drawing=draw_runs(measured, means, styles))  # fmt: skip


def draw_runs(measured: MetricData, means: pd.DataFrame, styles: Styles) -> Drawing:
    """Draw the runs of the labels of `means`, see plot.draw_distribution."""
    values = {label: measured.samples[label].to_numpy() for label in means.index}
    axes = new_axes(height=0.75 + 0.36 * max(len(values), 2))
    note = placement_mark(measured) if measured.refusal else ""
    return figure_of(plot.draw_distribution(axes, values, means, measured.metric, styles, note=note))


def means_of(measured: MetricData, data: StudyData) -> pd.DataFrame:
    """Give mean and bounds of its interval (low, high) by ranked label, in stored units; unknown bounds are nan."""
    summaries = {label: measured.summaries[label] for label in data.ranked_labels if label in measured.summaries}
    rows = [(item.mean, item.mean_t_interval.lower, item.mean_t_interval.upper) for item in summaries.values()]
    return pd.DataFrame(rows, index=list(summaries), columns=["mean", "low", "high"], dtype=float)


def listed(values: pd.Series, metric: Metric) -> str:
    """Write stored values of a metric into a sentence: own_v1 91.32 %, own_v2 90.21 %."""
    return ", ".join(f"{label} {amount(value, metric)}" for label, value in values.items())


def basis_words(measured: MetricData) -> str:
    """Say on what rows a metric stands, where that is not every finished run."""
    if measured.refusal:
        return f"{placement_mark(measured)}. {way_to_compare(measured)}."
    if measured.metric.needs_exclusive:
        lacking = f" {names(measured.withheld)} {'has' if len(measured.withheld) == 1 else 'have'} none."
        return f"Exclusive rows of one hardware.{lacking if measured.withheld else ''}"
    return ""


def way_to_compare(measured: MetricData) -> str:
    """Say why a metric is not compared and what to run; where every run shared its machine, in few words."""
    why = "every run shared its machine" if measured.placements == {"shared"} else measured.refusal
    anew = "" if "shared" in measured.placements else " --results FOLDER` with a folder of its own, on one machine"
    command = f"`python jobs/study.py {shlex.quote(measured.study)} --placement exclusive"
    return f"{capitalized(why)}; for clean figures run {command}{anew or '`'}"


def placement_mark(measured: MetricData) -> str:
    """Mark the values of a metric that may not be compared."""
    if "shared" in measured.placements:
        return "Shared placement: not compared"
    return "Mixed hardware: not compared" if measured.is_mixed else "Disturbed or resumed runs: not compared"
