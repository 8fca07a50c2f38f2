import json
from dataclasses import replace

import keras
import numpy as np
import pyarrow as pa
import pytest

from fmnist.data.dataset import Dataset, draw_split
from fmnist.declare.architectures import ARCHITECTURES, architecture
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import seeds_of_repeat
from fmnist.declare.study import RunSpec, configure
from fmnist.store.schema import EPOCH, SCHEMA
from fmnist.train import run
from fmnist.train.checkpoint import Checkpoint, UnusableCheckpointError
from fmnist.train.devices import prepare_process
from fmnist.train.loop import Engine
from fmnist.train.optimizers import scheduled
from fmnist.train.run import train_run
from fmnist.train.schedule import TrainingState

# before any test of any file starts TensorFlow, which would settle its threads
prepare_process(1, 0.0)

# Keras asks its own variables for a copy in a way that numpy has given up
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLOCKS_AND_MEMORY = {"started_at", "history", "resumed"} | {
    name for name in SCHEMA.names if name.endswith(("_seconds", "_bytes"))
}


@pytest.fixture(scope="module")
def data():
    """600 training images whose class is written in them, and 60 test images."""
    generator = np.random.default_rng(0)

    def draw(count):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = generator.integers(0, 120, (count, 28, 28), dtype=np.uint8)
        images[np.arange(count), labels * 2 + 3] += 100
        return images, labels

    (train_images, train_labels), (test_images, test_labels) = draw(600), draw(60)
    return Dataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        fingerprint="made up",
    )


def make_spec(architecture="own_v3", **changes):
    configuration = configure(architecture, **{"batch_size": 32, "epochs": 3, **changes})
    return RunSpec(
        configuration=configuration, repeat=0, seeds=seeds_of_repeat(0), structure="any", data_fingerprint="made up"
    )


def without_clocks(row):
    steady = {name: value for name, value in row.items() if name not in CLOCKS_AND_MEMORY}
    steady["epochs"] = [{key: value for key, value in entry.items() if key != "seconds"} for entry in row["history"]]
    return {name: np.asarray(value).tolist() for name, value in steady.items()}


@pytest.fixture(scope="module")
def undisturbed(data):
    checkpoints, records = [], []
    row = train_run(
        make_spec(rotation=10.0, zoom=0.1, restore_best_weights=True),
        data,
        on_epoch=lambda record, make_checkpoint: (records.append(record), checkpoints.append(make_checkpoint())),
    )
    return row, records, checkpoints


def test_a_row_has_every_column_and_fits_the_schema(undisturbed):
    row, records, _ = undisturbed
    assert list(row) == SCHEMA.names
    assert pa.Table.from_pylist([row], schema=SCHEMA).num_rows == 1
    assert row["status"] == "ok"
    assert row["error"] is None
    assert row["history"] == records
    assert [list(entry) for entry in records] == [[field.name for field in EPOCH]] * 3
    assert row["compute_dtype"] == "float32"
    assert row["parameter_count"] == 225_930
    assert (row["device_peak_bytes"], row["device_nvml_bytes"], row["ray_version"]) == (None, None, None)


def test_clocks_are_apart_and_within_the_total(undisturbed):
    row = undisturbed[0]
    parts = [row[f"{name}_seconds"] for name in ("compile", "train", "evaluate")]
    assert min(parts) > 0
    assert sum(parts) <= row["total_seconds"]
    assert row["train_seconds"] == pytest.approx(sum(entry["seconds"] for entry in row["history"]))


def test_predictions_agree_with_the_scores(undisturbed, data):
    row = undisturbed[0]
    assert row["test_predicted"].dtype == np.uint8
    assert row["test_confidence"].dtype == np.float16
    assert row["test_accuracy"] == np.mean(row["test_predicted"] == data.test_labels)


def test_a_run_of_a_search_never_sees_the_test_set_and_trains_as_that_of_a_study(undisturbed, data):
    spec = replace(make_spec(rotation=10.0, zoom=0.1, restore_best_weights=True), scores_test=False)
    row = train_run(spec, data)
    assert (row["status"], row["error"]) == ("validated", None)
    assert [name for name in SCHEMA.names if name.startswith("test_") and row[name] is not None] == []
    assert row["train_accuracy"] is None
    for name in ("run_id", "validation_accuracy", "validation_loss", "best_epoch"):
        assert row[name] == undisturbed[0][name]
    assert row["processor_seconds"] > 0


@pytest.mark.parametrize("resumes", [False, True])
def test_a_run_below_the_cutoff_of_an_epoch_is_pruned_there(undisturbed, data, resumes):
    row, records, checkpoints = undisturbed
    second = records[1]["validation_accuracy"]
    spec = replace(make_spec(rotation=10.0, zoom=0.1, restore_best_weights=True), scores_test=False)
    from_checkpoint = checkpoints[0] if resumes else None
    pruned = train_run(replace(spec, pruned_below={2: second + 1e-9}), data, checkpoint=from_checkpoint)
    assert pruned["status"] == "pruned"
    assert pruned["error"] == f"validation accuracy {second:.4f} after epoch 2, below {second:.4f}"
    assert [entry["validation_accuracy"] for entry in pruned["history"]] == [
        entry["validation_accuracy"] for entry in records[:2]
    ]
    assert pruned["test_accuracy"] is None
    assert pruned["resumed"] == resumes
    for harmless in ({2: second}, {3: 1.1}):  # not below; the last epoch, at which the run is over anyway
        whole = train_run(replace(spec, pruned_below=harmless), data, checkpoint=checkpoints[0])
        assert (whole["status"], whole["validation_accuracy"]) == ("validated", row["validation_accuracy"])


def test_the_same_run_gives_the_same_row(undisturbed, data):
    again = train_run(make_spec(rotation=10.0, zoom=0.1, restore_best_weights=True), data)
    assert without_clocks(again) == without_clocks(undisturbed[0])


@pytest.mark.parametrize("axis", ["split", "initialisation", "order", "dropout", "augmentation"])
def test_each_seed_changes_the_run(undisturbed, data, axis):
    spec = make_spec(rotation=10.0, zoom=0.1, restore_best_weights=True, epochs=1)
    changed = train_run(replace(spec, seeds=replace(spec.seeds, **{axis: 1})), data)
    assert changed["history"][0]["train_loss"] != undisturbed[0]["history"][0]["train_loss"]


ALL_CHANGES = {"random_erasing": 0.5, "mixup": 0.2, "label_smoothing": 0.1, "translation": 0.1, "schedule": "one_cycle"}


def test_a_run_with_every_random_change_and_a_schedule_resumes_as_if_undisturbed(data):
    spec = make_spec("own_v1", epochs=2, **ALL_CHANGES)
    checkpoints = []
    row = train_run(spec, data, on_epoch=lambda _, make_checkpoint: checkpoints.append(make_checkpoint()))
    falling = 0.5 + 0.5 * np.cos(np.pi * (0.5 - 0.3) / 0.7)
    assert [entry["learning_rate"] for entry in row["history"]] == pytest.approx([1e-3 / 25, 1e-3 * falling], rel=1e-5)
    assert without_clocks(train_run(spec, data, checkpoint=checkpoints[0])) == without_clocks(row)


@pytest.mark.parametrize("change", ALL_CHANGES)
def test_each_of_them_changes_the_run(data, change):
    plain, changed = make_spec("brownlee", epochs=1), make_spec("brownlee", epochs=1, **{change: ALL_CHANGES[change]})
    first = [train_run(spec, data)["history"][0]["train_loss"] for spec in (plain, changed)]
    assert first[0] != first[1]


@pytest.mark.parametrize("epochs_done", [1, 3])
def test_a_resumed_run_ends_as_the_undisturbed_one(undisturbed, data, epochs_done):
    row, _, checkpoints = undisturbed
    seen, ended = [], []
    resumed = train_run(
        make_spec(rotation=10.0, zoom=0.1, restore_best_weights=True),
        data,
        checkpoint=checkpoints[epochs_done - 1],
        on_epoch=lambda record, _: seen.append(record["epoch"]),
        on_end=lambda row, model: ended.append((dict(row), model)),
    )
    assert seen == list(range(epochs_done + 1, 4))
    assert resumed["resumed"]
    ((measured, model),) = ended  # all is measured before anybody saves the model
    assert measured == resumed
    assert model.count_params() == row["parameter_count"]
    assert without_clocks(resumed) == without_clocks(row)
    assert resumed["train_seconds"] >= sum(entry["seconds"] for entry in row["history"][:epochs_done])


def test_a_saved_model_loads_in_plain_keras_and_predicts_the_same(data, tmp_path):
    path = tmp_path / "model.keras"
    row = train_run(make_spec("efficientnet_small", epochs=1), data, on_end=lambda _, model: model.save(path))
    probabilities = keras.models.load_model(path).predict(data.test_images[..., None] / np.float32(255), verbose=0)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), row["test_predicted"])
    np.testing.assert_allclose(probabilities.max(axis=1), row["test_confidence"], rtol=2e-3)


def test_an_infinite_loss_ends_the_run_as_diverged(data):
    row = train_run(make_spec("brownlee", learning_rate=1e30, epochs=4), data)
    assert row["status"] == "diverged"
    assert "epoch" in row["error"]
    assert row["test_accuracy"] is None
    assert row["test_predicted"] is None
    assert row["epochs_run"] == len(row["history"]) < 4
    assert row["train_seconds"] > 0
    assert pa.Table.from_pylist([row], schema=SCHEMA).num_rows == 1


@pytest.fixture
def refused_architecture():
    """An architecture that the engine refuses: its noise and its penalty are Keras' own."""

    @architecture(Hyperparameters(batch_size=32, epochs=2, learning_rate=0.01, horizontal_flip=True))
    def penalised(images, layers):
        x = layers.GaussianNoise(0.2)(layers.AveragePooling2D(4)(images))
        return layers.ActivityRegularization(l2=0.1)(layers.Dense(8)(layers.Flatten()(x)))

    yield "penalised"
    del ARCHITECTURES["penalised"]


def test_plain_keras_trains_what_the_engine_refuses_and_the_row_says_so(undisturbed, data, refused_architecture):
    assert undisturbed[0]["engine"] == "fmnist"
    checkpoints = []
    spec = make_spec(refused_architecture, epochs=2, restore_best_weights=True)
    row = train_run(spec, data, on_epoch=lambda _, make_checkpoint: checkpoints.append(make_checkpoint()))
    assert row["engine"] == "keras"
    assert row["status"] == "ok"
    assert row["history"][1]["train_loss"] < row["history"][0]["train_loss"]
    assert without_clocks(train_run(spec, data, checkpoint=checkpoints[0])) == without_clocks(row)
    other = replace(spec, seeds=replace(spec.seeds, dropout=1))
    assert train_run(other, data)["history"][0]["train_loss"] != row["history"][0]["train_loss"]


def test_the_best_weights_are_restored(data):
    spec = make_spec("own_v1", learning_rate=0.02, epochs=4, restore_best_weights=True)
    row = train_run(spec, data)
    best = min(row["history"], key=lambda entry: entry["validation_loss"])
    assert row["best_epoch"] == best["epoch"]
    assert row["validation_loss"] == pytest.approx(best["validation_loss"], rel=1e-6)


def test_the_test_set_is_scored_once(data, monkeypatch):
    scored = []
    evaluate = Engine.evaluate

    def watched(self, name, indices):
        scored.append(name)
        return evaluate(self, name, indices)

    monkeypatch.setattr(Engine, "evaluate", watched)
    train_run(make_spec("brownlee", epochs=2), data)
    assert scored == ["train"] * 4 + ["test"]


def test_validation_images_are_never_trained_on(data, monkeypatch):
    trained = []
    train_epoch = Engine.train_epoch

    def watched(self, order, first_step, learning_rate):
        trained.append(order)
        return train_epoch(self, order, first_step, learning_rate)

    monkeypatch.setattr(Engine, "train_epoch", watched)
    spec = make_spec("brownlee", epochs=2)
    train_run(spec, data)
    split = draw_split(data.train_labels, spec.seeds.split, 50)
    for order in trained:
        np.testing.assert_array_equal(np.sort(order), split.train_indices)
    assert (trained[0] != trained[1]).any()


def entry(loss):
    return {"epoch": 1, "validation_loss": loss, "validation_accuracy": 0.5}


def test_stopping_waits_for_its_patience_and_counts_from_the_best_epoch():
    settings = Hyperparameters(epochs=20, early_stopping_patience=2)
    state = TrainingState(learning_rate=1.0)
    stops = []
    for loss in [3.0, 2.0, 2.5, 1.9, 1.9, 2.0]:
        state.record(entry(loss), settings)
        stops.append(state.finished)
    assert stops == [False] * 5 + [True]
    assert state.best_epoch == 4


@pytest.mark.parametrize("minimum_delta", [0.0, 0.02])
def test_schedule_and_stopping_equal_the_callbacks_of_keras(minimum_delta):
    generator = np.random.default_rng(1)
    plateau = {"plateau_patience": 2, "minimum_learning_rate": 1e-4}
    settings = Hyperparameters(epochs=40, early_stopping_patience=6, minimum_delta=minimum_delta, **plateau)
    for _ in range(20):
        losses = (generator.random(40) + np.linspace(1, 0.3, 40)).tolist()
        assert run_schedule(losses, settings) == run_keras(losses, settings)


@pytest.mark.parametrize(("name", "warm_up"), [("cosine", 0), ("one_cycle", 30)])
def test_rates_of_a_schedule_are_those_of_keras(name, warm_up):
    options = {"warmup_target": 0.02, "warmup_steps": warm_up} if warm_up else {}
    first = 0.02 / 25 if warm_up else 0.02
    theirs = keras.optimizers.schedules.CosineDecay(first, 100 - warm_up, **options)
    steps = np.arange(100)
    rates = scheduled(0.02, name, steps, 100).numpy()
    np.testing.assert_allclose(rates, [float(theirs(step)) for step in steps], rtol=1e-4, atol=1e-8)
    assert 0 < rates[-1] < 2e-5
    assert rates.argmax() == warm_up
    assert scheduled(0.02, "constant", 99, 100) == 0.02


def run_schedule(losses, settings):
    state = TrainingState(learning_rate=settings.learning_rate)
    rates = []
    for loss in losses:
        state.record(entry(loss), settings)
        rates.append(pytest.approx(state.learning_rate, rel=1e-5))
        if state.finished:
            break
    return rates, state.best_epoch


def run_keras(losses, settings):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(settings.learning_rate), loss="mse")
    plateau = keras.callbacks.ReduceLROnPlateau(
        factor=settings.plateau_factor, patience=settings.plateau_patience, min_lr=settings.minimum_learning_rate
    )
    stopping = keras.callbacks.EarlyStopping(
        patience=settings.early_stopping_patience, min_delta=settings.minimum_delta, mode="min"
    )
    callbacks = keras.callbacks.CallbackList([plateau, stopping], model=model)
    callbacks.on_train_begin()
    # keras finds the direction of a metric only in a model that has trained
    plateau.monitor_op = lambda a, b: np.less(a, b - 1e-4)
    plateau.best = np.inf
    rates = []
    model.stop_training = False
    for epoch, loss in enumerate(losses):
        callbacks.on_epoch_end(epoch, {"val_loss": loss})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    return rates, stopping.best_epoch + 1


def test_a_checkpoint_survives_its_bytes_and_holds_no_code():
    checkpoint = Checkpoint(
        run_id="abc",
        state=TrainingState(learning_rate=0.5, history=[entry(2.0)]),
        clocks={"train": 1.0},
        host_allocated_bytes=None,
        variables=[np.arange(3.0), np.array(7, np.int64)],
        best_weights=[],
    )
    content = checkpoint.to_bytes()
    restored = Checkpoint.from_bytes(content)
    assert restored.state == checkpoint.state
    assert [array.tolist() for array in restored.variables] == [[0.0, 1.0, 2.0], 7]
    assert restored.variables[1].dtype == np.int64
    json.dumps(restored.clocks)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_bytes_that_are_no_checkpoint_are_refused(content):
    with pytest.raises(UnusableCheckpointError, match="train it from the start"):
        Checkpoint.from_bytes(content)


def test_the_checkpoint_of_another_run_is_refused(undisturbed, data):
    with pytest.raises(UnusableCheckpointError, match="expected that of"):
        train_run(make_spec("own_v1"), data, checkpoint=undisturbed[2][0])


@pytest.mark.parametrize("change", [lambda arrays: arrays[:-1], lambda arrays: [arrays[-1], *arrays[1:]]])
def test_the_checkpoint_of_another_model_is_refused(undisturbed, data, change):
    spec = make_spec(rotation=10.0, zoom=0.1, restore_best_weights=True)
    checkpoint = Checkpoint.from_bytes(undisturbed[2][0])
    other = replace(checkpoint, variables=change(list(checkpoint.variables)))
    with pytest.raises(UnusableCheckpointError, match="another model"):
        train_run(spec, data, checkpoint=other.to_bytes())


def test_other_threads_in_a_process_that_has_started_are_refused(undisturbed):
    assert undisturbed[0]["threads"] == 1
    with pytest.raises(ValueError, match="new process"):
        prepare_process(7, 0.0)


def test_the_precision_of_a_run_is_told_and_leaves_keras_as_it_was(data):
    row = train_run(make_spec("own_v1", precision="mixed_bfloat16", epochs=1), data)
    assert row["compute_dtype"] == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    assert run.build_for("own_v1", Hyperparameters(precision="float32"), 0).layers[1].compute_dtype == "float32"


def test_the_precision_is_chosen_for_the_model_where_it_is_auto(monkeypatch):
    asked = []
    monkeypatch.setattr(run, "choose_policy", lambda model: asked.append(model.name) or "mixed_bfloat16")
    found = [run.build_for("own_v1", Hyperparameters(precision=name), 0) for name in ("auto", "mixed_float16")]
    assert [model.layers[1].compute_dtype for model in found] == ["bfloat16", "float16"]
    assert asked == ["own_v1"]
