from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fmnist.report.chapters.curves import (
    EPOCH_COLUMNS,
    epochs_table,
    spread_words,
    target_table,
    trainability,
    trainability_table,
)
from fmnist.report.chapters.original import original_epochs_table, original_table
from fmnist.report.chapters.original_report import ORIGINAL_EPOCHS, ORIGINAL_FIGURES
from fmnist.studies import comparison
from tests.synthetic_rows import SIX, findings_of

REPEATS = 4
MAKERS = [*SIX[:5], dataclasses.replace(SIX[5], epochs=30)]


@pytest.fixture
def findings(tmp_path):
    return findings_of(tmp_path, MAKERS, REPEATS, name="comparison", question=comparison.STUDY.question)


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
    table = epochs_table(findings_of(tmp_path, MAKERS[:2], 1))
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
    for question in ("Which is best?", comparison.STUDY.question):  # of that name, of that question
        name = "quick" if question == comparison.STUDY.question else "comparison"
        other = findings_of(tmp_path / name, MAKERS[:1], 2, name=name, question=question)
        assert original_epochs_table(other) is None
        assert "settings of its own" in original_table(other).note


def test_trainability_carries_n_and_spread(findings):
    table = trainability_table(findings)
    rows = findings.study.finished.query("label == 'lenet5'")
    row = table.frame.set_index("label").loc["lenet5"]
    gap = rows["train_accuracy"] - rows["test_accuracy"]
    assert row["n"] == REPEATS
    assert row["generalisation_gap_standard_deviation"] == pytest.approx(gap.std())
    assert row["best_epoch_standard_deviation"] == pytest.approx(rows["best_epoch"].astype(float).std())


def run(status="ok", test=0.90, train=0.95, best=5, ran=10, limit=12):
    return {"status": status, "test_accuracy": test, "train_accuracy": train, "best_epoch": best, "epochs_run": ran,
            "epochs": limit}  # fmt: skip


def test_what_training_was_like():
    nothing = {"test": None, "train": None, "best": None, "ran": None}
    rows = [run(test=0.90, train=0.95), run(test=0.92, train=0.96, best=7, ran=12), run("diverged", **nothing),
            run("failed", **nothing)]  # fmt: skip
    item = trainability(pd.DataFrame(rows))
    assert (item["runs"], item["failed"], item["diverged"], item["n"]) == (3, 1, 1, 2)
    assert item["diverged_lower"] < item["diverged_share"] == 1 / 3 < item["diverged_upper"]
    assert item["generalisation_gap"] == pytest.approx(0.045)
    assert (item["best_epoch"], item["epochs_run"], item["at_epoch_limit"]) == (6.0, 11.0, 1)
    assert item["seed_spread"] == pytest.approx(0.02 / np.sqrt(2))
    never = trainability(pd.DataFrame(rows[3:]))
    assert (never["runs"], never["failed"], never["n"]) == (0, 1, 0)
    assert np.isnan([never["diverged_share"], never["best_epoch"], never["seed_spread"]]).all()


def test_the_table_counts_the_runs_that_their_limit_of_epochs_ended(findings):
    rows = findings.study.outcomes.assign(epochs_run=10, epochs=10)
    changed = dataclasses.replace(findings, study=dataclasses.replace(findings.study, outcomes=rows))
    assert set(trainability_table(changed).shown["ended by the limit of epochs"]) == {"4"}


def test_spreads_that_differ_surely_are_named_the_calmer_first(findings):
    deviations = np.random.default_rng(0).normal(size=30)
    samples = {"own_v1": pd.Series(0.91 + 0.01 * deviations), "own_v2": pd.Series(0.9 + 0.001 * deviations[::-1])}
    accuracy = dataclasses.replace(findings.metrics["test_accuracy"], samples=samples)
    with_samples = dataclasses.replace(findings, metrics={**findings.metrics, "test_accuracy": accuracy})
    assert spread_words(with_samples).startswith("own_v2 is more consistent than own_v1 (spread 0.10 times as large")
    two = {label: sample[:2] for label, sample in samples.items()}
    accuracy = dataclasses.replace(accuracy, samples=two)
    with_samples = dataclasses.replace(findings, metrics={**findings.metrics, "test_accuracy": accuracy})
    assert spread_words(with_samples) == "Too few repeats to compare spreads."


def test_a_learning_rate_that_was_not_kept_is_a_dash():
    show = EPOCH_COLUMNS["learning rate"]
    assert show({"learning_rate": np.nan}) == "\N{EN DASH}"
    assert show({"learning_rate": 1e-3}) == "0.001"


def test_times_to_the_target_count_misses_and_stand_only_where_times_are_compared(findings):
    times = pd.DataFrame({"lenet5": [10.0, 20.0, np.inf, 15.0, np.nan], "brownlee": [np.inf] * 5})
    table = target_table(dataclasses.replace(findings, target_times=times))
    row = table.frame.set_index("label").loc["lenet5"]
    assert (row["n"], row["reached"]) == (4, 3)
    assert (row["lower_quartile"], row["median"], row["upper_quartile"]) == (10.0, 15.0, 20.0)
    assert list(table.shown["median, s"]) == [{"lenet5": "15.0", "brownlee": "never"}[label]
                                              for label in table.shown["configuration"]]  # fmt: skip
    assert target_table(dataclasses.replace(findings, target_times=times, timing_refusal="shared")) is None


def test_figures_beside_the_report_carry_an_interval_and_only_those_that_compare_a_difference(findings):
    table = original_table(findings)
    row = table.frame.query("label == 'own_v3' and metric == 'test_accuracy'").iloc[0]
    values = findings.metrics["test_accuracy"].samples["own_v3"]
    wanted = stats.ttest_1samp(values, 0.92).confidence_interval(0.95)
    assert row["difference"] == pytest.approx(values.mean() - 0.92)
    assert (row["difference_lower"], row["difference_upper"]) == pytest.approx((wanted.low - 0.92, wanted.high - 0.92))
    for metric, column in (("train_seconds", "training time, s"), ("host_allocated_bytes", "MiB")):
        figures = table.frame[table.frame["metric"] == metric]
        assert len(figures) == 2
        assert figures["difference"].isna().all()
        shown = table.shown[table.shown["metric"].str.contains(column)]
        assert set(shown["difference"]) == {"\N{EN DASH}"}
    memory = table.shown[table.shown["metric"].str.contains("MiB")].set_index("configuration")
    assert memory.loc["own_v1", "original report"] == "23.8"  # 25 MB
    assert {item.architecture for item in ORIGINAL_FIGURES if "own CNN" in item.remark} == {"own_v1"}
    assert "taken for own_v1" in table.note
