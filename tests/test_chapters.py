"""The tables of the chapters, compared with the rows and predictions they are made from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fmnist.compare.calibration import calibration_bins
from fmnist.compare.intervals import summarize
from fmnist.compare.test_set import variance_layers
from fmnist.data import CLASS_NAMES
from fmnist.declare.metrics import METRICS
from fmnist.report.chapters.accuracy import layers_table
from fmnist.report.chapters.classes import mistakes_table, recall_table
from fmnist.report.chapters.confidence import calibration_table
from fmnist.report.chapters.costs import target_table
from fmnist.report.chapters.curves import (
    EPOCH_COLUMNS,
    curve_figures,
    epochs_table,
    spread_words,
    trainability,
    trainability_table,
)
from fmnist.report.chapters.original import original_epochs_table, original_figures, original_table
from fmnist.report.chapters.original_report import ORIGINAL_EPOCHS, ORIGINAL_FIGURES
from fmnist.report.chapters.runs import metric_table
from fmnist.report.predictions import PredictionSums, right_difference
from fmnist.report.style import house_style, styles_of
from fmnist.report.text import NOTHING
from fmnist.studies import comparison
from tests.synthetic_rows import SIX, Maker, study_data_of

REPEATS = 4
ACCURACY = METRICS["test_accuracy"]
MAKERS = [*SIX[:5], dataclasses.replace(SIX[5], epochs=30)]


@pytest.fixture
def data(tmp_path):
    return study_data_of(tmp_path, MAKERS, REPEATS, name="comparison", question=comparison.STUDY.question)


def test_epochs_carry_n_and_spread_over_runs(data):
    table = epochs_table(data)
    own = data.epochs[data.epochs["label"] == "lenet5"]
    last = own.sort_values("epoch").groupby("run").tail(1)["validation_accuracy"]
    row = table.frame.query("label == 'lenet5' and stage == 'last'").iloc[0]
    assert (row["n"], row["validation_accuracy"]) == (REPEATS, pytest.approx(last.mean()))
    assert row["validation_accuracy_standard_deviation"] == pytest.approx(last.std())
    shown = table.shown.query("configuration == 'lenet5' and stage == 'last'").iloc[0]
    assert shown["validation accuracy, %"] == f"{100 * last.mean():.2f} ± {100 * last.std():.2f}"
    assert shown["n"] == str(REPEATS)
    assert list(table.shown["configuration"].unique()) == data.ranked_labels
    assert list(table.shown["stage"][:3]) == ["first", "middle", "last"]


def test_one_run_has_no_spread(tmp_path):
    table = epochs_table(study_data_of(tmp_path, MAKERS[:2], 1))
    assert not table.shown.astype(str).map(lambda text: "±" in text or "nan" in text).to_numpy().any()


def test_the_reports_epochs_stand_beside_the_same_epochs_here(data):
    table = original_epochs_table(data)
    listed = [epoch["epoch"] for epoch in ORIGINAL_EPOCHS["efficientnet_small"]]
    original = table.frame[table.frame["source"] == "original report"]
    assert list(original["epoch"]) == listed
    own = data.epochs[data.epochs["label"] == "efficientnet_small"]
    lengths = own.groupby("run")["epoch"].max()
    for epoch in listed:
        there = own.loc[own["epoch"] == epoch, "train_loss"]
        here = table.frame[(table.frame["source"] == "here") & (table.frame["epoch"] == epoch)]
        assert len(there) == (lengths >= epoch).sum()
        assert list(here["n"]) == ([len(there)] if len(there) else [])
        np.testing.assert_allclose(here["train_loss"], there.mean() if len(there) else [])
    assert f"here (n = {REPEATS})" in list(table.shown["source"])


def test_only_the_repeating_study_is_compared_with_the_report(tmp_path):
    for question in ("Which is best?", comparison.STUDY.question):  # of that name, of that question
        name = "quick" if question == comparison.STUDY.question else "comparison"
        other = study_data_of(tmp_path / name, MAKERS[:1], 2, name=name, question=question)
        assert original_epochs_table(other) is None
        assert "settings of its own" in original_table(other).note


def test_runs_on_few_images_do_not_stand_beside_the_reports_figures(tmp_path):
    few = Maker(label="few", architecture="own_v1", accuracy=0.8, settings={"train_images": 1000})
    alone = study_data_of(tmp_path / "alone", [few], 2)
    assert original_table(alone) is None
    assert not list(original_figures(alone, styles_of(["few"])))
    both = study_data_of(tmp_path / "both", [few, MAKERS[0]], 2)
    assert set(original_table(both).frame["label"]) == {MAKERS[0].label}


def test_trainability_carries_n_and_spread(data):
    table = trainability_table(data)
    rows = data.study.finished.query("label == 'lenet5'")
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


def test_the_table_counts_the_runs_that_their_limit_of_epochs_ended(data):
    rows = data.study.outcomes.assign(epochs_run=10, epochs=10)
    changed = dataclasses.replace(data, study=dataclasses.replace(data.study, outcomes=rows))
    assert set(trainability_table(changed).shown["ended by the limit of epochs"]) == {"4"}


def test_spreads_that_differ_significantly_are_named_the_calmer_first(data):
    deviations = np.random.default_rng(0).normal(size=30)
    samples = {"own_v1": pd.Series(0.91 + 0.01 * deviations), "own_v2": pd.Series(0.9 + 0.001 * deviations[::-1])}
    accuracy = dataclasses.replace(data.metrics["test_accuracy"], samples=samples)
    with_samples = dataclasses.replace(data, metrics={**data.metrics, "test_accuracy": accuracy})
    assert spread_words(with_samples).startswith("own_v2 is more consistent than own_v1 (spread 0.10 times as large")
    two = {label: sample[:2] for label, sample in samples.items()}
    accuracy = dataclasses.replace(accuracy, samples=two)
    with_samples = dataclasses.replace(data, metrics={**data.metrics, "test_accuracy": accuracy})
    assert spread_words(with_samples) == "Too few repeats to compare spreads."


def test_a_learning_rate_that_was_not_kept_is_a_dash():
    show = EPOCH_COLUMNS["learning rate"]
    assert show({"learning_rate": np.nan}) == "\N{EN DASH}"
    assert show({"learning_rate": 1e-3}) == "0.001"


def test_times_to_the_target_count_misses_and_stand_only_where_times_are_compared(data):
    times = pd.DataFrame({"lenet5": [10.0, 20.0, np.inf, 15.0, np.nan], "brownlee": [np.inf] * 5})
    table = target_table(dataclasses.replace(data, target_times=times))
    row = table.frame.set_index("label").loc["lenet5"]
    assert (row["n"], row["reached"]) == (4, 3)
    assert (row["lower_quartile"], row["median"], row["upper_quartile"]) == (10.0, 15.0, 20.0)
    assert list(table.shown["median, s"]) == [{"lenet5": "15.0", "brownlee": "never"}[label]
                                              for label in table.shown["configuration"]]  # fmt: skip
    assert target_table(dataclasses.replace(data, target_times=times, timing_refusal="shared")) is None


def test_figures_beside_the_report_carry_an_interval_and_only_those_that_compare_a_difference(data):
    table = original_table(data)
    row = table.frame.query("label == 'own_v3' and metric == 'test_accuracy'").iloc[0]
    values = data.metrics["test_accuracy"].samples["own_v3"]
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


def test_metric_table_holds_pandas_figures():
    values = {"a": pd.Series([0.91, 0.92, 0.925, 0.93]), "b": pd.Series([0.9])}
    table = metric_table(ACCURACY, {label: summarize(column) for label, column in values.items()}, "")
    raw = table.frame.set_index("label")
    described = values["a"].describe()
    for name, pandas_name in (("n", "count"), ("mean", "mean"), ("standard_deviation", "std"), ("median", "50%"),
                              ("lower_quartile", "25%"), ("upper_quartile", "75%"), ("minimum", "min"),
                              ("maximum", "max")):  # fmt: skip
        assert raw.loc["a", name] == pytest.approx(described[pandas_name])
    student = stats.ttest_1samp(values["a"], 0).confidence_interval()
    assert tuple(raw.loc["a", ["interval_lower", "interval_upper"]]) == pytest.approx((student.low, student.high))
    shown = table.shown.set_index("configuration")
    assert shown.loc["a", "mean"] == f"{100 * values['a'].mean():.2f}"
    assert shown.loc["b", "std. dev."] == shown.loc["b", "95 % interval of the mean"] == NOTHING
    assert "One value only, without spread and interval: b." in table.note
    assert "higher is better" in table.title


# --- uncertainty and confidence, from predictions

TRUE = np.repeat(np.arange(10, dtype=np.uint8), 30)


def predictions(accuracy, repeats, seed):
    random = np.random.default_rng(seed)
    right = random.random((len(repeats), len(TRUE))) < accuracy
    predicted = np.where(right, TRUE, (TRUE + 1) % 10).astype(np.uint8)
    return predicted, random.uniform(0.4, 1, predicted.shape).astype(np.float16), np.array(repeats)


@pytest.fixture(scope="module")
def with_predictions(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        base = study_data_of(tmp_path_factory.mktemp("rows"), SIX[:2], 3)
    sums = {label: PredictionSums(TRUE) for label in ("lenet5", "brownlee")}
    sums["lenet5"].add(*predictions(0.8, range(5), 1))
    sums["brownlee"].add(*predictions(0.9, range(1, 4), 2))
    return dataclasses.replace(base, predictions=sums)


def test_each_error_stands_under_its_heading(with_predictions):
    table = layers_table(with_predictions)
    leader, other = with_predictions.predicted_labels
    shown = table.shown.set_index("configuration")
    for label in (leader, other):
        layers = variance_layers(with_predictions.predictions[label].right)
        assert shown.loc[label, "n"] == str(layers.runs)
        assert shown.loc[label, "std. error, seeds"] == f"{100 * layers.seed_standard_error:.3f}"
        assert shown.loc[label, "std. error, test set"] == f"{100 * layers.test_set_standard_error:.3f}"
        assert shown.loc[label, "both"] == f"{100 * layers.standard_error:.3f}"
    gap = variance_layers(right_difference(with_predictions.predictions[leader], with_predictions.predictions[other]))
    assert gap.runs == 3  # common repeats
    assert shown.loc[other, "its std. error, seeds"] == f"{100 * gap.seed_standard_error:.3f}"
    assert shown.loc[other, "its std. error, test set"] == f"{100 * gap.test_set_standard_error:.3f}"
    assert shown.loc[other, f"{leader} minus it"].lstrip("+\N{MINUS SIGN}") == f"{abs(100 * gap.mean):.2f}"
    assert set(shown.loc[leader].iloc[-4:]) == {"\N{EN DASH}"}
    row = table.frame.set_index("label").loc[other]
    assert row["difference_test_set_standard_error"] == pytest.approx(gap.test_set_standard_error)


def test_calibration_is_each_runs_own(with_predictions):
    table = calibration_table(with_predictions)
    predicted, confidence, _ = predictions(0.8, range(5), 1)
    alone = [calibration_bins(confidence[[run]], predicted[[run]] == TRUE) for run in range(5)]
    errors = np.array([bins.expected_error[0] for bins in alone])
    row = table.frame.set_index("label").loc["lenet5"]
    assert row["n"] == 5
    assert row["expected_calibration_error"] == pytest.approx(errors.mean())
    assert row["expected_calibration_error_standard_deviation"] == pytest.approx(errors.std(ddof=1))
    assert row["brier"] == pytest.approx(np.mean((confidence.astype(float) - (predicted == TRUE)) ** 2))
    assert row["test_loss"] == pytest.approx(with_predictions.metrics["test_loss"].samples["lenet5"].mean())
    shown = table.shown.set_index("configuration").loc["lenet5"]
    assert shown["expected calibration error, pp"] == f"{100 * errors.mean():.2f} ± {100 * errors.std(ddof=1):.2f}"


def test_recall_is_a_row_a_class_in_the_csv_and_a_row_a_configuration_on_the_page(with_predictions):
    table = recall_table(with_predictions)
    assert list(table.shown.columns) == ["configuration", *CLASS_NAMES]
    assert list(table.shown["configuration"]) == with_predictions.predicted_labels
    predicted, _, _ = predictions(0.8, range(5), 1)
    for number, name in enumerate(CLASS_NAMES):
        by_run = (predicted == number)[:, number == TRUE].mean(axis=1)
        row = table.frame.query("label == 'lenet5' and `class` == @name").iloc[0]
        assert (row["n"], row["mean"]) == (5, pytest.approx(by_run.mean()))
        shown = table.shown.set_index("configuration").loc["lenet5", name]
        assert shown == f"{100 * by_run.mean():.1f} ± {100 * by_run.std(ddof=1):.1f}"


def test_the_most_frequent_mistakes_are_counted_over_all_runs(with_predictions):
    table = mistakes_table(with_predictions)
    wrong = np.where(np.eye(10, dtype=bool), 0, with_predictions.predictions["lenet5"].confusion)
    rows = table.frame[table.frame["label"] == "lenet5"]
    assert list(rows["count"]) == sorted(wrong.ravel(), reverse=True)[:3]
    first = rows.iloc[0]
    assert wrong[CLASS_NAMES.index(first["true"]), CLASS_NAMES.index(first["predicted"])] == first["count"]


def test_without_predictions_there_are_none(with_predictions):
    nothing = dataclasses.replace(with_predictions, predictions={})
    assert layers_table(nothing) is None
    assert calibration_table(nothing) is None
    assert recall_table(nothing) is None
    assert mistakes_table(nothing) is None


@pytest.mark.parametrize(
    ("epochs", "names"),
    [((1, 1), []), ((1, 9), ["validation", "curves-b"]), ((9, 9), ["validation", "curves-a", "curves-b"])],
)
def test_one_epoch_makes_no_curve(tmp_path, epochs, names):
    makers = [dataclasses.replace(SIX[0], label=label, epochs=count) for label, count in zip("ab", epochs, strict=True)]
    with house_style():
        drawn = [figure.name for figure in curve_figures(study_data_of(tmp_path, makers, 2), styles_of("ab"))]
    assert sorted(drawn) == sorted(names)
