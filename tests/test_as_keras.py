"""What plain Keras trains, the engine trains to the same losses, or refuses by name; then KerasEngine trains it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from fmnist import UserError
from fmnist.declare.architectures import ARCHITECTURES, build_model
from fmnist.declare.hyperparameters import ACTIVATIONS, Hyperparameters
from fmnist.declare.identity import seeds_of_repeat
from fmnist.train.augmentation import random_share
from fmnist.train.kernels import forward, layers, unsupported
from fmnist.train.loop import Engine, KerasEngine

# Keras says so of weights that no loss reaches, which one case below has
pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist for variables:UserWarning")

SETTINGS = Hyperparameters(optimizer="sgd", momentum=0.9, learning_rate=0.05, batch_size=8)


def images_and_labels(count, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, count, dtype=np.uint8)
    images = generator.integers(0, 120, (count, 28, 28), dtype=np.uint8)
    images[np.arange(count), labels * 2 + 3] += 100
    return images, labels


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model beside plain Keras: how it is built, what of it the engine refuses, and how long both train."""

    build: Callable[[], keras.Model]
    refused: str | None = None  # part of what the refusal says
    settings: Hyperparameters = SETTINGS
    steps: int = 3
    tolerance: float = 1e-5  # relative of losses; ten times as much, relative and absolute, of weights


CASES: dict[str, Case] = {}


def body(refused=None):
    """Make a case of a function from a tensor of 6 x 6 pixels in 4 channels to the features of the last layer."""

    def register(function):
        def build():
            images = keras.Input((28, 28, 1))
            x = keras.layers.AveragePooling2D(4)(images)
            x = keras.layers.Conv2D(4, 2, activation="relu", name="first")(x)
            outputs = keras.layers.Dense(10, activation="softmax")(function(x, keras.layers))
            return keras.Model(images, outputs)

        CASES[function.__name__] = Case(build=build, refused=refused)

    return register


def model(refused=None):
    """Make a case of a function that builds the whole model."""

    def register(function):
        CASES[function.__name__] = Case(build=function, refused=refused)

    return register


def registered(name):
    """An architecture without chance, that is without dropout and augmentation, and without L2 and a schedule."""
    defaults = ARCHITECTURES[name].defaults
    # rounding errors multiply from step to step unless steps are small and few: own_v3 normalises single units, and in
    # the residual nets a relu's input that they take over 0 changes the gradient by some thousandths
    rate = 3e-5 if name == "own_v3" else {"adam": 1e-4, "sgd": 1e-2}[defaults.optimizer]
    rate, steps = (1e-3, 4) if name in ("residual_small", "wide_residual") else (rate, 50)
    still = {"dropout_rate": 0.0, "rotation": 0.0, "translation": 0.0, "zoom": 0.0, "horizontal_flip": False}
    plain = {"l2": 0.0, "schedule": "constant"}
    settings = replace(defaults, batch_size=32, learning_rate=rate, **still, **plain)
    return Case(build=lambda: build_model(name, settings), settings=settings, steps=steps, tolerance=2e-4)


CASES |= {name: registered(name) for name in ARCHITECTURES}


@body()
def regularizers(x, layers):
    x = layers.Conv2D(8, 3, activation="relu", kernel_regularizer="l2", bias_regularizer="l2")(x)
    x = layers.BatchNormalization(gamma_regularizer=keras.regularizers.L2(0.1))(x)
    return layers.Dense(6, kernel_regularizer=keras.regularizers.OrthogonalRegularizer(0.1))(layers.Flatten()(x))


@body()
def constraints(x, layers):
    x = layers.Conv2D(8, 3, activation="relu", kernel_constraint=keras.constraints.MaxNorm(0.5))(x)
    return layers.Dense(6, kernel_constraint="unit_norm", bias_constraint="non_neg")(layers.Flatten()(x))


@body(refused="layer 'penalised' has an activity regularizer")
def activity_of_a_known_layer(x, layers):
    return layers.Flatten()(layers.Conv2D(4, 3, activity_regularizer=keras.regularizers.L2(0.1), name="penalised")(x))


@body(refused="layer 'penalty' has an activity regularizer")
def activity_in_a_nested_model(x, layers):
    nested = keras.Sequential([layers.Flatten(), layers.ActivityRegularization(l2=0.1, name="penalty")])
    return nested(x)


@body()
def dropout_of_whole_channels(x, layers):
    return layers.Flatten()(layers.Dropout(0.5, noise_shape=(None, 1, 1, 4))(x))


@body()
def dropout_with_a_seed_of_its_own(x, layers):
    return layers.Dropout(0.5, seed=7)(layers.Flatten()(x))


@body()
def noise_layers(x, layers):
    x = layers.GaussianNoise(0.3)(layers.SpatialDropout2D(0.5)(layers.RandomFlip("horizontal")(x)))
    return layers.GaussianDropout(0.3)(layers.Flatten()(x))


@body()
def frozen_normalisation_after_a_relu(x, layers):
    x = layers.BatchNormalization(trainable=False)(layers.Conv2D(8, 3, activation="relu")(x))
    return layers.Flatten()(layers.BatchNormalization()(x))


@body()
def frozen_layers(x, layers):
    x = layers.Conv2D(8, 3, activation="relu", trainable=False)(x)
    x = layers.DepthwiseConv2D(3, trainable=False)(layers.BatchNormalization()(x))
    return layers.Dense(6, activation="relu", trainable=False)(layers.Flatten()(x))


@body()
def branches(x, layers):
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, activation="relu")(x))
    y = layers.Conv2D(4, 3, padding="same", activation="gelu")(x)
    x = layers.Concatenate()([layers.Add()([x, y]), layers.Subtract()([x, y])])
    return layers.GlobalMaxPooling2D()(layers.LayerNormalization()(x))


@body()
def layers_that_follow_each_other_and_are_used_twice(x, layers):
    """Each pair that is computed as one where it stands alone: here something else takes what lies between."""
    rectified = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    normalised = layers.BatchNormalization()(rectified)
    x = layers.Add()([rectified, normalised, layers.Activation("relu")(normalised)])
    convolved = layers.Conv2D(6, 3, activation="relu")(x)
    pooled = layers.Flatten()(layers.MaxPooling2D(2)(convolved))
    return layers.Concatenate()([layers.Flatten()(convolved), pooled])


@body()
def operators_and_functions(x, layers):
    y = layers.Conv2D(4, 3, padding="same")(x)
    y = keras.ops.relu(x + y * 2.0 - 0.1) / keras.ops.maximum(1.0, y)
    return keras.ops.reshape(keras.ops.transpose(y, (0, 3, 1, 2)), (-1, 4 * 36))


@body()
def attention(x, layers):
    x = layers.Reshape((36, 4))(x)
    x = x + layers.MultiHeadAttention(2, 3, dropout=0.2)(x, x, use_causal_mask=True)
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


@body()
def masked_steps(x, layers):
    x = layers.Masking()(layers.Reshape((6, 24))(x))
    return layers.LSTM(4)(layers.BatchNormalization()(layers.Dropout(0.3, seed=1)(x)))


@body()
def nested_models(x, layers):
    inside = keras.Input(x.shape[1:])
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu", kernel_regularizer="l2")(inside))
    x = keras.Model(inside, y)(x)
    return keras.Sequential([layers.Flatten(), layers.GaussianNoise(0.1), layers.Dense(6, activation="relu")])(x)


@body()
def low_rank_updates(x, layers):
    convolution, dense = layers.Conv2D(8, 3, activation="relu"), layers.Dense(6, activation="relu")
    x = dense(layers.Flatten()(convolution(x)))
    convolution.enable_lora(2)
    dense.enable_lora(2)
    return x


@body()
def a_layer_used_twice(x, layers):
    convolution, normalisation = layers.Conv2D(4, 3, padding="same", activation="relu"), layers.BatchNormalization()
    return layers.Flatten()(normalisation(convolution(normalisation(convolution(x)))))


def every_place_of(*names):
    """Make a case with each activation behind a maximum, before and after a normalisation, and in a dense layer."""

    def chain(x, layers):
        for name in names:
            # far enough from 0 that gelu, swish and mish fall somewhere
            wide = keras.initializers.RandomNormal(stddev=0.5)
            x = layers.Conv2D(4, 3, padding="same", activation=name, kernel_initializer=wide)(x)
            x = layers.MaxPooling2D(2, strides=1)(x)
            x = layers.Conv2D(4, 1, activation=name)(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation(name)(layers.BatchNormalization()(x))
        return layers.Dense(6, activation=names[0])(layers.Flatten()(x))

    chain.__name__ = " ".join(names)
    body()(chain)


every_place_of("gelu", "swish", "mish")
every_place_of("elu", "selu", "leaky_relu")
every_place_of("softplus", "tanh", "sigmoid")


def test_every_activation_is_beside_keras():
    named = {name for case in CASES for name in case.split(" ") if name in ACTIVATIONS}
    assert named == set(ACTIVATIONS) - {"default", "relu"}  # relu is everywhere


def silu(z):
    return z * 0.5


class Halved:
    """An activation that is an object and has no name."""

    def __call__(self, z):
        return z * 0.5


@body()
def activations_of_ones_own(x, layers):
    x = layers.Activation(silu)(layers.BatchNormalization()(x))
    x = layers.Activation(Halved())(layers.BatchNormalization()(x))
    return layers.Dense(6, activation=silu)(layers.Flatten()(x))


class Own(keras.layers.Layer):
    """Adds a loss in its call, and holds a weight that nothing uses."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")
        self.unused = self.add_weight(shape=(3,), initializer="ones")

    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(x * self.scale)))
        return x * self.scale


@body(refused=r"layer 'own' is of a class that is not Keras' own \(Own\)")
def a_class_of_ones_own(x, layers):
    own = Own(name="own")
    return layers.Flatten()(own(own(x)))


@model(refused="is not a functional model of one input")
def a_sequential_model():
    layers = keras.layers
    parts = [layers.Conv2D(4, 5, strides=5), layers.Flatten(), layers.Dropout(0.2), layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *parts])


@model(refused="'scores', where model .* ends, is not a dense layer with a softmax")
def a_softmax_of_its_own():
    images = keras.Input((28, 28, 1))
    x = keras.layers.Dense(10)(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Softmax(name="scores")(x))


@model(refused="is not a dense layer with a softmax")
def probabilities_that_are_no_softmax():
    images = keras.Input((28, 28, 1))
    x = keras.layers.Dense(10, activation="sigmoid")(keras.layers.Flatten()(images))
    return keras.Model(images, x / keras.ops.sum(x, axis=1, keepdims=True))


def built(case):
    keras.utils.set_random_seed(3)
    return case.build()


def engine_of(case, seeds=None):
    pixels, labels = images_and_labels(case.steps * case.settings.batch_size)
    engine = KerasEngine if case.refused else Engine
    return engine(built(case), case.settings, seeds or seeds_of_repeat(0), {"train": (pixels, labels)})


def trained(engine, case):
    """Cross-entropy of each step."""
    rate, batch = case.settings.learning_rate, case.settings.batch_size
    order = np.arange(case.steps * batch, dtype=np.int32).reshape(case.steps, batch)
    return [engine.train_epoch(chosen, step, rate)[1] for step, chosen in enumerate(order)]


def trained_by_keras(engine, case):
    """Train a twin of the engine's model with train_on_batch; return cross-entropy of each step and the twin."""
    settings, twin = case.settings, built(case)
    for variable, other in zip(twin.variables, engine.model.variables, strict=True):
        variable.assign(other)
    if settings.optimizer == "adam":
        optimizer = keras.optimizers.Adam(settings.learning_rate)
    else:
        optimizer = keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum)
    loss = "sparse_categorical_crossentropy"
    twin.compile(optimizer=optimizer, loss=loss, metrics=[loss])
    images, labels = (array.numpy() for array in engine.sets["train"])
    batches = np.arange(len(labels)).reshape(case.steps, settings.batch_size)
    inputs = images[..., None].astype(np.float32) / 255
    logs = [twin.train_on_batch(inputs[b], labels[b].astype(np.int32), return_dict=True) for b in batches]
    return [float(entry[loss]) for entry in logs], twin


@pytest.mark.parametrize("name", CASES)
def test_losses_and_weights_are_those_of_keras(name):
    case = CASES[name]
    engine = engine_of(case)
    theirs, twin = trained_by_keras(engine, case)

    np.testing.assert_allclose(trained(engine, case), theirs, rtol=case.tolerance)
    for mine, other in zip(engine.model.variables, twin.variables, strict=True):
        bounds = {"rtol": 20 * case.tolerance, "atol": 5 * case.tolerance}
        np.testing.assert_allclose(mine.numpy(), other.numpy(), **bounds, err_msg=mine.path)


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_named(name):
    case = CASES[name]
    model = built(case)
    if case.refused is None:
        assert unsupported(model) is None
        return
    with pytest.raises(UserError, match=case.refused):
        Engine(model, case.settings, seeds_of_repeat(0), {"train": images_and_labels(8)})


def test_in_a_branch_too_neighbours_are_computed_as_one(monkeypatch):
    activations = []
    normalise = layers.batch_normalization
    monkeypatch.setattr(
        layers, "batch_normalization", lambda *args, **o: activations.append(o["activation"]) or normalise(*args, **o)
    )
    for name, expected in (("residual_small", {"relu": 10, "linear": 11}), ("wide_residual", {"relu": 7})):
        activations.clear()
        images = tf.zeros((2, 28, 28, 1))
        forward(built(CASES[name]), images, training=True, seed=tf.constant([0, 0]))
        assert Counter(activations) == expected, (
            "a block's last normalisation stands before the sum, not its activation"
        )


@pytest.mark.parametrize("name", ["noise_layers", "dropout_of_whole_channels", "attention", "a_sequential_model"])
def test_the_seed_for_dropout_decides_the_noise_of_every_layer(name):
    seeds = seeds_of_repeat(0)
    runs = [replace(seeds, dropout=dropout) for dropout in (seeds.dropout, seeds.dropout, 12345)]
    first, again, other = (trained(engine_of(CASES[name], seeds=run), CASES[name]) for run in runs)
    assert first == again
    assert first[0] != other[0]


def test_a_function_that_draws_without_a_generator_follows_the_seed_and_can_go_on():
    def build():
        images = keras.Input((28, 28, 1))
        x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(images))
        x = keras.layers.Lambda(lambda x: x + keras.random.normal((49,)))(x)
        return keras.Model(images, keras.layers.Dense(10, activation="softmax")(x))

    case, seeds = Case(build=build), seeds_of_repeat(0)
    first = trained(engine_of(case), case)
    engine = engine_of(case)
    batches = np.arange(24, dtype=np.int32).reshape(3, 8)
    assert engine.train_epoch(batches[0], 0, 0.05)[1] == first[0]
    state = [variable.numpy() for variable in engine.variables]
    resumed = engine_of(case)
    for variable, value in zip(resumed.variables, state, strict=True):
        variable.assign(value)
    assert resumed.train_epoch(batches[1], 1, 0.05)[1] == first[1]
    assert trained(engine_of(case, seeds=replace(seeds, dropout=1)), case)[0] != first[0]


def test_float8_which_no_optimizer_updates_is_refused():
    images = keras.Input((28, 28, 1))
    policy = keras.dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32")
    x = keras.layers.Dense(16, dtype=policy, name="eighth")(keras.layers.Flatten()(images))
    model = keras.Model(images, keras.layers.Dense(10, activation="softmax")(x))
    with pytest.raises(UserError, match=r"eighth/.* has a rule of its own"):
        Engine(model, SETTINGS, seeds_of_repeat(0), {"train": images_and_labels(8)})


def test_noise_layers_draw_apart():
    engine = engine_of(CASES["noise_layers"])
    states = [tuple(variable.numpy()) for variable in engine.model.variables if "seed_generator" in variable.path]
    assert len(set(states)) == len(states) == 4


@pytest.mark.parametrize("engine", [Engine, KerasEngine])
def test_l2_that_no_kernel_takes_is_refused(engine):
    model = built(CASES["constraints"])
    model.trainable = False
    with pytest.raises(UserError, match=r"l2: got 0\.1 for a model without a trained kernel"):
        engine(model, replace(SETTINGS, l2=0.1), seeds_of_repeat(0), {"train": images_and_labels(8)})


@pytest.mark.parametrize("name", ["own_v3", "a_class_of_ones_own"])
def test_a_batch_above_the_epoch_is_the_whole_epoch(name):
    case = CASES[name]
    losses, compiled = [], []
    for batch_size in (13, 100_000):
        settings = replace(case.settings, batch_size=batch_size)
        engine = engine_of(replace(case, settings=replace(settings, batch_size=13), steps=1))
        engine = type(engine)(engine.model, settings, engine.seeds, {"train": images_and_labels(13)})
        epoch = engine._epoch
        engine._epoch = lambda order, *rest, epoch=epoch: compiled.append(len(order)) or epoch(order, *rest)
        engine.compile()
        losses.append(engine.train_epoch(np.arange(13, dtype=np.int32), 0, 0.05))
    assert losses[0] == losses[1]
    assert compiled == [13, 13, 13, 13], "compiling takes no more images than an epoch has"
    assert tf.size(engine.sets["train"][1]) == 13


SOFT = replace(SETTINGS, mixup=1.0, label_smoothing=0.1)


@pytest.mark.parametrize("kind", [Engine, KerasEngine])
def test_mixup_and_label_smoothing_are_trained_on_as_by_keras(kind):
    case = Case(build=CASES["lenet5"].build, settings=SOFT, steps=4)
    pixels, labels = images_and_labels(32)
    engine = kind(built(case), SOFT, seeds_of_repeat(0), {"train": (pixels, labels)})
    twin = built(case)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    twin.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss=loss, metrics=["categorical_accuracy"])
    images, one_hot = pixels[..., None].astype(np.float32) / 255, np.eye(10, dtype=np.float32)[labels]
    for step in range(4):
        chosen = np.arange(8) + 8 * step
        share = float(random_share(1.0, [seeds_of_repeat(0).augmentation, step]))
        blended = [share * x[chosen] + (1 - share) * np.roll(x[chosen], -1, axis=0) for x in (images, one_hot)]
        theirs = twin.train_on_batch(*blended, return_dict=True)
        twin.reset_metrics()
        accuracy, cross_entropy = engine.train_epoch(chosen.astype(np.int32), step, 0.05)
        assert cross_entropy == pytest.approx(theirs["loss"], rel=1e-5)
        assert accuracy == theirs["categorical_accuracy"]
    for mine, other in zip(engine.model.variables, twin.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Engine, KerasEngine])
def test_a_schedule_is_trained_by_as_by_keras(kind):
    case = Case(build=CASES["constraints"].build, settings=replace(SETTINGS, schedule="cosine", epochs=2))
    pixels, labels = images_and_labels(44)  # six steps an epoch, the last one smaller
    engine = kind(built(case), case.settings, seeds_of_repeat(0), {"train": (pixels, labels)})
    twin = built(case)
    rate = keras.optimizers.schedules.CosineDecay(0.05, 12)
    twin.compile(keras.optimizers.SGD(rate, momentum=0.9), loss="sparse_categorical_crossentropy")
    images = pixels[..., None].astype(np.float32) / 255
    for epoch in range(2):
        engine.train_epoch(np.arange(44, dtype=np.int32), 6 * epoch, 0.05)
        twin.fit(images, labels.astype(np.int32), batch_size=8, shuffle=False, verbose=0)
    for mine, other in zip(engine.model.variables, twin.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


def test_where_they_are_off_random_changes_soft_targets_and_schedules_leave_nothing_in_the_graph():
    pixels, labels = images_and_labels(32)

    def operations(**changes):
        case = Case(build=CASES["brownlee"].build, settings=replace(SETTINGS, **changes))
        engine = Engine(built(case), case.settings, seeds_of_repeat(0), {"train": (pixels, labels)})
        functions = engine._epoch.get_concrete_function().graph.as_graph_def().library.function
        return {node.op for function in functions for node in function.node_def}

    added = {"StatelessRandomUniformV2", "SelectV2", "OneHot", "SoftmaxCrossEntropyWithLogits", "Roll", "Cos"}
    assert added & operations() == set()
    assert added <= operations(random_erasing=0.5, mixup=0.2, label_smoothing=0.1, schedule="cosine")
