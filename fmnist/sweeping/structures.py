"""The structure fingerprints of a study's models, computed by a process of its own: the caller never loads Keras."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager

from fmnist.architectures import build_model, structure_fingerprint
from fmnist.study import Configuration


@contextmanager
def structures_of(configurations: Sequence[Configuration]) -> Iterator[Future[dict[str, str]]]:
    """Begin to compute the fingerprint of each configuration's model; gives a future of label -> fingerprint."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_prepare) as pool:
        yield pool.submit(_fingerprints, tuple(configurations))


def _prepare() -> None:
    """Keep the models off the GPU, which the runs need, and TensorFlow's greetings off the terminal."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # an error comes back through the future


def _fingerprints(configurations: Sequence[Configuration]) -> dict[str, str]:
    return {
        configuration.label: structure_fingerprint(
            build_model(configuration.architecture, configuration.hyperparameters)
        )
        for configuration in configurations
    }
