"""Training in plain Keras as most scripts do it: compile the model and call `fit` on arrays of floats in [0, 1].

With oneDNN, which `fmnist` turns on where TensorFlow leaves it off; without it, see keras_default_loop.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rounds import Case, Train

from fmnist.data.dataset import load_data
from fmnist.declare.architectures import build_model
from fmnist.declare.hyperparameters import Hyperparameters


def versions() -> dict[str, str]:
    """Versions of what this contender trains with."""
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def prepare(case: Case) -> Train:
    """Build the model and load the images; the returned function times steps of one epoch of `fit`."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    model = compiled_model(case.architecture, case.hyperparameters)
    data = load_data()
    images = data.train_images[..., np.newaxis].astype(np.float32) / 255
    labels = data.train_labels

    def train(steps: int) -> float:
        clock = EpochClock()
        count = steps * case.batch_size
        # silent: the progress bar of an interactive session would only slow it down
        model.fit(images[:count], labels[:count], batch_size=case.batch_size, verbose=0, callbacks=[clock])
        return clock.seconds

    return train


class EpochClock(keras.callbacks.Callback):
    """Measures an epoch of `fit` between its callbacks, so without the copy of the arrays that `fit` begins with."""

    seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Stop the clock; Keras has waited for the last step and read its metrics by now."""
        self.seconds = time.perf_counter() - self._started


def compiled_model(architecture: str, hyperparameters: Hyperparameters) -> keras.Model:
    """Build the model of plain layers and compile it."""
    keras.config.set_dtype_policy(hyperparameters.precision)
    return compile_model(build_model(architecture, hyperparameters), hyperparameters)


def compile_model(model: keras.Model, hyperparameters: Hyperparameters) -> keras.Model:
    """Compile a model with the optimizer of its settings and the sparse loss."""
    if hyperparameters.optimizer == "adam":
        optimizer = keras.optimizers.Adam(hyperparameters.learning_rate)
    else:
        optimizer = keras.optimizers.SGD(hyperparameters.learning_rate, momentum=hyperparameters.momentum)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
