"""How a track of a search goes: laws of its replay, successive halving and races against references, costs."""

import math
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare.tracks import (
    RESULT_COLUMNS,
    Point,
    PointResult,
    RunResult,
    as_pruned,
    best,
    core_seconds,
    is_spent,
    loses,
    read_results,
    replay,
    rung_cutoffs,
)
from fmnist.declare.search import Budget, Strategy
from fmnist.declare.study import Study, configure
from fmnist.store.store import Store

PRUNINGS = ("none", "halving", "race")
EPOCHS = 10
REPEATS = 5


def point(name):
    return Point(configuration_id=name, values={"learning_rate": 0.1})


def run(*accuracies, status="validated", repeat=0, cost=None):
    return RunResult(
        repeat=repeat,
        status=status,
        accuracies=accuracies,
        value=accuracies[-1] if accuracies else math.nan,
        core_seconds=float(len(accuracies)) if cost is None else cost,
    )


def computed(name, repeat, pruned_below):
    """What a run comes to in a made-up world, where a point's name and the repeat decide its curve."""
    chance = random.Random(f"{name} {repeat}")
    quality = random.Random(name).uniform(0.2, 0.9)
    fate = chance.random()
    if fate < 0.03:
        return run(status="failed", repeat=repeat)
    curve = [min(1.0, max(0.0, quality * (1 - 0.5**epoch) + chance.gauss(0, 0.02))) for epoch in range(1, EPOCHS + 1)]
    for epoch, least in pruned_below.items():
        if epoch < EPOCHS and curve[epoch - 1] < least:
            return run(*curve[:epoch], status="pruned", repeat=repeat)
    return run(*curve, repeat=repeat) if fate > 0.08 else run(*curve[:4], status="diverged", repeat=repeat)


def drive(generations, strategy, chance, repeats=REPEATS, results=None):
    """Compute what is wanted, in an order that `chance` decides, until nothing is; gives the results."""
    results = {} if results is None else results
    while wanted := [(item.point, run) for item in replay(generations, results, strategy, repeats)
                     for run in item.wanted]:  # fmt: skip
        for item, asked in chance.sample(wanted, chance.randint(1, len(wanted))):
            made = computed(item.configuration_id, asked.repeat, asked.pruned_below)
            results[item.configuration_id, asked.repeat] = made
    return results


tracks = st.lists(st.lists(st.integers(0, 40).map(str).map(point), min_size=1, max_size=4), max_size=6)
strategies = st.sampled_from(PRUNINGS).map(lambda pruning: Strategy("optuna", pruning))


@settings(max_examples=30)
@given(tracks, strategies, st.randoms(use_true_random=False))
def test_what_comes_of_a_track_is_not_decided_by_the_order_of_its_runs(generations, strategy, chance):
    first = replay(generations, drive(generations, strategy, chance), strategy, REPEATS)
    again = replay(generations, drive(generations, strategy, random.Random(0)), strategy, REPEATS)
    assert first == again
    assert all(item.status != "open" for item in first)


@settings(max_examples=30)
@given(tracks, strategies, st.integers(0, 8), st.randoms(use_true_random=False))
def test_replay_of_the_first_generations_is_the_beginning_of_the_whole(generations, strategy, count, chance):
    results = drive(generations, strategy, chance)
    for key in chance.sample(sorted(results), len(results) // 3):  # some are still to be computed
        del results[key]
    whole = replay(generations, results, strategy, REPEATS)
    part = replay(generations[:count], results, strategy, REPEATS)
    assert part == whole[: len(part)]
    assert [item.point for item in whole] == [item for points in generations for item in points]
    assert [item.generation for item in part] == [
        number for number, points in enumerate(generations[:count]) for _ in points
    ]


@settings(max_examples=30)
@given(tracks, st.sampled_from(PRUNINGS), st.sampled_from(PRUNINGS), st.randoms(use_true_random=False))
def test_rows_of_another_track_serve_and_change_nothing(generations, pruning, other, chance):
    strategy = Strategy("optuna", pruning)
    alone = replay(generations, drive(generations, strategy, chance), strategy, REPEATS)
    rows = drive(generations, Strategy("optuna", other), chance)
    shared = replay(generations, drive(generations, strategy, chance, results=dict(rows)), strategy, REPEATS)
    assert shared == alone
    if other == "none":
        assert not [item for item in replay(generations, rows, strategy, REPEATS) if item.wanted]


def test_without_pruning_all_repeats_are_wanted_at_once_and_all_points_side_by_side():
    told = replay([[point("a")], [point("b")]], {("a", 1): run(0.5, repeat=1)}, Strategy("random"), 3)
    assert [[asked.repeat for asked in item.wanted] for item in told] == [[0, 2], [0, 1, 2]]
    assert [item.status for item in told] == ["open", "open"]
    assert [item.value for item in told] == [0.5, None]


def test_halving_lets_the_first_run_compete_and_then_wants_all_others():
    firsts = {(name, 0): run(*curve) for name, curve in
              {"a": (0.1, 0.1, 0.5, 0.5), "b": (0.2, 0.2, 0.6, 0.6), "c": (0.3, 0.3, 0.7, 0.7)}.items()}  # fmt: skip
    others = {(name, 1): run(0.0, 0.0, 0.0, 0.9, repeat=1) for name in "abc"}
    strategy = Strategy("random", "halving")
    first, second = [point("a"), point("b"), point("c")], [point("d"), point("e")]
    assert {item.status for item in replay([first], {**firsts, **others}, strategy, 2)} == {"complete"}
    told = replay([first, second], {**firsts, **others}, strategy, 2)
    cutoffs = {1: np.quantile([0.1, 0.2, 0.3], 2 / 3), 3: np.quantile([0.5, 0.6, 0.7], 2 / 3)}
    assert [(asked.repeat, asked.pruned_below) for asked in told[3].wanted] == [(0, cutoffs)]
    results = {**firsts, **others, ("d", 0): run(0.9, 0.9, 0.1, 0.9, cost=8.0), ("e", 0): run(0.9, 0.9, 0.9, 0.9)}
    told = replay([first, second], results, strategy, 2)
    assert (told[3].status, told[3].runs[0].accuracies, told[3].value) == ("pruned", (0.9, 0.9, 0.1), 0.1)
    assert told[3].core_seconds == 6.0  # three of four epochs
    assert [(asked.repeat, asked.pruned_below) for asked in told[4].wanted] == [(1, {})]
    assert not [asked for item in replay([second, first, first], results, strategy, 3) for asked in item.wanted
                if item.generation and asked.repeat == 0]  # fmt: skip


def test_a_generation_waits_for_those_that_decide_on_it():
    told = replay([[point("a")], [point("b")]], {}, Strategy("random", "halving"), 2)
    assert [asked.repeat for asked in told[0].wanted] == [0]
    assert (told[1].status, told[1].wanted, told[1].runs) == ("open", (), ())


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=12), max_size=12))
def test_cutoffs_leave_about_the_best_third(curves):
    cutoffs = rung_cutoffs(run(*curve) for curve in curves)
    assert set(cutoffs) <= {1, 3, 9}
    for rung, least in cutoffs.items():
        reached = [curve[rung - 1] for curve in curves if len(curve) >= rung]
        assert len(reached) >= 3
        assert sum(value > least for value in reached) <= math.ceil(len(reached) / 3)
        assert sum(value >= least for value in reached) >= math.floor(len(reached) / 3)


@pytest.mark.parametrize(
    ("status", "accuracies", "epochs"),
    [("validated", (0.9, 0.9, 0.1), 3), ("validated", (0.9, 0.9, 0.1, 0.9), 3), ("diverged", (0.9, 0.9, 0.1), 3),
     ("pruned", (0.9, 0.9, 0.1), 3), ("validated", (0.1, 0.9), 1)],
)  # fmt: skip
def test_a_run_is_cut_off_where_training_would_have_cut_it_off(status, accuracies, epochs):
    seen = as_pruned(run(*accuracies, status=status), {3: 0.5, 1: 0.5})
    ended_by_itself = status == "validated" and epochs == len(accuracies)
    assert seen.status == ("validated" if ended_by_itself else "pruned")
    assert seen.epochs == epochs


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_a_race_is_lost_as_wilcoxon_says(pairs):
    values, champion = zip(*pairs, strict=True)
    differences = np.subtract(values, champion)
    p = stats.wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue
    ahead = sum(values) / len(values) >= sum(champion) / len(champion)
    assert loses(values, champion) == (p < 0.1 and not ahead)
    assert not loses(values, champion) or len(values) > 3


def test_a_race_runs_one_repeat_after_the_other_against_the_best_of_before():
    results = {("a", repeat): run(0.5, repeat=repeat) for repeat in range(6)}
    results |= {("b", repeat): run(0.8, repeat=repeat) for repeat in range(6)}
    strategy, first, second = Strategy("grid", "race"), [point("a"), point("b")], [point("c"), point("d")]
    results |= {("c", repeat): run(0.6 + repeat / 100, repeat=repeat) for repeat in range(6)}
    results |= {("d", repeat): run(0.9, repeat=repeat) for repeat in range(3)}
    told = replay([first, second], results, strategy, 6)
    assert [item.status for item in told] == ["complete", "complete", "pruned", "open"]
    assert len(told[2].runs) == 4
    assert told[2].value == pytest.approx(0.615)
    assert [asked.repeat for asked in told[3].wanted] == [3]
    assert best(told).point == point("b")
    assert replay([[point("c")]], results, strategy, 6)[0].status == "complete"


def test_a_point_that_diverged_has_value_0_and_one_that_failed_none_and_neither_is_the_best():
    results = {("a", 0): run(0.5), ("a", 1): run(0.9, status="diverged", repeat=1),
               ("b", 0): run(0.9), ("b", 1): run(status="failed", repeat=1)}  # fmt: skip
    told = replay([[point("a"), point("b")]], results, Strategy("random"), 2)
    assert [(item.status, item.value) for item in told] == [("diverged", 0.0), ("failed", None)]
    assert best(told) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_the_first_of_the_best_points_is_the_best(values):
    results = {(str(number), 0): run(value) for number, value in enumerate(values)}
    told = replay([[point(str(number)) for number in range(len(values))]], results, Strategy("random"), 1)
    assert best(told).point.configuration_id == str(values.index(max(values)))


def test_a_budget_is_spent_by_points_or_by_seconds_of_a_core():
    told = [PointResult(point=point("a"), generation=0, status="complete", runs=(run(0.5, cost=10.0),))] * 3
    assert is_spent(told, Budget(points=3))
    assert not is_spent(told, Budget(points=4))
    assert is_spent(told, Budget(core_seconds=30.0))
    assert not is_spent(told, Budget(core_seconds=31.0))
    assert not is_spent(told, Budget())


def test_core_seconds_are_of_the_processor_of_the_gpu_or_in_older_rows_of_all_threads():
    rows = pd.DataFrame(
        {
            "device_kind": ["CPU", "CPU", "GPU", None],
            "gpus": [0.0, 0.0, 0.5, None],
            "threads": [2, 2, 1, 1],
            "total_seconds": [10.0, 10.0, 10.0, None],
            "processor_seconds": [15.0, None, 15.0, None],
        }
    )
    assert core_seconds(rows).tolist()[:3] == [15.0, 20.0, 5.0]
    assert math.isnan(core_seconds(rows)[3])


def rows_of(tmp_path, *changes):
    configuration = configure("lenet5", label="a", epochs=3)
    (spec,) = Study(name="s", question="?", configurations=(configuration,), repeats=1).runs({"a": "x"}, "data")
    for change in changes:
        row = {**spec.columns(), "attempts": 1, "resumed": False, "threads": 2, "gpus": 0.0, "total_seconds": 5.0}
        Store(tmp_path).write({**row, **change})
    return spec, Store(tmp_path)


def history(*accuracies):
    return [{"epoch": epoch + 1, "validation_accuracy": value} for epoch, value in enumerate(accuracies)]


def test_results_are_read_from_rows_and_the_best_status_counts(tmp_path):
    spec, store = rows_of(
        tmp_path,
        {"status": "pruned", "history": history(0.2), "placement": "exclusive", "validation_accuracy": 0.25},
        {"status": "validated", "history": history(0.2, 0.4), "validation_accuracy": 0.3, "node": "n1"},
        {"status": "failed", "error": "gone", "started_at": pd.Timestamp("2026-01-01", tz="UTC")},
    )
    results = read_results(store.batches(RESULT_COLUMNS))
    assert list(results) == [(spec.configuration_id, 0)]
    known = results[spec.configuration_id, 0]
    assert (known.status, known.accuracies, known.value, known.core_seconds, known.node) == (
        "validated", (0.2, 0.4), 0.3, 10.0, "n1",
    )  # fmt: skip
    alone = read_results(store.batches(RESULT_COLUMNS), "exclusive")[spec.configuration_id, 0]
    assert (alone.status, alone.accuracies, alone.value) == ("pruned", (0.2,), 0.2)


@pytest.mark.parametrize(("status", "seen"), [("ok", "validated"), ("diverged", "diverged"), ("failed", "failed")])
def test_a_row_of_a_study_serves_too(tmp_path, status, seen):
    spec, store = rows_of(tmp_path, {"status": status, "validation_accuracy": 0.5 if status == "ok" else None})
    known = read_results(store.batches(RESULT_COLUMNS))[spec.configuration_id, 0]
    assert known.status == seen
    assert known.epochs == 0
