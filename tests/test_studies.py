from __future__ import annotations

import importlib
from dataclasses import replace

import pytest

from fmnist.architectures import ARCHITECTURES
from fmnist.catalogue import find_study, study_names
from fmnist.schema import METRICS

NAMES = study_names()


def test_the_studies_of_the_readme_are_there():
    assert {"quick", "comparison", "timing"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_documents_itself(name):
    module = importlib.import_module(f"fmnist.studies.{name}")
    assert f"python jobs/study.py {name}" in module.__doc__
    assert "Expected time" in module.__doc__
    assert find_study(name) is module.STUDY


@pytest.mark.parametrize("name", NAMES)
def test_a_study_can_be_compared(name):
    study = find_study(name)
    assert study.primary_metric in METRICS
    assert study.primary_metric in study.margins
    assert set(study.margins) <= set(METRICS)


def test_quick_and_comparison_hold_every_architecture():
    for name in ("quick", "comparison"):
        assert sorted(item.architecture for item in find_study(name).configurations) == sorted(ARCHITECTURES)
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


def test_timing_is_fair():
    study = find_study("timing")
    assert study.placement == "exclusive"
    assert study.shuffle_within_repeat
    assert study.repeats >= 5
    assert len({item.hyperparameters.epochs for item in study.configurations}) == 1
    assert all(item.hyperparameters.early_stopping_patience is None for item in study.configurations)


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
        "from fmnist.study import Study, configure\n"
        "STUDY = Study(name='mine', question='?', configurations=(configure('lenet5'),), repeats=1)\n"
    )
    assert find_study(str(file)).name == "mine"
