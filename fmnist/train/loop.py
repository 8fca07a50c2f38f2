"""Whole epochs of training as one TensorFlow call each, over images that stay on the device as bytes.

The batch loop is a `tf.while_loop` inside one traced function, so that Python is not asked between two steps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from fmnist import UserError
from fmnist.data import CLASS_NAMES
from fmnist.declare import Hyperparameters, Seeds
from fmnist.train.augmentation import augment, blend
from fmnist.train.kernels import forward, unsupported, used_side
from fmnist.train.measurement import graphics_cards
from fmnist.train.optimizers import LossScale, Optimizer, scheduled

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

    `sets` are images, uint8 (count, side, side), and labels, uint8 (count,), by name; those of "train" are trained on,
    `epoch_images` of them an epoch, all unless said. The last, smaller batch of an epoch is trained too, as Keras does.
    Regularizers and constraints of the model act as in Keras. All chance is decided by `seeds` and the number of the
    step, or by variables of the model that `seeds` sets, so that an epoch can be done again; a seed that was given to a
    layer stays. On a CPU the same number of threads gives the same bits; a GPU sums in an order that may change, since
    TensorFlow lacks deterministic kernels for some of these ops: there the seeds decide all but the rounding.

    UserError for a model that cannot be computed as Keras does (`unsupported`) and settings that nothing would read.
    """

    name = "fmnist"

    def __init__(
        self,
        model: keras.Model,
        hyperparameters: Hyperparameters,
        seeds: Seeds,
        sets: Mapping[str, tuple[ByteArray, ByteArray]],
        *,
        epoch_images: int | None = None,
    ) -> None:
        self.model = model
        self.hyperparameters = hyperparameters
        self.seeds = seeds
        self.sets = {name: (tf.constant(images), tf.constant(labels)) for name, (images, labels) in sets.items()}
        self.epoch_images = epoch_images or len(sets["train"][1])
        self.batch_size = min(hyperparameters.batch_size, self.epoch_images)
        self.epoch_steps = math.ceil(self.epoch_images / self.batch_size)
        self.steps = hyperparameters.epochs * self.epoch_steps
        self.side = self._side()
        self.weights = [variable.value for variable in model.trainable_variables]
        self.constrained = [variable for variable in model.trainable_variables if variable.constraint is not None]
        self.kernels = [v.value for v in model.trainable_variables if v.path.endswith("kernel")]
        self._refuse_unusable_settings()
        self.noise = global_seed_generator()  # of functions that draw without a generator of their own
        self._seed_noise()
        self.optimizer = Optimizer(hyperparameters, self.weights)
        layers = model._flatten_layers(include_self=False)
        self.loss_scale = LossScale() if any(layer.compute_dtype == "float16" for layer in layers) else None
        compiled = tf.function(self._train_step, jit_compile=True, autograph=False)
        self._step = compiled if self._compiles() else self._train_step
        spec, image_shape = tf.TensorSpec, sets["train"][0].shape[1:]
        self._epoch = tf.function(
            self._train_epoch,
            input_signature=[spec([None], tf.int32), spec([], tf.int32), spec([], tf.float32)],
            autograph=False,
        )
        self._evaluation = tf.function(
            self._evaluate,
            input_signature=[spec([None, *image_shape], tf.uint8), spec([None], tf.uint8), spec([None], tf.int64)],
            autograph=False,
        )

    def _side(self) -> int:
        """Side of the square of an image that the model is given."""
        if reason := unsupported(self.model):
            raise UserError(f"{reason}: the engine cannot train it as Keras does; train it with KerasEngine")
        return used_side(self.model)

    def _refuse_unusable_settings(self) -> None:
        if self.hyperparameters.l2 and not self.kernels:
            raise UserError(f"l2: got {self.hyperparameters.l2} for a model without a trained kernel; leave it out")
        for variable in self.model.trainable_variables:
            if variable.overwrite_with_gradient:
                raise UserError(f"{variable.path} has a rule of its own (float8): choose another dtype for its layer")

    def _compiles(self) -> bool:
        """Whether XLA compiles a step: on a GPU it gains; on a CPU it takes several times as long as oneDNN."""
        return bool(graphics_cards()) and all(layer.supports_jit for layer in self.model._flatten_layers())

    def _seed_noise(self) -> None:
        """Let the run's seed decide the random numbers that layers draw by themselves; dropout's are drawn apart."""
        of_layers = (found for layer in self.model._flatten_layers() for found in layer._seed_generators)
        for index, generator in enumerate([self.noise, *of_layers]):
            if generator._initial_seed is None:
                generator.state.assign([self.seeds.dropout - 1 - index, 0])

    @property
    def variables(self) -> list[Any]:
        """All that training changes: the model's variables, the noise's, the optimizer's and the loss scale's."""
        scale = self.loss_scale.variables if self.loss_scale else []
        of_keras = [*self.model.variables, self.noise.state]
        return [variable.value for variable in of_keras] + self.optimizer.variables + scale

    def compile(self) -> None:
        """Trace, optimise and compile both functions, so that their next call does no hidden work.

        Kernels are compiled for a shape when it is first met: a full and a smaller batch are trained and taken back.
        """
        before = [variable.numpy() for variable in self.variables]
        images = self.batch_size + self.epoch_images % self.batch_size
        self._epoch(np.zeros(images, np.int32), 0, self.hyperparameters.learning_rate)
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
        self._evaluation(*self.sets["train"], np.zeros(1, np.int64))

    def train_epoch(self, order: npt.NDArray[np.int32], first_step: int, learning_rate: float) -> tuple[float, float]:
        """Train on the images of `order`, at most `epoch_images`; return mean accuracy and cross-entropy of the steps.

        `first_step` is the number of steps trained before, `learning_rate` the highest of the schedule. What l2 and
        regularizers add is trained on and left out. With mixup and label smoothing the cross-entropy is that of the
        targets trained on; under mixup an image counts as correct if it is classified as the image with the larger
        share. A cross-entropy that is not finite ends the epoch at once and is returned.
        """
        correct, loss, seen = self._epoch(order, first_step, learning_rate)
        return float(correct) / float(seen), float(loss) / float(seen)

    def rate_at(self, step: Any, learning_rate: Any) -> Any:
        """Rate of a step of the whole training, of which `learning_rate` is the highest, by the schedule asked for."""
        return scheduled(learning_rate, self.hyperparameters.schedule, step, self.steps)

    def evaluate(self, name: str, indices: npt.NDArray[np.int64]) -> Scores:
        """Score the images at `indices` of a set against their labels, without dropout and augmentation."""
        starts = range(0, len(indices), EVALUATION_BATCH)
        parts = [self._evaluation(*self.sets[name], indices[start : start + EVALUATION_BATCH]) for start in starts]
        predicted, confidence, correct, losses = zip(*parts, strict=True)
        return Scores(
            accuracy=int(sum(correct)) / len(indices),
            loss=float(sum(losses)) / len(indices),
            predicted=np.concatenate(predicted),
            confidence=np.concatenate(confidence).astype(np.float16),
        )

    def _train_epoch(self, order: Tensor, first_step: Tensor, learning_rate: Tensor) -> tuple[Tensor, ...]:
        batch = self.batch_size
        full_steps = tf.size(order) // batch

        def unfinished(index: Tensor, _: Tensor, loss: Tensor, __: Tensor) -> Tensor:
            return (index < full_steps) & tf.math.is_finite(loss)

        def one_step(index: Tensor, *sums: Tensor, size: int | None = batch) -> tuple[Tensor, ...]:
            chosen = order[index * batch : (index + 1) * batch]
            chosen.set_shape([size])
            step = first_step + index
            results = self._step(*self._batch(chosen, step), step, self.rate_at(step, learning_rate))
            return index + 1, *(total + result for total, result in zip(sums, results, strict=True))

        zero = tf.constant(0.0)
        state = tf.while_loop(unfinished, one_step, (tf.constant(0), zero, zero, zero))
        smaller_is_left = (tf.size(order) % batch > 0) & tf.math.is_finite(state[2])
        state = tf.cond(smaller_is_left, lambda: one_step(*state, size=None), lambda: state)
        return tuple(state[1:])

    def _batch(self, chosen: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Take the chosen images, float32 in [0, 1] (batch, side, side, 1), changed at random if asked, and targets.

        Targets are the labels, int32 (batch,), or shares of the classes, float32 (batch, classes), if asked.
        """
        settings, seed = self.hyperparameters, [self.seeds.augmentation, step]
        images, labels = self.sets["train"]
        images = tf.cast(tf.gather(images, chosen), tf.float32)[..., None]
        targets = tf.cast(tf.gather(labels, chosen), tf.int32)
        if settings.augments:
            images = augment(images, settings, seed)
        images = self._scaled(images)
        if settings.mixup or settings.label_smoothing:
            shared = settings.label_smoothing / len(CLASS_NAMES)  # Szegedy et al. 2016, section 7
            targets = tf.one_hot(targets, len(CLASS_NAMES), 1.0 - settings.label_smoothing + shared, shared)
        if settings.mixup:
            images, targets = blend(images, targets, settings.mixup, seed)
        return images, targets

    def _scaled(self, images: Tensor) -> Tensor:
        """Bring float images to [0, 1], leaving out the pixels that the model never looks at."""
        return images[:, : self.side, : self.side] * (1.0 / 255.0)

    def _train_step(self, images: Tensor, targets: Tensor, step: Tensor, learning_rate: Tensor) -> tuple[Tensor, ...]:
        """Train on one batch; return how many were classified correctly, the sum of their losses and their number.

        The correct class is the one with the largest share of the target.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.weights)
            losses, scores = self._forward(images, targets, training=True, step=step)
            objective = tf.add_n([tf.reduce_mean(losses), *map(tf.reduce_sum, self.model.losses)])
            if self.hyperparameters.l2:
                objective += self.hyperparameters.l2 * tf.add_n([tf.reduce_sum(k * k) for k in self.kernels])
            if self.loss_scale:
                objective *= self.loss_scale.scale
        gradients = tape.gradient(objective, self.weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        if self.loss_scale:
            self.loss_scale.apply(self.optimizer, gradients, learning_rate)
        else:
            self.optimizer.apply(gradients, learning_rate, step)
        for variable in self.constrained:
            variable.assign(variable.constraint(variable))
        labels = targets if targets.dtype.is_integer else tf.argmax(targets, axis=1, output_type=tf.int32)
        correct = tf.argmax(scores, axis=1, output_type=tf.int32) == labels
        count = tf.cast(tf.size(labels), tf.float32)
        return tf.reduce_sum(tf.cast(correct, tf.float32)), tf.reduce_sum(losses), count

    def _forward(self, images: Tensor, targets: Tensor, *, training: bool, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return each image's cross-entropy (batch,) and class scores (batch, classes): probabilities by softmax."""
        logits = forward(self.model, images, training=training, seed=tf.stack([self.seeds.dropout, step]))
        if targets.dtype.is_integer:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits), logits
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits), logits

    def _evaluate(self, images: Tensor, labels: Tensor, indices: Tensor) -> tuple[Tensor, ...]:
        """Return class and its probability for each image, how many classes are correct, and the sum of the losses."""
        images, expected = tf.cast(tf.gather(images, indices), tf.float32), tf.gather(labels, indices)
        losses, scores = self._forward(
            self._scaled(images[..., None]), tf.cast(expected, tf.int32), training=False, step=tf.constant(0)
        )
        classes = tf.cast(tf.argmax(scores, axis=1), tf.uint8)
        correct = tf.math.count_nonzero(classes == expected, dtype=tf.int32)
        return classes, tf.reduce_max(tf.nn.softmax(scores), axis=1), correct, tf.reduce_sum(losses)


class KerasEngine(Engine):
    """Trains any model that gives class probabilities: calls the whole model as Keras does.

    Order, augmentation, updates, scores and variables are those of `Engine`; layers, losses and masks are Keras'.
    """

    name = "keras"

    def _side(self) -> int:
        return int(self.sets["train"][0].shape[1])

    def _forward(self, images: Tensor, targets: Tensor, *, training: bool, step: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        probabilities = self.model(images, training=training)
        if targets.dtype.is_integer:
            losses = keras.losses.sparse_categorical_crossentropy(targets, probabilities)
        else:
            losses = keras.losses.categorical_crossentropy(targets, probabilities)
        return losses, tf.math.log(tf.cast(probabilities, tf.float32))
