"""Has Ray Tune compute the runs that are missing: Tune serves as a pool of reused actors with an autoscaler behind it.

A trial is an attempt at a run; an actor, a `Worker`, stays for one trial after the other. When the resources of a run
are free Tune asks the `RunSearcher` for a trial; while trials wait for resources, their requests make a cluster add
nodes; what comes of a trial is told to the `SweepCallback`. Everything else that Tune does is switched off:
- search and schedulers: the queue says which run is next;
- retries: the queue tries again, after the other runs and perhaps on another node;
- checkpoints, and the saved state of the experiment: the store knows what is missing, so the same command resumes;
- loggers, tables and the handler of Ctrl-C: rows, display and job are ours.
A Tuner's memory grows with the trials it has seen: after TRIALS_OF_TUNER another takes over.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from fmnist.declare import RunSpec
from fmnist.store import Store
from fmnist.sweep.display import WAITING, Display
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.queue import Attempt, RunQueue, failed_row
from fmnist.sweep.resources import RunResources
from fmnist.sweep.worker import Worker

# of the environment, read when a Tuner starts: no logger files, no tables, no handler between us and Ctrl-C
TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints tables at verbosity 0 too
}
TRIALS_OF_TUNER = 500

Follow = Callable[[RunSpec, Mapping[str, Any] | None], Sequence[RunSpec]]


def sweep(
    runs: Sequence[RunSpec],
    data: Any,
    options: StudyOptions,
    resources: RunResources,
    display: Display,
    *,
    keep_order: bool = False,
    callbacks: Sequence[tune.Callback] = (),
    follow: Follow = lambda *_: (),
) -> None:
    """Compute `runs` on the Ray that is connected; each row, also of a run that fails, is in the store at the end.

    A repeat's runs come the longest first, or with `keep_order` as they are given. The state of `display` is kept up to
    date, and failures are said there. `callbacks` are Ray Tune's, for dashboards. `follow(run, row)` gives the runs
    that are wanted now that one is over: `row` has its scalar columns and `accuracies`, its validation accuracy after
    each epoch; None where another sweep made it.
    """
    os.environ.update(TUNE_SETTINGS)  # until the connection ends
    store, state = Store(options.results), display.state
    expected = (lambda _: None) if keep_order else state.durations.expected

    def over(run: RunSpec, row: Mapping[str, Any] | None) -> None:
        further = follow(run, row)
        queue.add(further)
        state.left.update({run.run_id: run for run in further})

    def done_elsewhere(run: RunSpec) -> None:
        state.drop(run)
        over(run, None)

    queue = RunQueue(runs, store, options.max_failures, done_elsewhere=done_elsewhere, expected=expected)
    callback = SweepCallback(queue, store, display, over)
    worker = tune.with_parameters(Worker, data=data, options=options, resources=resources)
    trainable = tune.with_resources(worker, tune.PlacementGroupFactory([resources.demand]))
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        while len(queue):
            with tempfile.TemporaryDirectory(prefix="fmnist-tune-", ignore_cleanup_errors=True) as scratch:
                _compute_batch(trainable, RunSearcher(queue), [callback, *callbacks], scratch)
    finally:
        queue.release()


def _compute_batch(trainable: Any, searcher: "RunSearcher", callbacks: list[tune.Callback], scratch: str) -> None:
    """Compute a batch of trials with one Tuner."""
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=TRIALS_OF_TUNER,
            reuse_actors=True,
            trial_name_creator=str,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=scratch,  # nothing of ours: rows and checkpoints go to the store
            verbose=0,
            callbacks=callbacks,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    ).fit()


class _NotSaved:
    """What Tune, which saves all it is given with an experiment, saves as nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class RunSearcher(_NotSaved, Searcher):
    """Gives Tune the next attempt when it has room for one."""

    def __init__(self, queue: RunQueue) -> None:
        super().__init__()
        self._queue = queue
        self._under_way: set[str] = set()  # ids of trials

    def suggest(self, trial_id: str) -> Any:
        """Give the parameters of a trial: an attempt; None while none waits that one under way may still bring."""
        attempt = self._queue.take()
        if attempt is None:
            return None if self._under_way else Searcher.FINISHED
        self._under_way.add(trial_id)
        return {"attempt": attempt}

    def on_trial_complete(self, trial_id: str, *_: Any, **__: Any) -> None:
        """Know that a trial has ended; what came of it is told to the SweepCallback."""
        self._under_way.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing, see _NotSaved."""

    restore = save


class SweepCallback(_NotSaved, tune.Callback):
    """Keeps count of what runs, what is done, and what failed and is tried again or given up."""

    def __init__(
        self, queue: RunQueue, store: Store, display: Display, over: Callable[[RunSpec, Mapping[str, Any]], None]
    ) -> None:
        self._queue, self._store, self._display, self._state = queue, store, display, display.state
        self._over = over  # told of each run that has a row, or would have one if it could be written
        self._unsent: set[str] = set()  # paths of this sweep's rows that wait on this machine

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Draw the display if it is time: this is called often."""
        self._display.tick()

    def on_trial_start(self, *_: Any, **info: Any) -> None:
        """Count a run that has got its worker."""
        attempt: Attempt = info["trial"].config["attempt"]
        self._state.start(attempt.run, attempt.number)

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        """Show an epoch, or that the run waits."""
        attempt, result = info["trial"].config["attempt"], info["result"]
        if "waits" in result:
            self._state.start(attempt.run, attempt.number, WAITING if result["waits"] else "starting")
        elif "pretraining_epoch" in result:
            self._state.pretraining_epoch(attempt.run, result["pretraining_epoch"])
        elif "epoch" in result:
            self._state.epoch(attempt.run, result["epoch"], result["validation_accuracy"])

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        """Finish a run, with its row where the worker could not write it, or take in that the attempt failed."""
        attempt, result = info["trial"].config["attempt"], info["trial"].last_result
        if "failure" in result:
            self._failed(attempt, result["failure"])
            return
        try:
            in_place = "content" not in result or self._store.send(result["path"], result["content"])
        except OSError as error:
            self._failed(attempt, f"its row can be kept nowhere: {error}")
            return
        if result["model_failure"]:
            self._display.say(f"{attempt.run.name}: its model is not kept: {_last_line(result['model_failure'])}")
        if in_place:
            self._queue.finished(attempt)
        else:
            self._unsent.add(result["path"])
        self._state.finish(attempt.run, result["row"])
        if self._unsent:
            self._unsent &= set(self._store.waiting())
            self._state.unsent = len(self._unsent)
        self._over(attempt.run, result["row"])

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        """Take in that a worker is lost."""
        written = info["trial"].error_file
        error = Path(written).read_text() if written and Path(written).exists() else ""
        self._failed(info["trial"].config["attempt"], f"{error}\nthe run's worker, or its node, is gone")

    def _failed(self, attempt: Attempt, error: str) -> None:
        run, again = attempt.run, self._queue.failed(attempt)
        outcome = "is tried again" if again else "given up"
        self._display.say(f"{run.name} failed (attempt {attempt.number}), {outcome}: {_last_line(error)}")
        self._state.fail(run, given_up=not again)
        if not again:
            row = failed_row(run, error, attempt.number)
            try:
                self._store.write(row)
            except OSError as lost:
                self._display.say(f"{run.name}: that it failed can be written nowhere: {lost}")
            self._over(run, row)


def _last_line(error: str) -> str:
    return error.strip().splitlines()[-1]
