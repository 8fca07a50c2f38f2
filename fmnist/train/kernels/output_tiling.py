"""Convolutions that give few channels, computed for output tiles of 2 x 2 pixels.

A register of a CPU holds 8 or 16 channels of one pixel, and six leave most of it empty. Four copies of the kernel, each
shifted to a pixel of the tile, are one convolution of stride 2 that gives the tile's pixels as 4 x 6 channels. For a
kernel of 5 x 5 these are 36 multiplications instead of 25, in full registers. A pooling's maximum over such a tile is
one over channels then: a single pass over memory, forward and backward.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from fmnist.train.measurement import graphics_cards

Tensor = Any
Gradients = Callable[..., tuple[Tensor, ...]]

_ENOUGH_CHANNELS = 8  # from here on the additional multiplications outweigh
_PIXELS = ((0, 0), (0, 1), (1, 0), (1, 1))  # of a tile, in the order in which a pooling looks at them


def suits(x: Tensor, kernel: Tensor, strides: int, *, channels: int) -> bool:
    """Whether a convolution giving so many channels gains: on a CPU, float32, stride 1, square kernel, few channels."""
    return (
        not graphics_cards()
        and x.dtype == tf.float32
        and strides == 1
        and kernel.shape[0] == kernel.shape[1] > 1
        and channels < _ENOUGH_CHANNELS
    )


def pooled_convolution(x: Tensor, kernel: Tensor, bias: Tensor, padding: str) -> Tensor:
    """Convolve (batch, height, width, inputs) with (size, size, inputs, outputs), take maxima of 2 x 2, add the bias.

    `padding`, SAME or VALID, is that of the convolution; the pooling is unpadded and leaves out an odd last row and
    column. Among equal maxima the first takes the gradient, as in TensorFlow's pooling.
    """
    size = kernel.shape[0]
    before, after = _padding(size, padding)
    x = tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])
    return _biased_maximum(tf.nn.conv2d(x, _shifted_kernels(kernel), 2, "VALID"), bias)


def input_gradient(dy: Tensor, kernel: Tensor, side: tuple[int, int], padding: str) -> Tensor:
    """Gradient of a convolution's input, (batch, *side, inputs), from that of its output: a convolution itself."""
    size = kernel.shape[0]
    before, after = (size - 1 - pixels for pixels in _padding(size, padding))
    height, width = side
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    dy = tf.pad(dy, [[0, 0], [before, after + height % 2], [before, after + width % 2], [0, 0]])
    dx = tf.nn.depth_to_space(tf.nn.conv2d(dy, _shifted_kernels(turned), 2, "VALID"), 2)
    return dx[:, :height, :width]


def _padding(size: int, padding: str) -> tuple[int, int]:
    """Pixels that TensorFlow adds before and after a side."""
    return ((size - 1) // 2, size // 2) if padding == "SAME" else (0, 0)


def _shifted_kernels(kernel: Tensor) -> Tensor:
    """(size, size, inputs, outputs) to (size + 1, size + 1, inputs, 4 * outputs)."""
    copies = [tf.pad(kernel, [[down, 1 - down], [right, 1 - right], [0, 0], [0, 0]]) for down, right in _PIXELS]
    return tf.concat(copies, axis=3)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _biased_maximum(tiles: Tensor, bias: Tensor) -> tuple[Tensor, Gradients]:
    """Take the maximum over the tile's four groups of channels and add the bias."""

    def gradients(dz: Tensor) -> tuple[Tensor, ...]:
        return _maximum_backward(tiles, dz), tf.reduce_sum(dz, axis=[0, 1, 2])

    return _maximum_forward(tiles, bias), gradients


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def _maximum_forward(tiles: Tensor, bias: Tensor) -> Tensor:
    return _largest(tiles) + bias


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def _maximum_backward(tiles: Tensor, dz: Tensor) -> Tensor:
    largest = _largest(tiles)
    taken = tf.zeros_like(largest, tf.bool)
    gradients = []
    for pixel in tf.split(tiles, 4, axis=-1):
        here = (pixel == largest) & ~taken
        gradients.append(tf.where(here, dz, 0.0))
        taken |= here
    return tf.concat(gradients, axis=-1)


def _largest(tiles: Tensor) -> Tensor:
    first, second, third, fourth = tf.split(tiles, 4, axis=-1)
    return tf.maximum(tf.maximum(first, second), tf.maximum(third, fourth))
