"""Time several ways of training in turn: each in its own process, held to one thread and one core, over several rounds.

Each contender lives in one process for as long as its case is measured, so that thread pools of different libraries do
not mix and compilation is paid before the first round. Short segments alternate, so that a drift of the machine meets
all contenders; a round gives one ratio, and the figure is the median of the rounds' ratios.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fmnist.declare.architectures import find_architecture
from fmnist.declare.hyperparameters import Hyperparameters

Train = Callable[[int], float]  # train that many steps, from an epoch's beginning on; returns the seconds they took

# a contender is a module with prepare(case) -> Train, which may load its library and compile, and versions() -> dict
CONTENDERS: Mapping[str, str] = {
    "engine": "engine_loop",
    "keras_default": "keras_default_loop",
    "keras": "keras_loop",
    "pytorch": "pytorch_loop",
}
WARM_UP_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one contender is asked to train."""

    architecture: str
    batch_size: int
    precision: str

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The architecture's own settings with this batch size and precision, augmentation left out for all alike."""
        return replace(
            find_architecture(self.architecture).defaults,
            batch_size=self.batch_size,
            precision=self.precision,
            rotation=0.0,
            translation=0.0,
            zoom=0.0,
            horizontal_flip=False,
        )


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One timed piece of an epoch."""

    images: int
    seconds: float
    processor_seconds: float  # of all threads of the process; less than `seconds` where others had the core

    def images_per_second(self, clock: str = "wall") -> float:
        """Throughput by the clock on the wall, or by the time that the process had a processor (`processor`)."""
        return self.images / (self.processor_seconds if clock == "processor" else self.seconds)


class ContenderError(RuntimeError):
    """A contender's process failed; the message says which and why."""


class Contender:
    """A process that trains a segment when asked. Use as a context manager; leaving it ends the process."""

    def __init__(self, name: str, case: Case, core: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._connection, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(far_end, CONTENDERS[name], case, core), daemon=True)
        self._process.start()
        far_end.close()
        self.versions: dict[str, str] = self._answer()

    def train(self, steps: int) -> Segment:
        """Train `steps` steps in the contender's process and return what they took."""
        self._connection.send(steps)
        segment: Segment = self._answer()
        return segment

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise ContenderError(f"{self.name}: its process ended with exit code {self._process.exitcode}") from None
        if isinstance(answer, str):
            raise ContenderError(f"{self.name}: {answer}")
        return answer

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, module_name: str, case: Case, core: int | None) -> None:
    """Prepare one contender, then time a segment for every step count that arrives, until the far end closes."""
    hold_to_one_thread(core)
    try:
        with _quiet():
            module = importlib.import_module(module_name)
            train = module.prepare(case)
        train(WARM_UP_STEPS)
        connection.send(module.versions())
        while True:
            steps = connection.recv()
            processor = time.process_time()
            seconds = train(steps)
            processor = time.process_time() - processor
            connection.send(Segment(images=steps * case.batch_size, seconds=seconds, processor_seconds=processor))
    except EOFError:
        return
    except Exception as error:  # the parent prints it; a traceback of two processes would hide it
        connection.send(f"{type(error).__name__}: {error}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the notes that TensorFlow's native code writes at its start off the terminal."""
    terminal = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def hold_to_one_thread(core: int | None) -> None:
    """Restrict this process, before it loads a numerical library, to one thread and, where the system can, one core.

    The core also holds threads that no library counts, such as those of TensorFlow's input pipeline.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the comparison is one of CPUs, also where there is a GPU
    if core is not None:
        os.sched_setaffinity(0, {core})


def allowed_cores() -> list[int]:
    """List the cores that this process may use, none where the system cannot hold a process to a core."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def measure(
    contenders: Sequence[Contender], batch_size: int, epoch_images: int, rounds: int, seconds: float
) -> dict[str, list[Segment]]:
    """Let the contenders train in turn, each about `seconds` a round and at most an epoch; order rotates by round."""
    steps = {}
    for contender in contenders:
        trial = contender.train(WARM_UP_STEPS)
        trial = contender.train(_steps_for(trial, seconds / 4, batch_size, epoch_images))
        steps[contender.name] = _steps_for(trial, seconds, batch_size, epoch_images)
    segments: dict[str, list[Segment]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            segments[contender.name].append(contender.train(steps[contender.name]))
    return segments


def _steps_for(trial: Segment, seconds: float, batch_size: int, epoch_images: int) -> int:
    wanted = round(seconds * trial.images_per_second() / batch_size)
    return max(1, min(wanted, epoch_images // batch_size))


def summarise(values: Sequence[float]) -> dict[str, Any]:
    """Median, lowest and highest of the rounds' values, and the values themselves."""
    return {"median": statistics.median(values), "minimum": min(values), "maximum": max(values), "rounds": list(values)}


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """One ratio a round, so that what slows a round slows both; take their median, not the ratio of two medians."""
    return [upper / lower for upper, lower in zip(above, below, strict=True)]
