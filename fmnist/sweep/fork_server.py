"""One process a run, without a start of Python and TensorFlow for each: every run is forked from a process that waits.

A `ForkServer` belongs to one worker of a sweep. It keeps a process that has imported the engine and holds the data, but
has not yet used TensorFlow, so that a fork of it is a fresh process with its own threads, settings and peak memory,
ready within milliseconds. A run that crashes, or is killed for want of memory, takes nothing else down.

What is told of a run is a dictionary, as Tune takes it: an epoch's record, `row`, or `failure`; last `ended`, how.

The forkserver of `multiprocessing` speaks through a socket in a temporary folder: that stays where a worker is killed,
and cannot be made below a long path. It also needs a second process, the data in a file, and Ray's main module hidden.
"""

from __future__ import annotations

import importlib
import multiprocessing
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
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fmnist.declare import RunSpec
from fmnist.store import Storage, Store
from fmnist.sweep.in_flight import CheckpointStore
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import RunResources
from fmnist.train import UnusableCheckpointError, provenance

TRACEBACK_LINES = 20  # of a failure, kept in its row
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
LOGICAL_GPUS = "FMNIST_LOGICAL_GPUS"  # environment: GPUs are only a way of counting, runs compute on the CPU
SERVE = "import sys; from fmnist.sweep.fork_server import serve; serve(int(sys.argv[1]))"


class ForkServer:
    """Computes runs one after the other, each in a process of its own that has the threads and GPUs of `resources`.

    The engine of `options` is the name of a module with `train_run(...)`. `data` is handed over once.
    """

    def __init__(self, options: StudyOptions, resources: RunResources, data: Any) -> None:
        self._given = (options, resources, data)
        self._process: subprocess.Popen[bytes] | None = None  # that waits
        self._ended = True  # the process of the run before, if any

    def start(self, run: RunSpec) -> None:
        """Begin a run, once the process of the one before is gone."""
        self.wait_for_end()
        if self._process is None or self._process.poll() is not None:
            self._open()
        self._ended = False
        self._send(run)

    def next_message(self) -> dict[str, Any]:
        """Wait for the next word from the run under way: epochs, then its row or its failure."""
        message = self._read()
        return {"failure": message["ended"] or "it ended without a row"} if "ended" in message else message

    def wait_for_end(self) -> str | None:
        """Wait until the process of the run is gone; returns what went wrong after it told its row, if anything."""
        problem = None
        while not self._ended:
            message = self._read()
            problem = message.get("ended") or message.get("failure") or problem
        return problem

    def close(self) -> int | None:
        """End the waiting process and the run under way, if any; returns the exit code of the former."""
        if self._process is None:
            return None
        self._process.kill()
        self._connection.close()
        return self._process.wait()

    def _open(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
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

    def _read(self) -> dict[str, Any]:
        try:
            message: dict[str, Any] = self._connection.recv()
        except (EOFError, ConnectionError):
            message = {"ended": f"the process that starts runs is gone (exit code {self.close()})"}
        self._ended = "ended" in message
        return message


def serve(descriptor: int) -> None:
    """Wait for runs and fork a process for each, until nobody is there to ask any more."""
    worker: Connection[Any, Any] = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        options, resources, data = worker.recv()
        engine = importlib.import_module(options.engine)
        provenance()  # asks git: once here, not within the time of every run
        while True:
            training = _Training(engine, data, options, resources, worker.recv(), worker)
            process = multiprocessing.get_context("fork").Process(target=training.compute)
            process.start()
            process.join()
            worker.send({"ended": _death(process.exitcode or 0)})


@dataclass
class _Training:
    """One run, in the process of its own."""

    engine: Any  # module with `train_run(...)`
    data: Any
    options: StudyOptions
    resources: RunResources
    run: RunSpec
    worker: Connection[Any, Any]  # is told of the run
    resumed: bool = False  # from a checkpoint
    saved_at: float = field(default_factory=time.monotonic)  # when a checkpoint was saved last, or the run began

    def compute(self) -> None:
        threading.Thread(target=self._end_with_worker, daemon=True).start()
        self.checkpoints = CheckpointStore(Storage(self.options.results))  # here: a storage may start threads
        # an exclusive run is trained from the start: one that resumes has no clean times
        self.may_resume = self.run.placement == "shared"
        try:
            try:
                self._train(self.checkpoints.load(self.run) if self.may_resume else None)
            except UnusableCheckpointError:
                self.checkpoints.delete(self.run)
                self._train(None)
        except Exception:
            self.worker.send({"failure": "\n".join(traceback.format_exc().splitlines()[-TRACEBACK_LINES:])})

    def _end_with_worker(self) -> None:
        """End this run when the worker's side of the pipe is closed: nobody waits for its row any more.

        Nothing else comes through the pipe meanwhile: the next run is sent when this process has ended.
        """
        self.worker.poll(None)
        os._exit(1)

    def _train(self, checkpoint: bytes | None) -> None:
        self.resumed = checkpoint is not None
        self.engine.train_run(
            self.run,
            self.data,
            threads=self.resources.threads,
            gpus=0.0 if LOGICAL_GPUS in os.environ else self.resources.gpus,
            on_epoch=self._on_epoch,
            checkpoint=checkpoint,
            on_end=self._on_end,
        )

    def _on_epoch(self, record: dict[str, float], make_checkpoint: Callable[[], bytes]) -> None:
        """Save a checkpoint when it is time, and tell of the epoch."""
        if self.may_resume and time.monotonic() - self.saved_at >= self.options.checkpoint_seconds:
            self.checkpoints.save(self.run, make_checkpoint())
            self.saved_at = time.monotonic()
        self.worker.send(record)

    def _on_end(self, row: dict[str, Any], model: Any) -> None:
        """Tell the row, and then keep the model if that is wanted: what happens to it costs no row."""
        self.worker.send({"row": {**row, "resumed": self.resumed, "gpus": self.resources.gpus}})
        if self.options.save_models:
            with tempfile.TemporaryDirectory(prefix="fmnist-model-") as folder:
                file = Path(folder) / "model.keras"
                model.save(file)
                Store(self.options.results).send(model_path(self.run), file.read_bytes())


def model_path(run: RunSpec) -> str:
    """Where the results hold the final model of a run."""
    return f"models/{run.run_id}.{run.placement}.keras"


def _death(exit_code: int) -> str | None:
    if exit_code == -signal.SIGKILL:
        return "the run's process was killed (SIGKILL): most often the machine ran out of memory"
    if exit_code < 0:
        return f"the run's process was ended by {signal.Signals(-exit_code).name}"
    return f"the run's process ended with exit code {exit_code}" if exit_code else None
