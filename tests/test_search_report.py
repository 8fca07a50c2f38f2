"""The report of a search: what is selected, said, tabled and drawn, from rows as training would write them."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection
from rich.console import Console
from scipy import stats

from fmnist import UserError
from fmnist.compare import importances, strategy_curve
from fmnist.declare import Choice, Space, Strategy
from fmnist.report import build
from fmnist.report.build import build_report
from fmnist.report.chapters import report_search
from fmnist.report.chapters.search_budget import budget_table, draw_best_so_far
from fmnist.report.chapters.search_importance import draw_importance, draw_values, importance_table, panels_of
from fmnist.report.chapters.search_overview import best_points_table, edge_warnings, results_table, search_answer
from fmnist.report.chapters.search_points import MOST_LINES, draw_lines, draw_map, some_of
from fmnist.report.chapters.search_runs import FEW_BARS, draw_timeline, slots_of, without_pauses
from fmnist.report.markdown import results_section
from fmnist.report.search_data import gather_search
from fmnist.report.selection import select_reported, select_studies
from fmnist.report.style import house_style, new_axes, styles_of
from fmnist.report.terminal import print_results
from fmnist.report.text import core_time, setting, settings_words
from fmnist.store.store import Store
from tests.synthetic_rows import SIX, manifest_of, rows_of
from tests.synthetic_search import GRID, WIDE, MadeSearch

STRATEGIES = (Strategy("random"), Strategy("optuna"), Strategy("optuna", "halving"))
SEVERAL = MadeSearch(space=WIDE, architectures=("lenet5", "own_v3"), strategies=STRATEGIES, seeds=5, points=8)
WHOLE = MadeSearch(points=36, architectures=("own_v1",))


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _style():
    with house_style():
        yield


def data_of(search, folder):
    search.write(folder)
    store = Store(folder)
    (rows,) = select_reported(store, [search.name])
    return gather_search(rows, store)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return data_of(WHOLE, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return data_of(SEVERAL, tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The page on a search of a name and an architecture that HTML, LaTeX and a terminal could take amiss."""
    folder = tmp_path_factory.mktemp("built")
    search = MadeSearch(name="a_search", architectures=("<own>[v1]_&", "own_v1"), points=12, repeats=2,
                        strategies=(Strategy("grid"), Strategy("random")))  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(build, "find_dataset", lambda _: (None, "no data"))
        search.write(folder / "results")
        return build_report(folder / "results", out=folder / "report")


def test_the_page_has_every_chapter_and_escapes_what_it_shows(built):
    page = built.path.read_text("utf-8")
    assert "<title>Fashion-MNIST: search a_search</title>" in page
    for key in ("overview", "budget", "importance", "points", "runs", "methods"):
        assert f'id="{key}-a_search"' in page
    assert "<own>" not in page
    assert "&lt;own&gt;[v1]_&amp;" in page
    assert page.count("<img") == len(list((built.path.parent / "figures").glob("*/*.svg"))) == 11
    assert "Of the other architectures (1)" in page
    latex = (built.path.parent / "tables" / "a_search" / "results.tex").read_text("utf-8")
    assert r"<own>[v1]_&"[-3:] not in latex
    assert r"v1]\_\&" in latex


def test_every_figure_holds_data_and_says_what_is_seen(several):
    figures = [figure for chapter in report_search(several).chapters for figure in chapter.figures]
    assert len({figure.name for figure in figures}) == len(figures) == 11
    for figure in figures:
        assert all(axes.has_data() for axes in figure.drawing.axes if axes.get_visible()), figure.name
        assert figure.alt.endswith(".")
        assert len(figure.caption) > 40
    assert [figure.folded for figure in figures if figure.name.startswith("map-")] == [False, True]


def test_the_terminal_shows_the_main_tables_and_the_warnings_in_eighty_columns(built):
    console = Console(width=80)
    with console.capture() as captured:
        print_results(built, console)
    text = captured.get()
    words = " ".join(text.split())
    assert "Search a_search" in words
    assert "Best so far at the same budget" in words
    assert "Warning: the best point of own_v1 stands at the edge" in words
    assert "<own>[v1]_&" in words
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_markdown_has_the_main_tables_and_the_warnings(built):
    section = results_section(built)
    assert section.startswith("### Search `a_search`")
    assert "- Warning: the best point of own_v1" in section
    assert "**Best so far at the same budget**" in section


def test_a_store_may_hold_studies_and_searches(tmp_path):
    WHOLE.write(tmp_path)
    store = Store(tmp_path)
    for row in rows_of(SIX[:2], 1):
        store.write(row)
    store.write_manifest(manifest_of(SIX[:2], 1))
    assert {item.name for item in select_reported(store)} == {"made_up", "made_search"}
    (study,) = select_studies(store)
    assert study.name == "made_up"
    assert [item.name for item in select_reported(store, ["made_search", "made_up"])] == ["made_search", "made_up"]
    with pytest.raises(UserError, match=r"got 'other'.*made_search, made_up"):
        select_reported(store, ["other"])


def test_a_search_without_rows_says_what_to_run(tmp_path):
    store = Store(tmp_path)
    for row in rows_of(SIX[:1], 1):
        store.write(row)
    store.write_manifest(WHOLE.manifest())
    with pytest.raises(UserError, match=r"jobs/study.py made_search"):
        select_reported(store, ["made_search"])


def test_a_manifest_that_is_no_searchs_is_refused(tmp_path):
    WHOLE.write(tmp_path)
    store = Store(tmp_path)
    manifest = WHOLE.manifest()
    del manifest["search"]["space"]
    store.write_manifest(manifest)
    with pytest.raises(UserError, match=r"made_search.*'space'.*run the search again"):
        select_reported(store)


def test_a_run_that_a_study_scored_serves_the_search_and_only_exclusive_ones_one_that_asks(tmp_path):
    search = replace(WHOLE, points=2, repeats=1)
    rows = list(search.rows())
    store = Store(tmp_path)
    for row in rows:
        store.write(row | {"status": "pruned", "placement": "exclusive"})
        store.write(row | {"status": "ok"})
    store.write_manifest(search.manifest())
    (found,) = select_reported(store)
    assert found.rows["status"].tolist() == ["ok", "ok"]
    store.write_manifest(search.manifest() | {"placement": "exclusive"})
    assert (select_reported(store)[0].rows["placement"] == "exclusive").all()


def test_results_are_pandas_means_of_the_rows(whole):
    means = whole.search.rows.groupby("label")["validation_accuracy"].agg(["mean", "std"])
    (row,) = results_table(whole).frame.to_dict("records")
    assert row["label"] == means["mean"].idxmax()
    assert row["accuracy"] == pytest.approx(means["mean"].max())
    assert row["accuracy_standard_deviation"] == pytest.approx(means.loc[row["label"], "std"])
    assert (row["n"], row["points"], row["complete"]) == (3, 36, 36)
    assert row["core_seconds"] == pytest.approx(whole.search.rows["processor_seconds"].sum())


def test_the_best_point_is_compared_with_the_default_over_repeats(whole):
    rows = whole.search.rows
    defaults = rows[(rows["optimizer"] == "adam") & (rows["learning_rate"] == 1e-3) & (rows["batch_size"] == 128)
                    & (rows["l2"] == 0)].set_index("repeat")["validation_accuracy"]  # fmt: skip
    (row,) = results_table(whole).frame.to_dict("records")
    best = rows[rows["label"] == row["label"]].set_index("repeat")["validation_accuracy"]
    assert row["difference"] == pytest.approx((best - defaults).mean())
    interval = stats.ttest_rel(best.sort_index(), defaults.sort_index()).confidence_interval()
    assert (row["difference_lower"], row["difference_upper"]) == pytest.approx(tuple(interval))


def test_the_answer_names_point_default_and_caution(whole):
    answer = search_answer(whole)
    assert re.match(r"Best on validation: own_v1 9\d\.\d\d % \(n = 3\) with optimizer adam, learning rate", answer)
    assert re.search(r"\+0\.\d\d \[.*\] percentage points from its default\.", answer)
    assert "the highest of up to 36 points: too high" in answer
    assert "`Tuning`" in answer


def test_a_search_without_a_complete_point_says_so(tmp_path):
    data = data_of(replace(WHOLE, points=1, statuses={(0, 1): "failed"}), tmp_path)
    report = report_search(data)
    assert report.answer.startswith("There is no answer: no point has all of its 3 repeats")
    assert "Points that failed: 1." in report.missing[0]
    assert "--retry-failed" in report.missing[0]
    assert report.missing[-1] == "No point of own_v1 is complete."
    assert report.warnings == []
    assert len([figure for chapter in report.chapters for figure in chapter.figures]) == 1  # the timeline


def test_points_that_lack_runs_or_diverged_are_counted(tmp_path):
    search = replace(WHOLE, points=4, statuses={(1, 0): "diverged"}, left_out=frozenset({(2, 2)}))
    report = report_search(data_of(search, tmp_path))
    assert [sentence.partition(".")[0] for sentence in report.missing] == [
        "Points that lack runs: 1",
        "Points that diverged (loss not finite): 1",
    ]
    (row,) = report.main_tables[0].frame.to_dict("records")
    assert (row["complete"], row["diverged"], row["open"]) == (2, 1, 1)


def test_an_architecture_of_someones_own_has_no_default_and_a_report(tmp_path):
    data = data_of(replace(WHOLE, architectures=("somebodys",), points=4), tmp_path)
    assert data.default_of("somebodys") is None
    assert "somebodys" in search_answer(data)


def test_the_edge_of_the_space_is_warned_of(whole):
    (warning,) = edge_warnings(whole)
    assert "the best point of own_v1 stands at the edge of the space: " in warning
    assert "batch size 64, its lower end" in warning
    assert warning.endswith("extend the space there and run the search again.")


def test_the_table_shows_the_best_five_and_the_csv_every_point(whole):
    table = best_points_table(whole)
    assert len(table.shown) == 5
    assert len(table.frame) == 36
    assert table.frame["accuracy"].is_monotonic_decreasing
    assert set(GRID.dimensions) <= set(table.frame.columns)


def test_the_budget_table_has_each_strategy_at_each_share(several):
    table = budget_table(several)
    assert len(table.frame) == 2 * 3 * 3
    assert table.shown["strategy"][0].endswith(": Random")
    assert (table.frame[table.frame["share"] == 1]["n"] == 5).all()
    assert table.frame[table.frame["strategy"] == "Random"]["difference"].isna().all()
    assert "against Random, percentage points" in table.shown.columns


def test_one_strategy_has_no_budget_table(whole):
    assert budget_table(whole) is None


def test_best_so_far_is_drawn_as_a_band_of_five_seeds_and_as_lines_of_fewer(several):
    tracks = [item for item in several.tracks_of("own_v3") if item.track.strategy == STRATEGIES[0]]
    curves = {"Random": strategy_curve(tracks), "Optuna": strategy_curve(tracks[:3])}
    axes = draw_best_so_far(new_axes(), curves, 100.0, styles_of(curves))
    drawn = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(drawn) == 1 + 3
    assert len(axes.collections) == 1
    assert drawn[0].get_ydata()[-1] == pytest.approx(100 * np.mean([max(point.value for point in track.points)
                                                                   for track in tracks]), abs=0.5)  # fmt: skip
    assert axes.get_xlim()[0] == 0
    assert list(axes.get_legend_handles_labels()[1]) == ["Random", "Optuna"]


def test_importances_are_drawn_within_a_hundred_percent(whole):
    frame = importances(whole.points["own_v1"], GRID)
    axes = draw_importance(new_axes(), {"PED-ANOVA": frame, "fANOVA": frame.assign(upper=5.0)})
    assert next(label.get_text() for label in axes.get_yticklabels()) == frame["hyperparameter"][0].replace("_", " ")
    assert axes.lines[0].get_xdata() == pytest.approx(100 * frame["importance"])
    assert axes.get_xlim()[1] <= 101
    table = importance_table(whole, {"PED-ANOVA": {"own_v1": frame}})
    assert table.frame["PED-ANOVA"].sum() == pytest.approx(1)


def test_each_hyperparameter_has_a_panel_at_one_scale(several):
    order = several.importances["own_v3"]["hyperparameter"].tolist()
    panels = panels_of(several.points["own_v3"], several.spaces["own_v3"], order)
    drawing, below = draw_values(panels)
    shown = [axes for axes in drawing.axes if axes.get_visible()]
    assert len(shown) == len(panels) == 6
    assert len({axes.get_ylim() for axes in shown}) == 1
    low = shown[0].get_ylim()[0] / 100
    accuracies = np.concatenate([panel.frame["accuracy"] for panel in panels if "accuracy" in panel.frame])
    assert below == (accuracies < low).sum()
    ranges = [axes for axes in shown if axes.collections and len(axes.collections[0].get_offsets()) > 1]
    assert {axes.get_xscale() for axes in ranges} >= {"log", "linear"}


def test_lenet5_has_no_panel_of_what_it_does_not_read(several):
    assert "dropout_rate" not in several.spaces["lenet5"].dimensions
    assert "dropout_rate" in several.spaces["own_v3"].dimensions


def test_the_map_writes_the_mean_into_each_cell_and_leaves_empty_ones_empty():
    cells = pd.DataFrame([[0.9, np.nan], [0.91, 0.8]], index=["a", "b"], columns=["x", "y"])
    space = Space({"optimizer": Choice(("adam", "sgd")), "l2": Choice((0.0, 0.1))})
    axes = draw_map(new_axes(), cells, space.parameters)
    assert sorted(text.get_text() for text in axes.texts) == ["80.00", "90.00", "91.00"]
    assert axes.get_xlabel() == "optimizer"


def test_lines_are_one_collection_the_best_on_top_and_no_more_than_can_be_seen(several):
    points = [point for point in several.points["own_v3"] if point.status == "complete"]
    drawing = draw_lines(points, several.spaces["own_v3"])
    (lines,) = (item for item in drawing.axes[0].collections if isinstance(item, LineCollection))
    assert len(lines.get_segments()) == len(points)
    assert lines.get_array()[-1] == pytest.approx(100 * points[0].value)
    assert lines.get_segments()[-1][-1].tolist() == pytest.approx([len(lines.get_segments()[-1]) - 1, 1.0])
    texts = {text.get_text() for text in drawing.axes[0].texts}
    assert {"adam", "sgd", "0.0001", "0.3", "256", f"{100 * points[0].value:.2f}"} <= texts
    many = some_of(points * 40)
    assert len(many) <= MOST_LINES
    assert (many[0], many[-1]) == (points[0], points[-1])


runs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10_000), st.integers(1, 500)), min_size=1, max_size=40)


def frame_of(made_up):
    start = pd.Timestamp("2026-11-24", tz="UTC")
    return pd.DataFrame(
        {
            "architecture": "own_v1",
            "status": "validated",
            "node": [f"node-{node}" for node, _, _ in made_up],
            "started_at": [start + pd.Timedelta(seconds=second) for _, second, _ in made_up],
            "total_seconds": [float(seconds) for _, _, seconds in made_up],
        }
    )


@given(runs)
@settings(deadline=None)
def test_runs_of_one_slot_never_overlap_and_pauses_only_get_shorter(made_up):
    slots = slots_of(frame_of(made_up))
    shown, pauses = without_pauses(slots)
    for frame in (slots, shown):
        assert (frame["end"] - frame["start"]).to_numpy() == pytest.approx(frame["seconds"].to_numpy())
        for _, own in frame.groupby(["node", "slot"]):
            for (_, end), (start, _) in itertools.pairwise(own[["start", "end"]].itertuples(index=False)):
                assert start >= end - 1.0
    assert shown["end"].max() <= slots["end"].max() + 1e-6
    assert len(pauses) <= len(made_up)


def test_a_pause_between_two_commands_is_cut_down():
    shown, pauses = without_pauses(slots_of(frame_of([(0, 0, 100), (0, 86_400, 100)])))
    assert shown["end"].max() == pytest.approx(200 * 1.02)
    assert pauses == [pytest.approx(102)]


@pytest.mark.parametrize("count", [3, FEW_BARS + 1])
def test_the_timeline_has_a_bar_for_each_run_and_hatches_what_was_given_up(count):
    rows = slots_of(frame_of([(place % 2, 10 * place, 15) for place in range(count)]))
    rows.loc[0, "status"] = "pruned"
    axes = draw_timeline(rows, [], styles_of(["own_v1"]))
    bars = [item for item in axes.collections if isinstance(item, PolyCollection) and len(item.get_paths())]
    counts = {item.get_hatch(): len(item.get_paths()) for item in bars if item.get_label().startswith("_")}
    assert counts == {None: count - 1, "/////": 1}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["node-0", "node-1"]
    assert all(item.get_rasterized() == (count > FEW_BARS) for item in bars if item.get_label().startswith("_"))


def test_methods_say_what_was_searched_and_how(several):
    (methods,) = (chapter for chapter in report_search(several).chapters if chapter.key == "methods")
    text = " ".join(methods.text)
    for words in ("learning rate: 0.0001 to 0.01 (log scale) with optimizer adam", "Li et al. 2020", "Bergstra",
                  "5 seeds", "each at most 8 points", "All points share epochs 3", "PED-ANOVA", "commit 2164a57",
                  "the test images were not looked at"):  # fmt: skip
        assert words in text


def test_settings_and_costs_in_words():
    assert [setting(value) for value in (0.00123, 128, "adam", None, float("nan"), True)] == [
        "0.00123", "128", "adam", "none", "\N{EN DASH}", "True"]  # fmt: skip
    assert settings_words({"learning_rate": 0.001, "optimizer": "sgd"}) == "learning rate 0.001, optimizer sgd"
    assert [core_time(seconds) for seconds in (45, 150, 7300)] == [
        "45 core-seconds",
        "2.5 core-minutes",
        "2.03 core-hours",
    ]
