"""Convolution by fewer multiplications: Winograd's minimal filtering (Lavin and Gray 2016, arXiv 1509.09308).

A convolution of m outputs with r weights is a product of polynomials. Taken at m + r - 1 points it costs so many
products instead of m * r; in two dimensions, 5 x 5 outputs of a 3 x 3 kernel cost 49 instead of 225. The rest are sums,
written as products with small constant matrices, so that oneDNN does all of it and TensorFlow derives the gradients.
Rounding errors are a few millionths of the largest output: those of oneDNN's own gradient of the kernel.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Tensor = Any
Matrix = npt.NDArray[np.float64]

LARGEST_TILE = 6  # outputs taken at once along a side; more would cost digits
_FEWEST_CHANNELS = 32  # with fewer the sums outweigh the products
_POINTS = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0)  # where polynomials are evaluated, besides infinity; small for digits


def suits(x: Tensor, kernel: Tensor, strides: int, padding: str) -> bool:
    """Whether a convolution gains: unpadded, one step a pixel, 3 x 3, wide, a square image of at most 16 pixels.

    In float32 only: in bfloat16 the sums would multiply the rounding errors, 15-fold in tiles of 5.
    """
    _, height, width, _ = x.shape
    return (
        x.dtype == tf.float32
        and (strides, padding) == (1, "VALID")
        and kernel.shape[:2] == (3, 3)
        and height == width
        and height <= 16
        and min(kernel.shape[2:]) >= _FEWEST_CHANNELS
    )


def convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (batch, side, side, inputs) with (size, size, inputs, outputs), without padding, one step a pixel."""
    size, _, inputs, outputs = kernel.shape
    side = x.shape[1]
    result = side - size + 1
    into, weigh, back = matrices(result, size)
    points = len(into)
    into, weigh, back = (tf.constant(matrix, x.dtype) for matrix in (into, np.kron(weigh, weigh), back))
    # rows and columns first, images next: then each sum runs over whole blocks of memory
    values = tf.matmul(into, tf.reshape(tf.transpose(x, [1, 2, 0, 3]), [side, -1]))
    values = tf.matmul(into, tf.reshape(values, [points, side, -1]))
    weights = tf.matmul(weigh, tf.reshape(kernel, [size * size, -1]))
    products = tf.matmul(
        tf.reshape(values, [points * points, -1, inputs]), tf.reshape(weights, [points * points, inputs, outputs])
    )
    sums = tf.matmul(back, tf.reshape(products, [points, points, -1]))
    sums = tf.matmul(back, tf.reshape(sums, [points, -1]))
    return tf.transpose(tf.reshape(sums, [result, result, -1, outputs]), [2, 0, 1, 3])


@cache
def matrices(outputs: int, size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return matrices (into, weigh, back) with back @ ((into @ x) * (weigh @ w)) = x convolved with w.

    x has outputs + size - 1 elements, w has `size`. The outputs are cut into tiles of at most LARGEST_TILE.
    """
    count = -(-outputs // LARGEST_TILE)
    tiles = [outputs // count + (index < outputs % count) for index in range(count)]
    points = outputs + count * (size - 1)
    into, weigh, back = (np.zeros(shape) for shape in ((points, outputs + size - 1), (points, size), (outputs, points)))
    point = output = 0
    for tile in tiles:
        width = tile + size - 1
        here, there = slice(point, point + width), slice(output, output + tile)
        into[here, output : output + width], weigh[here], back[there, here] = _tile_matrices(tile, size)
        point, output = point + width, output + tile
    return into, weigh, back


def _tile_matrices(outputs: int, size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Matrices of one tile: the transpose of interpolating a product of polynomials from its values at the points."""
    width = outputs + size - 1
    finite = _POINTS[: width - 1]
    evaluate = {degree: np.vstack([np.vander(finite, degree, increasing=True), np.eye(degree)[-1]])
                for degree in (width, size, outputs)}  # fmt: skip
    into = np.linalg.inv(evaluate[width]).T
    scale = np.abs(into).sum(axis=1, keepdims=True)  # shared out between the factors, so that neither grows large
    return into / scale, evaluate[size] * scale, evaluate[outputs].T
