"""What a search found, in numbers: compared with brute force, with optuna itself, with pandas and scipy."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from itertools import product

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare import PointResult, RunResult, best
from fmnist.compare.importance import (
    BINS,
    FEWEST_FOR_A_MEAN,
    first_pair,
    importances,
    means_by_pair,
    means_by_value,
    optuna_distribution,
    trend,
)
from fmnist.compare.search import (
    FEWEST_FOR_A_BAND,
    TrackResult,
    best_so_far,
    budget_figures,
    common_budget,
    distinct,
    edges,
    paired_difference,
    strategy_curve,
    value_at,
)
from fmnist.compare.tracks import Point
from fmnist.declare import Budget, Choice, Range, Space, Strategy, Track, fingerprint
from tests.synthetic_search import GRID, WIDE, accuracy, block, draw

GRID_ONLY, RANDOM, OPTUNA = Strategy("grid"), Strategy("random"), Strategy("optuna")
REPEATS = 4


def tried(values, accuracies, status="complete", cost=1.0):
    """A point whose runs came to these accuracies, in the repeats 0, 1 and so on."""
    kinds = {"complete": "validated", "open": "validated", "failed": "failed"}
    runs = tuple(
        RunResult(repeat=repeat, status=kinds.get(status, status), accuracies=(value,), value=value,
                  core_seconds=cost / len(accuracies))
        for repeat, value in enumerate(accuracies)
    )  # fmt: skip
    point = Point(configuration_id=fingerprint(values), values=values)
    return PointResult(point=point, generation=0, status=status, runs=runs)


def made(values, repeats=REPEATS):
    """A point with accuracies as tests/synthetic_search.py makes them."""
    noise = np.random.default_rng(int(fingerprint(values)[:8], 16)).normal(0, 0.001, repeats)
    return tried(
        values, [accuracy("own_v1", values) + 0.002 * block(repeat) + noise[repeat] for repeat in range(repeats)]
    )


@pytest.fixture(scope="module")
def grid():
    return [made(values) for values in GRID.grid()]


@pytest.fixture(scope="module")
def drawn():
    random = np.random.default_rng(5)
    return [made(draw(WIDE, random, near_the_best=False)) for _ in range(60)]


def track(points, strategy=RANDOM, seed=0):
    return TrackResult(track=Track("own_v1", strategy, seed), points=tuple(points))


point_lists = st.lists(
    st.tuples(
        st.floats(0, 1), st.floats(0.01, 100), st.sampled_from(["complete", "pruned", "diverged", "failed", "open"])
    ),
    min_size=1,
    max_size=30,
)


@given(point_lists, st.lists(st.floats(0, 3500), min_size=1, max_size=5))
@settings(deadline=None)
def test_best_so_far_never_falls_and_is_the_best_of_those_that_are_done(made_up, seconds):
    points = [tried({"batch_size": place + 1}, [value], status, cost)
              for place, (value, cost, status) in enumerate(made_up)]  # fmt: skip
    spent, values = best_so_far(points)
    known = values[~np.isnan(values)]
    assert (np.diff(spent) > 0).all()
    assert (np.diff(known) >= 0).all()
    assert np.isnan(values[: len(values) - len(known)]).all()
    costs = [math.fsum(cost for _, cost, _ in made_up[: place + 1]) for place in range(len(made_up))]
    for second, found in zip(seconds, value_at(points, np.array(seconds)), strict=True):
        done = [value for (value, _, status), cost in zip(made_up, costs, strict=True)
                if status == "complete" and cost <= second * (1 + 1e-9)]  # fmt: skip
        assert found == pytest.approx(max(done, default=math.nan), nan_ok=True)


def test_a_pruned_or_failed_point_costs_and_counts_not():
    points = [tried({"l2": 0.0}, [0.8]), tried({"l2": 0.1}, [0.9], "pruned"), tried({"l2": 0.2}, [0.85], cost=3.0)]
    spent, values = best_so_far(points)
    assert spent.tolist() == [1, 2, 5]
    assert values.tolist() == [0.8, 0.8, 0.85]


def test_strategies_are_compared_at_what_every_track_has_spent_or_at_the_declared_budget():
    short, long = track([tried({"l2": 0.0}, [0.8], cost=2.0)]), track([tried({"l2": 0.0}, [0.8], cost=7.0)], OPTUNA)
    empty = track([tried({"l2": 0.1}, [0.8], "open", cost=0.1)], GRID_ONLY)
    assert common_budget([short, long, empty], Budget(points=3)) == 2.0
    assert common_budget([short], Budget(core_seconds=50)) == 50
    assert math.isnan(common_budget([empty], Budget(points=3)))


def seeds_of(strategy, *values):
    """Tracks of one strategy, a seed each: first a point of accuracy 0.5, then the seed's own."""
    return [track([tried({"l2": 0.0}, [0.5]), tried({"l2": 0.1}, [value], cost=3.0)], strategy, seed)
            for seed, value in enumerate(values)]  # fmt: skip


def test_at_shares_of_the_budget_differences_are_paired_by_seed():
    tracks = [*seeds_of(RANDOM, 0.80, 0.82, 0.84), *seeds_of(OPTUNA, 0.81, 0.84, 0.85)][:-1]
    figures = budget_figures(tracks, 4.0, RANDOM)
    shares = {(item.strategy, item.share): item for item in figures}
    assert shares[RANDOM, 0.5].mean == 0.5
    last, base = shares[OPTUNA, 1.0], shares[RANDOM, 1.0]
    assert base.mean == pytest.approx(0.82)
    assert math.isnan(base.difference)
    assert base.interval == pytest.approx(stats.ttest_1samp([0.80, 0.82, 0.84], 0).confidence_interval())
    assert (last.pairs, len(last.by_seed)) == (2, 2)
    assert last.difference == pytest.approx(0.015)
    assert last.difference_interval == pytest.approx(stats.ttest_1samp([0.01, 0.02], 0).confidence_interval())


def test_a_band_needs_five_seeds_and_goes_as_far_as_each_of_them():
    values = [0.80, 0.81, 0.82, 0.83, 0.84]
    tracks = seeds_of(RANDOM, *values)
    tracks[0] = track([*tracks[0].points, tried({"l2": 0.3}, [0.9], cost=10)], RANDOM, 0)
    curve = strategy_curve(tracks)
    assert curve.core_seconds[-1] == pytest.approx(4.0)
    assert curve.mean[-1] == pytest.approx(np.mean(values))
    interval = stats.ttest_1samp(values, 0).confidence_interval()
    assert (curve.lower[-1], curve.upper[-1]) == pytest.approx(tuple(interval))
    assert np.isnan(curve.mean[0])
    few = strategy_curve(tracks[: FEWEST_FOR_A_BAND - 1])
    assert np.isnan(few.lower).all()
    assert few.mean[-1] == pytest.approx(np.mean(values[:-1]))


SPACE = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "batch_size": Choice((128, 32, 64)),
        "dropout_rate": Range(0.0, 0.5),
        "horizontal_flip": Choice((False, True)),
        "early_stopping_patience": Choice((None, 3, 5)),
        "l2": Choice((0.0, 1e-4, 1e-3)),
        "epochs": Range(1, 50),
        "momentum": Choice((0.0, 0.9)),
        "zoom": Choice((0.1,)),
    }
)
INNER = {"optimizer": "sgd", "learning_rate": 1e-3, "batch_size": 64, "dropout_rate": 0.2, "horizontal_flip": True,
         "early_stopping_patience": 5, "l2": 1e-4, "epochs": 20}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"learning_rate": 1.05e-4}, [("learning_rate", "lower")]),
        ({"learning_rate": 1.2e-4}, []),
        ({"learning_rate": 9.5e-3}, [("learning_rate", "upper")]),
        ({"batch_size": 32}, [("batch_size", "lower")]),
        ({"batch_size": 128}, [("batch_size", "upper")]),
        ({"dropout_rate": 0.001}, []),  # there is no dropout below 0
        ({"dropout_rate": 0.495}, [("dropout_rate", "upper")]),
        ({"l2": 0.0}, []),
        ({"momentum": 0.9}, [("momentum", "upper")]),
        ({"momentum": 0.0}, []),
        ({"zoom": 0.1}, []),  # its only value was not searched
        ({"l2": 1e-3, "epochs": 50}, [("l2", "upper"), ("epochs", "upper")]),
        ({"epochs": 1}, []),  # nor fewer epochs than one
    ],
)
def test_a_point_at_an_edge_that_the_hyperparameter_goes_beyond_is_named(values, expected):
    found = edges({**INNER, **values}, SPACE)
    assert [(edge.parameter.hyperparameter, edge.side) for edge in found] == expected


@given(st.floats(1e-4, 1e-2), st.booleans())
def test_a_point_stands_at_an_edge_by_how_it_was_searched(value, log):
    space = Space({"learning_rate": Range(1e-4, 1e-2, log=log)})
    share = math.log(value / 1e-4) / math.log(100) if log else (value - 1e-4) / (1e-2 - 1e-4)
    sides = {edge.side for edge in edges({"learning_rate": value}, space)}
    if not 0.0199 < share < 0.0201 and not 0.9799 < share < 0.9801:
        assert sides == ({"lower"} if share < 0.02 else {"upper"} if share > 0.98 else set())


def test_a_case_of_a_condition_is_at_its_own_edge():
    values = {"optimizer": "sgd", "learning_rate": 0.29, "batch_size": 64, "dropout_rate": 0.3, "l2": 1e-5}
    assert [edge.parameter.name for edge in edges(values, WIDE)] == ["learning_rate (optimizer=sgd)"]


def test_points_that_tracks_share_are_told_once_by_what_says_most():
    whole, cut = tried({"l2": 0.1}, [0.8, 0.9]), tried({"l2": 0.1}, [0.8], "pruned")
    other = tried({"l2": 0.2}, [0.9, 0.9])
    assert distinct([cut, whole, other]) == [other, whole]
    assert distinct([tried({"l2": 0.3}, [0.1], "failed"), cut]) == [cut, tried({"l2": 0.3}, [0.1], "failed")]


def test_points_are_compared_on_their_common_repeats():
    a, b = tried({"l2": 0.1}, [0.80, 0.83, 0.85]), tried({"l2": 0.2}, [0.79, 0.81])
    mean, interval, n = paired_difference(a, b)
    assert n == 2
    assert mean == pytest.approx(0.015)
    assert interval == pytest.approx(stats.ttest_rel([0.80, 0.83], [0.79, 0.81]).confidence_interval())


def optunas_importances(points, space, repeat):
    """PED-ANOVA as optuna gives it for a study of the points' runs in a repeat."""
    study = optuna.create_study(direction="maximize")
    for item in points:
        values = item.point.values
        drawn_from = {p.hyperparameter: optuna_distribution(p) for p in space.parameters if p.is_active(values)}
        study.add_trial(
            optuna.trial.create_trial(params=dict(values), distributions=drawn_from, value=item.runs[repeat].value)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(study)


@pytest.mark.parametrize("space", [GRID, WIDE])
def test_importance_is_optunas_mean_over_repeats_with_students_interval(space, grid, drawn):
    points = grid if space is GRID else drawn
    frame = importances(points, space).set_index("hyperparameter")
    each = pd.DataFrame([optunas_importances(points, space, repeat) for repeat in range(REPEATS)])
    assert set(frame.index) == set(space.dimensions)
    for name in space.dimensions:
        assert frame.loc[name, "importance"] == pytest.approx(each[name].mean())
        interval = stats.ttest_1samp(each[name], 0).confidence_interval()
        assert tuple(frame.loc[name, ["lower", "upper"]]) == pytest.approx(tuple(interval))
    assert frame["importance"].sum() == pytest.approx(1)
    assert frame["importance"].is_monotonic_decreasing
    assert (frame["n"] == REPEATS).all()


def test_what_decides_is_most_important(drawn):
    assert importances(drawn, WIDE)["hyperparameter"][0] == "learning_rate"


def test_pruned_points_are_left_out_of_the_importance_and_diverged_ones_are_the_worst(grid):
    frame = importances(grid, GRID)
    lost = [replace(tried(point.point.values, [1.0 - point.value] * REPEATS), status="pruned") for point in grid]
    pruned = [*grid, *lost]  # as a race leaves them, with whole runs
    pd.testing.assert_frame_equal(importances(pruned, GRID), frame)
    assert importances([*grid, *grid[:9]], GRID).equals(frame)  # as two tracks share points
    worst = [tried(point.point.values, [0.0] * REPEATS, "diverged") if point.point.values["l2"] else point
             for point in grid]  # fmt: skip
    before, after = (
        found.set_index("hyperparameter")["importance"]["l2"] for found in (frame, importances(worst, GRID))
    )
    assert after > 2 * before


def test_of_few_points_no_importance_is_given_but_every_hyperparameter(grid):
    frame = importances(grid[:9], GRID)
    assert frame["hyperparameter"].tolist() == list(GRID.dimensions)
    assert frame["importance"].isna().all()
    assert importances([], GRID)["n"].tolist() == [0] * 4


def test_fanova_leaves_out_what_some_points_lack(drawn):
    pytest.importorskip("sklearn")
    frame = importances(drawn, WIDE, "fANOVA").set_index("hyperparameter")
    assert frame["importance"].notna().sum() == 4
    assert math.isnan(frame.loc["learning_rate", "importance"])


def parameter(space, name):
    return next(item for item in space.parameters if item.name == name)


def frame_of(points):
    return pd.DataFrame([{**dict(point.point.values), "repeat": run.repeat, "accuracy": run.value}
                         for point in points for run in point.runs])  # fmt: skip


def test_means_by_value_of_a_grid_carry_the_paired_interval(grid):
    found = means_by_value(grid, parameter(GRID, "batch_size")).set_index("value")
    table = frame_of(grid).pivot_table(index="repeat", columns="batch_size", values="accuracy")
    assert found["mean"].to_dict() == pytest.approx(table.mean().to_dict())
    assert (found["n"] == 12).all()
    distances = table.sub(table.mean(axis=1), axis=0)
    for value in (64, 128, 256):
        low, high = stats.ttest_1samp(distances[value], 0).confidence_interval()
        shift = table[value].mean() - distances[value].mean()
        assert tuple(found.loc[value, ["lower", "upper"]]) == pytest.approx((low + shift, high + shift))
    noisy = [replace(point, runs=tuple(replace(run, value=run.value + 0.1 * run.repeat) for run in point.runs))
             for point in grid]  # fmt: skip
    again = means_by_value(noisy, parameter(GRID, "batch_size")).set_index("value")
    width = found["upper"] - found["lower"]
    assert (again["upper"] - again["lower"]).to_dict() == pytest.approx(width.to_dict())


def test_a_value_may_be_none():
    space = Space({"early_stopping_patience": Choice((None, 3)), "l2": Choice((0.0, 0.1))})
    points = [tried(values, [0.9, 0.8]) for values in space.grid()]
    assert means_by_value(points, space.parameters[0])["value"].tolist() == [None, 3]
    assert means_by_pair(points, *space.parameters).columns.tolist() == ["None", "3"]
    wide = Space({**space.dimensions, "l2": Choice((0.0, 0.1, 0.2, 0.3, 0.4, 0.5))})
    more = [tried(values, [0.9 - values["l2"]]) for values in wide.grid()]
    assert importances(more, wide)["importance"].notna().all()


def test_means_by_value_of_drawn_points_carry_the_interval_over_points(drawn):
    found = means_by_value(drawn, parameter(WIDE, "l2")).set_index("value")
    by_point = frame_of(drawn).groupby(["l2", "learning_rate"])["accuracy"].mean()
    assert not found["is_balanced"].any()
    for value in found.index:
        interval = stats.ttest_1samp(by_point[value], 0).confidence_interval()
        assert len(by_point[value]) >= FEWEST_FOR_A_MEAN
        assert tuple(found.loc[value, ["lower", "upper"]]) == pytest.approx(tuple(interval))
    few = means_by_value(drawn[:6], parameter(WIDE, "l2"))
    assert few["lower"].isna().all()


def test_a_trend_is_the_running_mean_over_a_fifth(drawn):
    item = parameter(WIDE, "learning_rate (optimizer=sgd)")
    found = trend(drawn, item)
    own = sorted((point.point.values["learning_rate"], point.value) for point in drawn
                 if point.point.values["optimizer"] == "sgd")  # fmt: skip
    assert found["value"].tolist() == [value for value, _ in own]
    window = math.ceil(0.2 * len(own))
    middle = len(own) // 2
    start = middle - window // 2
    assert found["mean"][middle] == pytest.approx(
        np.mean([value for _, value in own][start : start + window]), abs=2e-3
    )
    assert found["accuracy"].min() <= found["mean"].min() <= found["mean"].max() <= found["accuracy"].max()


def test_means_by_pair_are_pandas_means(grid):
    cells = means_by_pair(grid, parameter(GRID, "batch_size"), parameter(GRID, "optimizer"))
    wanted = frame_of(grid).pivot_table(index="optimizer", columns="batch_size", values="accuracy")
    for up, across in product(("adam", "sgd"), (64, 128, 256)):
        assert cells.loc[up, str(across)] == pytest.approx(wanted.loc[up, across])


def test_ranges_are_cut_into_equal_parts_where_no_point_is_there_is_no_mean(drawn):
    cells = means_by_pair(drawn[:5], parameter(WIDE, "dropout_rate"), parameter(WIDE, "batch_size"))
    assert cells.columns.tolist()[0] == "0 to 0.1"
    assert cells.shape == (4, BINS)
    assert cells.notna().to_numpy().sum() <= 5


def test_names_of_narrow_parts_differ():
    space = Space({"batch_size": Range(100, 110), "l2": Choice((0.0, 0.1))})
    points = [tried({"batch_size": 100 + place, "l2": 0.1}, [0.9]) for place in range(11)]
    columns = means_by_pair(points, *space.parameters).columns
    assert len(set(columns)) == BINS


def test_the_map_is_of_hyperparameters_that_are_set_together(drawn):
    first, second = first_pair(drawn, WIDE, ["learning_rate", "batch_size", "optimizer", "dropout_rate", "l2"])
    assert (first.hyperparameter, second.name) == ("learning_rate", "batch_size")
    first, second = first_pair(drawn, WIDE, ["optimizer", "learning_rate", "batch_size", "dropout_rate", "l2"])
    assert (first.name, second.name) == ("optimizer", "batch_size"), "beside its optimizer a rate's case has one column"
    assert first_pair(drawn[:1], Space({"l2": Choice((0.0, 1e-5, 1e-4, 1e-3))}), ["l2"]) is None


def test_the_best_is_a_complete_point():
    assert best([tried({"l2": 0.1}, [0.99], "pruned"), tried({"l2": 0.2}, [0.8])]).point.values == {"l2": 0.2}
