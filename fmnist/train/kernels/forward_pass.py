"""The forward pass of a plain Keras model in faster ops: which layers are replaced, and which are taken together.

The mathematics and the variables are those of the Keras layers, in bfloat16 too: there a batch normalisation computes
in float32 between its rounded input and output, as Keras does. An operation that is not known here is called as Keras
calls it, whatever its arguments, and so is a layer of a known kind with a setting that the faster ops do not have.
`unsupported` names what cannot be computed layer by layer.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.models.functional import Functional, operation_fn

from fmnist.train.kernels import layers as fast
from fmnist.train.kernels import output_tiling
from fmnist.train.measurement import graphics_cards

Tensor = Any
Layer = Any

# an activation that never falls may be taken after the maximum instead of before: on a quarter of the elements
_RISING = tuple(
    keras.activations.get(name) for name in ("relu", "leaky_relu", "elu", "selu", "softplus", "tanh", "sigmoid")
)
_FAST_DTYPES = ("float32", "bfloat16")
# by the function and not by its name, which a function of one's own may bear too
_FUSED_ACTIVATIONS = tuple((keras.activations.get(name), name) for name in fast.ACTIVATIONS)
# kinds of layers, each of one tensor, that are taken together where one feeds the next and nothing else
_NEIGHBOURS = (keras.layers.InputLayer, keras.layers.Conv2D, keras.layers.MaxPooling2D, keras.layers.AveragePooling2D,
               keras.layers.BatchNormalization, keras.layers.Activation)  # fmt: skip


def unsupported(model: keras.Model) -> str | None:
    """Say which part of a model the engine cannot compute as Keras does; None if it can.

    Losses that a layer adds when it is called belong to the call of the whole model, and a class of one's own may do
    whatever it likes.
    """
    if not isinstance(model, Functional) or len(model.inputs) != 1:
        return f"model {model.name!r} is not a functional model of one input"
    last = model.outputs[0]._keras_history.operation
    is_softmax = _is_fast_dense(last) and last.activation is keras.activations.softmax
    if len(model.outputs) != 1 or not is_softmax or len(last._inbound_nodes) != 1:
        return f"{last.name!r}, where model {model.name!r} ends, is not a dense layer with a softmax, used once"
    for layer in model._flatten_layers():
        if layer.activity_regularizer is not None:
            return f"layer {layer.name!r} has an activity regularizer"
        if not type(layer).__module__.startswith("keras."):
            return f"layer {layer.name!r} is of a class that is not Keras' own ({type(layer).__qualname__})"
    return None


def forward(model: keras.Model, images: Tensor, *, training: bool, seed: Tensor) -> Tensor:
    """Return the class scores before the softmax, float32 (batch, classes), of float images in [0, 1].

    `seed` is an integer pair that decides the dropout masks: the same pair gives the same masks.
    """
    return model._run_through_graph(images, call_fn=_ForwardPass(model, training=training, seed=seed).call)


def _takes_one_tensor(arguments: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether an operation is called with a tensor and no more; `training` is the model's to say."""
    return len(arguments) == 1 and all(value is None or name == "training" for name, value in options.items())


def _neighbours_from(layer: Layer) -> list[Layer]:
    """List a layer, or another operation, and those after it that are taken together with it."""
    neighbours = [layer]
    while (following := _only_user(neighbours[-1])) is not None:
        neighbours.append(following)
    return neighbours


def _only_user(layer: Layer) -> Layer | None:
    """The layer that takes a layer's output and nothing else, None unless both are neighbours and used just once."""
    if type(layer) not in _NEIGHBOURS or not len(layer._inbound_nodes) == len(layer._outbound_nodes) == 1:
        return None
    (node,) = layer._outbound_nodes
    following = node.operation
    plain = type(following) in _NEIGHBOURS and _takes_one_tensor(node.arguments.args, node.arguments.kwargs)
    return following if plain and len(following._inbound_nodes) == 1 else None


def used_side(model: keras.Model) -> int:
    """Side of the square of the image, from its first pixel, that reaches the model's output.

    A pooling that drops an odd last row and column never looks at some of the pixels; without them each layer before it
    computes less and the result is the same.
    """
    layers = _neighbours_from(model.layers[0])
    windows: list[tuple[int, int]] = []
    while len(windows) + 1 < len(layers) and (window := _window(layers[len(windows) + 1])):
        windows.append(window)
    used = int(layers[len(windows)].output.shape[1])
    for size, stride in reversed(windows):
        used = (used - 1) * stride + size
    return min(int(layers[0].output.shape[1]), used)


def _window(layer: Layer) -> tuple[int, int] | None:
    """Size and stride of a layer that looks at its input through unpadded square windows, else None."""
    if type(layer) in (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D):
        sizes, strides = layer.pool_size, layer.strides
    elif type(layer) is keras.layers.Conv2D and layer.dilation_rate == (1, 1):
        sizes, strides = layer.kernel_size, layer.strides
    else:
        return None
    square = len(set(sizes)) == 1 and len(set(strides)) == 1 and layer.data_format == "channels_last"
    return (sizes[0], strides[0]) if square and layer.padding == "valid" else None


class _ForwardPass:
    """One pass through the model; knows its last layer, how many dropout layers it has met and what is done ahead."""

    def __init__(self, model: keras.Model, *, training: bool, seed: Tensor) -> None:
        self.training = training
        self.seed = seed
        self.dropouts_met = 0
        self.computed_ahead: set[int] = set()  # ids of layers that were taken together with one before them
        self.last = model.outputs[0]._keras_history.operation

    def call(self, operation: Any, *arguments: Any, **options: Any) -> Any:
        """Compute one operation of the model from all the arguments that the model calls it with."""
        if id(operation) in self.computed_ahead:
            return arguments[0]
        if _takes_one_tensor(arguments, options):
            neighbours = _neighbours_from(operation)
            self.computed_ahead.update(map(id, neighbours[1:]))
            return self.apply(neighbours, arguments[0])
        return operation_fn(operation, training=self.training)(*arguments, **options)

    def apply(self, layers: Sequence[Layer], x: Tensor) -> Tensor:
        """Apply a chain of layers to x."""
        left = deque(layers)
        x_is_masked = False  # x comes from a ReLU whose gradient the next layer takes care of
        while left:
            layer: Layer = left.popleft()
            following: Layer = left[0] if left else None
            if _is_fast_dense(layer):
                x = _dense(layer, x)
                x = x if layer is self.last else layer.activation(x)
            elif _is_fast_dropout(layer):
                x = self._dropout(layer, x)
            elif _is_fast_convolution(layer):
                if type(following) is keras.layers.MaxPooling2D and layer.activation in _RISING:
                    x = layer.activation(_pooled_convolution(layer, left.popleft(), x))
                else:
                    normalised = _is_fast_normalization(following) and following.trainable  # by the batch's own mean
                    x_is_masked = self.training and _is_relu(layer) and normalised
                    x = _convolution(layer, x, mask_gradient=not x_is_masked)
            elif _is_slow_depthwise_convolution(layer):
                x = _depthwise_convolution_in_float32(layer, x)
            elif _is_fast_normalization(layer):
                if activation := _activation_of(following):
                    left.popleft()
                x = self._batch_normalization(layer, x, activation or "linear", x_is_masked)
                x_is_masked = False
            else:
                x = operation_fn(layer, training=self.training)(x)
        return x

    def _dropout(self, layer: keras.layers.Dropout, x: Tensor) -> Tensor:
        if not self.training:
            return x
        seed = self.seed + tf.constant([self.dropouts_met, 0], self.seed.dtype)
        self.dropouts_met += 1
        return fast.dropout(x, layer.rate, seed)

    def _batch_normalization(self, layer: Layer, x: Tensor, activation: str, after_relu: bool) -> Tensor:
        x = tf.cast(x, layer.compute_dtype)
        channels = x.shape[-1]
        gamma = layer.gamma.value if layer.scale else tf.ones(channels)
        beta = layer.beta.value if layer.center else tf.zeros(channels)
        if not (self.training and layer.trainable):
            scale = gamma * tf.math.rsqrt(layer.moving_variance.value + layer.epsilon)
            y = tf.cast(x, tf.float32) * scale + (beta - layer.moving_mean.value * scale)
            return tf.cast(fast.ACTIVATIONS[activation][0](y), x.dtype)
        y, mean, variance = fast.batch_normalization(
            fast.rows(x), gamma, beta, layer.epsilon, activation=activation, after_relu=after_relu
        )
        for moving, batch in ((layer.moving_mean.value, mean), (layer.moving_variance.value, variance)):
            moving.assign_sub((moving - batch) * (1.0 - layer.momentum))
        y = tf.reshape(y, tf.shape(x))
        y.set_shape(x.shape)
        return y


def _convolution(layer: Layer, x: Tensor, *, mask_gradient: bool) -> Tensor:
    x, kernel = _in_dtype(layer, x, layer.kernel)
    y = fast.convolution(x, kernel, layer.strides[0], layer.padding.upper())
    if layer.bias is None:
        return layer.activation(y)
    relu = _is_relu(layer)  # taken together with the bias
    y = fast.add_bias(y, *_in_dtype(layer, layer.bias), relu=relu, mask_gradient=mask_gradient)
    return y if relu else layer.activation(y)


def _pooled_convolution(layer: Layer, pooling: Layer, x: Tensor) -> Tensor:
    """Convolve, take maxima and add the bias; without the activation."""
    x, kernel = _in_dtype(layer, x, layer.kernel)
    (bias,) = _in_dtype(layer, tf.zeros(layer.filters) if layer.bias is None else layer.bias)
    strides, padding = layer.strides[0], layer.padding.upper()
    tiled = _window(pooling) == (2, 2) and output_tiling.suits(x, kernel, strides, channels=layer.filters)
    if tiled and x.shape[0] is not None:  # compiling for each shape is not worth it where the batch is unknown
        return output_tiling.pooled_convolution(x, kernel, bias, padding)
    return pooling(fast.convolution(x, kernel, strides, padding)) + bias


def _depthwise_convolution_in_float32(layer: Layer, x: Tensor) -> Tensor:
    step = layer.strides[0]
    y = tf.nn.depthwise_conv2d(
        tf.cast(x, tf.float32), layer.kernel.value, strides=[1, step, step, 1], padding=layer.padding.upper()
    )
    y = y if layer.bias is None else y + layer.bias.value
    return tf.cast(layer.activation(y), layer.compute_dtype)


def _dense(layer: Layer, x: Tensor) -> Tensor:
    """Multiply and add the bias; without the activation."""
    y = fast.product(*_in_dtype(layer, x, layer.kernel))
    return y if layer.bias is None else tf.nn.bias_add(y, *_in_dtype(layer, layer.bias))


def _in_dtype(layer: Layer, *values: Any) -> list[Tensor]:
    """Inputs and weights of a layer in the dtype that it computes in."""
    plain = (value.value if isinstance(value, keras.Variable) else value for value in values)
    return [tf.cast(value, layer.compute_dtype) for value in plain]


def _is_relu(layer: Layer) -> bool:
    return layer.activation is keras.activations.relu


def _is_fast_convolution(layer: Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.compute_dtype in _FAST_DTYPES
        and layer.data_format == "channels_last"
        and (layer.groups, layer.dilation_rate) == (1, (1, 1))
        and len(set(layer.strides)) == 1
        and layer.trainable
        and _has_plain_kernel(layer)
    )


def _is_fast_dropout(layer: Layer) -> bool:
    """Whether the engine draws the mask, from the run's seeds; one of another shape or of the layer's own is Keras'."""
    plain = type(layer) is keras.layers.Dropout and layer.seed is None and layer.noise_shape is None
    return plain and 0 < layer.rate < 1


def _has_plain_kernel(layer: Layer) -> bool:
    """Whether the kernel is a variable, not a sum as LoRA makes it, and is multiplied in the layer's own dtype."""
    return isinstance(layer.kernel, keras.Variable) and getattr(layer, "quantization_mode", None) is None


def _is_slow_depthwise_convolution(layer: Layer) -> bool:
    """Whether the gradient of the input is what a CPU would spend half of a step on: bfloat16 and steps over 1."""
    return (
        type(layer) is keras.layers.DepthwiseConv2D
        and not graphics_cards()
        and layer.compute_dtype == "bfloat16"
        and layer.data_format == "channels_last"
        and layer.dilation_rate == (1, 1)
        and layer.strides[0] == layer.strides[1] > 1
    )


def _is_fast_normalization(layer: Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.compute_dtype in _FAST_DTYPES
        and layer.axis in (-1, len(layer.output.shape) - 1)
        and not layer.renorm
    )


def _activation_of(layer: Layer) -> str | None:
    """Name of the activation that a layer consists of, if a batch normalisation can take it in."""
    if type(layer) is not keras.layers.Activation:
        return None
    return next((name for function, name in _FUSED_ACTIVATIONS if layer.activation is function), None)


def _is_fast_dense(layer: Layer) -> bool:
    return (
        type(layer) is keras.layers.Dense
        and layer.compute_dtype in _FAST_DTYPES
        and len(layer.input.shape) == 2
        and _has_plain_kernel(layer)
    )
