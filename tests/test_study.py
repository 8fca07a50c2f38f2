from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist import UserError
from fmnist.declare.hyperparameters import OPTIMIZERS, Hyperparameters
from fmnist.declare.identity import seeds_of_repeat
from fmnist.declare.study import Configuration, RunSpec, Study, configure
from fmnist.store.rows import row_file
from fmnist.sweep.queue import failed_row

LENET5 = configure("lenet5").hyperparameters

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
        "minimum_learning_rate": 0.1, "precision": "auto", "random_erasing": 0.1, "mixup": 0.1, "label_smoothing": 0.1,
        "minimum_delta": 0.1, "activation": "elu", "schedule": "cosine",
        "train_images": 100, "pretraining": "half_classes", "pretraining_epochs": 3, "frozen": "all",
        "initial_weights": 64 * "0",
    }  # fmt: skip
    settings = configure("own_v1").hyperparameters
    assert set(changed) == {field.name for field in dataclasses.fields(settings)}
    ids = {
        spec(Configuration(architecture="own_v1", hyperparameters=replace(settings, **{name: value}), label="x")).run_id
        for name, value in changed.items()
    }
    assert len(ids | {spec().run_id}) == len(changed) + 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LaterHyperparameters(Hyperparameters):
    """As it may be one day."""

    sharpness: float = dataclasses.field(default=0.0, metadata={"allowed": "[0, 1)"})


def test_a_later_hyperparameter_leaves_the_identities_as_they_are():
    def later(**changes):
        settings = dataclasses.asdict(configure("own_v1").hyperparameters)
        hyperparameters = LaterHyperparameters(**settings, **changes)
        return spec(Configuration(architecture="own_v1", hyperparameters=hyperparameters, label="own_v1")).run_id

    assert later() == later(sharpness=0) == spec().run_id
    assert len({later(), later(sharpness=0.1), later(sharpness=0.2)}) == 3


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"rotation": 10}, {"rotation": 10.0}),
        ({"l2": 0}, {}),
        ({"l2": -0.0}, {}),
        ({"learning_rate": np.float64(0.01)}, {"learning_rate": 0.01}),
        ({"epochs": np.int32(7)}, {"epochs": 7}),
        ({"early_stopping_patience": np.int64(3)}, {"early_stopping_patience": 3}),
        ({"horizontal_flip": np.True_}, {"horizontal_flip": True}),
    ],
)
def test_equal_settings_are_one_run(changes, same):
    one, other = configure("own_v1", **changes), configure("own_v1", **same)
    assert spec(one).run_id == spec(other).run_id
    for field in dataclasses.fields(Hyperparameters):
        assert type(getattr(one.hyperparameters, field.name)) is type(getattr(other.hyperparameters, field.name))


SETTINGS = st.builds(
    Hyperparameters,
    optimizer=st.sampled_from(OPTIMIZERS),
    learning_rate=st.floats(1e-300, 1e300) | st.integers(1, 10**6) | st.floats(0.125, 1, width=32).map(np.float32),
    momentum=st.floats(0, 1, exclude_max=True),
    batch_size=st.integers(1, 2**31 - 1),
    epochs=st.integers(1, 2**31 - 1).map(np.int64),
    horizontal_flip=st.booleans().map(np.bool_),
    early_stopping_patience=st.none() | st.integers(0, 2**31 - 1),
)


@given(SETTINGS, st.text(min_size=1, max_size=100).filter(lambda text: text.isprintable() and text.strip() == text))
def test_the_row_of_every_study_that_is_accepted_can_be_stored(settings, label):
    configuration = Configuration(architecture="lenet5", hyperparameters=settings, label=label)
    (run,) = study(configurations=[configuration], repeats=np.int16(1)).runs({label: "aa"}, "dd")
    assert row_file(failed_row(run, "an error", 1))
    assert len(run.run_id) == 16


UNREAD = [
    ("lenet5", {"momentum": 0.5}, "only optimizer='sgd' reads it"),
    ("own_v1", {"pretraining_epochs": 3}, "it is read only with a pretraining"),
    ("own_v1", {"train_images": 55_000}, "all 55000 training images are taken unless it says fewer"),
    ("brownlee", {"optimizer": "adam", "momentum": 0.5}, "only optimizer='sgd' reads it"),
    ("lenet5", {"dropout_rate": 0.5}, "no layer of it reads that"),
    ("efficientnet_small", {"dropout_rate": 0.5}, "no layer of it reads that"),
    ("lenet5", {"plateau_factor": 0.1}, "only with a plateau_patience"),
    ("own_v3", {"plateau_patience": None, "minimum_learning_rate": 1e-5}, "only with a plateau_patience"),
    ("brownlee", {"minimum_delta": 0.01}, "only with an early_stopping_patience or restore_best_weights"),
]


@pytest.mark.parametrize(("name", "changes", "why"), UNREAD)
def test_a_change_that_nothing_would_read_is_refused(name, changes, why):
    with pytest.raises(UserError, match=why):
        configure(name, **changes)


def test_a_change_that_is_read_or_is_none_is_taken():
    for name, changes in (
        ("brownlee", {"momentum": 0.5}),
        ("lenet5", {"optimizer": "sgd", "momentum": 0.5}),
        ("lenet5", {"momentum": 0.0, "dropout_rate": 0.0, "plateau_factor": 0.5}),
        ("brownlee", {"optimizer": "adam"}),
        ("own_v1", {"dropout_rate": 0.1}),
        ("own_v1", {"minimum_delta": 0.01, "early_stopping_patience": None}),
        ("brownlee", {"minimum_delta": 0.01, "early_stopping_patience": 3}),
        ("lenet5", {"plateau_patience": 2, "plateau_factor": 0.1, "minimum_learning_rate": 1e-5}),
    ):
        assert configure(name, **changes).architecture == name


def test_a_schedule_and_a_plateau_are_not_taken_together():
    with pytest.raises(UserError, match=r"schedule: got 'cosine' for own_v3 beside plateau_patience=2, .*: give plat"):
        configure("own_v3", schedule="cosine")
    assert configure("own_v3", schedule="cosine", plateau_patience=None).hyperparameters.plateau_factor == 0.5
    assert configure("own_v1", schedule="one_cycle").hyperparameters.early_stopping_patience == 5


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: configure("nothing"), "architecture: got 'nothing', expected one of lenet5"),
        (lambda: configure("lenet5", depth=3), "hyperparameter: got depth, expected one of optimizer"),
        (lambda: configure("lenet5", epochs=0), "epochs: got 0, expected a whole number of at least 1"),
        (lambda: configure(3), "architecture: got 3, expected one of lenet5"),
        (lambda: configure(["lenet5"]), "architecture: got .*, expected one of lenet5"),
        (lambda: configure("lenet5", label=3), "label: got 3, expected a line"),
        (lambda: configure("lenet5", label=""), "label: got '', expected a line"),
        (lambda: configure("lenet5", label=" "), "label: got ' ', expected a line"),
        (lambda: configure("lenet5", label="a\nb"), "label: got .*, expected a line"),
        (lambda: configure("lenet5", label="a\x1b[31m"), "label: got .*, expected a line"),
        (lambda: configure("lenet5", label="x" * 101), "label: got .*, expected a line"),
        (lambda: Configuration(architecture="own", hyperparameters=LENET5, label="x"), "architecture: got 'own'"),
        (lambda: Configuration(architecture="lenet5", hyperparameters={}, label="x"), "hyperparameters of 'x': got {}"),
        (lambda: study(configurations=(configure("lenet5"),) * 2), "label lenet5 is used twice"),
        (
            lambda: study(configurations=(configure("lenet5"), configure("lenet5", label="again"))),
            "labels 'lenet5' and 'again' name one configuration",
        ),
        (lambda: study(configurations=()), r"configurations: got \(\), expected at least one"),
        (lambda: study(configurations=None), "configurations: got None, expected at least one"),
        (lambda: study(configurations=configure("lenet5")), "configurations: got .*, expected at least one"),
        (lambda: study(configurations=["lenet5"]), "configurations: got .*, expected at least one"),
        (lambda: study(repeats=0), "repeats: got 0, expected a whole number of at least 1"),
        (lambda: study(repeats=2.0), "repeats: got 2.0, expected a whole number of at least 1"),
        (lambda: study(repeats=True), "repeats: got True, expected a whole number of at least 1"),
        (lambda: study(repeats=2**31), "repeats: got 2147483648, expected .* at most 10000"),
        (lambda: study(placement="Exclusive"), "placement: got 'Exclusive', expected one of shared, exclusive"),
        (lambda: study(primary_metric="acuracy"), "primary_metric: got 'acuracy', expected one of test_accuracy"),
        (lambda: study(primary_metric=None), "primary_metric: got None, expected one of test_accuracy"),
        (lambda: study(margins={"acuracy": 0.1}), "margins: got 'acuracy', expected one of test_accuracy"),
        (lambda: study(margins={"test_accuracy": 0}), "margins: test_accuracy: got 0, expected a number in"),
        (lambda: study(margins={"test_accuracy": float("nan")}), "margins: test_accuracy: got nan"),
        (lambda: study(margins=0.1), "margins: got 0.1, expected a mapping"),
        (lambda: study(shuffle_within_repeat=1), "shuffle_within_repeat: got 1, expected True or False"),
        (lambda: study(question=""), "question: got ''"),
        (lambda: study(question=None), "question: got None"),
        *(
            (lambda name=name: study(name=name), "study: name: got ")
            for name in ("", "a/b", "..", ".hidden", "a\\b", "a\n", "a" * 101, "a\0b", None, 3)
        ),
    ],
)
def test_mistakes_are_named_before_anything_is_computed(action, message):
    with pytest.raises(UserError, match=message):
        action()


def test_two_architectures_that_build_one_model_are_not_two_configurations():
    wanted = study(
        configurations=(
            configure("own_v1"),
            configure("own_v2", dropout_rate=0.5, learning_rate=1e-3),
        )
    )
    with pytest.raises(UserError, match="labels 'own_v1' and 'own_v2' name one configuration"):
        wanted.runs({"own_v1": "aa", "own_v2": "aa"}, "dd")
    assert len(wanted.runs({"own_v1": "aa", "own_v2": "bb"}, "dd")) == 6


def test_a_study_is_stored_in_plain_types():
    made = study(configurations=[configure("lenet5")], repeats=np.int64(2), margins={"test_loss": np.float32(1)})
    assert (type(made.configurations), type(made.repeats), type(made.margins["test_loss"])) == (tuple, int, float)
