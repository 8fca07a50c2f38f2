"""Training with this project's engine, as a run of a study does it."""

from __future__ import annotations

import time

import keras
import numpy as np
import tensorflow as tf
from rounds import Case, Train

from fmnist.data.dataset import load_data
from fmnist.declare.identity import seeds_of_repeat
from fmnist.train.devices import prepare_process
from fmnist.train.loop import Engine
from fmnist.train.run import build_for


def versions() -> dict[str, str]:
    """Versions of what this contender trains with."""
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def prepare(case: Case) -> Train:
    """Build and compile the engine on the training images; the returned function times steps of one of its epochs."""
    prepare_process(threads=1, gpus=0.0)
    data = load_data()
    settings, seeds = case.hyperparameters, seeds_of_repeat(0)
    model = build_for(case.architecture, settings, seeds.initialisation)
    engine = Engine(model, settings, seeds, {"train": (data.train_images, data.train_labels)})
    engine.compile()
    generator = np.random.default_rng(seeds.order)
    trained = 0

    def train(steps: int) -> float:
        nonlocal trained
        started = time.perf_counter()
        order = generator.permutation(len(data.train_labels))[: steps * case.batch_size].astype(np.int32)
        engine.train_epoch(order, trained, settings.learning_rate)
        trained += steps
        return time.perf_counter() - started

    return train
