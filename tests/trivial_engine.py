"""An engine for tests of the sweep: runs without TensorFlow whose course the learning rate of a run decides.

The learning rate's whole part chooses the course (see COURSES), so that a run's specification says all there is to it.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.train.checkpoint import UnusableCheckpointError

COURSES = {
    "plain": 1.0,
    "raises": 2.0,
    "is_killed": 3.0,
    "is_killed_once": 4.0,
    "waits": 5.0,
    "is_slow": 6.0,
    "does_not_save": 7.0,
}
SLOW_SECONDS = 0.3  # an epoch's, so that something can happen meanwhile


def train_run(
    run: Any, data: Any, *, threads: int, gpus: float, on_epoch: Any, checkpoint: bytes | None, on_end: Any
) -> dict[str, Any]:
    settings = run.configuration.hyperparameters
    course = settings.learning_rate
    first_weights = random.Random(f"{run.seeds.initialisation} {settings.batch_size}").randrange(1009)
    weights, first_epoch = unpacked(checkpoint) if checkpoint else (first_weights, 0)
    started = time.perf_counter()
    history = []
    epoch, is_pruned = first_epoch - 1, False
    for epoch in range(first_epoch, settings.epochs):
        weights = (weights * 31 + epoch) % 1009
        record = {"epoch": epoch + 1, "validation_accuracy": weights / 1009}
        history.append(record)
        if course == COURSES["waits"]:
            wait_for(Path(data["folder"]) / "go", epoch)
        if course == COURSES["is_slow"]:
            time.sleep(SLOW_SECONDS)
        on_epoch(record, partial(pickle.dumps, (weights, epoch + 1)))
        misbehave(course, checkpoint)
        is_pruned = epoch + 1 < settings.epochs and weights / 1009 < run.pruned_below.get(epoch + 1, 0.0)
        if is_pruned:
            break
    seconds = time.perf_counter() - started
    row = {
        **run.columns(),
        "status": "pruned" if is_pruned else "ok" if run.scores_test else "validated",
        "error": None,
        "attempts": 1,
        "test_accuracy": weights / 1009 if run.scores_test else None,
        "validation_accuracy": weights / 1009,
        "epochs_run": epoch + 1,
        "history": history,
        "test_predicted": np.full(10, weights % 10, dtype=np.uint8),
        "compile_seconds": 0.0,
        "train_seconds": seconds,
        "evaluate_seconds": 0.0,
        "total_seconds": seconds,
        "threads": threads,
        "gpus": gpus,
    }
    on_end(row, Model(course))
    return row


class Model:
    """Stands for a trained model; that of a run that `does_not_save` ends the process while it is saved."""

    def __init__(self, course: float) -> None:
        self.course = course

    def save(self, path: Path) -> None:
        if self.course == COURSES["does_not_save"]:
            os.kill(os.getpid(), signal.SIGKILL)
        path.write_bytes(b"the model")


def unpacked(checkpoint: bytes) -> tuple[int, int]:
    try:
        weights, epoch = pickle.loads(checkpoint)
    except pickle.UnpicklingError as error:
        raise UnusableCheckpointError("checkpoint: no pickle") from error
    return weights, epoch


def misbehave(course: float, checkpoint: bytes | None) -> None:
    if course == COURSES["raises"]:
        raise RuntimeError("this run always fails")
    if course == COURSES["is_killed"] or (course == COURSES["is_killed_once"] and checkpoint is None):
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for(path: Path, epoch: int) -> None:
    """Go past the first epoch only when the file is there."""
    (path.parent / f"epoch-{epoch}").touch()
    while epoch >= 1 and not path.exists():
        time.sleep(0.05)
