"""A look-alike of Fashion-MNIST, of any size, that a small network learns in an epoch or two: for tests."""

from __future__ import annotations

import numpy as np

from fmnist.data import CLASS_NAMES
from fmnist.data.dataset import ByteArray, Dataset

CLASSES = len(CLASS_NAMES)


def tiny_dataset(train_count: int = 400, test_count: int = 100, seed: int = 0) -> Dataset:
    """Make images (count, 28, 28) of ten patterns with noise: the same arguments, the same images.

    Every class has as many images as the others, or one more; the classes come in random order.
    """
    generator = np.random.default_rng(seed)
    patterns = np.kron(generator.integers(0, 200, (CLASSES, 7, 7)), np.ones((4, 4), np.int64))
    train_images, train_labels = _draw(generator, patterns, train_count)
    test_images, test_labels = _draw(generator, patterns, test_count)
    return Dataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        fingerprint=f"tiny-{train_count}-{test_count}-{seed}",
    )


def _draw(generator: np.random.Generator, patterns: np.ndarray, count: int) -> tuple[ByteArray, ByteArray]:
    labels = generator.permutation(np.arange(count) % CLASSES).astype(np.uint8)
    images = (patterns[labels] + generator.integers(0, 56, (count, 28, 28))).astype(np.uint8)
    for array in (images, labels):
        array.setflags(write=False)
    return images, labels
