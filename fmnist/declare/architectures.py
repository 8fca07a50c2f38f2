"""The architectures that can be compared: one decorated function each, from a tensor of images to one of class scores.

To add one, write a function and decorate it with the settings it is trained with by default; its name is the name that
studies use. Behind images and layers its parameters are the hyperparameters that it reads, none of the others; the
default of `activation` is its own. Importing this module does not import Keras (a study can be listed without it);
`build_model` does.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fmnist import UserError
from fmnist.data import CLASS_NAMES, DATASET
from fmnist.declare.checks import member
from fmnist.declare.hyperparameters import ACTIVATIONS, Hyperparameters

if TYPE_CHECKING:
    import keras

OUTPUT_NAME = "probabilities"  # of the output layer

Layers = Any  # the module keras.layers
Tensor = Any
Body = Callable[..., Tensor]  # of images, layers and the hyperparameters that it reads

OF_A_MODEL = ("dropout_rate", "activation")  # hyperparameters that only the layers of a model can read


@dataclass(frozen=True)
class Architecture:
    """A named architecture: its layers and the settings it is trained with unless a study says otherwise."""

    name: str
    body: Body
    defaults: Hyperparameters

    @cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """What its layers depend on; of `activation` its own, which "default" stands for."""
        parameters = list(inspect.signature(self.body).parameters.values())[2:]
        return {item.name: None if item.default is item.empty else item.default for item in parameters}

    def reads(self, hyperparameter: str) -> bool:
        """Whether a hyperparameter can have an effect in it: those of the training do in all."""
        return hyperparameter not in OF_A_MODEL or hyperparameter in self.hyperparameters

    def read_from(self, settings: Hyperparameters) -> dict[str, Any]:
        """Values that its layers depend on: equal ones build equal models."""
        values = {name: getattr(settings, name) for name in self.hyperparameters}
        return {name: self.hyperparameters[name] if value == "default" else value for name, value in values.items()}


ARCHITECTURES: dict[str, Architecture] = {}


def architecture(defaults: Hyperparameters) -> Callable[[Body], Body]:
    """Register the decorated function under its name.

    UserError for a second one of the same name, and for a parameter that is no hyperparameter.
    """

    def register(body: Body) -> Body:
        name = body.__name__
        if name in ARCHITECTURES:
            raise UserError(f"architecture {name!r} is defined twice: give the second one another name")
        found, known = Architecture(name, body, defaults), Hyperparameters.__dataclass_fields__
        for place, (parameter, default) in enumerate(found.hyperparameters.items(), 3):
            member(f"architecture {name!r}: parameter {place}", parameter, known)
            if parameter == "activation":
                member(f"architecture {name!r}: default of activation", default, ACTIVATIONS[1:])
        ARCHITECTURES[name] = found
        return body

    return register


def find_architecture(name: str) -> Architecture:
    """Return the architecture of that name; UserError lists the known ones."""
    return ARCHITECTURES[member("architecture", name, ARCHITECTURES)]


def build_model(name: str, hyperparameters: Hyperparameters | None = None) -> "keras.Model":
    """Build the plain Keras model: input float (batch, side, side, channels) in [0, 1], output (batch, classes).

    The weights are drawn from Keras' global seed: call `keras.utils.set_random_seed` first. A user's own settings of
    Keras (~/.keras/keras.json, KERAS_MAX_EPOCHS and the like) are put back to Keras' defaults: no row would tell them.
    """
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)
    found = find_architecture(name)
    settings = hyperparameters or found.defaults
    images = keras.Input(DATASET.image_shape, name="images")
    features = found.body(images, keras.layers, **found.read_from(settings))
    # probabilities stay float32 under mixed precision, where the softmax of a half-precision sum would lose digits
    output = keras.layers.Dense(len(CLASS_NAMES), activation="softmax", dtype="float32", name=OUTPUT_NAME)
    return keras.Model(images, output(features), name=name)


def structure_of(name: str, hyperparameters: Hyperparameters) -> str:
    """Hash the model, built in its precision, so that a layer whose precision is set by hand shows. Loads TensorFlow.

    UserError as `structure.structure_fingerprint`.
    """
    import keras

    from fmnist.declare.structure import structure_fingerprint

    precision = hyperparameters.precision
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "auto" else precision)
    keras.utils.set_random_seed(0)  # a few layers draw a seed of their own and tell it
    return structure_fingerprint(build_model(name, hyperparameters))


@architecture(Hyperparameters(batch_size=32, epochs=20, early_stopping_patience=5, restore_best_weights=True))
def lenet5(images: Tensor, layers: Layers, activation: str = "tanh") -> Tensor:
    """LeNet-5 (LeCun et al. 1998) with tanh; `same` padding in the first convolution keeps its 400 features."""
    x = layers.Conv2D(6, 5, padding="same", activation=activation)(images)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(16, 5, activation=activation)(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(120, activation=activation)(x)
    return layers.Dense(84, activation=activation)(x)


@architecture(Hyperparameters(optimizer="sgd", learning_rate=0.01, momentum=0.9, batch_size=32, epochs=10))
def brownlee(images: Tensor, layers: Layers, activation: str = "relu") -> Tensor:
    """The tutorial CNN of Brownlee (2019): one convolution, here with average pooling as the report has it."""
    x = layers.Conv2D(32, 3, activation=activation, kernel_initializer="he_uniform")(images)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    return layers.Dense(100, activation=activation, kernel_initializer="he_uniform")(x)


def _own_cnn(images: Tensor, layers: Layers, dropout_rate: float, activation: str) -> Tensor:
    x = layers.Conv2D(32, 3, activation=activation, kernel_initializer="he_uniform")(images)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(64, 3, activation=activation)(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(dropout_rate)(x)
    return layers.Dense(128, activation=activation)(x)


_OWN_CNN = Hyperparameters(batch_size=128, epochs=20, early_stopping_patience=5, restore_best_weights=True)


@architecture(replace(_OWN_CNN, dropout_rate=0.5))
def own_v1(images: Tensor, layers: Layers, dropout_rate: float, activation: str = "relu") -> Tensor:
    """The report's own CNN: two convolutions with max pooling, dropout 0.5 before the hidden layer."""
    return _own_cnn(images, layers, dropout_rate, activation)


@architecture(replace(_OWN_CNN, dropout_rate=0.25, learning_rate=1e-4))
def own_v2(images: Tensor, layers: Layers, dropout_rate: float, activation: str = "relu") -> Tensor:
    """own_v1 with half the dropout rate and a tenth of the learning rate."""
    return _own_cnn(images, layers, dropout_rate, activation)


@architecture(replace(_OWN_CNN, dropout_rate=0.4, plateau_patience=2))
def own_v3(images: Tensor, layers: Layers, dropout_rate: float, activation: str = "relu") -> Tensor:
    """own_v1 with batch normalisation after each hidden layer, he_uniform throughout, dropout 0.4."""
    x = layers.Conv2D(32, 3, activation=activation, kernel_initializer="he_uniform")(images)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(64, 3, activation=activation, kernel_initializer="he_uniform")(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(dropout_rate)(x)
    x = layers.Dense(128, activation=activation, kernel_initializer="he_uniform")(x)
    return layers.BatchNormalization()(x)


def _normalised(x: Tensor, layers: Layers, activation: str) -> Tensor:
    return layers.Activation(activation)(layers.BatchNormalization()(x))


def _separable_block(x: Tensor, layers: Layers, filters: int, strides: int, activation: str) -> Tensor:
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
    x = _normalised(x, layers, activation)
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    return _normalised(x, layers, activation)


@architecture(
    Hyperparameters(
        batch_size=32,
        epochs=30,
        rotation=10.0,
        translation=0.1,
        zoom=0.1,
        early_stopping_patience=8,
        restore_best_weights=True,
        plateau_patience=3,
        plateau_factor=0.5,
    )
)
def efficientnet_small(images: Tensor, layers: Layers, activation: str = "swish") -> Tensor:
    """The report's EfficientNet-style net: separable convolutions with batch normalisation and swish."""
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(images)
    x = _normalised(x, layers, activation)
    for filters, strides in ((64, 1), (128, 2), (256, 2), (256, 1), (512, 1)):
        x = _separable_block(x, layers, filters, strides, activation)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(128, activation=activation)(x)


def _he_convolution(x: Tensor, layers: Layers, filters: int, *, size: int = 3, strides: int = 1) -> Tensor:
    """Convolve without a bias, which a batch normalisation would take away; weights drawn as by He et al. (2015)."""
    convolution = layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )
    return convolution(x)


def _residual_block(x: Tensor, layers: Layers, filters: int, strides: int, activation: str) -> Tensor:
    y = _normalised(_he_convolution(x, layers, filters, strides=strides), layers, activation)
    y = layers.BatchNormalization()(_he_convolution(y, layers, filters))
    if strides > 1:
        x = layers.BatchNormalization()(_he_convolution(x, layers, filters, size=1, strides=strides))
    return layers.Activation(activation)(layers.Add()([x, y]))


# optimizer, rate, batch and mirroring are the papers', and so is l2, half of their weight decay; one cycle takes 10
# epochs instead of their 200
_RESIDUAL = Hyperparameters(
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    batch_size=128,
    epochs=10,
    schedule="one_cycle",
    horizontal_flip=True,
)


@architecture(replace(_RESIDUAL, l2=5e-5))
def residual_small(images: Tensor, layers: Layers, activation: str = "relu") -> Tensor:
    """ResNet-20, thin and deep (He et al. 2016, arXiv 1512.03385, section 4.2): 273,754 parameters.

    A max pooling after the first convolution leaves 8.6 million multiply-adds an image of 31 million. Shortcuts that
    widen are 1 x 1 convolutions (the paper's option B).
    """
    x = _normalised(layers.MaxPooling2D(2)(_he_convolution(images, layers, 16)), layers, activation)
    for filters, first_strides in ((16, 1), (32, 2), (64, 2)):
        for strides in (first_strides, 1, 1):
            x = _residual_block(x, layers, filters, strides, activation)
    return layers.GlobalAveragePooling2D()(x)


@architecture(replace(_RESIDUAL, l2=2.5e-4))
def wide_residual(images: Tensor, layers: Layers, dropout_rate: float, activation: str = "relu") -> Tensor:
    """WRN-10-2, wide and shallow (Zagoruyko and Komodakis 2016, arXiv 1605.07146): 304,346 parameters.

    A max pooling after the first convolution leaves 9.4 million multiply-adds an image, about as many as residual_small
    has. Dropout stands between the two convolutions of a block; the paper has rates of 0, 0.3 and 0.4.
    """
    x = layers.MaxPooling2D(2)(_he_convolution(images, layers, 16))
    for filters, strides in ((32, 1), (64, 2), (128, 2)):
        x = _normalised(x, layers, activation)
        y = _normalised(_he_convolution(x, layers, filters, strides=strides), layers, activation)
        y = layers.Dropout(dropout_rate)(y)
        shortcut = _he_convolution(x, layers, filters, size=1, strides=strides)
        x = layers.Add()([shortcut, _he_convolution(y, layers, filters)])
    return layers.GlobalAveragePooling2D()(_normalised(x, layers, activation))
