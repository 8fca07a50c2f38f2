"""Layers of Keras in faster TensorFlow ops: the same mathematics, other kernels. Each says what it gains by.

A CPU runs the convolutions and matrix products in oneDNN. What is left are passes over memory, and TensorFlow makes one
for each op; XLA compiles a formula into one pass. Where a formula's gradient is written out here, that is why.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import tensorflow as tf

from fmnist.train.kernels import output_tiling, winograd
from fmnist.train.measurement import graphics_cards

Tensor = Any
Gradients = Callable[..., tuple[Tensor, ...]]

_LARGE_KERNEL = 200_000  # numbers; more than the cache of a core holds beside the other operands


def convolution(x: Tensor, kernel: Tensor, strides: int, padding: str) -> Tensor:
    """Convolve (batch, height, width, inputs) with (rows, columns, inputs, outputs); `padding` is SAME or VALID."""
    if winograd.suits(x, kernel, strides, padding):
        return winograd.convolution(x, kernel)
    pointwise = kernel.shape[:2] == (1, 1) and strides == 1
    tiled = output_tiling.suits(x, kernel, strides, channels=kernel.shape[2])
    options = {"strides": [1, strides, strides, 1], "padding": padding}

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolve(x: Tensor, kernel: Tensor) -> tuple[Tensor, Gradients]:
        def gradients(dy: Tensor) -> tuple[Tensor, ...]:
            if tiled:
                dx = output_tiling.input_gradient(dy, kernel, x.shape[1:3], padding)
            else:
                dx = tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(x), filter=kernel, out_backprop=dy, **options)
            if pointwise:  # a matrix product, and as one a sixth faster
                dk = tf.matmul(rows(x), rows(dy), transpose_a=True)[None, None]
            else:
                dk = tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=kernel.shape, out_backprop=dy, **options)
            return dx, dk

        return tf.nn.conv2d(x, kernel, **options), gradients

    return convolve(x, kernel)


def add_bias(y: Tensor, bias: Tensor, *, relu: bool, mask_gradient: bool) -> Tensor:
    """Add the bias, cut off below 0 if `relu`; TensorFlow's gradient of a convolution with bias takes twice as long.

    `mask_gradient=False` leaves the gradient of the cut to the layer after this one.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def biased(y: Tensor, bias: Tensor) -> tuple[Tensor, Gradients]:
        z = tf.nn.bias_add(y, bias)
        z = tf.nn.relu(z) if relu else z

        def gradients(dz: Tensor) -> tuple[Tensor, ...]:
            dy = tf.raw_ops.ReluGrad(gradients=dz, features=z) if relu and mask_gradient else dz
            return dy, column_sums(rows(dy))

        return z, gradients

    return biased(y, bias)


def product(x: Tensor, kernel: Tensor) -> Tensor:
    """Multiply (rows, inputs) by (inputs, outputs)."""
    few_rows = x.dtype == tf.float32 and x.shape[0] is not None and 16 <= x.shape[0] <= 64
    turned = few_rows and math.prod(kernel.shape) >= _LARGE_KERNEL and not graphics_cards()

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def multiply(x: Tensor, kernel: Tensor) -> tuple[Tensor, Gradients]:
        def gradients(dy: Tensor) -> tuple[Tensor, ...]:
            if turned:  # oneDNN takes two thirds of the time
                dx = tf.transpose(tf.matmul(kernel, dy, transpose_b=True))
            else:
                dx = tf.matmul(dy, kernel, transpose_b=True)
            return dx, tf.matmul(x, dy, transpose_a=True)

        return tf.matmul(x, kernel), gradients

    return multiply(x, kernel)


def rows(x: Tensor) -> Tensor:
    """Bring x to (rows, channels), the number of rows static where that of x is."""
    *others, channels = x.shape
    return tf.reshape(x, [-1 if None in others else math.prod(others), channels])


def column_sums(x: Tensor) -> Tensor:
    """Sum (rows, columns) over the rows: as a matrix product it takes half the time of a reduction."""
    return tf.matmul(tf.ones([1, tf.shape(x)[0]], x.dtype), x)[0]


def _swish_slope(z: Tensor) -> Tensor:
    s = tf.sigmoid(z)
    return s * (1.0 + z * (1.0 - s))


# each with its derivative
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "linear": (lambda z: z, tf.ones_like),
    "relu": (tf.nn.relu, lambda z: tf.cast(z > 0.0, z.dtype)),
    "silu": (lambda z: z * tf.sigmoid(z), _swish_slope),
}


def batch_normalization(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, *, activation: str, after_relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise (rows, channels), float32 or bfloat16, by their own mean and variance, then apply the activation.

    Returns the result, of the dtype of x, and the batch's mean and biased variance, float32, which carry no gradient.
    What lies between is float32. The activation is part of the same pass over memory, forward and backward. With
    `after_relu`, x is known to come from a ReLU, and the gradient is already that of the ReLU's input. Formulas: Ioffe
    and Szegedy 2015, section 3.
    """
    # compiling takes a while for each shape: a batch of unknown size, one in an epoch, is not worth it
    passes = _Passes(activation, after_relu, x.dtype, x.shape[0] is not None)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def normalise(rounded: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Any, Gradients]:
        x = tf.cast(rounded, tf.float32)
        count = tf.cast(tf.shape(x)[0], x.dtype)
        mean = column_sums(x) / count
        variance = column_sums(passes.squares(x, mean)) / count
        inverse = tf.math.rsqrt(variance + epsilon)
        y = passes.forward(x, mean, inverse * gamma, beta)

        def gradients(dy: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
            dz = tf.cast(dy, x.dtype) if activation == "linear" else passes.slope(dy, x, mean, inverse * gamma, beta)
            dbeta = column_sums(dz)
            dgamma = column_sums(passes.products(dz, x, mean)) * inverse
            dx = passes.backward(dz, x, mean, inverse * gamma, dbeta / count, dgamma * inverse / count)
            return dx, dgamma, dbeta

        return (y, mean, variance), gradients

    y, mean, variance = normalise(x, gamma, beta)
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)


@cache
class _Passes:
    """The passes over memory of a batch normalisation, one loop each; arguments (rows, channels) and (channels,).

    All compute in float32; `dtype` is that of the layer's output and of its gradients. Made once a process: layers of
    one shape share their compiled loops.
    """

    def __init__(self, activation: str, after_relu: bool, dtype: tf.DType, compiled: bool) -> None:
        def one_pass(formula: Callable[..., Tensor]) -> Any:
            return tf.function(formula, jit_compile=True, autograph=False) if compiled else formula

        function, slope = ACTIVATIONS[activation]

        def backward(dz: Tensor, x: Tensor, mean: Tensor, scale: Tensor, shift: Tensor, tilt: Tensor) -> Tensor:
            dx = (dz - shift - (x - mean) * tilt) * scale
            return tf.cast(tf.where(x > 0.0, dx, 0.0) if after_relu else dx, dtype)

        self.squares = one_pass(lambda x, mean: tf.square(x - mean))
        self.forward = one_pass(lambda x, mean, scale, beta: tf.cast(function((x - mean) * scale + beta), dtype))
        self.slope = one_pass(lambda dy, x, mean, scale, beta: tf.cast(dy, x.dtype) * slope((x - mean) * scale + beta))
        self.products = one_pass(lambda dz, x, mean: dz * (x - mean))
        self.backward = one_pass(backward)


def dropout(x: Tensor, rate: float, seed: Tensor) -> Tensor:
    """Set a share `rate` of x to 0 and divide the rest by 1 - rate; the integer pair `seed` decides which.

    Each 32-bit random number serves two elements, which halves the cost; the rate is met to 1/65536.
    """
    count = tf.size(x)
    words = tf.random.stateless_uniform([(count + 1) // 2], seed, None, None, tf.int32, alg="philox")
    halves = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count]
    threshold = round(rate * 65536)
    kept = tf.cast(tf.reshape(halves, tf.shape(x)), tf.int32) >= threshold
    return x * (tf.cast(kept, x.dtype) * tf.cast(1.0 / (1.0 - rate), x.dtype))
