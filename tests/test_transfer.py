"""Pretraining, fewer images and frozen layers: what is learnt from, what is handed on, what stays, what resumes."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pyarrow as pa
import pytest

from fmnist.data.dataset import draw_fewer, draw_split
from fmnist.declare.architectures import ARCHITECTURES, architecture, build_model
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.store.schema import SCHEMA
from fmnist.train.loop import Engine
from fmnist.train.run import build_for, train_run
from fmnist.train.transfer import body_weights, freeze
from tests.test_training import make_spec, without_clocks
from tests.tiny_data import tiny_dataset

PRETRAINED = {"pretraining": "half_classes", "pretraining_epochs": 2, "epochs": 2}


@pytest.fixture(scope="module")
def data():
    return tiny_dataset(600, 60)


@pytest.fixture(scope="module", autouse=True)
def small_architectures():
    """Two small nets with moving statistics and dropout; the engine refuses the second one."""

    def body(images, layers):
        x = layers.Conv2D(6, 3, activation="relu")(layers.AveragePooling2D(4)(images))
        x = layers.Flatten()(layers.BatchNormalization()(x))
        return layers.Dense(12, activation="relu")(layers.Dropout(0.3)(x))

    @architecture(Hyperparameters(batch_size=32, learning_rate=0.01, restore_best_weights=True))
    def small(images, layers):
        return body(images, layers)

    @architecture(ARCHITECTURES["small"].defaults)
    def penalised(images, layers):
        return layers.ActivityRegularization(l2=0.01)(body(layers.GaussianNoise(0.1)(images), layers))

    yield
    del ARCHITECTURES["small"], ARCHITECTURES["penalised"]


class Watched:
    """What the engines of a run trained on, and their weights before and after each epoch."""

    def __init__(self, monkeypatch):
        self.orders, self.epochs, self.before, self.after = [], [], [], []
        train_epoch = Engine.train_epoch

        def watched(engine, order, first_step, learning_rate):
            self.orders.append(np.sort(order))
            self.epochs.append(engine.hyperparameters.epochs)
            self.before.append([weight.numpy() for weight in engine.model.weights])
            result = train_epoch(engine, order, first_step, learning_rate)
            self.after.append([weight.numpy() for weight in engine.model.weights])
            return result

        monkeypatch.setattr(Engine, "train_epoch", watched)


@pytest.fixture
def watched(monkeypatch):
    return Watched(monkeypatch)


def same(some, others):
    return len(some) == len(others) and all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_the_source_task_is_half_of_the_classes_of_the_images_trained_on(watched, data):
    spec = make_spec("small", **{**PRETRAINED, "epochs": 1}, train_images=50)
    row = train_run(spec, data)
    split = draw_split(data.train_labels, spec.seeds.split, 50)
    source = split.train_indices[data.train_labels[split.train_indices] <= 4]
    few = draw_fewer(data.train_labels, split.train_indices, spec.seeds.split, 50)
    assert same(watched.orders, [source, source, few])
    assert watched.epochs == [2, 2, 1]  # a schedule of the rate ends with the source task and begins anew
    assert len(row["history"]) == row["epochs_run"] == 1


def test_the_body_is_handed_on_and_the_output_layer_is_that_of_a_run_without_pretraining(watched, data):
    spec = make_spec("small", **PRETRAINED)
    train_run(spec, data)
    drawn = [weight.numpy() for weight in build_for("small", Hyperparameters(), spec.seeds.initialisation).weights]
    body, head = slice(None, -2), slice(-2, None)
    assert same(watched.before[0][body], drawn[body])
    assert same(watched.before[1], watched.after[0])
    assert same(watched.before[2][body], watched.after[1][body])
    assert same(watched.before[2][head], drawn[head])
    assert not same(watched.after[1][body], drawn[body])


def test_pretraining_helps_on_few_images_of_a_task_like_it(data):
    scratch, pretrained = (
        train_run(make_spec("small", train_images=20, epochs=3, **changes), data)
        for changes in ({}, {"pretraining": "half_classes", "frozen": "half"})
    )
    assert pretrained["test_accuracy"] > scratch["test_accuracy"] + 0.1


def with_checkpoints(spec, data):
    records, checkpoints = [], []
    row = train_run(spec, data, on_epoch=lambda record, make: (records.append(record), checkpoints.append(make())))
    return row, records, checkpoints


@pytest.fixture(scope="module")
def pretrained(data):
    spec = make_spec("small", **PRETRAINED, frozen="half", rotation=5.0)
    return spec, *with_checkpoints(spec, data)


def test_a_run_stopped_in_either_task_ends_as_the_undisturbed_one(pretrained, data):
    spec, row, records, checkpoints = pretrained
    assert [record.get("pretraining_epoch") for record in records] == [1, 2, None, None]
    assert records[1]["pretraining_loss"] < records[0]["pretraining_loss"]
    for checkpoint in checkpoints[:3]:  # within the source task, at its end, within the target task
        again = train_run(spec, data, checkpoint=checkpoint)
        assert without_clocks(again) == without_clocks(row)
        assert again["pretraining_seconds"] > 0


def test_plain_keras_pretrains_what_the_engine_refuses(data):
    spec = make_spec("penalised", **{**PRETRAINED, "epochs": 1})
    row, _, checkpoints = with_checkpoints(spec, data)
    assert row["engine"] == "keras"
    assert row["pretraining_seconds"] > 0
    assert without_clocks(train_run(spec, data, checkpoint=checkpoints[0])) == without_clocks(row)


def test_the_time_of_pretraining_is_a_part_of_that_of_training(pretrained, data):
    row = pretrained[1]
    of_target = sum(entry["seconds"] for entry in row["history"])
    assert row["train_seconds"] == pytest.approx(row["pretraining_seconds"] + of_target)
    assert row["pretraining_seconds"] > 0
    assert pa.Table.from_pylist([row], schema=SCHEMA)["pretraining"].to_pylist() == ["half_classes"]
    assert train_run(make_spec("small", epochs=1), data)["pretraining_seconds"] == 0


def test_the_order_of_the_images_is_that_of_the_seed_in_the_source_task_too(pretrained, data):
    spec, _, records, _ = pretrained
    other = replace(spec, seeds=replace(spec.seeds, order=1), configuration=make_spec("small", **{
        **PRETRAINED, "pretraining_epochs": 1, "epochs": 1}, rotation=5.0).configuration)  # fmt: skip
    assert with_checkpoints(other, data)[1][0]["pretraining_loss"] != records[0]["pretraining_loss"]


def test_an_infinite_loss_in_pretraining_ends_the_run_as_diverged(data):
    row = train_run(make_spec("brownlee", learning_rate=1e30, **PRETRAINED), data)
    assert row["status"] == "diverged"
    assert "of pretraining" in row["error"]
    assert row["epochs_run"] == 0
    assert pa.Table.from_pylist([row], schema=SCHEMA).num_rows == 1


@pytest.mark.parametrize(("frozen", "moved"), [("none", 4), ("half", 2), ("all", 1)])
def test_frozen_layers_keep_their_weights_and_moving_statistics(frozen, moved, watched, data):
    train_run(make_spec("small", epochs=1, frozen=frozen), data)
    layers = [[0, 1], [2, 3, 4, 5], [6, 7], [8, 9]]  # convolution, normalisation, dense, output
    changed = [not same(*([weights[0][i] for i in layer] for weights in (watched.before, watched.after)))
               for layer in layers]  # fmt: skip
    assert changed == [False] * (4 - moved) + [True] * moved


FIRST_TRAINED = {  # kind and number of the first layer that half of them leaves trained
    "lenet5": ("Dense", 1),
    "brownlee": ("Dense", 1),
    "own_v1": ("Dense", 1),
    "own_v2": ("Dense", 1),
    "own_v3": ("Dense", 1),
    "efficientnet_small": ("Conv2D", 4),
}


@pytest.mark.parametrize("name", FIRST_TRAINED)
def test_half_is_the_first_half_of_the_layers_that_multiply(name):
    model = build_model(name)
    freeze(model, "half")
    kind, number = FIRST_TRAINED[name]
    (first, *others) = (layer for layer in model.layers if layer.trainable and layer.weights)
    of_its_kind = [layer for layer in model.layers if type(layer) is type(first)]
    assert (type(first).__name__, of_its_kind.index(first) + 1) == (kind, number)
    assert all(layer.trainable for layer in others)
    assert not any(layer.trainable for layer in model.layers[: model.layers.index(first)] if layer.weights)
    freeze(model, "all")
    assert [layer.name for layer in model.layers if layer.trainable and layer.weights] == [model.layers[-1].name]
    assert len(body_weights(model)) == len(model.weights) - 2


def test_a_net_without_a_body_of_weights_has_nothing_to_freeze():
    images = keras.Input((28, 28, 1))
    model = keras.Model(images, keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(images)))
    freeze(model, "half")
    assert len(model.trainable_weights) == 2


def test_fewer_images_are_drawn_from_those_trained_on_each_class_by_its_share():
    labels = np.arange(1000, dtype=np.uint8) % 10
    allowed = np.arange(100, 1000)
    drawn = draw_fewer(labels, allowed, 7, 205)
    assert len(set(drawn)) == 205
    assert set(drawn) <= set(allowed)
    assert (np.sort(drawn) == drawn).all()
    assert set(np.bincount(labels[drawn])) == {20, 21}
    assert not np.array_equal(drawn, draw_fewer(labels, allowed, 8, 205))
    assert np.array_equal(draw_fewer(labels, allowed, 7, 900), allowed)
    for count in (0, 901):
        with pytest.raises(ValueError, match=f"train_images: got {count}, expected 1 to 900"):
            draw_fewer(labels, allowed, 7, count)
