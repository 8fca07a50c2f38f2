"""Random changes of training images: a warp, a rectangle of noise, a blend of two images with their labels.

Every draw is stateless: the seed, an integer pair of the run and the step, decides it.
"""

import math
from typing import Any

import tensorflow as tf

from fmnist.declare import Hyperparameters

Tensor = Any

# added to the seed, so that each draw has random numbers of its own; a warp draws with the seed as it is
_CHOSEN, _RECTANGLES, _NOISE, _POWERS, _GAMMAS = range(1, 6)

# Zhong et al. 2020; the ratio of height to width is between the second and its inverse
ERASED_AREAS = (0.02, 0.4)
LEAST_ERASED_ASPECT = 0.3


def augment(images: Tensor, hyperparameters: Hyperparameters, seed: Tensor) -> Tensor:
    """Change each image at random as the hyperparameters ask: first warp it, then erase a rectangle.

    `images` is float (batch, height, width, channels), 0 black, 255 white, and so is the result; the same seed gives
    the same images.
    """
    if hyperparameters.warps:
        images = warp(images, hyperparameters, seed)
    if hyperparameters.random_erasing:
        images = erase(images, hyperparameters.random_erasing, seed)
    return images


def warp(images: Tensor, hyperparameters: Hyperparameters, seed: Tensor) -> Tensor:
    """Turn, shift, zoom and mirror each image at random; what leaves the image is lost, what enters is black.

    One bilinear interpolation for all changes together, where one after the other would blur the image each time.
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


def erase(images: Tensor, probability: float, seed: Tensor) -> Tensor:
    """Fill a rectangle of some images with noise, each pixel uniform in [0, 255) (Zhong et al. 2020, RE-R).

    Each image is chosen with `probability`.
    """
    count, (_, height, width, _) = tf.shape(images)[0], images.shape
    erased = random_rectangles(count, (height, width), seed)
    chosen = _uniform([count], seed, _CHOSEN)[:, None, None] < probability
    noise = _uniform(tf.shape(images), seed, _NOISE) * 255.0
    return tf.where((erased & chosen)[..., None], noise, images)


def random_rectangles(count: Tensor, size: tuple[int, int], seed: Tensor) -> Tensor:
    """Draw `count` rectangles of an image as masks, bool (count, height, width).

    The area is uniform within ERASED_AREAS, the logarithm of height by width uniform (as in torchvision; the paper's
    ratio would make more of them steep than flat) within what the least aspect allows and the image holds, the place
    uniform among those within the image; sides are rounded to whole pixels.
    """
    height, width = size
    drawn = _uniform([4, count], seed, _RECTANGLES)
    least, most = ERASED_AREAS
    area = least + (most - least) * drawn[0]
    # of a square that is 1 wide: a rectangle of area s fits if its aspect is between s and 1 / s
    steepest = tf.minimum(-math.log(LEAST_ERASED_ASPECT), -tf.math.log(area))
    aspect = tf.exp((2.0 * drawn[1] - 1.0) * steepest)
    rows = _spans(tf.sqrt(area * aspect), drawn[2], height)
    columns = _spans(tf.sqrt(area / aspect), drawn[3], width)
    return rows[:, :, None] & columns[:, None, :]


def _spans(share: Tensor, place: Tensor, side: int) -> Tensor:
    """Mark `share` of `side` pixels, where `place` from 0 to 1 says; bool (count, side)."""
    length = tf.maximum(1.0, tf.round(share * side))
    first = tf.floor(place * (side - length + 1.0))[:, None]
    pixels = tf.range(side, dtype=tf.float32)
    return (pixels >= first) & (pixels < first + length[:, None])


def blend(images: Tensor, targets: Tensor, alpha: float, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Mix each image and its target with the next of the batch, the last with the first (mixup, Zhang et al. 2018).

    `targets` are shares of the classes, float (batch, classes). One share from Beta(alpha, alpha) for the whole batch,
    as in the authors' code; the order of the images is random already, so that neighbours are random pairs.
    """
    share = random_share(alpha, seed)
    images, targets = (share * x + (1.0 - share) * tf.roll(x, -1, axis=0) for x in (images, targets))
    return images, targets


def random_share(alpha: float, seed: Tensor) -> Tensor:
    """Draw from Beta(alpha, alpha), a float32 scalar in [0, 1].

    As a / (a + b) of two gamma variables, in logarithms, since those of a small alpha are next to 0: Gamma(alpha) is
    Gamma(alpha + 1) times a uniform to the power of 1 / alpha.
    """
    uniforms = tf.math.log1p(-_uniform([2], seed, _POWERS))
    # by philox, which tf.random.stateless_gamma may give up for another generator on another device
    gammas = tf.raw_ops.StatelessRandomGammaV2(shape=[2], seed=_stream(seed, _GAMMAS), alpha=alpha + 1.0)
    logarithms = tf.math.log(gammas)
    return tf.sigmoid(logarithms[0] - logarithms[1] + (uniforms[0] - uniforms[1]) / alpha)


def _uniform(shape: Any, seed: Tensor, stream: int) -> Tensor:
    return tf.random.stateless_uniform(shape, _stream(seed, stream), alg="philox")


def _stream(seed: Tensor, stream: int) -> Tensor:
    """Give the seed of another draw at the same step; the pair's second number is the step's."""
    return tf.add(seed, [stream, 0])
