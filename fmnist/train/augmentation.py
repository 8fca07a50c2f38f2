"""Random changes of training images: one warp an image, its turn, shift, zoom and mirror composed into one matrix."""

import math
from typing import Any

import tensorflow as tf

from fmnist.declare import Hyperparameters

Tensor = Any


def augment(images: Tensor, hyperparameters: Hyperparameters, seed: Tensor) -> Tensor:
    """Turn, shift, zoom and mirror each image at random; what leaves the image is lost, what enters is black.

    `images` is float (batch, height, width, channels), and so is the result; `seed` is an integer pair: the same pair
    gives the same images. One bilinear interpolation for all changes together, where one after the other would blur
    the image each time.
    """
    _, height, width, _ = images.shape
    matrices = random_matrices(tf.shape(images)[0], (height, width), hyperparameters, seed)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrices,
        output_shape=tf.constant([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def random_matrices(count: Tensor, size: tuple[int, int], hyperparameters: Hyperparameters, seed: Tensor) -> Tensor:
    """Draw `count` matrices that map a pixel (x, y) of the changed image to the place in the original it comes from.

    Returns float32 (count, 8), rows (a0, a1, a2, b0, b1, b2, 0, 0) for x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2.
    Each change is uniform within plus or minus its hyperparameter, about the image's centre.
    """
    height, width = size
    settings = hyperparameters
    # philox by name: the automatic choice may differ between devices, and with it the images
    drawn = tf.random.stateless_uniform([5, count], seed, minval=-1.0, maxval=1.0, alg="philox")
    angle = drawn[0] * math.radians(settings.rotation)
    shrink = 1.0 / (1.0 + drawn[1] * settings.zoom)
    shift_x, shift_y = drawn[2] * settings.translation * width, drawn[3] * settings.translation * height
    mirror = tf.where(drawn[4] < 0.0, -1.0, 1.0) if settings.horizontal_flip else tf.ones_like(angle)
    a0, a1 = shrink * tf.cos(angle) * mirror, -shrink * tf.sin(angle)
    b0, b1 = shrink * tf.sin(angle) * mirror, shrink * tf.cos(angle)
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    moved_x, moved_y = center_x + shift_x, center_y + shift_y
    a2 = center_x - a0 * moved_x - a1 * moved_y
    b2 = center_y - b0 * moved_x - b1 * moved_y
    zero = tf.zeros_like(angle)
    return tf.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
