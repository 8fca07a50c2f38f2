"""One process a run, without a start of Python and TensorFlow for each: every run is forked from a process that waits.

A `Nursery` belongs to one slot of a sweep. It keeps a process that has imported the engine and holds the data, but has
not yet used TensorFlow, so that a fork of it is a fresh process with its own threads, settings and peak memory, ready
within milliseconds. A run that crashes, or is killed for want of memory, takes nothing else down.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from fmnist.measure import provenance
from fmnist.store.storage import Storage
from fmnist.study import RunSpec
from fmnist.sweeping.inflight import InFlight

TRACEBACK_LINES = 20  # of a failure, kept in its row
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
LOGICAL_GPUS = "FMNIST_LOGICAL_GPUS"  # environment: GPUs are only a way of counting, runs compute on the CPU


@dataclass(frozen=True, kw_only=True)
class Request:
    """One run as a slot is asked to compute it."""

    run: RunSpec
    results: str  # URI of the store
    threads: int | None  # None: all CPUs of its node, which the slot counts
    gpus: float
    code_version: str  # of the saved states that the run may go on from
    checkpoint_seconds: float | None  # at least this long between two saved states; None saves none
    attempt: int = 1
    save_model: bool = False  # also store the final model, below models/


@dataclass(frozen=True)
class Message:
    """What is told of a run: an epoch's record, its row, or why there is none; and last that its process has ended."""

    kind: Literal["epoch", "row", "failure", "ended"]
    content: Any


class Nursery:
    """Computes runs one after the other, each in a process of its own.

    `engine` is the name of a module with `prepare_process(threads, gpus)` and `train_run(...)`, `fmnist.training`
    unless a test says otherwise. `data` is handed over once.
    """

    def __init__(self, engine: str, data: Any) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fmnist.sweeping.run_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **QUIET, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C at the terminal is the sweep's to handle
        )
        self._send((engine, data))
        self._ended = True  # the process of the run before, if any

    def start(self, request: Request) -> None:
        """Begin a run, once the process of the one before is gone."""
        while not self._ended:
            self._read()
        self._ended = False
        self._send(request)

    def next_message(self) -> Message:
        """Wait for the next word from the run under way: epochs, then its row or its failure."""
        message = self._read()
        return Message("failure", message.content) if message.kind == "ended" else message

    def _read(self) -> Message:
        assert self._process.stdout is not None
        try:
            message: Message = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            self._process.kill()
            message = Message("ended", f"the process that starts runs is gone (exit code {self._process.wait()})")
        self._ended = message.kind == "ended"
        return message

    @property
    def alive(self) -> bool:
        """Whether another run can be started here."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the waiting process and the run under way, if any."""
        self._process.kill()
        self._process.communicate()

    def _send(self, what: Any) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(what, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # the process is gone: next_message says so


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Wait for runs and fork a process for each, until nobody is there to ask any more."""
    engine_name, data = pickle.load(requests)
    engine = importlib.import_module(engine_name)
    provenance()  # asks git: once here, not within the time of every run
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        process = os.fork()
        if process == 0:
            exit_code = 1  # unless the run has said how it ended
            try:
                _compute(engine, data, request, replies)
                exit_code = 0
            finally:
                os._exit(exit_code)  # never back into the loop of the waiting process
        status = os.waitpid(process, 0)[1]
        _reply(replies, Message("ended", _death(os.waitstatus_to_exitcode(status))))


def _compute(engine: Any, data: Any, request: Request, replies: IO[bytes]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gpus = 0.0 if LOGICAL_GPUS in os.environ else request.gpus
    try:
        engine.prepare_process(request.threads, gpus)
        state = _inflight(request).load(request.run) if request.checkpoint_seconds is not None else None
        with _model_file(request) as model:
            row = engine.train_run(
                request.run,
                data,
                threads=request.threads,
                gpus=gpus,
                on_epoch=_reporter(request, replies),
                state=state,
                **({"save_model": model} if model else {}),
            )
        _reply(replies, Message("row", {**row, "resumed": state is not None, "gpus": request.gpus}))
    except Exception:
        _reply(replies, Message("failure", "\n".join(traceback.format_exc().splitlines()[-TRACEBACK_LINES:])))


@contextmanager
def _model_file(request: Request) -> Iterator[Path | None]:
    """Give a file for the final model, if it is wanted, and store what is in it at the end of the block."""
    if not request.save_model:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="fmnist-model-") as folder:
        model = Path(folder) / "model.keras"
        yield model
        run = request.run
        Storage(request.results).put(f"models/{run.run_id}.{run.placement}.keras", model.read_bytes())


def _reporter(request: Request, replies: IO[bytes]) -> Callable[[dict[str, float], Callable[[], bytes]], None]:
    """Make the function that a run calls after each epoch: it saves the state when it is time, and tells the sweep."""
    saved_at = time.monotonic()

    def on_epoch(record: dict[str, float], snapshot: Callable[[], bytes]) -> None:
        nonlocal saved_at
        due = request.checkpoint_seconds is not None and time.monotonic() - saved_at >= request.checkpoint_seconds
        if due:
            _inflight(request).save(request.run, snapshot())
            saved_at = time.monotonic()
        _reply(replies, Message("epoch", record))

    return on_epoch


def _inflight(request: Request) -> InFlight:
    return InFlight(Storage(request.results), request.code_version)


def _end_with_parent() -> None:
    """End this run when the sweep's side of the pipe is closed: nobody waits for its row any more.

    Nothing else comes through the pipe meanwhile: the next request is sent when this process has ended.
    """
    os.read(0, 1)
    os._exit(1)


def _reply(replies: IO[bytes], message: Message) -> None:
    pickle.dump(message, replies)
    replies.flush()


def _death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "the run's process was killed (SIGKILL): most often the machine ran out of memory"
    if exit_code < 0:
        return f"the run's process was ended by {signal.Signals(-exit_code).name}"
    return f"the run's process ended with exit code {exit_code}"


if __name__ == "__main__":
    # whatever a library prints goes to the log: the pipe is for messages
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from fmnist.sweeping import run_process  # pickled messages name the module, not __main__

    run_process.serve(sys.stdin.buffer, pipe)
