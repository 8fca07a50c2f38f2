from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fmnist.reporting.original import ORIGINAL_EPOCHS
from fmnist.reporting.training_tables import epochs_table, original_epochs_table, trainability_table
from tests.synthetic_rows import SIX, findings_of

REPEATS = 4
MAKERS = [SIX[0], dataclasses.replace(SIX[5], epochs=30)]


@pytest.fixture
def findings(tmp_path):
    return findings_of(tmp_path, MAKERS, REPEATS, name="comparison")


def test_epochs_carry_n_and_spread_over_runs(findings):
    table = epochs_table(findings)
    own = findings.epochs[findings.epochs["label"] == "lenet5"]
    last = own.sort_values("epoch").groupby("run").tail(1)["validation_accuracy"]
    row = table.frame.query("label == 'lenet5' and stage == 'last'").iloc[0]
    assert (row["n"], row["validation_accuracy"]) == (REPEATS, pytest.approx(last.mean()))
    assert row["validation_accuracy_standard_deviation"] == pytest.approx(last.std())
    shown = table.shown.query("configuration == 'lenet5' and stage == 'last'").iloc[0]
    assert shown["validation accuracy, %"] == f"{100 * last.mean():.2f} ± {100 * last.std():.2f}"
    assert shown["n"] == str(REPEATS)
    assert list(table.shown["configuration"].unique()) == findings.ordered
    assert list(table.shown["stage"][:3]) == ["first", "middle", "last"]


def test_one_run_has_no_spread(tmp_path):
    table = epochs_table(findings_of(tmp_path, MAKERS, 1))
    assert not table.shown.astype(str).map(lambda text: "±" in text or "nan" in text).to_numpy().any()


def test_the_reports_epochs_stand_beside_the_same_epochs_here(findings):
    table = original_epochs_table(findings)
    listed = [epoch["epoch"] for epoch in ORIGINAL_EPOCHS["efficientnet_small"]]
    original = table.frame[table.frame["source"] == "original report"]
    assert list(original["epoch"]) == listed
    own = findings.epochs[findings.epochs["label"] == "efficientnet_small"]
    lengths = own.groupby("run")["epoch"].max()
    for epoch in listed:
        there = own.loc[own["epoch"] == epoch, "train_loss"]
        here = table.frame[(table.frame["source"] == "here") & (table.frame["epoch"] == epoch)]
        assert len(there) == (lengths >= epoch).sum()
        assert list(here["n"]) == ([len(there)] if len(there) else [])
        np.testing.assert_allclose(here["train_loss"], there.mean() if len(there) else [])
    assert f"here (n = {REPEATS})" in list(table.shown["source"])


def test_only_the_repeating_study_is_held_against_the_report(tmp_path):
    assert original_epochs_table(findings_of(tmp_path, MAKERS, 2, name="quick")) is None


def test_trainability_carries_n_and_spread(findings):
    table = trainability_table(findings)
    rows = findings.study.finished.query("label == 'lenet5'")
    row = table.frame.set_index("label").loc["lenet5"]
    gap = rows["train_accuracy"] - rows["test_accuracy"]
    assert row["n"] == REPEATS
    assert row["generalisation_gap_standard_deviation"] == pytest.approx(gap.std())
    assert row["best_epoch_standard_deviation"] == pytest.approx(rows["best_epoch"].astype(float).std())
