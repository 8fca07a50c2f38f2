"""The engine does what plain Keras does: same weights and batches, same losses, same moving statistics."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fmnist.declare.architectures import ARCHITECTURES, build_model
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import seeds_of_repeat
from fmnist.train.kernels import layers
from fmnist.train.loop import Engine
from fmnist.train.optimizers import LossScale, Optimizer

BATCH = 8
LEARNING_RATES = {"adam": 1e-4, "sgd": 1e-2}


def images_and_labels(count, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, count, dtype=np.uint8)
    images = generator.integers(0, 120, (count, 28, 28), dtype=np.uint8)
    images[np.arange(count), labels * 2 + 3] += 100
    return images, labels


def plain_settings(name, **changes):
    """Without chance: no dropout, no augmentation."""
    defaults = ARCHITECTURES[name].defaults
    still = {"dropout_rate": 0.0, "rotation": 0.0, "translation": 0.0, "zoom": 0.0}
    return replace(defaults, batch_size=BATCH, learning_rate=LEARNING_RATES[defaults.optimizer], **still, **changes)


def engine_for(model, settings, images, labels):
    return Engine(model, settings, seeds_of_repeat(0), {"train": (images, labels)})


def compiled_twin(model, settings):
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    rate = settings.learning_rate
    if settings.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=settings.momentum)
    twin.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return twin


def one_step_beside_keras(model, settings):
    """Train the model one step with the engine and its twin with Keras; returns engine, both losses and the twin."""
    twin = compiled_twin(model, settings)
    pixels, labels = images_and_labels(BATCH)
    engine = engine_for(model, settings, pixels, labels)
    _, ours = engine.train_epoch(np.arange(BATCH, dtype=np.int32), 0, settings.learning_rate)
    theirs = twin.train_on_batch(pixels[..., None].astype(np.float32) / 255, labels.astype(np.int32))
    return engine, ours, float(theirs), twin


def test_gradient_steps_with_l2_equal_keras_regularisation():
    settings = replace(plain_settings("lenet5"), l2=0.01, optimizer="sgd", momentum=0.0, learning_rate=0.05)
    keras.utils.set_random_seed(3)
    model = build_model("lenet5", settings)
    images, labels = images_and_labels(BATCH)
    before = [variable.numpy() for variable in model.trainable_variables]
    inputs = tf.constant(images[..., None].astype(np.float32) / 255)
    with tf.GradientTape() as tape:
        cross_entropy = keras.losses.sparse_categorical_crossentropy(labels.astype(np.int32), model(inputs))
        kernels = [v.value for v in model.trainable_variables if v.name == "kernel"]
        loss = tf.reduce_mean(cross_entropy) + 0.01 * tf.add_n([tf.reduce_sum(kernel**2) for kernel in kernels])
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    engine_for(model, settings, images, labels).train_epoch(np.arange(BATCH, dtype=np.int32), 0, 0.05)

    for variable, old, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        np.testing.assert_allclose(variable.numpy(), old - 0.05 * gradient.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["own_v3", "efficientnet_small", "lenet5"])
def test_scores_equal_predictions_of_the_keras_model(name, monkeypatch):
    monkeypatch.setattr("fmnist.train.loop.EVALUATION_BATCH", 8)  # three batches and a smaller one
    keras.utils.set_random_seed(3)
    model = build_model(name)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.full(layer.moving_mean.shape, 0.1))
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, 0.5))
    images, labels = images_and_labels(30)
    scores = engine_for(model, ARCHITECTURES[name].defaults, images, labels).evaluate("train", np.arange(30))

    probabilities = model.predict(images[..., None].astype(np.float32) / 255, verbose=0)
    np.testing.assert_array_equal(scores.predicted, probabilities.argmax(axis=1))
    np.testing.assert_allclose(scores.confidence, probabilities.max(axis=1), rtol=1e-3)
    np.testing.assert_allclose(scores.loss, -np.log(probabilities[np.arange(30), labels]).mean(), rtol=1e-4)


def test_the_smaller_last_batch_is_trained_as_if_it_came_alone():
    settings = plain_settings("own_v3")
    images, labels = images_and_labels(BATCH + 3)
    order = np.arange(BATCH + 3, dtype=np.int32)
    results = []
    for parts in ([order], [order[:BATCH], order[BATCH:]]):
        keras.utils.set_random_seed(3)
        engine = engine_for(build_model("own_v3", settings), settings, images, labels)
        for step, part in enumerate(parts):
            engine.train_epoch(part, step, settings.learning_rate)
        results.append([variable.numpy() for variable in engine.variables])
    for together, apart in zip(*results, strict=True):
        np.testing.assert_allclose(together, apart, rtol=1e-6, atol=1e-7)


def resident_megabytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def test_evaluating_makes_no_copy_of_the_images():
    images, labels = np.zeros((60_000, 28, 28), np.uint8), np.zeros(60_000, np.uint8)  # 45 MiB
    engine = engine_for(build_model("lenet5"), ARCHITECTURES["lenet5"].defaults, images, labels)
    engine.evaluate("train", np.arange(3))
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = resident_megabytes("VmHWM")
    engine.evaluate("train", np.arange(3))
    assert resident_megabytes("VmHWM") - before < 15


def test_compiling_changes_nothing():
    settings = ARCHITECTURES["own_v3"].defaults
    engine = engine_for(build_model("own_v3", settings), settings, *images_and_labels(150))
    before = [variable.numpy() for variable in engine.variables]
    engine.compile()
    for variable, value in zip(engine.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def build_in(precision, name, settings):
    keras.config.set_dtype_policy(precision)
    try:
        keras.utils.set_random_seed(3)
        return build_model(name, settings)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_learns(precision):
    settings = replace(plain_settings("own_v1"), learning_rate=1e-3)
    engine = engine_for(build_in(precision, "own_v1", settings), settings, *images_and_labels(160))
    losses = [engine.train_epoch(np.arange(160, dtype=np.int32), 20 * epoch, 1e-3)[1] for epoch in range(3)]
    assert losses[-1] < 0.8 * losses[0]
    assert (engine.loss_scale is not None) == (precision == "mixed_float16")


def test_loss_scale_leaves_out_overflows_and_grows_as_that_of_keras(monkeypatch):
    monkeypatch.setattr(LossScale, "GROWTH_STEPS", 3)
    start, rate = np.array([1.0, -2.0], np.float32), 0.1
    gradients = [[0.5, 1.0], [np.inf, 1.0], [0.2, -1.0], [np.nan, 0.0], [0.1, 0.3], [-0.1, 0.2], [0.3, 0.3], [1.0, 0.0]]
    ours, theirs = tf.Variable(start), keras.Variable(start)
    scale, adam = LossScale(), Optimizer(Hyperparameters(), [ours])
    reference = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(rate), initial_scale=LossScale.INITIAL, dynamic_growth_steps=LossScale.GROWTH_STEPS
    )
    scales = []
    for gradient in gradients:
        before = ours.numpy()
        scaled = tf.constant(gradient) * scale.scale
        reference.apply([scaled], [theirs])
        scale.apply(adam, [scaled], tf.constant(rate))
        assert np.array_equal(ours, before) == (not np.isfinite(gradient).all())
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)
        scales.append(float(scale.scale) / LossScale.INITIAL)
        assert float(scale.scale) == float(reference.dynamic_scale)
    assert scales == [1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5, 0.5]


@pytest.mark.parametrize("name", ["own_v1", "own_v3", "efficientnet_small"])
def test_bfloat16_gradients_are_as_near_to_float32_as_those_of_plain_keras(name, monkeypatch):
    dtypes = []
    convolution = layers.convolution
    monkeypatch.setattr(
        layers, "convolution", lambda x, *rest, **o: dtypes.append(x.dtype) or convolution(x, *rest, **o)
    )
    count, rate = 64, 0.05
    settings = replace(plain_settings(name), optimizer="sgd", momentum=0.0, learning_rate=rate, batch_size=count)
    images, labels = images_and_labels(count)
    inputs = tf.constant(images[..., None].astype(np.float32) / 255)

    def keras_gradients(model):
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(labels.astype(np.int32), model(inputs, training=True))
            loss = tf.reduce_mean(losses)
        return np.concatenate(
            [g.numpy().ravel() for g in tape.gradient(loss, [v.value for v in model.trainable_variables])]
        )

    exact = keras_gradients(build_in("float32", name, settings))
    theirs = keras_gradients(build_in("mixed_bfloat16", name, settings))
    model = build_in("mixed_bfloat16", name, settings)
    before = [variable.numpy() for variable in model.trainable_variables]
    engine_for(model, settings, images, labels).train_epoch(np.arange(count, dtype=np.int32), 0, rate)
    after = [variable.numpy() for variable in model.trainable_variables]
    ours = np.concatenate([(old - new).ravel() / rate for old, new in zip(before, after, strict=True)])

    def error(gradients):
        return np.linalg.norm(gradients - exact) / np.linalg.norm(exact)

    assert 0 < error(ours) < 1.5 * error(theirs)
    assert set(dtypes) == {tf.bfloat16}, "the engine's own convolution computes in bfloat16"


@pytest.mark.parametrize("filters", [4, 12])
@pytest.mark.parametrize("pooling", [keras.layers.MaxPooling2D, keras.layers.AveragePooling2D])
def test_a_convolution_without_bias_is_trained_as_by_keras(pooling, filters):
    images = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(filters, 3, activation="relu", use_bias=False)(images)
    x = keras.layers.Flatten()(pooling(2)(x))
    model = keras.Model(images, keras.layers.Dense(10, activation="softmax")(x))
    _, ours, theirs, _ = one_step_beside_keras(model, Hyperparameters(batch_size=BATCH, learning_rate=1e-3))
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_dense_layer_whose_kernel_is_a_sum_is_called_as_keras_has_it():
    images = keras.Input((28, 28, 1))
    hidden = keras.layers.Dense(12, activation="relu")
    outputs = keras.layers.Dense(10, activation="softmax")(hidden(keras.layers.Flatten()(images)))
    model = keras.Model(images, outputs)
    hidden.enable_lora(2)
    pixels, labels = images_and_labels(BATCH)
    engine = engine_for(model, Hyperparameters(batch_size=BATCH), pixels, labels)
    scores = engine.evaluate("train", np.arange(BATCH, dtype=np.int64))
    probabilities = model.predict(pixels[..., None].astype(np.float32) / 255, verbose=0)
    np.testing.assert_array_equal(scores.predicted, probabilities.argmax(axis=1))
    _, loss = engine.train_epoch(np.arange(BATCH, dtype=np.int32), 0, 1e-3)
    assert loss == pytest.approx(scores.loss, rel=1e-5)


def test_a_strided_depthwise_convolution_leaves_bfloat16_and_is_that_of_keras():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras.utils.set_random_seed(3)
        images = keras.Input((28, 28, 1))
        x = keras.layers.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2, activation="relu")(images)
        x = keras.layers.DepthwiseConv2D(3, 2, bias_initializer="ones")(x)
        outputs = keras.layers.Dense(10, activation="softmax", dtype="float32")(keras.layers.Flatten()(x))
    finally:
        keras.config.set_dtype_policy("float32")
    model = keras.Model(images, outputs)
    settings = Hyperparameters(batch_size=BATCH, optimizer="sgd", learning_rate=0.1)
    engine, ours, theirs, twin = one_step_beside_keras(model, settings)
    assert ours == pytest.approx(theirs, rel=1e-2)
    for mine, other in zip(model.trainable_variables, twin.trainable_variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=5e-3, err_msg=mine.path)
    functions = engine._epoch.get_concrete_function().graph.as_graph_def().library.function
    depthwise = [node for function in functions for node in function.node_def if node.op.startswith("Depthwise")]
    assert depthwise
    assert {tf.dtypes.as_dtype(node.attr["T"].type) for node in depthwise} == {tf.float32}
