"""The tables of both layers of uncertainty and of calibration, against the predictions they are made from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fmnist.compare.calibration import calibration_bins
from fmnist.compare.test_set import variance_layers
from fmnist.report.chapters.confidence import calibration_table, layers_table
from fmnist.report.predictions import PredictionSums, right_difference
from tests.synthetic_rows import SIX, findings_of

TRUE = np.repeat(np.arange(10, dtype=np.uint8), 30)


def predictions(accuracy, repeats, seed):
    random = np.random.default_rng(seed)
    right = random.random((len(repeats), len(TRUE))) < accuracy
    predicted = np.where(right, TRUE, (TRUE + 1) % 10).astype(np.uint8)
    return predicted, random.uniform(0.4, 1, predicted.shape).astype(np.float16), np.array(repeats)


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        base = findings_of(tmp_path_factory.mktemp("rows"), SIX[:2], 3)
    sums = {label: PredictionSums(TRUE) for label in ("lenet5", "brownlee")}
    sums["lenet5"].add(*predictions(0.8, range(5), 1))
    sums["brownlee"].add(*predictions(0.9, range(1, 4), 2))
    return dataclasses.replace(base, predictions=sums)


def test_each_error_stands_under_its_heading(findings):
    table = layers_table(findings)
    leader, other = findings.predicted
    shown = table.shown.set_index("configuration")
    for label in (leader, other):
        layers = variance_layers(findings.predictions[label].right)
        assert shown.loc[label, "n"] == str(layers.runs)
        assert shown.loc[label, "std. error, seeds"] == f"{100 * layers.seed_standard_error:.3f}"
        assert shown.loc[label, "std. error, test set"] == f"{100 * layers.test_set_standard_error:.3f}"
        assert shown.loc[label, "both"] == f"{100 * layers.standard_error:.3f}"
    gap = variance_layers(right_difference(findings.predictions[leader], findings.predictions[other]))
    assert gap.runs == 3  # common repeats
    assert shown.loc[other, "its std. error, seeds"] == f"{100 * gap.seed_standard_error:.3f}"
    assert shown.loc[other, "its std. error, test set"] == f"{100 * gap.test_set_standard_error:.3f}"
    assert shown.loc[other, f"{leader} minus it"].lstrip("+\N{MINUS SIGN}") == f"{abs(100 * gap.mean):.2f}"
    assert set(shown.loc[leader].iloc[-4:]) == {"\N{EN DASH}"}
    row = table.frame.set_index("label").loc[other]
    assert row["difference_test_set_standard_error"] == pytest.approx(gap.test_set_standard_error)


def test_calibration_is_each_runs_own(findings):
    table = calibration_table(findings)
    predicted, confidence, _ = predictions(0.8, range(5), 1)
    alone = [calibration_bins(confidence[[run]], predicted[[run]] == TRUE) for run in range(5)]
    errors = np.array([bins.expected_error[0] for bins in alone])
    row = table.frame.set_index("label").loc["lenet5"]
    assert row["n"] == 5
    assert row["expected_calibration_error"] == pytest.approx(errors.mean())
    assert row["expected_calibration_error_standard_deviation"] == pytest.approx(errors.std(ddof=1))
    assert row["brier"] == pytest.approx(np.mean((confidence.astype(float) - (predicted == TRUE)) ** 2))
    assert row["test_loss"] == pytest.approx(findings.metrics["test_loss"].samples["lenet5"].mean())
    shown = table.shown.set_index("configuration").loc["lenet5"]
    assert shown["expected calibration error, points"] == f"{100 * errors.mean():.2f} ± {100 * errors.std(ddof=1):.2f}"


def test_without_predictions_there_is_neither(findings):
    nothing = dataclasses.replace(findings, predictions={})
    assert layers_table(nothing) is None
    assert calibration_table(nothing) is None
