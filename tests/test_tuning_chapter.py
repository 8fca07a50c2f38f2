"""The chapter on what a search found, from real Parquet rows of a search and of its winners to the page."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fmnist.report import build_report
from fmnist.report.chapters.answer import answer
from fmnist.report.chapters.tuning import tuning_chapter
from fmnist.report.chapters.tuning_figures import apart
from fmnist.report.chapters.tuning_words import settings_changed
from fmnist.report.selection import select_studies
from fmnist.report.study_data import gather
from fmnist.report.style import house_style
from fmnist.report.text import NOTHING
from tests.synthetic_rows import SIX, Maker, study_data_of, tuning_store

SETTINGS = {"learning_rate": 3e-4, "early_stopping_patience": 5}
PATH = ["own_v1 default", "own_v1 + learning_rate", "own_v1 + batch_size", "own_v1 tuned"]


def made(label, accuracy, **changes):
    return Maker(label=label, accuracy=accuracy, architecture=label.split()[0], **changes)


WINNERS = (
    made("lenet5 default", 0.89), made("lenet5 tuned", 0.91, settings=SETTINGS),
    made("own_v1 default", 0.90), made("own_v1 tuned", 0.901, settings=SETTINGS),
    made("own_v3 default", 0.92),
)  # fmt: skip
LABELS = {"lenet5": ["lenet5 default", "lenet5 tuned"], "own_v1": ["own_v1 default", "own_v1 tuned"],
          "own_v3": ["own_v3 default"]}  # fmt: skip
STEPS = (
    made(PATH[0], 0.900, spread=0.0005),
    made(PATH[1], 0.901, spread=0.0005, settings={"learning_rate": 3e-4}),
    made(PATH[2], 0.908, spread=0.0005, settings={"learning_rate": 3e-4, "batch_size": 64}),
    made(PATH[3], 0.9075, spread=0.0005, settings={**SETTINGS, "batch_size": 64}),
)


def data_of(store):
    return gather(select_studies(store)[0], store, None)


@pytest.fixture(scope="module")
def winners(tmp_path_factory):
    return data_of(tuning_store(tmp_path_factory.mktemp("winners"), WINNERS, LABELS))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return data_of(tuning_store(tmp_path_factory.mktemp("path"), STEPS, {"own_v1": PATH}))


def table(data, name):
    return next(item for item in tuning_chapter(data, {}).tables if item.name == name)


def column(data, label, metric="test_accuracy"):
    rows = data.study.finished
    return rows[rows["label"] == label].set_index("repeat")[metric]


def test_only_a_study_of_best_points_has_the_chapter(winners, tmp_path):
    plain = study_data_of(tmp_path, SIX[:2], 3)
    chapter = tuning_chapter(plain, {})
    assert (plain.tuning, list(chapter.text), list(chapter.figures), list(chapter.tables)) == (None, [], [], [])
    assert answer(plain).startswith("brownlee has the highest mean")
    (words,) = tuning_chapter(winners, {}).text
    assert "over its 3 repeats (0 to 2)" in words
    assert "in 10 repeats (3 to 12) that the search never used" in words


def test_the_table_has_both_means_the_paired_difference_and_what_was_changed(winners):
    shown, frame = table(winners, "tuned").shown, table(winners, "tuned").frame.set_index("label")
    assert list(shown["configuration"]) == ["lenet5", "own_v1", "own_v3"]
    assert list(shown["default → best point"]) == [
        *["learning rate 0.001 → 0.0003, early stopping patience none → 5"] * 2, NOTHING]  # fmt: skip
    difference = column(winners, "lenet5 tuned") - column(winners, "lenet5 default")
    interval = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    low, high = frame.loc["lenet5", ["difference_lower", "difference_upper"]]
    assert (low, high) == pytest.approx((interval.low, interval.high))
    assert shown["tuned, %"][0].startswith(f"{100 * column(winners, 'lenet5 tuned').mean():.2f} [")
    assert list(shown["verdict"]) == ["better", "inconclusive", "the default is the best point"]
    assert re.fullmatch(r"\d+ to [\d,]+", shown["repeats to decide"][1])
    assert "Holm's procedure over 2 architectures" in table(winners, "tuned").note


def test_optimism_compares_the_search_with_fresh_repeats(winners):
    frame = table(winners, "optimism").frame.set_index("label")
    rows = winners.study.search_rows
    chosen = rows.loc[rows["label"] == "lenet5 tuned", "validation_accuracy"]
    fresh = column(winners, "lenet5 tuned", "validation_accuracy")
    row = frame.loc["lenet5"]
    assert (row["n_searched"], row["n"]) == (3, 10)
    assert row["selection_optimism"] == pytest.approx(chosen.mean() - fresh.mean())
    assert row["test_optimism"] == pytest.approx(chosen.mean() - column(winners, "lenet5 tuned").mean())
    interval = stats.ttest_ind(chosen, fresh, equal_var=False).confidence_interval(0.95)
    assert (row["selection_optimism_lower"], row["selection_optimism_upper"]) == pytest.approx(tuple(interval))


def test_the_order_is_told_before_and_after(winners):
    found = table(winners, "tuning-order")
    assert list(found.shown["configuration"]) == ["own_v3", "lenet5", "own_v1"]
    assert list(found.shown["places"]) == ["as before", "1 up", "1 down"]
    assert "other way round: lenet5 now ahead of own_v1" in found.note
    assert "tau of the two orders is 0.33" in found.note
    pairs = table(winners, "tuning-order-pairs").shown.set_index(["configuration", "against"])
    both = pairs.loc[("own_v1", "lenet5")]
    assert (both["verdict at defaults"], both["verdict, tuned"]) == ("better", "worse")


def test_the_answer_leads_with_tuned_against_default(winners, path):
    words = answer(winners)
    assert words.startswith("Judged by test accuracy on 10 fresh repeats, tuning by search grid makes lenet5 (+")
    for part in ("percentage points) better than its default (p below 0.001 after Holm's adjustment over 2 pairs).",
                 "Inconclusive for own_v1 (", "The best point of own_v3 is the default itself.",
                 "Of the tuned ones own_v3 has the highest mean test accuracy", "as at the defaults.",
                 "The order changes significantly: lenet5 is now ahead of own_v1."):  # fmt: skip
        assert part in words
    assert "highest mean test accuracy of" not in words
    assert "own_v1: the largest gain comes from batch size 128 → 64 (+" in answer(path)


def test_steps_of_a_path_add_up_and_name_their_setting(path):
    found = table(path, "paths")
    assert list(found.shown["setting"]) == [
        "learning rate 0.001 → 0.0003", "batch size 128 → 64", "early stopping patience none → 5"]  # fmt: skip
    assert list(found.frame["total"]) == pytest.approx(list(found.frame["difference"].cumsum()))
    assert found.frame["total"].iloc[-1] == pytest.approx(
        (column(path, PATH[-1]) - column(path, PATH[0])).mean())  # fmt: skip
    assert list(found.shown["verdict"])[1] == "better"
    assert "Holm's procedure over 3 steps" in found.note
    assert [item.name for item in tuning_chapter(path, {}).tables] == ["tuned", "optimism", "paths"]


def test_what_made_no_difference_is_said_so(tmp_path):
    alike = [dataclasses.replace(maker, accuracy=0.9, spread=0.0004) for maker in STEPS]
    found = data_of(tuning_store(tmp_path, alike, {"own_v1": PATH}))
    words = answer(found)
    assert "makes own_v1 not significantly better than its default." in words
    assert "any difference is significantly smaller than 0.2 percentage points" in words
    assert "own_v1: no single setting makes it significantly better." in words


def drawn(data):
    with house_style():
        return {figure.name: figure for figure in tuning_chapter(data, {}).figures}


def test_a_figure_has_each_architectures_means_where_they_are(winners):
    figure = drawn(winners)["tuned"]
    axes, beside = figure.drawing.axes
    first, *_ = [line for line in axes.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert first.get_xdata()[0] == pytest.approx(100 * column(winners, "lenet5 tuned").mean())
    words = [label.get_text() for label in beside.get_yticklabels()]
    assert words[0].startswith("better\n+")
    assert words[2] == "the default is the best point"
    assert "lenet5: better, +" in figure.alt


def test_the_lines_of_the_order_join_the_means_before_and_after(winners):
    axes = drawn(winners)["tuning-order"].drawing.axes[0]
    lines = [line.get_ydata() for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    means = [[100 * column(winners, way[place]).mean() for place in (0, -1)] for way in LABELS.values()]
    np.testing.assert_allclose(sorted(map(list, lines)), sorted(means))


def test_bars_of_a_path_follow_on_each_other(path):
    axes = drawn(path)["path-own_v1"].drawing.axes[0]
    *steps, whole = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    ends = np.cumsum([width for _, width in steps])
    assert [left for left, _ in steps] == pytest.approx([0, *ends[:-1]])
    assert whole == pytest.approx((0, ends[-1]))


@given(st.lists(st.floats(80, 100), min_size=1, max_size=8), st.floats(0.01, 2))
def test_names_are_moved_apart_and_keep_their_order(values, least):
    moved = apart(values, least)
    order = np.argsort(values, kind="stable")
    gaps = np.diff(np.array(moved)[order])
    assert (gaps >= least - 1e-9).all()
    if (np.diff(np.array(values)[order]) >= least).all():
        assert moved == pytest.approx(values)


def test_rows_that_are_missing_leave_a_report_that_says_so(tmp_path):
    some = [dataclasses.replace(maker, left_out=frozenset(range(3, 13)) if maker.label == "lenet5 tuned" else
                                frozenset({3, 4, 5})) for maker in WINNERS]  # fmt: skip
    found = data_of(tuning_store(tmp_path, some, LABELS))
    shown = table(found, "tuned").shown
    assert shown["tuned, %"][0] == NOTHING
    assert (shown["n"][0], shown["verdict"][0]) == ("0", "inconclusive")
    assert "lenet5 (0 common repeats)" in answer(found)
    assert set(drawn(found)) == {"tuned", "tuning-order"}


def test_a_store_with_a_search_and_its_winners_becomes_a_page(tmp_path):
    hostile = [dataclasses.replace(maker, label=maker.label.replace("own_v1", "<b>")) for maker in WINNERS[2:]]
    labels = {"<b>": ["<b> default", "<b> tuned"], "own_v3": ["own_v3 default"]}
    store = tuning_store(tmp_path / "store", hostile, labels, repeats=2)
    result = build_report(store.uri, out=tmp_path / "report")
    page = result.path.read_text(encoding="utf-8")
    assert "Tuned against default" in page
    assert "<b>" not in page
    (report,) = result.studies
    assert [item.name for item in report.main_tables[:4]] == ["results", "tuned", "optimism", "tuning-order"]
    assert (tmp_path / "report" / "tables" / "winners" / "optimism.csv").exists()
    assert (tmp_path / "report" / "figures" / "winners" / "tuned.svg").exists()


def test_a_setting_younger_than_a_row_has_its_default_there(winners):
    rows = winners.study.outcomes
    old = rows.assign(l2=rows["l2"].where(rows["label"] != "lenet5 default"))
    study = dataclasses.replace(winners.study, outcomes=old)
    assert "l2" not in settings_changed(study, "lenet5 default", "lenet5 tuned")
    assert settings_changed(study, "lenet5 default", "nothing") == NOTHING
