"""Tables of what the finite test set leaves open, and of whether confidence is right, from a study's findings."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fmnist.reporting.findings import Findings
from fmnist.reporting.predictions import right_difference
from fmnist.statistics.test_set_error import VarianceLayers, variance_layers
from fmnist.tables import NOTHING, Table, number, records_table, with_spread

_LAYER_FIGURES = ("runs", "mean", "seed_standard_deviation", "seed_standard_error", "test_set_standard_error",
                  "standard_error")  # fmt: skip
_CALIBRATION = {
    "accuracy, %": ("accuracy", 100, 2),
    "mean confidence, %": ("mean_confidence", 100, 2),
    "overconfidence, points": ("overconfidence", 100, 2),
    "expected calibration error, points": ("expected_calibration_error", 100, 2),
    "Brier score": ("brier", 1, 4),
    "negative log-likelihood, nats": ("test_loss", 1, 4),
}  # heading: column, scale, digits


def layers_table(findings: Findings) -> Table | None:
    """The two layers of uncertainty of each mean accuracy, and of its difference from the leader's."""
    labels = findings.predicted
    if not labels:
        return None
    raw, shown = [], []
    for label in labels:
        own = variance_layers(findings.predictions[label].right)
        gap = None if label == labels[0] else _layers_of_difference(findings, labels[0], label)
        raw.append({"label": label, **_layer_figures(own, ""), **(_layer_figures(gap, "difference_") if gap else {})})
        shown.append(
            {
                "configuration": label,
                "n": f"{own.runs:,}",
                "mean accuracy, %": number(100 * own.mean, 2),
                "std. dev. between seeds": number(100 * own.seed_standard_deviation, 3),
                "std. error, seeds": number(100 * own.seed_standard_error, 3),
                "std. error, test set": number(100 * own.test_set_standard_error, 3),
                "both": number(100 * own.standard_error, 3),
                f"{labels[0]} minus it": NOTHING if gap is None else number(100 * gap.mean, 2, signed=True),
                "its std. error, seeds": NOTHING if gap is None else number(100 * gap.seed_standard_error, 3),
                "its std. error, test set": NOTHING if gap is None else number(100 * gap.test_set_standard_error, 3),
                "its both": NOTHING if gap is None else number(100 * gap.standard_error, 3),
            }
        )
    note = (
        "In points. The error between seeds says how a rerun with other seeds would score on the same 10,000 images; it"
        " shrinks with more repeats. The error of the test set says how the same runs would score on other images of"
        " the same kind; all runs share their images, so that repeats do not shrink it. Both: for new seeds and"
        " other images; the chance of single runs on single images is in either error and counted once. Verdicts on"
        " pairs speak of seeds alone, the original report's claims of both. Differences are over common repeats."
    )
    return records_table("layers", "Two layers of uncertainty", raw, shown, note)


def _layers_of_difference(findings: Findings, a: str, b: str) -> VarianceLayers | None:
    difference = right_difference(findings.predictions[a], findings.predictions[b])
    return variance_layers(difference) if len(difference) else None


def _layer_figures(layers: VarianceLayers, prefix: str) -> dict[str, float]:
    return {f"{prefix}{name}": getattr(layers, name) for name in _LAYER_FIGURES}


def calibration_table(findings: Findings) -> Table | None:
    """How far the confidence of each configuration's runs is right: mean and standard deviation over runs."""
    raw: list[dict[str, Any]] = []
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
        raw.append(row)
    shown = [
        {"configuration": row["label"], "n": f"{row['n']:,}"}
        | {
            heading: with_spread(row[name], row[f"{name}_standard_deviation"], scale, digits)
            for heading, (name, scale, digits) in _CALIBRATION.items()
        }
        for row in raw
    ]
    note = (
        "Each run's own figure: mean ± standard deviation over n runs. Expected calibration error: mean distance of"
        " confidence and accuracy over 15 bins of confidence (Guo et al. 2017). Brier score of the predicted class. The"
        " negative log-likelihood is the test loss."
    )
    return records_table("calibration", "Confidence", raw, shown, note) if raw else None
