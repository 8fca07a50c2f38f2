from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fmnist.compare.calibration import calibration_bins
from fmnist.report.epochs import read_epochs, stages_of
from fmnist.report.predictions import PredictionSums, sum_predictions
from fmnist.report.study_data import target_times
from fmnist.store.store import Store
from tests.synthetic_rows import SIX, TEST_IMAGES, balanced_labels, rows_of

TRUE = balanced_labels()


@pytest.fixture
def rows():
    return list(rows_of(SIX[:2], 3))


@pytest.fixture
def store(tmp_path, monkeypatch, rows):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    filled = Store(tmp_path / "results")
    for row in rows:
        filled.write(row)
    return filled


def frame_of(rows):
    names = ["run_id", "placement", "configuration_id", "label", "repeat"]
    frame = pd.DataFrame([{name: row[name] for name in names} for row in rows])
    return frame.assign(pretraining_seconds=np.nan)  # as of rows that were stored before there was any


def test_sums_are_those_of_all_predictions_at_once(store, rows):
    sums = sum_predictions(store, frame_of(rows), TRUE)
    assert set(sums) == {"lenet5", "brownlee"}
    own = [row for row in rows if row["label"] == "lenet5"]  # by repeat
    predicted = np.stack([row["test_predicted"] for row in own])
    confidence = np.stack([row["test_confidence"] for row in own])
    confusion = np.zeros((10, 10), int)
    for run in predicted:
        np.add.at(confusion, (TRUE, run), 1)
    total = sums["lenet5"]
    assert total.runs == 3
    assert (total.confusion == confusion).all()
    assert (total.votes[TRUE, np.arange(TEST_IMAGES)] == (predicted == TRUE).sum(axis=0)).all()
    assert sorted(total.repeats) == [0, 1, 2]
    for place, repeat in enumerate(total.repeats):
        assert (total.right[place] == (predicted[repeat] == TRUE)).all()
        assert total.right[place].mean() == pytest.approx(own[repeat]["test_accuracy"])
        assert total.recall_by_run[place, 6] == pytest.approx(np.mean(predicted[repeat][TRUE == 6] == 6))
        assert total.confusion_by_run[place, 6, 0] == np.sum(predicted[repeat][TRUE == 6] == 0)
    direct = calibration_bins(confidence[total.repeats], predicted[total.repeats] == TRUE)
    assert total.calibration.expected_error == pytest.approx(direct.expected_error)
    assert total.calibration.counts.sum() == 3 * TEST_IMAGES


def test_the_example_is_the_lowest_repeat(store, rows):
    sums = sum_predictions(store, frame_of(rows[2:]), TRUE)  # without repeat 0
    example = sums["brownlee"].example
    row = next(row for row in rows if row["label"] == "brownlee" and row["repeat"] == 1)
    assert example.repeat == 1
    assert (example.predicted == row["test_predicted"]).all()
    assert (example.confidence == row["test_confidence"]).all()


def test_a_compacted_store_and_doubled_files_count_each_run_once(store, rows):
    before = sum_predictions(store, frame_of(rows), TRUE)
    store.compact()
    for row in rows[:3]:
        store.write(row)
    after = sum_predictions(store, frame_of(rows), TRUE)
    assert all((before[label].votes == after[label].votes).all() for label in before)


def test_rows_of_other_images_or_without_predictions_are_left_out(store, rows):
    assert sum_predictions(store, frame_of(rows), TRUE[:5000]) == {}
    assert sum_predictions(store, frame_of(rows).iloc[:0], TRUE) == {}


def test_more_runs_than_a_byte_counts():
    sums = PredictionSums(np.array([1, 2], np.uint8))
    runs = 300
    sums.add(np.full((runs, 2), 1, np.uint8), np.full((runs, 2), 0.5, np.float16), np.arange(runs))
    assert sums.votes[1].tolist() == [runs, runs]
    assert sums.confusion[2, 1] == runs
    assert (sums.runs, sums.right.shape, sums.calibration.counts.sum()) == (runs, (runs, 2), 2 * runs)


def test_epochs_of_all_runs_and_their_stages(store, rows):
    epochs = read_epochs(store, frame_of(rows))
    assert len(epochs) == sum(len(row["history"]) for row in rows)
    one = epochs[(epochs["label"] == "lenet5") & (epochs["repeat"] == 2)]
    history = next(row["history"] for row in rows if row["label"] == "lenet5" and row["repeat"] == 2)
    assert one["validation_loss"].tolist() == [epoch["validation_loss"] for epoch in history]
    stages = stages_of(one).set_index("stage")["epoch"]
    assert stages.to_dict() == {"first": 1, "middle": (len(history) + 1) // 2, "last": len(history)}


def test_time_to_a_target_has_that_of_pretraining_in_it(store, rows):
    chosen = frame_of(rows)
    plain = target_times(read_epochs(store, chosen), 0.5)
    chosen["pretraining_seconds"] = 3.0 * (chosen["label"] == "lenet5")
    pretrained = target_times(read_epochs(store, chosen), 0.5)
    assert np.isfinite(plain).all(axis=None)
    for label, later in (pretrained - plain).items():
        np.testing.assert_allclose(later, 3.0 if label == "lenet5" else 0.0)


def test_epochs_of_no_rows_is_an_empty_frame(store, rows):
    assert read_epochs(store, frame_of(rows).iloc[:0]).empty


def test_a_run_of_one_epoch_is_first_middle_and_last():
    one = pd.DataFrame({"run": [0], "epoch": [1], "label": ["a"]})
    assert stages_of(one)["stage"].tolist() == ["first", "middle", "last"]
