"""What a person sees of a sweep: a live display on a terminal, a line now and then in a log. No Ray here."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fmnist.declare import RunSpec
from fmnist.sweep.plan import Durations

LOG_SECONDS = 20.0  # between two lines in a log
FRAME_SECONDS = 0.25  # between two frames on a terminal
LOG_RUNS = 4  # runs under way that such a line tells of
BAR_WIDTH = 30
WAITING = "waits for its place on the node, where exclusive runs compute alone"
COMPUTING = ("compile_seconds", "train_seconds", "evaluate_seconds")  # of a row: what a worker is there for


@dataclass
class RunningRun:
    """One run under way."""

    run: RunSpec
    attempt: int
    progress: str
    started: float = field(default_factory=time.monotonic)

    def describe(self) -> str:
        """Tell how far the run is: 'own_v1 repeat 2: epoch 3 of 20, validation accuracy 91.2 %'."""
        attempt = f", attempt {self.attempt}" if self.attempt > 1 else ""
        return f"{self.run.name}{attempt}: {self.progress}"


@dataclass
class SweepState:
    """How far a sweep has come: counts, runs under way, and what is left."""

    title: str
    present: int  # runs whose rows were there before, or that another sweep made meanwhile
    left: dict[str, RunSpec]  # run_id -> run that is not finished, those under way included
    durations: Durations
    concurrency: int  # runs that fit at the same time
    asks_for: str = ""  # what no node that is up can give a run, where that is so
    done: int = 0  # rows made by this sweep
    failed: int = 0  # runs given up
    unsent: int = 0  # of the rows made, those that wait on this machine because the results do not answer
    computing_seconds: float = 0.0  # compiling, training and evaluating, summed over the rows made
    resumed: int = 0  # of the rows made, those of runs that an earlier sweep had begun, or another node
    running: dict[str, RunningRun] = field(default_factory=dict)  # run_id -> run under way
    started: float = field(default_factory=time.monotonic)

    def start(self, run: RunSpec, attempt: int, progress: str = "starting") -> None:
        """A run begins, or waits until it may."""
        self.running[run.run_id] = RunningRun(run, attempt, progress)

    def epoch(self, run: RunSpec, epoch: int, validation_accuracy: float | None) -> None:
        """A run has finished an epoch."""
        accuracy = "" if validation_accuracy is None else f", validation accuracy {100 * validation_accuracy:.1f} %"
        progress = f"epoch {epoch} of {run.configuration.hyperparameters.epochs}{accuracy}"
        self.running[run.run_id].progress = progress

    def pretraining_epoch(self, run: RunSpec, epoch: int) -> None:
        """A run has finished an epoch of its source task."""
        progress = f"pretraining, epoch {epoch} of {run.configuration.hyperparameters.pretraining_epochs}"
        self.running[run.run_id].progress = progress

    def finish(self, run: RunSpec, row: Mapping[str, Any]) -> None:
        """A run's row is in place."""
        self._leave(run)
        self.durations.learn(row)
        self.done += 1
        self.resumed += bool(row.get("resumed"))
        self.computing_seconds += sum(row.get(name) or 0.0 for name in COMPUTING)

    def fail(self, run: RunSpec, *, given_up: bool) -> None:
        """A run failed, and is tried again unless it is given up."""
        self.running.pop(run.run_id, None)
        if given_up:
            self._leave(run)
            self.failed += 1

    def drop(self, run: RunSpec) -> None:
        """Another sweep made the row of a run that this one would have computed."""
        self._leave(run)
        self.present += 1

    @property
    def finished(self) -> int:
        """Number of wanted runs whose row is in place."""
        return self.present + self.done - self.unsent

    @property
    def wanted(self) -> int:
        """Number of wanted runs."""
        return self.finished + self.unsent + self.failed + len(self.left)

    def seconds_left(self) -> float | None:
        """Estimate the time left, from the runs finished so far; None before there are any."""
        total = self.durations.total(self.left.values())
        if total is None:
            return None
        now, expected = time.monotonic(), self.durations.expected
        under_way = sum(min(now - item.started, expected(item.run) or 0.0) for item in self.running.values())
        return max(0.0, total - under_way) / max(1, min(self.concurrency, len(self.left)))

    def headline(self) -> str:
        """Sum the sweep up in one line."""
        parts = [f"{self.finished} of {self.wanted} done", f"{len(self.running)} running", f"{self.failed} failed"]
        if self.unsent:
            parts.append(f"{self.unsent} waiting to be sent")
        if self.left and (seconds := self.seconds_left()) is not None:
            parts.append(f"about {readable_seconds(seconds)} left")
        if self.asks_for and not self.running:
            parts.append(f"waits for a node with {self.asks_for}: none was up at the start")
        return ", ".join(parts)

    def summary(self) -> str:
        """Sum up at the end: runs, time, and the share of the workers' time that went into computing."""
        seconds = time.monotonic() - self.started
        runs = f"{self.done} run{'' if self.done == 1 else 's'} in {readable_seconds(seconds)}"
        runs += f", {self.concurrency} at a time"
        if self.running or self.resumed:  # stopped, or begun in an earlier sweep: the share is not known
            return runs
        share = self.computing_seconds / (self.concurrency * seconds)
        return f"{runs}; compiling, training and evaluating took {100 * share:.0f} % of the workers' time"

    def _leave(self, run: RunSpec) -> None:
        self.running.pop(run.run_id, None)
        self.left.pop(run.run_id, None)


def say(console: Console, line: str) -> None:
    """Print a line as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def readable_seconds(seconds: float) -> str:
    """Write a duration for people: 42 s, 7 min, 3 h 20 min, 5 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


class Display:
    """Shows the state of a sweep while the `with` block runs, from the thread that changes it: at each `tick`."""

    def __init__(self, state: SweepState, console: Console, log_seconds: float = LOG_SECONDS) -> None:
        self.state, self._console, self._log_seconds = state, console, log_seconds
        self._next_time = 0.0
        self._live = Live(get_renderable=self._render, console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tick(self) -> None:
        """Draw a frame on a terminal, write a line into a log, if it is time for one."""
        if time.monotonic() < self._next_time:
            return
        self._next_time = time.monotonic() + (FRAME_SECONDS if self._console.is_terminal else self._log_seconds)
        if self._console.is_terminal:
            self._live.refresh()
        else:
            running = "; ".join(_described(self.state.running.values(), LOG_RUNS))
            self.say(self.state.headline() + (f" [{running}]" if running else ""))

    def say(self, line: str) -> None:
        """Write a line that stays."""
        stamp = "" if self._console.is_terminal else f"{time.strftime('%H:%M:%S')} "
        say(self._console, f"{stamp}{self.state.title}: {line}")

    def _render(self) -> Group:
        state = self.state
        bar = ProgressBar(total=max(1, state.wanted), completed=state.finished, width=BAR_WIDTH)
        head = Table.grid(padding=(0, 1))
        head.add_row(Text(state.title, style="bold"), bar, Text(state.headline()))
        lines = _described(state.running.values(), max(1, self._console.height - 4))
        return Group(head, *(Text(f"  {line}") for line in lines))


def _described(running: Collection[RunningRun], most: int) -> list[str]:
    """Describe the first runs under way, and say how many more there are."""
    more = len(running) - most
    return [item.describe() for item in islice(running, most)] + ([f"and {more} more"] if more > 0 else [])
