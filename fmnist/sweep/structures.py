"""The structure fingerprints of a study's models, computed by a process of its own: the caller never loads Keras."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace

from fmnist import UserError
from fmnist.declare import Configuration, find_architecture, structure_of
from fmnist.studies import define_architecture


@contextmanager
def structures_of(configurations: Sequence[Configuration]) -> Iterator[Future[dict[str, str]]]:
    """Begin to compute the fingerprint of each configuration's model; gives a future of label -> fingerprint.

    Its result raises UserError for a dropout rate that no layer reads, OSError where the process did not live.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_prepare) as pool:
            yield pool.submit(fingerprints, tuple(configurations))
    except BrokenProcessPool as error:
        raise OSError(
            "models: the process that builds them ended without a word; most often the machine ran out of memory, or"
            " TensorFlow does not run on it: try `python -c 'import tensorflow'`"
        ) from error


def _prepare() -> None:
    """Keep the models off the GPU, which the runs need, and TensorFlow's greetings off the terminal."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # an error comes back through the future


def fingerprints(configurations: Sequence[Configuration]) -> dict[str, str]:
    """Compute the fingerprint of each configuration's model in this process, by label."""
    return {configuration.label: _fingerprint(configuration) for configuration in configurations}


def _fingerprint(configuration: Configuration) -> str:
    define_architecture(configuration)
    name, settings = configuration.architecture, configuration.hyperparameters
    fingerprint = structure_of(name, settings)
    own = find_architecture(name).defaults.dropout_rate
    if settings.dropout_rate != own and fingerprint == structure_of(name, replace(settings, dropout_rate=own)):
        raise UserError(
            f"dropout_rate: got {settings.dropout_rate} for {configuration.label!r}, but no layer of {name} reads it"
        )
    return fingerprint
