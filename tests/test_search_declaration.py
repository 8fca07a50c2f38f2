"""What a search and the studies of its winners declare, and what they refuse before anything runs."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist import UserError
from fmnist.declare import Budget, Choice, Given, Range, Search, Space, Strategy, Tuning

SPACE = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "learning_rate": Given("optimizer", {"adam": Choice((1e-4, 1e-3)), "sgd": Choice((0.01, 0.1))}),
        "momentum": Given("optimizer", {"sgd": Choice((0.0, 0.9))}),
        "batch_size": Choice((32, 64)),
        "dropout_rate": Choice((0.0, 0.5)),
        "early_stopping_patience": Choice((None, 5)),
    }
)
ARCHITECTURES = ("lenet5", "own_v1", "own_v2")


def search(**changes):
    return Search(**{
        "name": "grid", "question": "Which settings?", "architectures": ARCHITECTURES, "space": SPACE, "repeats": 3,
        "settings": {"epochs": 3}, **changes,
    })  # fmt: skip


def tuning(**changes):
    return Tuning(**{"name": "winners", "question": "Is it better?", "search": search(), "repeats": 10, **changes})


def test_a_search_is_every_architecture_by_every_strategy_from_every_seed():
    both = (Strategy("random"), Strategy("optuna", "halving"))
    tracks = search(strategies=both, seeds=2, budget=Budget(points=7)).tracks
    assert len(tracks) == len(set(tracks)) == 3 * 2 * 2
    assert [track.seed for track in tracks] == [0] * 6 + [1] * 6
    assert tracks[-1].name == "own_v2 Optuna + halving, seed 1"
    assert Strategy().name == "Grid"


def test_the_most_points_of_a_track_are_its_grid_or_its_budget_whichever_is_smaller():
    def most(strategy, **budget):
        track = search(strategies=(strategy,), budget=Budget(**budget)).tracks[1]
        return search(strategies=(strategy,), budget=Budget(**budget)).most_points(track)

    assert most(Strategy()) == (2 + 4) * 2 * 2 * 2
    assert (most(Strategy(), points=7), most(Strategy(), points=1000)) == (7, 48)
    assert (most(Strategy("random"), points=1000), most(Strategy("optuna"), core_seconds=60)) == (1000, None)


def test_an_architecture_is_searched_in_what_it_reads():
    assert set(SPACE.dimensions) - set(search().space_of("lenet5").dimensions) == {"dropout_rate"}
    assert search().space_of("own_v1") == SPACE
    point = {"optimizer": "adam", "learning_rate": 1e-4, "batch_size": 64, "early_stopping_patience": None}
    made = search().configuration("lenet5", point, "lenet5 point 1")
    assert (made.label, made.hyperparameters.epochs, made.hyperparameters.batch_size) == ("lenet5 point 1", 3, 64)


LIMITED = {"budget": Budget(points=5)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a/b"}, "search: name: got 'a/b'"),
        ({"question": ""}, "search 'grid': question: got ''"),
        ({"architectures": ()}, r"architectures: got \(\), expected at least one str"),
        ({"architectures": "own_v1"}, "architectures: got 'own_v1'"),
        ({"architectures": ("own_v1", "own_v1")}, "architectures: got .*each once"),
        ({"architectures": ("own_v9",)}, "architecture: got 'own_v9', expected one of lenet5"),
        ({"space": {"l2": Choice((0.1,))}}, r"space: got \{'l2'.*expected Space"),
        ({"settings": "epochs"}, "settings: got 'epochs', expected a mapping"),
        ({"settings": {"batch_size": 64}}, "batch_size: it is in the space and in the settings"),
        ({"settings": {"rate": 1}}, "hyperparameter: got rate, expected one of"),
        ({"settings": {"epochs": 0}}, "epochs: got 0"),
        ({"repeats": 0}, "repeats: got 0"),
        ({"seeds": 1.0}, "seeds: got 1.0"),
        ({"placement": "alone"}, "placement: got 'alone'"),
        ({"budget": 5}, r"budget: got 5, expected Budget"),
        ({"strategies": ("grid",)}, r"strategies: got \('grid',\), expected at least one Strategy"),
        ({"strategies": (Strategy("random"),)}, "strategy Random ends nowhere: give points or core_seconds"),
        ({"strategies": (Strategy("optuna", "race"),), **LIMITED}, "repeats: got 3, but a race saves nothing below 5"),
        ({"space": Space({"dropout_rate": Choice((0.1, 0.2))})}, "dropout_rate: lenet5 reads nothing of it"),
        ({"space": Space({"l2": Range(0.1, 0.2)})}, "space: l2: got Range.*a grid is made of a Choice"),
        ({"space": Space({name: Choice(tuple(number / 100 for number in range(1, 99)))
                          for name in ("l2", "zoom", "translation")})},
         "space: a grid of 941,192 points, more than 100,000; use random or optuna"),
        # only beside some value of another one: the last one of each, so that first values alone do not show it
        ({"space": Space({"optimizer": Choice(("sgd", "adam")), "momentum": Choice((0.0, 0.9))})},
         "momentum: got 0.9 for lenet5, but only optimizer='sgd' reads it"),
        ({"space": Space({"plateau_patience": Choice((2, None)), "plateau_factor": Choice((0.5, 0.1))})},
         "plateau_factor: got 0.1 for lenet5, but it is read only with a plateau_patience"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_run_is_refused_with_what_was_given(changes, words):
    with pytest.raises(UserError, match=words):
        search(**changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Strategy("random walk"), "strategy: sampler: got 'random walk', expected one of grid, random, optuna"),
        (lambda: Strategy("grid", "asha"), "strategy: pruning: got 'asha', expected one of none, halving, race"),
        (lambda: Budget(points=0), "budget: points: got 0"),
        (lambda: Budget(core_seconds=0), r"budget: core_seconds: got 0, expected a number in \(0, infinity\)"),
        (lambda: tuning(name=""), "study: name: got ''"),
        (lambda: tuning(question=" "), "study 'winners': question: got ' '"),
        (lambda: tuning(search="grid"), "study 'winners': search: got 'grid', expected a Search"),
        (lambda: tuning(repeats=0), "study 'winners': repeats: got 0"),
        (lambda: tuning(path="yes"), "study 'winners': path: got 'yes', expected True or False"),
        (lambda: tuning(architectures=("own_v3",)), "architectures: got 'own_v3', expected one of lenet5, own_v1"),
    ],
)
def test_parts_that_make_no_sense_are_refused_and_named(make, words):
    with pytest.raises(UserError, match=words):
        make()


BEST = {
    "lenet5": {"optimizer": "adam", "learning_rate": 1e-4, "batch_size": 32, "early_stopping_patience": None},
    "own_v1": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "batch_size": 64, "dropout_rate": 0.5,
               "early_stopping_patience": None},
    "own_v2": {"optimizer": "adam", "learning_rate": 1e-3, "batch_size": 64, "dropout_rate": 0.5,
               "early_stopping_patience": 5},
}  # fmt: skip


def settings_of(study):
    return {item.label: item.hyperparameters for item in study.configurations}


def test_winners_are_each_architectures_best_point_and_its_default_on_repeats_after_the_searchs():
    study = tuning().study(BEST, {})
    assert [item.label for item in study.configurations] == [
        f"{architecture} {which}" for architecture in ARCHITECTURES for which in ("default", "tuned")]  # fmt: skip
    runs = study.runs({item.label: item.label for item in study.configurations}, "data")
    assert [run.repeat for run in runs] == [repeat for repeat in range(3, 13) for _ in range(6)]
    assert all(run.scores_test for run in runs)
    settings = settings_of(study)
    assert {item.epochs for item in settings.values()} == {3}
    tuned = settings["own_v1 tuned"]
    assert (tuned.optimizer, tuned.momentum, tuned.early_stopping_patience) == ("sgd", 0.9, None)
    assert settings["own_v1 default"].early_stopping_patience == 5
    labels = {name: [f"{name} default", f"{name} tuned"] for name in ARCHITECTURES}
    assert study.tuning == {"search": "grid", "labels": labels}
    some = tuning(architectures=("own_v2",)).study(BEST, {})
    assert list(settings_of(some)) == ["own_v2 default", "own_v2 tuned"]


def test_configurations_that_are_one_stand_once_under_the_first_ones_label():
    best = {**BEST, "own_v2": BEST["own_v1"]}
    study = tuning(architectures=("own_v1", "own_v2")).study(best, {}, identity=lambda item: item.hyperparameters)
    assert list(settings_of(study)) == ["own_v1 default", "own_v1 tuned", "own_v2 default"]
    assert study.tuning["labels"] == {
        "own_v1": ["own_v1 default", "own_v1 tuned"], "own_v2": ["own_v2 default", "own_v1 tuned"]}  # fmt: skip
    own = {**tuning().default_values("own_v1")}
    alone = tuning(architectures=("own_v1",), path=True).study({"own_v1": own}, {})
    assert alone.tuning["labels"] == {"own_v1": ["own_v1 default"]}


def test_a_path_changes_one_hyperparameter_at_a_time_in_the_given_order_and_what_depends_on_it_with_it():
    steps = tuning(path=True).steps("own_v1", BEST["own_v1"], ("momentum", "batch_size", "optimizer", "dropout_rate"))
    assert [label for label, _ in steps] == [
        "own_v1 default",
        "own_v1 + batch_size",
        "own_v1 + optimizer",
        "own_v1 tuned",
    ]
    first, second, third, last = (values for _, values in steps)
    assert second == {**first, "batch_size": 64}
    assert third == {**second, "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    assert last == {**third, "early_stopping_patience": None} == BEST["own_v1"]


def test_a_path_waits_with_a_hyperparameter_that_nothing_would_read_yet():
    space = Space({"plateau_factor": Choice((0.2, 0.3)), "plateau_patience": Choice((1, 2))})
    found = search(architectures=("own_v1",), space=space)
    path = tuning(search=found, path=True)
    study = path.study({"own_v1": {"plateau_factor": 0.2, "plateau_patience": 1}}, {"own_v1": ["plateau_factor"]})
    assert list(settings_of(study)) == ["own_v1 default", "own_v1 + plateau_patience", "own_v1 tuned"]


@given(st.sampled_from(ARCHITECTURES), st.data())
def test_the_steps_of_a_path_lead_from_the_default_to_the_best_point(architecture, data):
    path = tuning(path=True)
    space = path.search.space_of(architecture)
    best = data.draw(st.sampled_from(list(space.grid())))
    order = data.draw(st.permutations(list(space.dimensions)).map(lambda names: names[: len(names) // 2]))
    steps = path.steps(architecture, best, order)
    assert steps[0] == (f"{architecture} default", path.default_values(architecture))
    assert steps[-1] == (f"{architecture} tuned", best)
    for (_, before), (label, after) in itertools.pairwise(steps):
        both = [name for name in before if name in after and before[name] == after[name]]
        changed = {*before, *after} - set(both)
        if before == best:
            assert steps.index((label, after)) == 1  # the best point is the default
            continue
        parents = {getattr(space.dimensions[name], "name", name) for name in changed}
        assert len(changed) == 1 or parents == {"optimizer"}
    assert len({label for label, _ in steps}) == len(steps)


def test_a_studys_repeats_may_begin_later():
    study = tuning().study(BEST, {})
    assert study.first_repeat == 3
    with pytest.raises(UserError, match="first_repeat: got -1"):
        dataclasses.replace(study, first_repeat=-1)
    whole = dataclasses.replace(study, first_repeat=0, repeats=13)
    structures = {item.label: item.label for item in study.configurations}
    assert [run.run_id for run in study.runs(structures, "data")] == [
        run.run_id for run in whole.runs(structures, "data") if run.repeat >= 3]  # fmt: skip
