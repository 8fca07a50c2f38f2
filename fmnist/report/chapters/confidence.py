"""Tables of what the finite test set leaves open, and of whether confidence is right, from a study's findings."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fmnist.compare import VarianceLayers, variance_layers
from fmnist.report.predictions import right_difference
from fmnist.report.study_data import Findings
from fmnist.report.table import Columns, Table, figure, make_table

_LAYER_FIGURES = ("runs", "mean", "seed_standard_deviation", "seed_standard_error", "test_set_standard_error",
                  "standard_error")  # fmt: skip


def layers_table(findings: Findings) -> Table | None:
    """The two layers of uncertainty of each mean accuracy, and of its difference from the leader's."""
    labels, rows = findings.predicted, []
    if not labels:
        return None
    for label in labels:
        row: dict[str, Any] = {"label": label, **_layer_figures(variance_layers(findings.predictions[label].right), "")}
        difference = right_difference(findings.predictions[labels[0]], findings.predictions[label])
        if label != labels[0] and len(difference):
            row |= _layer_figures(variance_layers(difference), "difference_")
        rows.append(row)
    errors = {"seeds": "seed_standard_error", "test set": "test_set_standard_error"}
    columns: Columns = {
        "configuration": "label",
        "n": "runs",
        "mean accuracy, %": figure("mean", 100, 2),
        "std. dev. between seeds": figure("seed_standard_deviation", 100, 3),
        **{f"std. error, {layer}": figure(name, 100, 3) for layer, name in errors.items()},
        "both": figure("standard_error", 100, 3),
        f"{labels[0]} minus it": figure("difference_mean", 100, 2, signed=True),
        **{f"its std. error, {layer}": figure(f"difference_{name}", 100, 3) for layer, name in errors.items()},
        "its both": figure("difference_standard_error", 100, 3),
    }
    note = (
        "In points. The error between seeds says how a rerun with other seeds would score on the same test images; it"
        " shrinks with more repeats. The error of the test set says how the same runs would score on other images of"
        " the same kind; all runs share their images, so that repeats do not shrink it. Both: for new seeds and"
        " other images; the chance of single runs on single images is in either error and counted once. Verdicts on"
        " pairs speak of seeds alone, the original report's claims of both. Differences are over common repeats."
    )
    return make_table("accuracy", "layers", "Two layers of uncertainty", rows, columns, note)


def _layer_figures(layers: VarianceLayers, prefix: str) -> dict[str, float]:
    return {f"{prefix}{name}": getattr(layers, name) for name in _LAYER_FIGURES}


def calibration_table(findings: Findings) -> Table | None:
    """How far the confidence of each configuration's runs is right: mean and standard deviation over runs."""
    rows: list[dict[str, Any]] = []
    losses = findings.metrics["test_loss"].samples if "test_loss" in findings.metrics else {}
    for label in findings.predicted:
        bins = findings.predictions[label].calibration
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
        "accuracy, %": figure("accuracy", 100, 2),
        "mean confidence, %": figure("mean_confidence", 100, 2),
        "overconfidence, points": figure("overconfidence", 100, 2),
        "expected calibration error, points": figure("expected_calibration_error", 100, 2),
        "Brier score": figure("brier", digits=4),
        "negative log-likelihood, nats": figure("test_loss", digits=4),
    }
    note = (
        "Each run's own figure: mean ± standard deviation over n runs. Expected calibration error: mean distance of"
        " confidence and accuracy over 15 bins of confidence (Guo et al. 2017). Brier score of the predicted class. The"
        " negative log-likelihood is the test loss."
    )
    return make_table("confidence", "calibration", "Confidence", rows, columns, note)
