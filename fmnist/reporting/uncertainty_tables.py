"""Tables of what the finite test set leaves open, and of whether confidence is right, from a study's findings."""

from __future__ import annotations

import numpy as np

from fmnist.reporting.findings import Findings
from fmnist.reporting.predictions import PredictionSums
from fmnist.statistics.calibration import Calibration
from fmnist.statistics.paired_tests import holm
from fmnist.statistics.test_set_error import (
    McNemar,
    VarianceLayers,
    accuracy_interval,
    majority_vote,
    mcnemar,
    variance_layers_of_means,
)
from fmnist.tables import NOTHING, Table, number, p_value, records_table


def layers_table(findings: Findings) -> Table | None:
    """The two layers of uncertainty of each mean accuracy, and of its difference from the leader's."""
    labels = findings.predicted
    if not labels:
        return None
    raw, shown = [], []
    for label in labels:
        own = _layers(findings.predictions[label])
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
            }
        )
    note = (
        "In points. The error between seeds says how a rerun with other seeds would score on the same 10,000 images; it"
        " shrinks with more repeats. The error of the test set says how the same runs would score on other images of"
        " the same kind; all runs share their images, so that repeats do not shrink it. Tests and intervals elsewhere"
        " in this report speak of seeds alone."
    )
    return records_table("layers", "Two layers of uncertainty", raw, shown, note)


def _layers(sums: PredictionSums) -> VarianceLayers:
    return variance_layers_of_means(sums.accuracy_by_run, sums.times_right / sums.runs)


def _layers_of_difference(findings: Findings, a: str, b: str) -> VarianceLayers | None:
    """Layers of accuracy a - b: over common repeats between seeds, over all runs of each between images."""
    first, second = (findings.metrics["test_accuracy"].samples[label] for label in (a, b))
    differences = (first - second).dropna().to_numpy()
    if not len(differences):
        return None
    sums_a, sums_b = findings.predictions[a], findings.predictions[b]
    return variance_layers_of_means(differences, sums_a.times_right / sums_a.runs - sums_b.times_right / sums_b.runs)


def _layer_figures(layers: VarianceLayers, prefix: str) -> dict[str, float]:
    names = ("runs", "mean", "seed_standard_deviation", "seed_standard_error", "test_set_standard_error",
             "standard_error")  # fmt: skip
    return {f"{prefix}{name}": getattr(layers, name) for name in names}


def votes_table(findings: Findings) -> Table | None:
    """The majority vote of each configuration's runs, and McNemar's test of the best vote against each other one."""
    right = {
        label: majority_vote(sums.votes) == sums.true_classes
        for label, sums in findings.predictions.items()
        if label in findings.predicted
    }
    if not right:
        return None
    order = sorted(right, key=lambda label: -right[label].mean())
    tests = {label: mcnemar(right[order[0]], right[label]) for label in order[1:]}
    adjusted = dict(zip(tests, holm(np.array([test.mid_p for test in tests.values()])), strict=True))
    raw, shown = [], []
    for label in order:
        raw_row, row = _vote_row(label, right[label], findings.predictions[label].runs)
        test = tests.get(label)
        raw.append(raw_row | ({} if test is None else _mcnemar_figures(test, adjusted[label])))
        shown.append(
            row
            | {
                "only the best right": NOTHING if test is None else f"{test.only_a_right:,}",
                "only it right": NOTHING if test is None else f"{test.only_b_right:,}",
                "p (McNemar, Holm)": NOTHING if test is None else p_value(adjusted[label]),
            }
        )
    note = (
        f"Each image gets the class that most runs predict. McNemar's test (mid-p) of the best vote, {order[0]},"
        " against each other one counts the images that only one of the two has right: it speaks of these votes on"
        " other images, not of other seeds."
    )
    return records_table("votes", "Majority votes", raw, shown, note)


def _vote_row(label: str, right: np.ndarray, runs: int) -> tuple[dict[str, object], dict[str, str]]:
    interval = accuracy_interval(right)
    accuracy = float(right.mean())
    raw = {"label": label, "runs": runs, "accuracy": accuracy, "lower": interval.lower, "upper": interval.upper}
    low, high = number(100 * interval.lower, 2), number(100 * interval.upper, 2)
    shown = {
        "configuration": label,
        "runs that vote": f"{runs:,}",
        "accuracy of the vote, %": f"{number(100 * accuracy, 2)} [{low}, {high}]",
    }
    return raw, shown


def _mcnemar_figures(test: McNemar, adjusted: float) -> dict[str, float]:
    return {"only_best_right": test.only_a_right, "only_it_right": test.only_b_right, "exact_p": test.exact_p,
            "mid_p": test.mid_p, "mid_p_holm": float(adjusted)}  # fmt: skip


def calibration_table(findings: Findings) -> Table | None:
    """How far each configuration's confidence is right, all runs together."""
    raw, shown = [], []
    for label in findings.predicted:
        figures = findings.predictions[label].calibration
        losses = findings.metrics["test_loss"].summaries if "test_loss" in findings.metrics else {}
        loss = losses[label].mean if label in losses else float("nan")
        raw.append({"label": label, **_calibration_figures(figures), "test_loss": loss})
        shown.append(
            {
                "configuration": label,
                "predictions": f"{figures.n:,}",
                "accuracy, %": number(100 * figures.accuracy, 2),
                "mean confidence, %": number(100 * figures.mean_confidence, 2),
                "overconfidence, points": number(100 * figures.overconfidence, 2, signed=True),
                "expected calibration error, points": number(100 * figures.expected_calibration_error, 2),
                "Brier score": number(figures.brier, 4),
                "negative log-likelihood, nats": number(loss, 4),
            }
        )
    note = (
        "Expected calibration error: mean distance of confidence and accuracy over 15 bins of confidence (Guo et al."
        " 2017). Brier score of the predicted class. The negative log-likelihood is the runs' mean test loss."
    )
    return records_table("calibration", "Confidence", raw, shown, note) if raw else None


def _calibration_figures(figures: Calibration) -> dict[str, float]:
    names = ("n", "accuracy", "mean_confidence", "overconfidence", "expected_calibration_error",
             "maximum_calibration_error", "brier", "least_negative_log_likelihood")  # fmt: skip
    return {name: getattr(figures, name) for name in names}
