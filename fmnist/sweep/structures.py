"""The structure fingerprints of a study's models, computed by a process of its own: the caller never loads Keras."""

import multiprocessing
import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from fmnist.declare import Configuration, build_model, find_architecture, structure_of
from fmnist.studies import define_architecture
from fmnist.train import load_initial_weights


class Structures:
    """The structure fingerprints of models; configurations that a model's layers do not tell apart share one."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._known: dict[Hashable, Future[str]] = {}

    def begin(self, configurations: Iterable[Configuration]) -> None:
        """Let the models be built while the caller does other things."""
        for item in configurations:
            key = _model_key(item)
            if key not in self._known:
                self._known[key] = self._pool.submit(fingerprint, item)

    def of(self, configurations: Sequence[Configuration]) -> list[str]:
        """Give each configuration's fingerprint; UserError as `fingerprint`."""
        self.begin(configurations)
        return [self._known[_model_key(item)].result() for item in configurations]

    def by_label(self, configurations: Sequence[Configuration]) -> dict[str, str]:
        """Give the fingerprints of a study's configurations by their labels; UserError as `fingerprint`."""
        return dict(zip((item.label for item in configurations), self.of(configurations), strict=True))


@contextmanager
def structure_process(first: Iterable[Configuration]) -> Iterator[Structures]:
    """Start a process that computes fingerprints as long as the block runs, those of `first` at once.

    OSError where it does not live.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_prepare) as pool:
            structures = Structures(pool)
            structures.begin(first)
            yield structures
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


def fingerprint(configuration: Configuration) -> str:
    """Compute the fingerprint of a configuration's model in this process. Loads Keras.

    UserError for a layer that no fingerprint can tell, and for initial weights that do not fit.
    """
    define_architecture(configuration)
    name, settings = configuration.architecture, configuration.hyperparameters
    if settings.initial_weights:
        load_initial_weights(build_model(name, settings), settings.initial_weights)
    return structure_of(name, settings)


def _model_key(configuration: Configuration) -> Hashable:
    """All that a model is built from."""
    name, settings = configuration.architecture, configuration.hyperparameters
    return (name, settings.precision, settings.initial_weights, *find_architecture(name).read_from(settings).items())
