"""Transfer learning: the task that a run may learn first, what it hands on, and the layers that are then held fixed."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fmnist.data import CLASS_NAMES
from fmnist.declare import Hyperparameters

SOURCE_CLASSES = len(CLASS_NAMES) // 2  # half_classes: those with the lowest labels

Variables = list[Any]


def epochs_of_pretraining(settings: Hyperparameters) -> int:
    """Passes over the source task's images, 0 for a run that does not pretrain."""
    return 0 if settings.pretraining == "none" else settings.pretraining_epochs


def source_indices(labels: npt.NDArray[np.uint8], indices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Choose those of the images at `indices` that show one of the source task's classes.

    The output layer has a place for every class in the source task too: it is not handed on.
    """
    return np.asarray(indices[labels[indices] < SOURCE_CLASSES])


def body_weights(model: keras.Model) -> Variables:
    """Give all weights before the output layer, trained or not: kernels, biases and moving statistics."""
    return [weight for layer in model.layers[:-1] for weight in layer.weights]


def hand_on(source: keras.Model, target: keras.Model) -> None:
    """Give a model the body of another one of the same architecture; the output layer keeps its own weights."""
    for theirs, ours in zip(body_weights(source), body_weights(target), strict=True):
        ours.assign(theirs)


def freeze(model: keras.Model, frozen: str) -> None:
    """Hold layers before the output layer fixed: `none`, `half` or `all` of them.

    Of the layers that multiply by weights (convolutions, dense layers, the output layer among them), half is the first
    half, rounded down, with all that stands before the next one. As in Keras, a frozen batch normalisation uses and
    keeps its moving statistics, and a dropout goes on dropping.
    """
    if frozen == "none":
        return
    multiplying = [layer for layer in model.layers if any(len(weight.shape) > 1 for weight in layer.trainable_weights)]
    first_trained = model.layers[-1] if frozen == "all" else multiplying[len(multiplying) // 2]
    for layer in model.layers[: model.layers.index(first_trained)]:
        layer.trainable = False
