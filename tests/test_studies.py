from __future__ import annotations

import importlib
import inspect
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from fmnist import UserError
from fmnist.declare.architectures import ARCHITECTURES, find_architecture
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.metrics import METRICS
from fmnist.declare.study import Configuration, Study
from fmnist.studies import find_study, study_names
from fmnist.sweep import structures
from fmnist.sweep.fork_server import ForkServer
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import RunResources
from fmnist.sweep.structures import structure_process
from tests.tiny_data import tiny_dataset

NAMES = study_names()


def test_the_studies_of_the_readme_are_there():
    assert {"quick", "comparison", "timing"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_documents_itself(name):
    module = importlib.import_module(f"fmnist.studies.{name}")
    assert f"python jobs/study.py {name}" in module.__doc__
    assert "Expected time" in module.__doc__
    assert find_study(name) is module.STUDY


@pytest.mark.parametrize(
    "study", [study for study in map(find_study, NAMES) if isinstance(study, Study)], ids=lambda study: study.name
)
def test_a_study_can_be_compared(study):
    assert study.primary_metric in METRICS
    assert study.primary_metric in study.margins
    assert set(study.margins) <= set(METRICS)


def test_an_architecture_that_is_added_changes_no_study(own_file):
    find_study(str(own_file))
    assert "mine" in ARCHITECTURES
    six = ("lenet5", "brownlee", "own_v1", "own_v2", "own_v3", "efficientnet_small")
    for name, order in (("quick", six[::-1]), ("comparison", six), ("timing", six)):
        module = importlib.reload(importlib.import_module(f"fmnist.studies.{name}"))
        assert tuple(item.architecture for item in module.STUDY.configurations) == order
    assert find_study("quick").repeats == 3
    assert find_study("comparison").repeats == 10


def test_comparison_takes_the_default_hyperparameters():
    for item in find_study("comparison").configurations:
        assert item.hyperparameters == ARCHITECTURES[item.architecture].defaults


def test_precision_differs_in_nothing_but_precision():
    study = find_study("precision")
    assert study.margins["test_accuracy"] == 0.003
    by_precision = {
        precision: [
            (item.architecture, replace(item.hyperparameters, precision="auto"))
            for item in study.configurations
            if item.hyperparameters.precision == precision
        ]
        for precision in ("float32", "mixed_bfloat16")
    }
    assert by_precision["float32"] == by_precision["mixed_bfloat16"]
    assert len(study.configurations) == 2 * len(by_precision["float32"])


def test_batch_size_decides_on_validation_and_shares_runs_with_comparison():
    study = find_study("batch_size")
    assert study.primary_metric == "validation_accuracy"
    default = ARCHITECTURES["efficientnet_small"].defaults
    assert {item.architecture for item in study.configurations} == {"efficientnet_small"}
    assert [item.hyperparameters for item in study.configurations] == [replace(default, batch_size=128), default]


def test_larger_trains_all_alike_but_for_what_is_each_architectures_own():
    study = find_study("larger")
    assert study.repeats >= 10
    own = ("optimizer", "learning_rate", "momentum", "batch_size", "l2", "dropout_rate", "plateau_factor")
    neutral = {name: getattr(Hyperparameters(), name) for name in own}
    assert {replace(item.hyperparameters, **neutral) for item in study.configurations} == {
        Hyperparameters(epochs=5, schedule="one_cycle", horizontal_flip=True)
    }
    for item in study.configurations:
        defaults = ARCHITECTURES[item.architecture].defaults
        assert [getattr(item.hyperparameters, name) for name in own] == [getattr(defaults, name) for name in own]
    assert [item.label for item in study.configurations] == [
        *["own_v3", "efficientnet_small", "residual_small", "wide_residual"]
    ]


def test_timing_is_fair():
    study = find_study("timing")
    assert study.placement == "exclusive"
    assert study.shuffle_within_repeat
    assert study.repeats >= 5
    assert len({item.hyperparameters.epochs for item in study.configurations}) == 1
    assert all(item.hyperparameters.early_stopping_patience is None for item in study.configurations)


@pytest.mark.parametrize(
    ("name", "frozen"), [("transfer", ["none", "half", "all"]), ("transfer_full", ["none", "half"])]
)
def test_transfer_differs_in_nothing_but_what_is_handed_on_and_held_fixed(name, frozen):
    study = find_study(name)
    assert study.repeats >= 10
    neutral = {"pretraining": "none", "frozen": "none"}
    (plain,) = {replace(item.hyperparameters, **neutral) for item in study.configurations}
    assert study.configurations[0].hyperparameters == plain
    every = [item.hyperparameters for item in study.configurations]
    assert [item.frozen for item in every if item.pretraining == "half_classes"] == frozen


def test_transfer_on_all_images_shares_its_runs_from_scratch_with_comparison():
    assert find_study("transfer_full").configurations[0].hyperparameters == ARCHITECTURES["own_v1"].defaults


def test_an_unknown_study_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"got 'quik', expected one of .*quick.*or the path of a \.py file"):
        find_study("quik")


def test_a_study_may_be_a_file_of_ones_own(tmp_path):
    file = tmp_path / "mine.py"
    with pytest.raises(ValueError, match="there is no file"):
        find_study(str(file))
    file.write_text("STUDY = 1")
    with pytest.raises(ValueError, match="defines no STUDY"):
        find_study(str(file))
    file.write_text(
        "from fmnist.declare.study import Study, configure\n"
        "STUDY = Study(name='mine', question='?', configurations=(configure('lenet5'),), repeats=1)\n"
    )
    assert find_study(str(file)).name == "mine"


OWN_ARCHITECTURE = """
from __future__ import annotations

from dataclasses import dataclass

import keras

from fmnist.declare import Hyperparameters, Study, architecture, configure


@dataclass
class Width:  # a dataclass looks its module up by name
    units: int


class Half(keras.layers.Layer):
    def call(self, x):
        return x * 0.5


@architecture(Hyperparameters(epochs=1, batch_size=32))
def mine(images, layers):
    x = layers.Dense(Width(8).units, activation="tanh")(layers.Flatten()(images))
    return Half()(x)


CONFIGURATIONS = (configure("mine"), configure("lenet5", epochs=1))
STUDY = Study(name="own", question="Does it run?", configurations=CONFIGURATIONS, repeats=1)
"""


@pytest.fixture
def own_file(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN_ARCHITECTURE)
    yield file
    ARCHITECTURES.pop("mine", None)


def own_structures(file):
    configurations = find_study(str(file)).configurations
    with structure_process(configurations) as structures:
        return structures.by_label(configurations)


def test_an_architecture_of_a_studys_own_file_is_built_and_trained_where_the_file_is_not(own_file, tmp_path):
    study = find_study(str(own_file))
    own_file.unlink()
    with structure_process(study.configurations) as structures:
        found = structures.by_label(study.configurations)
    assert found["lenet5"] == "4f523ec1d5d0522d"
    run = study.runs(found, "dd")[0]
    options = StudyOptions(results=str(tmp_path))
    fork_server = ForkServer(options, RunResources(cpus=1.0, gpus=0.0), tiny_dataset(train_count=120, test_count=20))
    fork_server.start(run)
    epoch, row = fork_server.next_message(), fork_server.next_message()
    fork_server.close()
    assert ("epoch" in epoch, "row" in row) == (True, True), row
    assert (row["row"]["architecture"], row["row"]["parameter_count"]) == ("mine", 784 * 8 + 8 + 8 * 10 + 10)


def test_a_file_is_read_again_with_its_architectures(own_file):
    def mine():
        find_study(str(own_file))
        return inspect.getsource(ARCHITECTURES["mine"].body)

    before = mine()
    own_file.write_text(OWN_ARCHITECTURE.replace("Width(8)", "Width(9)"))
    assert mine() == before.replace("Width(8)", "Width(9)") != before


def test_a_file_that_defines_a_known_architecture_anew_is_refused(own_file):
    own_file.write_text(OWN_ARCHITECTURE.replace("def mine", "def lenet5"))
    with pytest.raises(UserError, match="'lenet5' is defined twice"):
        find_study(str(own_file))


@pytest.mark.parametrize(("name", "value"), [("dropout_rate", 0.5), ("activation", "relu")])
def test_a_setting_that_no_layer_of_ones_own_reads_is_said_before_anything_is_computed(own_file, name, value):
    own_file.write_text(OWN_ARCHITECTURE.replace('configure("mine")', f'configure("mine", {name}={value!r})'))
    with pytest.raises(UserError, match=f"{name}: got {value!r} for mine, but no layer of it reads that: leave it out"):
        find_study(str(own_file))


def test_one_model_is_built_for_all_that_its_layers_do_not_depend_on(monkeypatch):
    built = []

    def structure_of(name, settings):
        built.append((name, settings.dropout_rate, settings.activation, settings.precision))
        return f"{name} {len(built)}"

    monkeypatch.setattr(structures, "structure_of", structure_of)
    configurations = [
        Configuration(architecture=name, hyperparameters=settings, label=f"{name} {rate} {place}")
        for name in ("lenet5", "own_v1", "efficientnet_small")
        for rate in np.geomspace(1e-4, 1e-2, 300)
        for place, settings in enumerate(
            replace(find_architecture(name).defaults, learning_rate=rate, **changes)
            for changes in ({}, {"activation": "gelu"}, {"dropout_rate": 0.1}, {"precision": "mixed_bfloat16"})
        )
    ]

    class Here:  # in place of the process
        def submit(self, compute, item):
            done = Future()
            done.set_result(compute(item))
            return done

    found = structures.Structures(Here()).by_label(configurations)
    assert len(found) == len(configurations) == 3600
    assert len(built) == 3 * 3 + 1  # dropout makes another model of own_v1 alone
    assert len({found[f"own_v1 0.0001 {place}"] for place in range(4)}) == 4
    assert len({found[f"lenet5 0.0001 {place}"] for place in range(4)}) == 3


def test_models_that_end_their_process_are_told_in_a_line(own_file):
    own_file.write_text(OWN_ARCHITECTURE.replace("x = layers", "import os; os._exit(9); x = layers"))
    with pytest.raises(OSError, match="models: the process that builds them ended"):
        own_structures(own_file)


def test_timing_trains_the_three_epochs_that_claims_and_pages_speak_of():
    assert {item.hyperparameters.epochs for item in find_study("timing").configurations} == {3}
