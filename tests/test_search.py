"""A search from its declaration to its rows: with a real Ray and trivial runs."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fmnist import UserError
from fmnist.compare import RESULT_COLUMNS, Point, best, read_results, replay
from fmnist.declare import (
    Budget,
    Choice,
    Given,
    Range,
    Search,
    Space,
    Strategy,
    Study,
    Tuning,
    configure,
)
from fmnist.report.chapters import report_search
from fmnist.report.search_data import gather_search
from fmnist.report.selection import select_reported
from fmnist.report.style import house_style
from fmnist.store.store import Store
from fmnist.sweep import connection as connections
from fmnist.sweep import preview, search_job, study_job
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.search_job import run_search
from tests.sweep_runs import known_structures, wait_for_rows
from tests.tiny_data import tiny_dataset
from tests.trivial_engine import COURSES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def on_one_ray(one_ray, monkeypatch):
    """Tiny data, no Keras, and the same Ray for every search of a test."""
    data = tiny_dataset(40, 10)
    monkeypatch.setattr(study_job, "load_data", lambda _: data)
    monkeypatch.setattr(search_job, "structure_process", known_structures)
    monkeypatch.setattr(study_job, "structure_process", known_structures)
    monkeypatch.setattr(connections, "connection", lambda _: nullcontext(one_ray))


SPACE = Space({"batch_size": Choice((16, 32, 64)), "l2": Choice((0.0, 1e-4))})
WIDE = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "momentum": Given("optimizer", {"sgd": Range(0.1, 0.9)}),
        "batch_size": Range(8, 512, log=True),
    }
)
GRID = Search(name="s", question="?", architectures=("lenet5", "own_v1"), space=SPACE, repeats=2,
              settings={"epochs": 4, "learning_rate": 1.0})  # fmt: skip
SEVERAL = replace(
    GRID,
    architectures=("lenet5",),
    space=WIDE,
    repeats=5,
    strategies=(Strategy("optuna", "halving"), Strategy("optuna", "race"), Strategy("random")),
    budget=Budget(points=8),
)


def options(results, **changes):
    trivial = {"engine": "tests.trivial_engine", "report": None, "address": "local"}
    return StudyOptions(results=str(results), **{**trivial, **changes})


def console():
    return Console(file=io.StringIO(), width=200)


def run(search, results, code=0, **changes):
    out = console()
    assert run_search(search, options(results, **changes), out) == code
    return out.file.getvalue()


def previewed(search, results, price=None):
    out = console()
    preview.preview_study(search, options(results), out, price)
    return out.file.getvalue()


def rows(results):
    columns = ["run_id", "status", "repeat", "architecture", "history", "test_accuracy", "validation_accuracy", "study"]
    return Store(results).read(columns).to_pylist()


def tracks(results, name="s"):
    return Store(results).read_manifest(name)["search"]["tracks"]


def points(track):
    return [point["values"] for generation in track["generations"] for point in generation]


def replayed(results, search):
    """Each track's points as they have come out, told from manifest and rows alone."""
    found = read_results(Store(results).batches(RESULT_COLUMNS))
    told = []
    for described, track in zip(tracks(results, search.name), search.tracks, strict=True):
        generations = [[Point(**point) for point in generation] for generation in described["generations"]]
        told.append(replay(generations, found, track.strategy, search.repeats))
    return told


@pytest.mark.usefixtures("on_one_ray")
def test_a_grid_runs_and_then_has_nothing_to_do(tmp_path):
    told = run(GRID, tmp_path)
    assert "24 of 24 runs to compute" in told
    assert f"search {GRID.name}: " in told
    assert {(row["status"], row["test_accuracy"], row["study"]) for row in rows(tmp_path)} == {("validated", None, "s")}
    assert len(rows(tmp_path)) == 24
    manifest = Store(tmp_path).read_manifest("s")
    assert (manifest["primary_metric"], manifest["repeats"]) == ("validation_accuracy", 2)
    assert [track["architecture"] for track in tracks(tmp_path)] == ["lenet5", "own_v1"]
    for track in tracks(tmp_path):
        assert [len(generation) for generation in track["generations"]] == [4, 2]
        assert sorted(map(str, points(track))) == sorted(map(str, SPACE.grid()))
    labels = [item["label"] for item in manifest["configurations"]]
    assert sorted(labels) == sorted(f"{name} point {i}" for name in GRID.architectures for i in range(1, 7))
    assert f"Nothing to compute: all 24 runs are in {tmp_path}" in run(GRID, tmp_path)
    assert "12 points, 36 runs wanted, 24 present" in previewed(replace(GRID, repeats=3), tmp_path)
    assert "4 points, 8 runs wanted, 8 present" in previewed(replace(GRID, budget=Budget(points=2)), tmp_path)
    wider = Space({**SPACE.dimensions, "batch_size": Choice((16, 32, 64, 128))})
    assert "16 points, 32 runs wanted, 24 present" in previewed(replace(GRID, space=wider), tmp_path)


@pytest.mark.usefixtures("on_one_ray")
def test_every_strategy_spends_its_budget_and_rows_are_shared(tmp_path):
    run(SEVERAL, tmp_path)
    told = replayed(tmp_path, SEVERAL)
    for track, described, results in zip(SEVERAL.tracks, tracks(tmp_path), told, strict=True):
        asked = points(described)
        assert len(asked) == len({str(values) for values in asked}) == 8
        assert all(WIDE.contains(values) for values in asked)
        allowed = {"complete"} if track.strategy.pruning == "none" else {"complete", "pruned"}
        assert {item.status for item in results} <= allowed
    assert {row["status"] for row in rows(tmp_path)} == {"validated"}  # the race trains on what halving would prune
    assert {item.status for item in told[0]} == {"complete", "pruned"}
    assert {row["test_accuracy"] for row in rows(tmp_path)} == {None}
    first = [points(described)[:4] for described in tracks(tmp_path)]
    assert first[0] == first[1] == first[2]
    assert len(rows(tmp_path)) < sum(len(item.runs) for results in told for item in results)
    assert run(SEVERAL, tmp_path).startswith("Nothing to compute")


@pytest.mark.usefixtures("on_one_ray")
def test_one_worker_finds_what_two_find_and_a_larger_budget_goes_on(tmp_path):
    search = replace(SEVERAL, budget=Budget(points=6), strategies=(Strategy("optuna", "halving"), Strategy("optuna")))
    run(search, tmp_path / "two")
    run(search, tmp_path / "one", cpus_per_run=float(os.cpu_count()))
    assert tracks(tmp_path / "one") == tracks(tmp_path / "two")
    kept = ("run_id", "status", "validation_accuracy", "history")
    one, two = ([[row[name] for name in kept] for row in rows(tmp_path / name)] for name in ("one", "two"))
    assert one == two
    before = list(map(points, tracks(tmp_path / "two")))
    more = replace(search, budget=Budget(points=9))
    run(more, tmp_path / "two")
    after = list(map(points, tracks(tmp_path / "two")))
    assert [len(values) for values in after] == [9] * 2
    assert [values[:6] for values in after] == before
    assert {item.status for results in replayed(tmp_path / "two", more) for item in results} <= {"complete", "pruned"}


@pytest.mark.usefixtures("on_one_ray")
def test_without_its_manifest_a_search_proposes_the_same_points_again(tmp_path):
    search = replace(SEVERAL, strategies=(Strategy("optuna", "halving"),))
    run(search, tmp_path)
    assert {row["status"] for row in rows(tmp_path)} == {"validated", "pruned"}
    before = tracks(tmp_path)
    (tmp_path / "studies" / "s.json").unlink()
    assert run(search, tmp_path).startswith("Nothing to compute")
    assert tracks(tmp_path) == before


@pytest.mark.usefixtures("on_one_ray")
def test_a_finite_space_is_used_up_at_most(tmp_path):
    search = replace(GRID, strategies=(Strategy("random"), Strategy("optuna")), budget=Budget(points=50), repeats=1)
    run(search, tmp_path)
    for track in tracks(tmp_path):
        assert sorted(map(str, points(track))) == sorted(map(str, SPACE.grid()))
    assert run(search, tmp_path).startswith("Nothing to compute")


@pytest.mark.usefixtures("on_one_ray")
def test_a_budget_of_core_seconds_ends_a_track(tmp_path):
    search = replace(GRID, architectures=("lenet5",), budget=Budget(core_seconds=1e-9), repeats=1)
    run(search, tmp_path)
    assert [len(points(track)) for track in tracks(tmp_path)] == [4]


@pytest.mark.usefixtures("on_one_ray")
def test_points_that_fail_are_told_and_tried_again_when_asked(tmp_path):
    space = Space({"learning_rate": Choice((COURSES["plain"], COURSES["raises"]))})
    search = replace(GRID, architectures=("lenet5",), space=space, settings={"epochs": 2})
    search = replace(search, strategies=(Strategy("optuna"),), budget=Budget(points=2))
    assert "given up" in run(search, tmp_path, 2, max_failures=0)
    assert sorted(item.status for item in replayed(tmp_path, search)[0]) == ["complete", "failed"]
    said = run(search, tmp_path, 2)
    assert "all 4 runs" in said
    assert "2 of them failed: --retry-failed computes those again" in said
    assert "2 of 4 runs to compute" in run(search, tmp_path, 2, max_failures=0, retry_failed=True)


@pytest.mark.usefixtures("on_one_ray")
def test_a_row_of_a_study_serves_a_search_and_not_the_other_way_round(tmp_path):
    chosen = configure("lenet5", epochs=4, learning_rate=1.0, batch_size=16)
    study = Study(name="t", question="?", configurations=(chosen,), repeats=1)
    assert study_job.run_study(study, options(tmp_path / "study"), console()) == 0
    assert "24 runs wanted, 1 present" in previewed(GRID, tmp_path / "study")
    run(replace(GRID, architectures=("lenet5",), repeats=1), tmp_path / "search")
    assert "1 runs wanted, 0 present" in previewed(study, tmp_path / "search")
    assert study_job.run_study(study, options(tmp_path / "search"), console()) == 0
    scored = [row for row in rows(tmp_path / "search") if row["test_accuracy"] is not None]
    assert [(row["status"], row["study"]) for row in scored] == [("ok", "t")]
    assert "6 runs wanted, 6 present" in previewed(
        replace(GRID, architectures=("lenet5",), repeats=1), tmp_path / "search"
    )


@pytest.mark.usefixtures("on_one_ray")
def test_winners_are_run_on_fresh_repeats_and_score_the_test_set(tmp_path):
    winners = Tuning(name="w", question="?", search=GRID, repeats=3)
    with pytest.raises(UserError, match=r"search 's' is not finished in .*: it has no point of lenet5; run `python"):
        study_job.run_study(winners, options(tmp_path), console())
    run(replace(GRID, repeats=1), tmp_path)
    with pytest.raises(UserError, match=r"it has 6 points, 6 of them open of lenet5"):
        study_job.run_study(winners, options(tmp_path), console())
    run(GRID, tmp_path)
    assert study_job.run_study(winners, options(tmp_path), console()) == 0
    manifest = Store(tmp_path).read_manifest("w")
    assert (manifest["first_repeat"], manifest["repeats"]) == (2, 3)
    assert manifest["tuning"]["search"] == "s"
    told = {
        track.architecture: best(results) for track, results in zip(GRID.tracks, replayed(tmp_path, GRID), strict=True)
    }
    ids = {item["label"]: item["configuration_id"] for item in manifest["configurations"]}
    for architecture, found in told.items():
        assert ids[manifest["tuning"]["labels"][architecture][-1]] == found.point.configuration_id
    scored = [row for row in rows(tmp_path) if row["study"] == "w"]
    assert {(row["status"], row["repeat"]) for row in scored} == {("ok", 2), ("ok", 3), ("ok", 4)}
    assert all(row["test_accuracy"] is not None for row in scored)
    path = replace(winners, name="p", path=True)
    assert study_job.run_study(path, options(tmp_path), console()) == 0
    labels = Store(tmp_path).read_manifest("p")["tuning"]["labels"]["own_v1"]
    assert (labels[0], labels[-1]) == ("own_v1 default", "own_v1 tuned")


@pytest.mark.usefixtures("on_one_ray")
def test_the_preview_tells_points_runs_time_and_cost(tmp_path):
    assert f"Search s: 12 points, 24 runs wanted, 0 present in {tmp_path}, 24 missing" in previewed(GRID, tmp_path)
    assert not (tmp_path / "studies").exists()
    run(replace(GRID, repeats=1), tmp_path)
    assert "12 points, 24 runs wanted, 12 present" in previewed(GRID, tmp_path)
    assert "One after the other they take at most 0 s" in previewed(GRID, tmp_path)
    assert "at most 24 points, 120 runs wanted" in previewed(SEVERAL, tmp_path)
    dear = replace(GRID, budget=Budget(core_seconds=1800.0))
    assert "2 tracks with 1800 core-seconds each, at most 1.00 core-hours: 3.00 in all" in previewed(
        dear, tmp_path, 3.0
    )


@pytest.mark.usefixtures("on_one_ray")
def test_a_damaged_manifest_is_named(tmp_path):
    run(replace(GRID, budget=Budget(points=1)), tmp_path)
    path = tmp_path / "studies" / "s.json"
    path.write_text(path.read_text().replace('"generations"', '"generation"'))
    with pytest.raises(UserError, match=r"studies/s.json in .* is damaged \(KeyError\('generations'\)\); delete it"):
        run(GRID, tmp_path)


@pytest.mark.usefixtures("on_one_ray")
def test_with_the_real_engine_poor_points_are_pruned_and_nothing_sees_the_test_set(tmp_path, monkeypatch):
    monkeypatch.setattr(study_job, "load_data", lambda _: tiny_dataset(400, 20))
    space = Space({"learning_rate": Range(1e-7, 1e-2, log=True)})
    search = replace(GRID, architectures=("lenet5",), space=space, settings={"epochs": 2}, repeats=1,
                     strategies=(Strategy("random", "halving"),), budget=Budget(points=8))  # fmt: skip
    run(search, tmp_path, engine="fmnist.train.run")
    made = Store(tmp_path).read(["status", "history", "error", "test_accuracy", "test_predicted"]).to_pylist()
    assert {row["status"] for row in made} == {"validated", "pruned"}
    for row in made:
        assert (row["test_accuracy"], row["test_predicted"]) == (None, None)
        assert len(row["history"]) == (1 if row["status"] == "pruned" else 2)
        assert (row["error"] is not None) == (row["status"] == "pruned")


SEARCH_ALONE = """
import sys
from tests.sweep_runs import known_structures
from tests.test_search import SLOW, options, console
from fmnist.sweep import search_job, study_job
from tests.tiny_data import tiny_dataset
study_job.load_data = lambda _: tiny_dataset(40, 10)
search_job.structure_process = known_structures
search_job.run_search(SLOW, options(sys.argv[1]), console())
"""
SLOW = replace(SEVERAL, settings={"epochs": 2, "learning_rate": COURSES["is_slow"]}, budget=Budget(points=6), repeats=2,
               strategies=(Strategy("optuna", "halving"), Strategy("optuna")), seeds=1)  # fmt: skip


@pytest.mark.usefixtures("on_one_ray")
def test_killed_in_the_middle_the_same_command_goes_on_and_proposes_the_same(tmp_path):
    command = [sys.executable, "-c", SEARCH_ALONE, str(tmp_path / "killed")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as job:
        wait_for_rows(tmp_path / "killed", 9)
        os.killpg(job.pid, signal.SIGKILL)
    before = tracks(tmp_path / "killed")
    run(SLOW, tmp_path / "killed")
    run(replace(SLOW, settings={**SLOW.settings, "learning_rate": COURSES["plain"]}), tmp_path / "whole")
    after = tracks(tmp_path / "killed")
    assert list(map(points, after)) == list(map(points, tracks(tmp_path / "whole")))
    assert all(new["generations"][: len(old["generations"])] == old["generations"]
               for old, new in zip(before, after, strict=True))  # fmt: skip


@pytest.mark.usefixtures("on_one_ray")
def test_a_search_has_a_report_of_what_its_sweep_wrote(tmp_path):
    small = replace(GRID, space=Space({"batch_size": Choice((16, 32)), "l2": Choice((0.0, 1e-4))}), repeats=1)
    assert run_search(small, options(tmp_path), console()) == 0
    store = Store(tmp_path)
    (found,) = select_reported(store)
    report = report_search(gather_search(found, store))
    assert report.answer.startswith("Best on validation: ")
    assert report.main_tables[0].frame["complete"].tolist() == [4] * len(small.architectures)
    with house_style():
        assert len([figure for chapter in report.chapters for figure in chapter.figures]) > 3
