"""Each architecture to the layer: kinds in order, exact parameter counts, output shape, identity of its structure."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fmnist import UserError
from fmnist.declare.architectures import (
    ARCHITECTURES,
    architecture,
    build_model,
    find_architecture,
)
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.study import configure

# efficientnet_small by hand; a batch normalisation of c channels holds 4c weights, two of them trained:
#   first convolution          3*3*1*32 = 288, BN 128                                     =     416
#   block 32 -> 64             depthwise 3*3*32 = 288, BN 128, pointwise 2048, BN 256      =   2,720
#   block 64 -> 128            576 + 256 + 8,192 + 512                                     =   9,536
#   block 128 -> 256           1,152 + 512 + 32,768 + 1,024                                =  35,456
#   block 256 -> 256           2,304 + 1,024 + 65,536 + 1,024                              =  69,888
#   block 256 -> 512           2,304 + 1,024 + 131,072 + 2,048                             = 136,448
#   dense 128                  512*128 + 128                                               =  65,664
#   output                     128*10 + 10                                                 =   1,290
#   sum                                                                                    = 321,418
PARAMETER_COUNTS = {
    "lenet5": 61_706,
    "brownlee": 542_230,
    "own_v1": 225_034,
    "own_v2": 225_034,
    "own_v3": 225_930,
    "efficientnet_small": 321_418,
    "residual_small": 273_754,
    "wide_residual": 304_346,
}
# of the convolutions and dense layers, an image
MULTIPLY_ADDS = {"residual_small": 8_608_640, "wide_residual": 9_403_904}

_OWN = ["Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dropout", "Dense", "Dense"]
_BLOCK = ["DepthwiseConv2D", "BatchNormalization", "Activation", "Conv2D", "BatchNormalization", "Activation"]
_NORMALISED = ["Conv2D", "BatchNormalization", "Activation"]
_RESIDUAL = [*_NORMALISED, "Conv2D", "BatchNormalization", "Add", "Activation"]
_WIDENING = [*_NORMALISED, *["Conv2D"] * 2, *["BatchNormalization"] * 2, "Add", "Activation"]
_WIDE = ["BatchNormalization", "Activation", *_NORMALISED, "Dropout", "Conv2D", "Conv2D", "Add"]
LAYER_KINDS = {
    "lenet5": ["Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense", "Dense"],
    "brownlee": ["Conv2D", "AveragePooling2D", "Flatten", "Dense", "Dense"],
    "own_v1": _OWN,
    "own_v2": _OWN,
    "own_v3": [
        *["Conv2D", "BatchNormalization", "MaxPooling2D", "Conv2D", "BatchNormalization", "MaxPooling2D"],
        *["Flatten", "Dropout", "Dense", "BatchNormalization", "Dense"],
    ],
    "efficientnet_small": [
        *["Conv2D", "BatchNormalization", "Activation"],
        *_BLOCK * 5,
        *["GlobalAveragePooling2D", "Dense", "Dense"],
    ],
    "residual_small": [
        *["Conv2D", "MaxPooling2D", "BatchNormalization", "Activation"],
        *[*_RESIDUAL * 3, *_WIDENING, *_RESIDUAL * 2, *_WIDENING, *_RESIDUAL * 2],
        *["GlobalAveragePooling2D", "Dense"],
    ],
    "wide_residual": [
        *["Conv2D", "MaxPooling2D", *_WIDE * 3],
        *["BatchNormalization", "Activation", "GlobalAveragePooling2D", "Dense"],
    ],
}


def test_every_architecture_is_held_by_this_file():
    assert set(ARCHITECTURES) == set(PARAMETER_COUNTS) == set(LAYER_KINDS)


@pytest.mark.parametrize("name", PARAMETER_COUNTS)
def test_layers_parameters_and_output(name):
    model = build_model(name)
    assert model.count_params() == PARAMETER_COUNTS[name]
    assert [type(layer).__name__ for layer in model.layers[1:]] == LAYER_KINDS[name]
    assert model.input_shape == (None, 28, 28, 1)
    probabilities = np.asarray(model(np.zeros((3, 28, 28, 1), "float32")))
    assert probabilities.shape == (3, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def activations(model):
    return [layer.get_config()["activation"] for layer in model.layers if "activation" in layer.get_config()]


def test_activations_and_pooling_are_the_reports():
    assert activations(build_model("lenet5")) == ["tanh", "tanh", "tanh", "tanh", "softmax"]
    assert activations(build_model("brownlee")) == ["relu", "relu", "softmax"]
    assert activations(build_model("own_v3")) == ["relu", "relu", "relu", "softmax"]
    assert activations(build_model("efficientnet_small")) == [*["linear", "silu"] * 11, "silu", "softmax"]


def initializers(model):
    return [
        layer.kernel_initializer.__class__.__name__
        for layer in model.layers
        if type(layer).__name__ in ("Conv2D", "Dense")
    ]


def test_initialisers_are_the_reports():
    assert initializers(build_model("brownlee")) == ["HeUniform", "HeUniform", "GlorotUniform"]
    assert initializers(build_model("own_v1")) == ["HeUniform", "GlorotUniform", "GlorotUniform", "GlorotUniform"]
    assert initializers(build_model("own_v3")) == ["HeUniform", "HeUniform", "HeUniform", "GlorotUniform"]


def test_strides_of_efficientnet_small():
    strides = [layer.strides[0] for layer in build_model("efficientnet_small").layers if hasattr(layer, "strides")]
    assert strides == [2, 1, 1, 2, 1, 2, 1, 1, 1, 1, 1]


def test_default_settings_are_the_reports():
    defaults = {name: found.defaults for name, found in ARCHITECTURES.items()}
    brownlee = defaults["brownlee"]
    assert (brownlee.optimizer, brownlee.learning_rate, brownlee.momentum) == ("sgd", 0.01, 0.9)
    assert (brownlee.batch_size, brownlee.epochs) == (32, 10)
    assert [defaults[name].dropout_rate for name in ("own_v1", "own_v2", "own_v3")] == [0.5, 0.25, 0.4]
    assert defaults["own_v2"].learning_rate == pytest.approx(defaults["own_v1"].learning_rate / 10)
    small = defaults["efficientnet_small"]
    assert (small.optimizer, small.learning_rate, small.epochs, small.plateau_factor) == ("adam", 1e-3, 30, 0.5)
    assert small.augments
    assert small.early_stopping_patience is not None
    assert small.plateau_patience is not None


def test_default_settings_of_the_residual_nets_are_the_papers():
    for name, weight_decay in (("residual_small", 1e-4), ("wide_residual", 5e-4)):
        found = ARCHITECTURES[name].defaults
        assert (found.optimizer, found.learning_rate, found.momentum, found.batch_size) == ("sgd", 0.1, 0.9, 128)
        assert 2 * found.l2 == weight_decay, "l2 weighs the square, weight decay its gradient"
        assert (found.horizontal_flip, found.dropout_rate, found.schedule) == (True, 0, "one_cycle")


def multiply_adds(model):
    """Of an image: each number of a kernel is used once for every pixel of the output."""
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    return sum(math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in kernels)


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_residual_nets_have_the_size_that_they_say(name):
    model = build_model(name)
    assert multiply_adds(model) == MULTIPLY_ADDS[name]
    said = " ".join(ARCHITECTURES[name].body.__doc__.split())
    assert f"{PARAMETER_COUNTS[name]:,} parameters" in said
    assert f"{MULTIPLY_ADDS[name] / 1e6:.1f} million multiply-adds" in said
    assert set(initializers(model)[:-1]) == {"HeNormal"}


def test_shortcuts_are_the_block_s_own_input_but_where_it_widens():
    def shortcuts(model):
        sums = [layer for layer in model.layers if type(layer).__name__ == "Add"]
        return [one._inbound_nodes[0].input_tensors[0]._keras_history.operation for one in sums]

    kinds = [type(layer).__name__ for layer in shortcuts(build_model("residual_small"))]
    own, widened = "Activation", "BatchNormalization"
    assert kinds == [own, own, own, widened, own, own, widened, own, own]
    convolutions = shortcuts(build_model("wide_residual"))
    assert [(layer.kernel_size, layer.strides[0], layer.filters) for layer in convolutions] == [
        ((1, 1), strides, filters) for strides, filters in ((1, 32), (2, 64), (2, 128))
    ]


@pytest.mark.parametrize(("name", "layers"), [("own_v1", 1), ("wide_residual", 3)])
def test_dropout_rate_reaches_the_layers(name, layers):
    model = build_model(name, replace(ARCHITECTURES[name].defaults, dropout_rate=0.125))
    assert [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"] == [0.125] * layers


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_activation_reaches_every_hidden_layer_and_the_own_one_is_the_default(name):
    found = find_architecture(name)
    plain = activations(build_model(name))
    own = {"swish": "silu"}.get(found.hyperparameters["activation"], found.hyperparameters["activation"])
    changed = activations(build_model(name, replace(found.defaults, activation="elu")))
    assert changed == [{own: "elu"}.get(word, word) for word in plain]
    assert set(plain) - {"linear", "softmax"} == {own}
    assert configure(name, activation=found.hyperparameters["activation"]) == configure(name)


def test_reads_says_what_the_layers_depend_on():
    reading = [name for name in ARCHITECTURES if find_architecture(name).reads("dropout_rate")]
    assert reading == ["own_v1", "own_v2", "own_v3", "wide_residual"]
    for name, found in ARCHITECTURES.items():
        assert found.reads("activation")
        assert found.reads("learning_rate"), "training reads it, whatever the layers"
        expected = {"activation": found.hyperparameters["activation"]}
        rate = {"dropout_rate": found.defaults.dropout_rate} if name in reading else {}
        assert found.read_from(found.defaults) == expected | rate


def unknown_parameter(images, _layers, hyperparameters):
    return images * hyperparameters.dropout_rate


def no_own_activation(images, layers, activation):
    return layers.Dense(8, activation=activation)(images)


def no_activation_of_a_layer(images, layers, activation="default"):
    return layers.Dense(8, activation=activation)(images)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (unknown_parameter, "'unknown_parameter': parameter 3: got 'hyperparameters', expected one of optimizer"),
        (no_own_activation, "'no_own_activation': default of activation: got None, expected one of relu"),
        (no_activation_of_a_layer, "default of activation: got 'default', expected one of relu"),
    ],
)
def test_parameters_that_are_no_hyperparameters_are_refused(body, message):
    with pytest.raises(UserError, match=message):
        architecture(Hyperparameters())(body)
    assert body.__name__ not in ARCHITECTURES


def test_second_architecture_of_the_same_name_is_refused():
    def lenet5(images, _layers):
        return images

    with pytest.raises(ValueError, match="'lenet5' is defined twice"):
        architecture(Hyperparameters())(lenet5)


def test_unknown_architecture_lists_the_known_ones():
    with pytest.raises(ValueError, match="got 'alexnet', expected one of lenet5, brownlee"):
        find_architecture("alexnet")
