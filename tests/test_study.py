from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.study import Configuration, RunSpec, Seeds, Study, configure, seeds_of_repeat

STRUCTURES = {"lenet5": "aa", "own_v1": "bb", "own_v3": "cc"}


def study(**changes) -> Study:
    settings = {
        "name": "example",
        "question": "Which?",
        "configurations": tuple(configure(name) for name in STRUCTURES),
        "repeats": 3,
    }
    return Study(**(settings | changes))


def spec(configuration: Configuration | None = None, **changes) -> RunSpec:
    settings = {
        "configuration": configuration or configure("own_v1"),
        "repeat": 0,
        "seeds": seeds_of_repeat(0),
        "structure": "bb",
        "data_fingerprint": "dd",
    }
    return RunSpec(**(settings | changes))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_seeds_follow_the_repeat_alone(one, other):
    first, second = (dataclasses.astuple(seeds_of_repeat(repeat)) for repeat in (one, other))
    assert all(0 <= seed < 2**31 for seed in first)
    assert (first == second) == (one == other)
    assert len(set(first)) == len(first)


def test_seeds_never_change():
    # a new value here would make every stored run a stranger
    assert seeds_of_repeat(0) == Seeds(
        split=2099393141, initialisation=250797003, order=358296851, dropout=824406163, augmentation=1549343339
    )


def test_repeats_are_blocks_with_the_same_seeds_in_each_configuration():
    runs = study().runs(STRUCTURES, "dd")
    assert [run.repeat for run in runs] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for repeat in range(3):
        assert {run.seeds for run in runs if run.repeat == repeat} == {seeds_of_repeat(repeat)}
    assert len({run.run_id for run in runs}) == 9
    assert len({run.configuration_id for run in runs}) == 3


def test_more_repeats_keep_the_runs_that_were_there():
    few = [run.run_id for run in study(repeats=3).runs(STRUCTURES, "dd")]
    more = [run.run_id for run in study(repeats=5).runs(STRUCTURES, "dd")]
    assert more[: len(few)] == few
    assert len(more) == 15


def test_shuffled_study_interleaves_the_same_runs_in_a_fixed_order():
    plain = study(repeats=8).runs(STRUCTURES, "dd")
    shuffled = study(repeats=8, shuffle_within_repeat=True).runs(STRUCTURES, "dd")
    assert {run.run_id for run in plain} == {run.run_id for run in shuffled}
    assert [run.repeat for run in plain] == [run.repeat for run in shuffled]
    orders = {tuple(run.structure for run in shuffled if run.repeat == repeat) for repeat in range(8)}
    assert len(orders) > 1
    assert shuffled == study(repeats=8, shuffle_within_repeat=True).runs(STRUCTURES, "dd")


def test_run_id_sees_what_decides_the_outcome():
    settings = configure("own_v1")
    different = [
        spec(configure("own_v1", learning_rate=0.01)),
        spec(structure="zz"),
        spec(data_fingerprint="zz"),
        spec(seeds=seeds_of_repeat(1)),
        spec(seeds=dataclasses.replace(seeds_of_repeat(0), dropout=1)),
    ]
    assert len({spec(settings).run_id, *(run.run_id for run in different)}) == 6


def test_run_id_does_not_see_name_placement_or_study():
    same = [spec(configure("own_v1", label="mine")), spec(placement="exclusive"), spec(study="timing")]
    assert {run.run_id for run in same} == {spec().run_id}


def test_each_hyperparameter_is_part_of_the_identity():
    changed = {
        "optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.5, "batch_size": 7, "epochs": 3, "dropout_rate": 0.1,
        "l2": 0.1, "rotation": 3.0, "translation": 0.3, "zoom": 0.3, "horizontal_flip": True,
        "early_stopping_patience": 9, "restore_best_weights": False, "plateau_patience": 9, "plateau_factor": 0.3,
        "minimum_learning_rate": 0.1, "precision": "auto",
    }  # fmt: skip
    hyperparameters = configure("own_v1").hyperparameters
    assert set(changed) == {field.name for field in dataclasses.fields(hyperparameters)}
    ids = {spec(configure("own_v1", **{name: value})).run_id for name, value in changed.items()}
    assert len(ids | {spec().run_id}) == len(changed) + 1


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: configure("nothing"), "architecture: got 'nothing', expected one of lenet5"),
        (lambda: configure("lenet5", depth=3), "hyperparameter: got depth, expected one of optimizer"),
        (lambda: configure("lenet5", epochs=0), "epochs: got 0, expected a whole number of at least 1"),
        (lambda: study(configurations=(configure("lenet5"),) * 2), "label lenet5 is used twice"),
        (lambda: study(repeats=0), "repeats: got 0, expected at least 1"),
        (lambda: seeds_of_repeat(-1), "repeat: got -1, expected a whole number of at least 0"),
    ],
)
def test_mistakes_are_named(action, message):
    with pytest.raises(ValueError, match=message):
        action()
