"""One process a run, without a start of Python and TensorFlow for each: every run is forked from a process that waits.

A `Nursery` belongs to one slot of a sweep. It keeps a process that has imported the engine and holds the data, but has
not yet used TensorFlow, so that a fork of it is a fresh process with its own threads, settings and peak memory, ready
within milliseconds. A run that crashes, or is killed for want of memory, takes nothing else down. (The fork server of
`multiprocessing` would send the data and load the slot's main module, which is Ray's, anew for each run.)
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from fmnist.declare import RunSpec
from fmnist.store import Storage, Store
from fmnist.sweep.claims import InFlight
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import Share
from fmnist.train import UnusableCheckpointError, provenance

TRACEBACK_LINES = 20  # of a failure, kept in its row
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
LOGICAL_GPUS = "FMNIST_LOGICAL_GPUS"  # environment: GPUs are only a way of counting, runs compute on the CPU
SERVE = "import sys; from fmnist.sweep.fork_server import serve; serve(int(sys.argv[1]))"


Kind = Literal["epoch", "row", "failure", "ended"]


@dataclass(frozen=True)
class Message:
    """What is told of a run: an epoch's record, its row, or a failure; last that its process has ended, and how."""

    kind: Kind
    content: Any


class Nursery:
    """Computes runs one after the other, each in a process of its own that has the threads and GPUs of `share`.

    The engine of `options` is the name of a module with `train_run(...)`. `data` is handed over once.
    """

    def __init__(self, options: StudyOptions, share: Share, data: Any) -> None:
        self._given = (options, share, data)
        self._process: subprocess.Popen[bytes] | None = None  # that waits
        self._ended = True  # the process of the run before, if any

    def start(self, run: RunSpec) -> None:
        """Begin a run, once the process of the one before is gone."""
        self.wait_for_end()
        if self._process is None or self._process.poll() is not None:
            self._open()
        self._ended = False
        self._send(run)

    def next_message(self) -> Message:
        """Wait for the next word from the run under way: epochs, then its row or its failure."""
        message = self._read()
        return Message("failure", message.content or "it ended without a row") if message.kind == "ended" else message

    def wait_for_end(self) -> str | None:
        """Wait until the process of the run is gone; returns what went wrong after it told its row, if anything."""
        problem = None
        while not self._ended:
            problem = self._read().content or problem
        return problem

    def close(self) -> int | None:
        """End the waiting process and the run under way, if any; returns the exit code of the former."""
        if self._process is None:
            return None
        self._process.kill()
        self._connection.close()
        return self._process.wait()

    def _open(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                start_new_session=True,  # Ctrl-C at the terminal is the sweep's to handle
            )
        self._send(self._given)

    def _send(self, what: Any) -> None:
        with suppress(ConnectionError):  # the process is gone: next_message says so
            self._connection.send(what)

    def _read(self) -> Message:
        try:
            message: Message = self._connection.recv()
        except (EOFError, ConnectionError):
            message = Message("ended", f"the process that starts runs is gone (exit code {self.close()})")
        self._ended = message.kind == "ended"
        return message


def serve(descriptor: int) -> None:
    """Wait for runs and fork a process for each, until nobody is there to ask any more."""
    slot: Connection[Any, Any] = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        options, share, data = slot.recv()
        engine = importlib.import_module(options.engine)
        provenance()  # asks git: once here, not within the time of every run
        while True:
            run = slot.recv()
            process = os.fork()
            if process == 0:
                try:
                    _Training(engine, data, options, share, run, slot).compute()
                    os._exit(0)
                finally:
                    os._exit(1)  # never back into the loop of the waiting process
            exit_code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            slot.send(Message("ended", _death(exit_code) if exit_code else None))


@dataclass
class _Training:
    """One run, in the process of its own."""

    engine: Any  # module with `train_run(...)`
    data: Any
    options: StudyOptions
    share: Share
    run: RunSpec
    slot: Connection[Any, Any]  # is told of the run
    resumed: bool = False  # went on from a saved state
    saved_at: float = field(default_factory=time.monotonic)  # when a state was saved last, or the run began

    @cached_property
    def _inflight(self) -> InFlight:
        return InFlight(Storage(self.options.results))

    @property
    def _may_resume(self) -> bool:
        """A run that goes on from a saved state has no clean times: an exclusive one begins anew instead."""
        return self.run.placement == "shared"

    def compute(self) -> None:
        threading.Thread(target=self._end_with_slot, daemon=True).start()
        try:
            try:
                self._train(self._inflight.load(self.run) if self._may_resume else None)
            except UnusableCheckpointError:
                self._inflight.drop(self.run, "state")
                self._train(None)
        except Exception:
            self._tell("failure", "\n".join(traceback.format_exc().splitlines()[-TRACEBACK_LINES:]))

    def _end_with_slot(self) -> None:
        """End this run when the sweep's side of the pipe is closed: nobody waits for its row any more.

        Nothing else comes through the pipe meanwhile: the next run is sent when this process has ended.
        """
        self.slot.poll(None)
        os._exit(1)

    def _tell(self, kind: Kind, content: Any) -> None:
        self.slot.send(Message(kind, content))

    def _train(self, state: bytes | None) -> None:
        self.resumed = state is not None
        self.engine.train_run(
            self.run,
            self.data,
            threads=self.share.threads,
            gpus=0.0 if LOGICAL_GPUS in os.environ else self.share.gpus,
            on_epoch=self._on_epoch,
            checkpoint=state,
            on_end=self._on_end,
        )

    def _on_epoch(self, record: dict[str, float], snapshot: Callable[[], bytes]) -> None:
        """Save the state when it is time, and tell of the epoch."""
        if self._may_resume and time.monotonic() - self.saved_at >= self.options.checkpoint_seconds:
            self._inflight.save(self.run, snapshot())
            self.saved_at = time.monotonic()
        self._tell("epoch", record)

    def _on_end(self, row: dict[str, Any], model: Any) -> None:
        """Tell the row, and then keep the model if that is wanted: what happens to it costs no row."""
        self._tell("row", {**row, "resumed": self.resumed, "gpus": self.share.gpus})
        if self.options.save_models:
            with tempfile.TemporaryDirectory(prefix="fmnist-model-") as folder:
                file = Path(folder) / "model.keras"
                model.save(file)
                Store(self.options.results).send(model_path(self.run), file.read_bytes())


def model_path(run: RunSpec) -> str:
    """Where the results hold the final model of a run."""
    return f"models/{run.run_id}.{run.placement}.keras"


def _death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "the run's process was killed (SIGKILL): most often the machine ran out of memory"
    if exit_code < 0:
        return f"the run's process was ended by {signal.Signals(-exit_code).name}"
    return f"the run's process ended with exit code {exit_code}"
