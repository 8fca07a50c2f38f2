"""Has Ray Tune compute the runs that are missing. Only this module and `sweeping.tracking` import Ray.

Each slot (the resources of one run) is a Tune actor that stays; it starts a process of its own for every run and writes
the run's row itself, so that a row does not depend on the sweep's life. The sweep hands out one run after the other.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

# read by Ray when it is imported or a Tuner starts: no logger files, no tables, no handler between us and Ctrl-C
os.environ.update(
    {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints tables at verbosity 0 too
    }
)

import ray
from ray import tune
from ray._private.services import canonicalize_bootstrap_address
from ray.tune.search import Searcher

from fmnist.errors import UserError
from fmnist.measure import code_version
from fmnist.results import Store
from fmnist.study import RunSpec
from fmnist.sweeping.display import SweepState
from fmnist.sweeping.failures import failed_row
from fmnist.sweeping.neighbours import NodeMark, Occupation
from fmnist.sweeping.placement import Cluster, Share
from fmnist.sweeping.run_process import Message, Nursery, Request
from fmnist.sweeping.run_queue import RunQueue, Turn

WAVE_RUNS = 500  # runs of one Tuner: the memory of a Tuner grows with the trials it has seen
PENDING_RUNS = 16  # asked of a cluster beyond those that fit: what makes it add nodes
OBJECT_STORE_BYTES = 200 * 2**20  # of a Ray of our own: the data is 55 MB
ANSWER_SECONDS = 30.0  # that a Ray has to answer; Ray itself tries for many minutes
ASK_FOR_ANSWER = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
LOOK_SECONDS = 0.5  # between two looks of a run that waits for its place on the node


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How the runs are computed, apart from what they are."""

    results: str  # URI of the store
    share: Share
    max_failures: int  # a run is tried again so often
    checkpoint_seconds: float  # at least this long between two saved states of a run
    engine: str
    keep_order: bool = False  # compute a repeat's runs as they come, not the longest first
    wave_runs: int = WAVE_RUNS
    save_models: bool = False
    callbacks: Sequence[tune.Callback] = ()  # of Ray Tune, for dashboards


@contextmanager
def connection(address: str | None = None) -> Iterator[Cluster]:
    """Join a Ray, or start one of our own for as long as the block runs; the environment is as before afterwards.

    None joins that of RAY_ADDRESS or of `ray start`, and starts one where there is neither; `local` always starts one,
    `auto` never. UserError where no Ray answers within ANSWER_SECONDS.
    """
    with patch.dict(os.environ):
        if "RAY_AUTH_MODE" not in os.environ and not _has_token():
            os.environ["RAY_AUTH_MODE"] = "disabled"  # unset, a Ray of our own writes a token that later ones ask for
        try:
            find: Any = canonicalize_bootstrap_address  # takes None, against its annotation
            found: str | None = find(address)
            if found is None:
                _start()
            else:
                _refuse_silent(found)
                os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(PENDING_RUNS)
                ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, ray.exceptions.RaySystemError) as error:
            tried = address or os.environ.get("RAY_ADDRESS") or "that of `ray start`"
            raise UserError(f"address: got {tried}, where no Ray answers ({error}); start it, or use local") from error
        try:
            yield Cluster(nodes=[node["Resources"] for node in _living_nodes()], can_grow=found is not None)
        finally:
            ray.shutdown()


def _refuse_silent(address: str) -> None:
    """ConnectionError unless a Ray answers; asked by a process of its own, since Ray's own call cannot be ended."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", ASK_FOR_ANSWER, address], capture_output=True, text=True, timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ConnectionError(f"no word in {ANSWER_SECONDS:g} s") from None
    if asked.returncode:
        raise ConnectionError(asked.stderr.strip().splitlines()[-1])


def _start() -> None:
    """Start a Ray that only this machine can reach, without dashboard."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1"
    try:
        ray.init(
            address="local",
            _node_ip_address="127.0.0.1",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except Exception as error:  # a start that takes too long is a bare Exception
        raise OSError(
            f"ray: it did not start on this machine ({error}). A machine with much else to do may be too slow for it:"
            " run the command again later, or start it beforehand with `ray start --head`"
        ) from error


def _living_nodes() -> list[dict[str, Any]]:
    nodes: Any = ray.nodes  # its annotations are incomplete
    return [node for node in nodes() if node["Alive"]]


def _has_token() -> bool:
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").exists()


def sweep(
    runs: Sequence[RunSpec],
    data: Any,
    options: SweepOptions,
    state: SweepState,
    say: Callable[[str], None] = print,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Compute `runs` on the Ray that is connected; each row, also of a run that fails, is in the store at the end.

    `state` is kept up to date; `tick` is called often, `say` with a line for each failure.
    """
    store = Store(options.results)
    expected = (lambda _: None) if options.keep_order else state.durations.expected
    queue = RunQueue(runs, store.storage, options.max_failures, done_elsewhere=state.drop, expected=expected)
    feed = _Feed(queue, options, state)
    watch = _Watch(feed, store, say, tick)
    slot = tune.with_parameters(_Slot, data=data, engine=options.engine)
    trainable = tune.with_resources(slot, tune.PlacementGroupFactory([options.share.needs]))
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        while len(queue):
            with tempfile.TemporaryDirectory(prefix="fmnist-tune-", ignore_cleanup_errors=True) as scratch:
                _wave(trainable, feed, [watch, *options.callbacks], options.wave_runs, scratch)
    finally:
        queue.release()


def _wave(trainable: Any, feed: _Feed, callbacks: list[tune.Callback], runs: int, scratch: str) -> None:
    """Compute at most `runs` runs with one Tuner."""
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=feed,
            num_samples=runs,
            reuse_actors=True,
            trial_name_creator=str,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=scratch,  # nothing of ours: rows and states go to the store
            verbose=0,
            callbacks=callbacks,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),  # the queue tries again
        ),
    ).fit()


class _NotSaved:
    """A part of a sweep that Tune, which saves all it is given, saves as nothing: the store knows what is missing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Feed(_NotSaved, Searcher):
    """Gives Tune the next run when it has room for one."""

    def __init__(self, queue: RunQueue, options: SweepOptions, state: SweepState) -> None:
        super().__init__()
        self.queue, self.options, self.state = queue, options, state
        self.turns: dict[str, Turn] = {}  # trial id -> what it computes

    def suggest(self, trial_id: str) -> Any:
        turn = self.queue.take()
        if turn is None:
            return None if self.turns else Searcher.FINISHED
        self.turns[trial_id] = turn
        options = self.options
        return {
            "request": Request(
                run=turn.run,
                attempt=turn.attempt,
                results=options.results,
                code_version=code_version(),
                threads=options.share.threads,
                gpus=options.share.gpus,
                # a run that goes on from a saved state has no clean times: an exclusive one begins anew instead
                checkpoint_seconds=options.checkpoint_seconds if turn.run.placement == "shared" else None,
                save_model=options.save_models,
            )
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: `_Watch` keeps the books, it is told more."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing, see _NotSaved."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see _NotSaved."""


class _Watch(_NotSaved, tune.Callback):
    """Keeps the books: what runs, what is done, what failed and is tried again or given up."""

    def __init__(self, feed: _Feed, store: Store, say: Callable[[str], None], tick: Callable[[], None]) -> None:
        self._feed, self._store, self._say, self._tick = feed, store, say, tick
        self._state = feed.state

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._tick()

    def on_trial_start(self, *_: Any, **info: Any) -> None:
        turn = self._feed.turns[info["trial"].trial_id]
        self._state.start(turn.run, turn.attempt)

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        result, run = info["result"], self._feed.turns[info["trial"].trial_id].run
        if "waits" in result:
            self._state.wait(run, waits=result["waits"])
        elif "epoch" in result:
            self._state.epoch(run, result["epoch"], result["validation_accuracy"])

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        trial_id, result = info["trial"].trial_id, info["trial"].last_result
        if "failure" in result:
            self._failed(trial_id, result["failure"])
            return
        turn = self._feed.turns.pop(trial_id)
        self._feed.queue.finished(turn)
        self._state.finish(turn.run, result["row"])

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        written = info["trial"].error_file
        error = Path(written).read_text() if written and Path(written).exists() else ""
        self._failed(info["trial"].trial_id, f"{error}\nthe process of the run's slot, or its node, is gone")

    def _failed(self, trial_id: str, error: str) -> None:
        turn = self._feed.turns.pop(trial_id)
        again = self._feed.queue.failed(turn)
        last_line = error.strip().splitlines()[-1]
        outcome = "is tried again" if again else "given up"
        self._say(f"{turn.run.name} failed (attempt {turn.attempt}), {outcome}: {last_line}")
        if not again:
            self._store.write(failed_row(turn.run, error, turn.attempt))
        self._state.fail(turn.run, given_up=not again)


class _Slot(tune.Trainable):
    """A Tune actor that computes one run after the other; a step is an epoch."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        self._shared = shared  # engine and data
        self._nursery: Nursery | None = None
        self._begin(config["request"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config["request"])
        return True

    def step(self) -> dict[str, Any]:
        if self._waits:
            time.sleep(LOOK_SECONDS)
            self._enter()
            return {"waits": self._waits}
        assert self._nursery is not None
        message = self._nursery.next_message()
        self._mark.look()
        if message.kind == "epoch":
            return dict(message.content)
        self._mark.release()
        return {"done": True, **self._end(message)}

    def cleanup(self) -> None:
        self._mark.release()
        if self._nursery is not None:
            self._nursery.close()

    def _begin(self, request: Request) -> None:
        self._request, self._mark = request, NodeMark(Occupation(request.run.placement, _gpu_of_slot()))
        self._enter()

    def _enter(self) -> None:
        """Start the run if there is a place for it on the node; before, not even TensorFlow is loaded beside others."""
        self._waits = not self._mark.enter()
        if self._waits:
            return
        if self._nursery is None or not self._nursery.alive:
            self._nursery = Nursery(**self._shared)
        self._nursery.start(replace(self._request, threads=self._request.threads or _cpus_of_node()))

    def _end(self, message: Message) -> dict[str, Any]:
        if message.kind == "failure":
            return {"failure": message.content}
        request, mark = self._request, self._mark
        # a run that goes on was begun before, also where Ray itself moved it, or an earlier sweep was stopped
        attempts = max(request.attempt, 2 if message.content["resumed"] else 1)
        known_here = {"attempts": attempts, "neighbours": mark.neighbours, "ray_version": ray.__version__}
        row = {**message.content, **known_here, "placement": request.run.placement}
        Store(request.results).write(row)
        return {"row": {key: value for key, value in row.items() if isinstance(value, (str, int, float))}}


def _gpu_of_slot() -> str:
    """The GPU that Ray gave this slot, by the number or UUID that it has on its node; empty without one."""
    return "".join(ray.get_runtime_context().get_accelerator_ids().get("GPU", ())[:1])


def _cpus_of_node() -> int:
    """The CPUs of this slot's node, at least one, as they are given to Ray."""
    here = ray.get_runtime_context().get_node_id()
    return max(1, *(int(node["Resources"].get("CPU", 1)) for node in _living_nodes() if node["NodeID"] == here))
