"""Whole epochs as one TensorFlow call each, over images that stay on the device as bytes.

The batch loop is a `tf.while_loop` inside one traced function, so that Python is not asked between two steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fmnist.augmentation import augment
from fmnist.engine.lowering import logits_of, used_side
from fmnist.engine.optimizers import LossScale, make_optimizer
from fmnist.hyperparameters import Hyperparameters
from fmnist.measure import graphics_cards
from fmnist.seeds import Seeds

Tensor = Any
ByteArray = npt.NDArray[np.uint8]

EVALUATION_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a model makes of a set of images."""

    accuracy: float
    loss: float  # mean cross-entropy, nats
    predicted: ByteArray  # (images,)
    confidence: npt.NDArray[np.float16]  # (images,), probability of the predicted class


class Engine:
    """Trains a plain Keras model on images that it holds on the device.

    `images` is uint8 (count, 28, 28), `labels` uint8 (count,); `epoch_images` of them make an epoch, all unless said.
    The last, smaller batch of an epoch is trained too, as Keras does. All chance is decided by `seeds` and the number
    of the step, so that an epoch can be done again.
    """

    def __init__(
        self,
        model: keras.Model,
        hyperparameters: Hyperparameters,
        seeds: Seeds,
        images: ByteArray,
        labels: ByteArray,
        *,
        epoch_images: int | None = None,
    ) -> None:
        self.model = model
        self.hyperparameters = hyperparameters
        self.seeds = seeds
        self._smaller_batch = (epoch_images or len(images)) % hyperparameters.batch_size
        self.images = tf.constant(images)
        self.labels = tf.constant(labels)
        self.side = used_side(model)
        self.weights = [variable.value for variable in model.trainable_variables]
        self.kernels = [v.value for v in model.trainable_variables if v.path.endswith("kernel")]
        self.optimizer = make_optimizer(hyperparameters, self.weights)
        self.loss_scale = LossScale() if _computes_in(model, "float16") else None
        # XLA gains on a GPU; on a CPU its convolutions are several times slower than those of oneDNN
        on_gpu = bool(graphics_cards())
        self._step = tf.function(self._train_step, jit_compile=True, autograph=False) if on_gpu else self._train_step
        self._epoch = tf.function(
            self._train_epoch,
            input_signature=[
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([], tf.float32),
            ],
            autograph=False,
        )
        self._evaluation = tf.function(
            self._evaluate,
            input_signature=[
                tf.TensorSpec([None, 28, 28], tf.uint8),
                tf.TensorSpec([None], tf.uint8),
                tf.TensorSpec([None], tf.int64),
            ],
            autograph=False,
        )

    @property
    def variables(self) -> list[Any]:
        """All that training changes: the model's variables, the optimizer's and the loss scale's."""
        scale = self.loss_scale.variables if self.loss_scale else []
        return [variable.value for variable in self.model.variables] + self.optimizer.variables + scale

    def compile(self) -> None:
        """Trace, optimise and compile both functions, so that their next call does no hidden work.

        Kernels are compiled for a shape when it is first met: a full and a smaller batch are trained and taken back.
        """
        before = [variable.numpy() for variable in self.variables]
        images = self.hyperparameters.batch_size + self._smaller_batch
        self._epoch(np.zeros(images, np.int32), 0, self.hyperparameters.learning_rate)
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
        self._evaluation(self.images, self.labels, np.zeros(1, np.int64))

    def train_epoch(self, order: npt.NDArray[np.int32], first_step: int, learning_rate: float) -> tuple[float, float]:
        """Train on the images of `order`, batch after batch; return mean accuracy and loss of the steps.

        `first_step` is the number of steps trained before. A loss that is not finite ends the epoch at once and is
        returned.
        """
        correct, loss, seen = self._epoch(order, first_step, learning_rate)
        return float(correct) / float(seen), float(loss) / float(seen)

    def evaluate(self, images: ByteArray, labels: ByteArray, indices: npt.NDArray[np.int64]) -> Scores:
        """Score the images at `indices` against their labels, without dropout and augmentation."""
        predicted, confidence, loss = self._evaluation(images, labels, indices)
        return Scores(
            accuracy=float(np.mean(predicted.numpy() == labels[indices])),
            loss=float(loss) / len(indices),
            predicted=predicted.numpy(),
            confidence=confidence.numpy().astype(np.float16),
        )

    def _train_epoch(self, order: Tensor, first_step: Tensor, learning_rate: Tensor) -> tuple[Tensor, ...]:
        batch = self.hyperparameters.batch_size
        full_steps = tf.size(order) // batch

        def unfinished(index: Tensor, _: Tensor, loss: Tensor, __: Tensor) -> Tensor:
            return (index < full_steps) & tf.math.is_finite(loss)

        def one_step(index: Tensor, *sums: Tensor, size: int | None = batch) -> tuple[Tensor, ...]:
            chosen = order[index * batch : (index + 1) * batch]
            chosen.set_shape([size])
            results = self._step(*self._batch(chosen, first_step + index), first_step + index, learning_rate)
            return index + 1, *(total + result for total, result in zip(sums, results, strict=True))

        zero = tf.constant(0.0)
        state = tf.while_loop(unfinished, one_step, (tf.constant(0), zero, zero, zero))
        smaller_is_left = (tf.size(order) % batch > 0) & tf.math.is_finite(state[2])
        state = tf.cond(smaller_is_left, lambda: one_step(*state, size=None), lambda: state)
        return tuple(state[1:])

    def _batch(self, chosen: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Take the chosen images, float32 in [0, 1] (batch, 28, 28, 1), changed at random if asked, and labels."""
        images = tf.cast(tf.gather(self.images, chosen), tf.float32)[..., None]
        if self.hyperparameters.augments:
            images = augment(images, self.hyperparameters, tf.stack([self.seeds.augmentation, step]))
        return self._scaled(images), tf.cast(tf.gather(self.labels, chosen), tf.int32)

    def _scaled(self, images: Tensor) -> Tensor:
        """Bring float images to [0, 1], leaving out the pixels that the model never looks at."""
        return images[:, : self.side, : self.side] * (1.0 / 255.0)

    def _train_step(self, images: Tensor, labels: Tensor, step: Tensor, learning_rate: Tensor) -> tuple[Tensor, ...]:
        """Train on one batch; return how many were classified rightly, the sum of their losses and their number."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.weights)
            logits = logits_of(self.model, images, training=True, seed=tf.stack([self.seeds.dropout, step]))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            objective = tf.reduce_mean(losses)
            if self.hyperparameters.l2:
                objective += self.hyperparameters.l2 * tf.add_n([tf.reduce_sum(k * k) for k in self.kernels])
            if self.loss_scale:
                objective *= self.loss_scale.scale
        gradients = tape.gradient(objective, self.weights)
        if self.loss_scale:
            self.loss_scale.apply(self.optimizer, gradients, learning_rate, step)
        else:
            self.optimizer.apply(gradients, learning_rate, step)
        right = tf.argmax(logits, axis=1, output_type=tf.int32) == labels
        count = tf.cast(tf.size(labels), tf.float32)
        return tf.reduce_sum(tf.cast(right, tf.float32)), tf.reduce_sum(losses), count

    def _evaluate(self, images: Tensor, labels: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = tf.size(indices)
        batches = (count + EVALUATION_BATCH - 1) // EVALUATION_BATCH

        def one_batch(index: Tensor, predicted: Any, confidence: Any, loss: Tensor) -> tuple[Any, ...]:
            here = indices[index * EVALUATION_BATCH : (index + 1) * EVALUATION_BATCH]
            inputs = self._scaled(tf.cast(tf.gather(images, here), tf.float32)[..., None])
            logits = logits_of(self.model, inputs, training=False, seed=tf.constant([0, 0]))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(tf.gather(labels, here), tf.int32), logits)
            classes = tf.cast(tf.argmax(logits, axis=1), tf.uint8)
            largest = tf.reduce_max(tf.nn.softmax(logits), axis=1)
            return (
                index + 1,
                predicted.write(index, classes),
                confidence.write(index, largest),
                loss + tf.reduce_sum(losses),
            )

        arrays = [
            tf.TensorArray(dtype, batches, element_shape=[None], infer_shape=False) for dtype in (tf.uint8, tf.float32)
        ]
        start = (tf.constant(0), *arrays, tf.constant(0.0))
        _, predicted, confidence, loss = tf.while_loop(lambda index, *_: index < batches, one_batch, start)
        return predicted.concat(), confidence.concat(), loss


def _computes_in(model: keras.Model, dtype: str) -> bool:
    return any(getattr(layer, "compute_dtype", None) == dtype for layer in model.layers)
