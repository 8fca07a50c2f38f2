"""The chapter on confidence: how often predictions of each confidence are right."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fmnist.report.chapter import Chapter, Figure
from fmnist.report.plot import Numbers
from fmnist.report.study_data import StudyData
from fmnist.report.style import QUIET, Style, Styles, figure_of, new_axes
from fmnist.report.table import Columns, Table, column, make_table, present
from fmnist.report.text import number


def confidence_chapter(data: StudyData, styles: Styles) -> Chapter:
    """Whether the configurations' confidence is deserved."""
    return Chapter(
        key="confidence",
        title="Confidence",
        figures=reliability_figures(data, styles),
        tables=present(calibration_table(data)),
    )


def reliability_figures(data: StudyData, styles: Styles) -> Iterator[Figure]:
    """How often predictions of each confidence are right, of each configuration."""
    for label in data.predicted_labels:
        bins = data.predictions[label].calibration
        curve = bins.curve()
        axes = draw_reliability(new_axes(2.6, 2.6), *curve, styles[label])
        error = number(bins.expected_error.mean(), 2, scale=100)
        caption = (
            f"n = {number(len(bins.counts))} together. Mean expected calibration error of a run {error} percentage"
            " points."
        )
        alt = f"Curve from a confidence of {number(np.nanmin(curve[0]), 2)} to 1 beside the diagonal."
        yield Figure(name=f"reliability-{label}", title=f"{label}: reliability", caption=caption, alt=alt,
                     drawing=figure_of(axes))  # fmt: skip


def draw_reliability(axes: Axes, confidence: Numbers, accuracy: Numbers, share: Numbers, style: Style) -> Axes:
    """Draw how often a prediction of each confidence is right; on the diagonal the confidence is deserved.

    Three arrays of shape (bins,): mean confidence and accuracy of each bin, and its share of the predictions in
    [0, 1], drawn as bars from below. Empty bins are nan.
    """
    edges = np.linspace(0, 1, len(share) + 1)
    axes.bar(edges[:-1], share, width=np.diff(edges), align="edge", color="#dddddd", edgecolor="white", linewidth=0.5)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
    there = np.isfinite(confidence)
    axes.plot(confidence[there], accuracy[there], **style.line_options, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share right (bars: share of predictions)")
    axes.set_aspect("equal")
    return axes


def calibration_table(data: StudyData) -> Table | None:
    """How far the confidence of each configuration's runs is right: mean and standard deviation over runs."""
    rows: list[dict[str, Any]] = []
    losses = data.metrics["test_loss"].samples if "test_loss" in data.metrics else {}
    for label in data.predicted_labels:
        bins = data.predictions[label].calibration
        samples = {"accuracy": bins.accuracy, "mean_confidence": bins.mean_confidence,
                   "overconfidence": bins.overconfidence, "expected_calibration_error": bins.expected_error,
                   "brier": bins.brier, "test_loss": losses.get(label)}  # fmt: skip
        row: dict[str, Any] = {"label": label, "n": len(bins.counts)}
        for name, sample in samples.items():
            values = pd.Series(sample, dtype=float)
            row |= {name: values.mean(), f"{name}_standard_deviation": values.std()}
        rows.append(row)
    columns: Columns = {
        "configuration": "label",
        "n": "n",
        "accuracy, %": column("accuracy", 100, 2),
        "mean confidence, %": column("mean_confidence", 100, 2),
        "overconfidence, percentage points": column("overconfidence", 100, 2),
        "expected calibration error, pp": column("expected_calibration_error", 100, 2),
        "Brier score": column("brier", digits=4),
        "negative log-likelihood, nats": column("test_loss", digits=4),
    }
    note = (
        "Each run's own figure: mean ± standard deviation over n runs. Expected calibration error: mean distance of"
        " confidence and accuracy over 15 bins of confidence (Guo et al. 2017), in percentage points (pp). Brier score"
        " of the predicted class. The negative log-likelihood is the test loss."
    )
    return make_table("calibration", "Confidence", rows, columns, note)
