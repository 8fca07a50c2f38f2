"""A study as a plain Keras script does it: one run after the other, all cores to one process, TensorFlow as it comes.

    python benchmarks/plain_study.py --epochs 2 --repeats 3 --output accuracies.json

Every run has the layers, the hyperparameters (augmentation included) and the validation split of its counterpart in a
study of this project. `benchmarks/study.py` calls this and times it from start to end. (TensorFlow is imported before
fmnist here, and fmnist warns of that.)
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras_loop import compile_model, compiled_model

from fmnist.data.dataset import draw_split, load_data
from fmnist.declare.architectures import find_architecture
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import seeds_of_repeat
from fmnist.studies.comparison import ARCHITECTURES


def main() -> None:
    """Parse, load the data once, train one run after the other, and write their test accuracies."""
    parser = argparse.ArgumentParser(description="Train architectures one after the other with plain Keras.")
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES), metavar="NAME")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="PATH")
    options = parser.parse_args()
    data = load_data()
    images = data.train_images[..., np.newaxis].astype(np.float32) / 255
    test_images = data.test_images[..., np.newaxis].astype(np.float32) / 255
    rows = []
    for repeat in range(options.repeats):
        for name in options.architectures:
            settings = replace(find_architecture(name).defaults, epochs=options.epochs)
            model = train(name, settings, repeat, images, data.train_labels)
            accuracy = model.evaluate(test_images, data.test_labels, verbose=0, return_dict=True)["accuracy"]
            rows.append({"architecture": name, "repeat": repeat, "test_accuracy": accuracy})
            print(f"{name}, repeat {repeat}: test accuracy {accuracy:.4f}", flush=True)
    options.output.write_text(json.dumps(rows))


def train(name: str, settings: Hyperparameters, repeat: int, images: np.ndarray, labels: np.ndarray) -> keras.Model:
    """Fit one model on the repeat's training images, watching its validation images."""
    seeds = seeds_of_repeat(repeat)
    split = draw_split(labels, seeds.split, validation_count=5000)
    keras.utils.clear_session()
    keras.utils.set_random_seed(seeds.initialisation)
    model = compiled_model(name, settings)
    if settings.augments:
        model = compile_model(keras.Sequential([*augmentation_layers(settings), model]), settings)
    model.fit(
        images[split.train_indices],
        labels[split.train_indices],
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_data=(images[split.validation_indices], labels[split.validation_indices]),
        callbacks=callbacks(settings),
        verbose=0,
    )
    return model


def augmentation_layers(settings: Hyperparameters) -> list[keras.layers.Layer]:
    """Keras' own layers for the random changes that the settings ask for."""
    constant = {"fill_mode": "constant"}  # what enters an image is black, as this project's augmentation has it
    layers: list[keras.layers.Layer] = []
    if settings.rotation:
        layers.append(keras.layers.RandomRotation(settings.rotation / 360, **constant))
    if settings.translation:
        layers.append(keras.layers.RandomTranslation(settings.translation, settings.translation, **constant))
    if settings.zoom:
        layers.append(keras.layers.RandomZoom(settings.zoom, **constant))
    if settings.horizontal_flip:
        layers.append(keras.layers.RandomFlip("horizontal"))
    return layers


def callbacks(settings: Hyperparameters) -> list[keras.callbacks.Callback]:
    """Early stopping and reduction of the learning rate on a plateau, as the settings ask for."""
    wanted: list[Any] = []
    if settings.early_stopping_patience is not None:
        wanted.append(
            keras.callbacks.EarlyStopping(
                patience=settings.early_stopping_patience, restore_best_weights=settings.restore_best_weights
            )
        )
    if settings.plateau_patience is not None:
        wanted.append(
            keras.callbacks.ReduceLROnPlateau(
                patience=settings.plateau_patience,
                factor=settings.plateau_factor,
                min_lr=settings.minimum_learning_rate,
            )
        )
    return wanted


if __name__ == "__main__":
    main()
