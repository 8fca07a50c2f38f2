"""Has Ray Tune compute the runs that are missing. Only this module and `connection` and `tracking` import Ray.

Each slot (the resources of one run) is a Tune actor that stays; it starts a process of its own for every run and writes
the run's row itself, so that a row does not depend on the sweep's life. The sweep hands out one run after the other.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from fmnist.declare import RunSpec
from fmnist.store import Store, row_file
from fmnist.sweep.display import SweepState
from fmnist.sweep.fork_server import Message, Nursery
from fmnist.sweep.node_lock import NodeMark, Occupation
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.queue import RunQueue, Turn, failed_row
from fmnist.sweep.resources import Share

# of the environment, read when a Tuner starts: no logger files, no tables, no handler between us and Ctrl-C
TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints tables at verbosity 0 too
}
WAVE_RUNS = 500  # runs of one Tuner: the memory of a Tuner grows with the trials it has seen
LOOK_SECONDS = 0.5  # between two looks of a run that waits for its place on the node


def sweep(
    runs: Sequence[RunSpec],
    data: Any,
    options: StudyOptions,
    share: Share,
    state: SweepState,
    *,
    keep_order: bool = False,
    callbacks: Sequence[tune.Callback] = (),
    wave_runs: int = WAVE_RUNS,
    say: Callable[[str], None] = print,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Compute `runs` on the Ray that is connected; each row, also of a run that fails, is in the store at the end.

    A repeat's runs come the longest first, or with `keep_order` as they are given. `callbacks` are Ray Tune's, for
    dashboards. `state` is kept up to date; `tick` is called often, `say` with a line for each failure.
    """
    os.environ.update(TUNE_SETTINGS)  # until the connection ends
    store = Store(options.results)
    expected = (lambda _: None) if keep_order else state.durations.expected
    queue = RunQueue(runs, store, options.max_failures, done_elsewhere=state.drop, expected=expected)
    watch = _Watch(queue, state, store, say, tick)
    slot = tune.with_parameters(_Slot, data=data, options=options, share=share)
    trainable = tune.with_resources(slot, tune.PlacementGroupFactory([share.needs]))
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        while len(queue):
            with tempfile.TemporaryDirectory(prefix="fmnist-tune-", ignore_cleanup_errors=True) as scratch:
                _wave(trainable, _Feed(queue), [watch, *callbacks], wave_runs, scratch)
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

    def __init__(self, queue: RunQueue) -> None:
        super().__init__()
        self._queue = queue
        self._under_way: set[str] = set()  # ids of trials

    def suggest(self, trial_id: str) -> Any:
        turn = self._queue.take()
        if turn is None:
            return None if self._under_way else Searcher.FINISHED
        self._under_way.add(trial_id)
        return {"turn": turn}

    def on_trial_complete(self, trial_id: str, *_: Any, **__: Any) -> None:
        self._under_way.discard(trial_id)  # what came of it is kept by `_Watch`

    def save(self, checkpoint_path: str) -> None:
        """Nothing, see _NotSaved."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see _NotSaved."""


class _Watch(_NotSaved, tune.Callback):
    """Keeps the books: what runs, what is done, what failed and is tried again or given up."""

    def __init__(
        self, queue: RunQueue, state: SweepState, store: Store, say: Callable[[str], None], tick: Callable[[], None]
    ) -> None:
        self._queue, self._state, self._store, self._say, self._tick = queue, state, store, say, tick
        self._unsent: set[str] = set()  # paths of this sweep's rows that wait on this machine

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._tick()

    def on_trial_start(self, *_: Any, **info: Any) -> None:
        turn: Turn = info["trial"].config["turn"]
        self._state.start(turn.run, turn.attempt)

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        run, result = info["trial"].config["turn"].run, info["result"]
        if "waits" in result:
            self._state.wait(run, waits=result["waits"])
        elif "epoch" in result:
            self._state.epoch(run, result["epoch"], result["validation_accuracy"])

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        turn, result = info["trial"].config["turn"], info["trial"].last_result
        if "failure" in result:
            self._failed(turn, result["failure"])
            return
        try:
            in_place = "content" not in result or self._store.send(result["path"], result["content"])
        except OSError as error:
            self._failed(turn, f"its row can be kept nowhere: {error}")
            return
        if result["model_failure"]:
            self._say(f"{turn.run.name}: its model is not kept: {_last_line(result['model_failure'])}")
        if in_place:
            self._queue.finished(turn)
        else:
            self._unsent.add(result["path"])
        self._state.finish(turn.run, result["row"])
        if self._unsent:
            self._unsent &= set(self._store.waiting())
            self._state.unsent = len(self._unsent)

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        written = info["trial"].error_file
        error = Path(written).read_text() if written and Path(written).exists() else ""
        self._failed(info["trial"].config["turn"], f"{error}\nthe process of the run's slot, or its node, is gone")

    def _failed(self, turn: Turn, error: str) -> None:
        again = self._queue.failed(turn)
        outcome = "is tried again" if again else "given up"
        self._say(f"{turn.run.name} failed (attempt {turn.attempt}), {outcome}: {_last_line(error)}")
        if not again:
            try:
                self._store.write(failed_row(turn.run, error, turn.attempt))
            except OSError as lost:
                self._say(f"{turn.run.name}: that it failed can be written nowhere: {lost}")
        self._state.fail(turn.run, given_up=not again)


def _last_line(error: str) -> str:
    return error.strip().splitlines()[-1]


class _Slot(tune.Trainable):
    """A Tune actor that computes one run after the other; a step is an epoch."""

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        self._options: StudyOptions = shared["options"]
        share: Share = shared["share"]
        self._nursery = Nursery(self._options, replace(share, threads=share.threads or _cpus_of_node()), shared["data"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._turn: Turn = new_config["turn"]
        self._mark = NodeMark(Occupation(self._turn.run.placement, _gpu_of_slot()))
        self._enter()
        return True

    def step(self) -> dict[str, Any]:
        if self._waits:
            time.sleep(LOOK_SECONDS)
            self._enter()
            return {"waits": self._waits}
        message = self._nursery.next_message()
        self._mark.look()
        if message.kind == "epoch":
            return dict(message.content)
        self._mark.release()
        return {"done": True, **self._end(message)}

    def cleanup(self) -> None:
        self._mark.release()
        self._nursery.close()

    def _enter(self) -> None:
        """Start the run if there is a place for it on the node; before, not even TensorFlow is loaded beside others."""
        self._waits = not self._mark.enter()
        if not self._waits:
            self._nursery.start(self._turn.run)

    def _end(self, message: Message) -> dict[str, Any]:
        if message.kind == "failure":
            return {"failure": message.content}
        # a run that goes on was begun before, also where Ray itself moved it, or an earlier sweep was stopped
        attempts = max(self._turn.attempt, 2 if message.content["resumed"] else 1)
        known_here = {"attempts": attempts, "neighbours": self._mark.neighbours, "ray_version": ray.__version__}
        row = {**message.content, **known_here, "placement": self._turn.run.placement}
        path, content = row_file(row)
        try:
            in_place = Store(self._options.results).send(path, content)
        except OSError:  # this machine has no room either
            in_place = False
        shown = {key: value for key, value in row.items() if isinstance(value, (str, int, float))}
        problem = self._nursery.wait_for_end() if self._options.save_models else None
        told = {"row": shown, "path": path, "model_failure": problem}
        return told if in_place else {**told, "content": content}  # for the sweep to send, which may outlive this node


def _gpu_of_slot() -> str:
    """The GPU that Ray gave this slot, by the number or UUID that it has on its node; empty without one."""
    return "".join(ray.get_runtime_context().get_accelerator_ids().get("GPU", ())[:1])


def _cpus_of_node() -> int:
    """The CPUs of this slot's node, at least one, as they are given to Ray."""
    nodes: Any = ray.nodes  # its annotations are incomplete
    here = ray.get_runtime_context().get_node_id()
    return max(1, *(int(node["Resources"].get("CPU", 1)) for node in nodes() if node["NodeID"] == here))
