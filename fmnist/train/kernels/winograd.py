"""Convolution by fewer multiplications: Winograd's minimal filtering (Lavin and Gray 2016, arXiv 1509.09308).

A convolution of m outputs with r weights is a product of polynomials. Taken at m + r - 1 points it costs so many
products instead of m * r; in two dimensions, 5 x 5 outputs of a 3 x 3 kernel cost 49 instead of 225. The rest are sums,
written as products with small constant matrices, so that oneDNN does all of it and TensorFlow derives the gradients.
Rounding errors are a few millionths of the largest output: those of oneDNN's own gradient of the kernel.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fmnist.train.measurement import graphics_cards

Tensor = Any
Matrix = npt.NDArray[np.float64]

LARGEST_TILE = 6  # outputs taken at once along a side; more would cost digits
_FEWEST_CHANNELS = 32  # with fewer the sums outweigh the products
_POINTS = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0)  # where polynomials are evaluated, besides infinity; small for digits


def suits(x: Tensor, kernel: Tensor, strides: int, padding: str) -> bool:
    """Whether a convolution gains: on a CPU, unpadded, of stride 1, 3 x 3, wide, a square image of at most 16 pixels.

    In float32 only: in bfloat16 the sums would multiply the rounding errors, 15-fold in tiles of 5.
    """
    _, height, width, _ = x.shape
    return (
        not graphics_cards()
        and x.dtype == tf.float32
        and (strides, padding) == (1, "VALID")
        and kernel.shape[:2] == (3, 3)
        and height == width
        and height <= 16
        and min(kernel.shape[2:]) >= _FEWEST_CHANNELS
    )


def convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (batch, side, side, inputs) with (size, size, inputs, outputs), unpadded and of stride 1."""
    size, _, inputs, outputs = kernel.shape
    side = x.shape[1]
    result = side - size + 1
    input_transform, filter_transform, output_transform = transforms(result, size)
    points = len(input_transform)
    of_input, of_filter, of_output = (
        tf.constant(matrix, x.dtype)
        for matrix in (input_transform, np.kron(filter_transform, filter_transform), output_transform)
    )
    # rows and columns first, images next: then each sum runs over whole blocks of memory
    values = tf.matmul(of_input, tf.reshape(tf.transpose(x, [1, 2, 0, 3]), [side, -1]))
    values = tf.matmul(of_input, tf.reshape(values, [points, side, -1]))
    weights = tf.matmul(of_filter, tf.reshape(kernel, [size * size, -1]))
    products = tf.matmul(
        tf.reshape(values, [points * points, -1, inputs]), tf.reshape(weights, [points * points, inputs, outputs])
    )
    sums = tf.matmul(of_output, tf.reshape(products, [points, points, -1]))
    sums = tf.matmul(of_output, tf.reshape(sums, [points, -1]))
    return tf.transpose(tf.reshape(sums, [result, result, -1, outputs]), [2, 0, 1, 3])


@cache
def transforms(outputs: int, size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return the transforms of input, filter and output, which the paper calls B^T, G and A^T.

    output @ ((input @ x) * (filter @ w)) is x, of outputs + size - 1 elements, convolved with w, of `size`. The outputs
    are cut into tiles of at most LARGEST_TILE.
    """
    count = -(-outputs // LARGEST_TILE)
    tiles = [outputs // count + (index < outputs % count) for index in range(count)]
    points = outputs + count * (size - 1)
    input_transform = np.zeros((points, outputs + size - 1))
    filter_transform = np.zeros((points, size))
    output_transform = np.zeros((outputs, points))
    point = output = 0
    for tile in tiles:
        width = tile + size - 1
        here, there = slice(point, point + width), slice(output, output + tile)
        of_tile = _tile_transforms(tile, size)
        input_transform[here, output : output + width], filter_transform[here], output_transform[there, here] = of_tile
        point, output = point + width, output + tile
    return input_transform, filter_transform, output_transform


def _tile_transforms(outputs: int, size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Transforms of one tile: the transpose of interpolating a product of polynomials from its values at the points."""
    width = outputs + size - 1
    finite = _POINTS[: width - 1]
    evaluate = {degree: np.vstack([np.vander(finite, degree, increasing=True), np.eye(degree)[-1]])
                for degree in (width, size, outputs)}  # fmt: skip
    input_transform = np.linalg.inv(evaluate[width]).T
    scale = np.abs(input_transform).sum(axis=1, keepdims=True)  # shared out, so that neither factor grows
    return input_transform / scale, evaluate[size] * scale, evaluate[outputs].T
