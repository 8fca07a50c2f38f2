"""Training by plain Keras, for models that the engine refuses: the same loop around a call of the whole model."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from fmnist.declare import IMAGE_SHAPE
from fmnist.train.loop import Engine

Tensor = Any


class KerasEngine(Engine):
    """Calls the whole model as Keras does, so that any model is trained that gives class probabilities.

    Order, augmentation, updates, scores and variables are those of `Engine`; layers, losses and masks are Keras'.
    """

    name = "keras"

    def _side(self) -> int:
        return IMAGE_SHAPE[0]

    def _forward(self, images: Tensor, labels: Tensor, *, training: bool, step: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        probabilities = self.model(images, training=training)
        losses = keras.losses.sparse_categorical_crossentropy(labels, probabilities)
        return losses, tf.math.log(tf.cast(probabilities, tf.float32))
