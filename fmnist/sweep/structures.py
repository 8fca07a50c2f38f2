"""The structure fingerprints of a study's models, computed by a process of its own: the caller never loads Keras."""

import multiprocessing
import os
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from fmnist.declare import Configuration, build_model, find_architecture, structure_of
from fmnist.studies import define_architecture
from fmnist.train import load_initial_weights


class Structures:
    """The structure fingerprints of models, asked for as they are needed: a model is built once."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool
        self._known: dict[Hashable, str] = {}
        pool.submit(fingerprints, ())  # let the process load Keras while the caller does other things

    def of(self, configurations: Sequence[Configuration]) -> list[str]:
        """Give each configuration's fingerprint; UserError for a layer that no fingerprint can tell."""
        keys = [_model_key(item) for item in configurations]
        unknown = {key: item for key, item in zip(keys, configurations, strict=True) if key not in self._known}
        if unknown:
            found = self._pool.submit(fingerprints, tuple(unknown.values())).result()
            self._known |= {key: found[item.label] for key, item in unknown.items()}
        return [self._known[key] for key in keys]


@contextmanager
def structure_process() -> Iterator[Structures]:
    """Start a process that computes fingerprints as long as the block runs; OSError where it does not live."""
    with _process() as pool:
        yield Structures(pool)


@contextmanager
def structures_of(configurations: Sequence[Configuration]) -> Iterator[Future[dict[str, str]]]:
    """Begin to compute the fingerprint of each configuration's model; gives a future of label -> fingerprint.

    Its result raises UserError for a layer that no fingerprint can tell and for initial weights that do not fit,
    OSError where the process did not live.
    """
    with _process() as pool:
        yield pool.submit(fingerprints, tuple(configurations))


@contextmanager
def _process() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_prepare) as pool:
            yield pool
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
    """Compute the fingerprint of each configuration's model in this process, by label.

    A model is built once for all configurations that differ only in what its layers do not depend on.
    """
    known: dict[Hashable, str] = {}
    for item in configurations:
        define_architecture(item)
        key = _model_key(item)
        if key not in known:
            known[key] = _fingerprint(item)
    return {item.label: known[_model_key(item)] for item in configurations}


def _fingerprint(configuration: Configuration) -> str:
    name, settings = configuration.architecture, configuration.hyperparameters
    if settings.initial_weights:
        load_initial_weights(build_model(name, settings), settings.initial_weights)
    return structure_of(name, settings)


def _model_key(configuration: Configuration) -> Hashable:
    """All that a model is built from."""
    name, settings = configuration.architecture, configuration.hyperparameters
    return (name, settings.precision, settings.initial_weights, *find_architecture(name).read_from(settings).items())
