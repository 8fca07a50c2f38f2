"""What a search proposes next: pure functions of the seed and of what was tried."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmnist.declare import Choice, Given, Range, Space, Strategy
from fmnist.sweep.proposals import propose, propose_grid

SPACE = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "learning_rate": Given("optimizer", {"adam": Range(1e-4, 1e-2, log=True), "sgd": Range(0.01, 0.3)}),
        "momentum": Given("optimizer", {"sgd": Choice((0.0, 0.9))}),
        "batch_size": Range(16, 256, log=True),
        "early_stopping_patience": Choice((None, 3)),
    }
)
SMALL = Space({"batch_size": Choice((16, 32, 64)), "l2": Choice((0.0, 1e-4))})
samplers = st.sampled_from(("random", "optuna")).map(Strategy)


def valued(points):
    """Adam is better, and the better the smaller the batch."""
    return [(values, (values["optimizer"] == "adam") - values["batch_size"] / 1000) for values in points]


@settings(max_examples=25)
@given(samplers, st.integers(0, 999), st.integers(0, 5), st.integers(1, 5))
def test_points_are_of_the_space_and_new_and_follow_from_what_was_tried(strategy, seed, before, count):
    tried = valued(propose(SPACE, strategy, seed, [], before)) if before else []
    points = propose(SPACE, strategy, seed, tried, count)
    assert points == propose(SPACE, strategy, seed, tried, count)
    assert len(points) == count
    assert all(SPACE.contains(values) for values in points)
    assert all(isinstance(values["batch_size"], int) for values in points)
    everything = [str(values) for values, _ in tried] + [str(values) for values in points]
    assert len(set(everything)) == len(everything)
    assert propose(SPACE, strategy, seed, tried, count + 2)[:count] == points


@pytest.mark.parametrize("sampler", ["grid", "random", "optuna"])
def test_a_finite_space_is_used_up_and_never_asked_twice(sampler):
    points = propose(SMALL, Strategy(sampler), 0, [], 100)
    assert sorted(map(str, points)) == sorted(map(str, SMALL.grid()))
    tried = [(values, 0.5) for values in points[:4]]
    rest = propose(SMALL, Strategy(sampler), 0, tried, 100)
    assert sorted(map(str, rest)) == sorted(map(str, points[4:]))
    assert propose(SMALL, Strategy(sampler), 0, tried + [(values, None) for values in rest], 1) == []


def test_the_seed_draws_the_order_of_a_grid_and_the_first_points():
    first, second = (propose(SMALL, Strategy("grid"), seed, [], 6) for seed in (0, 1))
    assert first != second
    assert propose(SPACE, Strategy("random"), 0, [], 4) != propose(SPACE, Strategy("random"), 1, [], 4)
    assert propose(SPACE, Strategy("random"), 0, [], 4) == propose(SPACE, Strategy("optuna"), 0, [], 4)


def test_a_preview_proposes_a_grid_alone():
    assert propose_grid(SMALL, Strategy("grid"), 0, [], 2) == propose(SMALL, Strategy("grid"), 0, [], 2)
    assert propose_grid(SMALL, Strategy("random"), 0, [], 2) == []


def test_optuna_learns_from_values_and_leaves_out_what_has_none():
    tried = valued(propose(SPACE, Strategy("random"), 0, [], 40))
    points = propose(SPACE, Strategy("optuna"), 0, tried, 12)
    good = sum(values["optimizer"] == "adam" and values["batch_size"] < 100 for values in points)
    assert good >= 8
    worthless = [(values, None) for values, _ in tried]
    assert propose(SPACE, Strategy("optuna"), 0, worthless, 4) == propose(SPACE, Strategy("random"), 0, tried, 4)


def test_it_proposes_as_optuna_itself_does():
    tried = [({"batch_size": size}, 1.0 - abs(size - 60) / 100) for size in range(16, 140, 4)]
    space = Space({"batch_size": Range(8, 200)})
    (proposed,) = propose(space, Strategy("optuna"), 3, tried, 1)
    import numpy as np

    seed = int(np.random.SeedSequence([3, len(tried)]).generate_state(1)[0])
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    distribution = {"p0": optuna.distributions.IntDistribution(8, 200)}
    for values, value in tried:
        trial = optuna.trial.create_trial(params={"p0": values["batch_size"]}, distributions=distribution, value=value)
        study.add_trial(trial)
    known = {values["batch_size"] for values, _ in tried}
    asked = (study.ask(distribution).params["p0"] for _ in range(100))
    assert proposed["batch_size"] == next(size for size in asked if size not in known)
