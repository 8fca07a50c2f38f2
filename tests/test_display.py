from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest
from rich.console import Console

from fmnist.declare.study import Study, configure
from fmnist.sweep.display import WAITING, Display, SweepState, readable_seconds
from fmnist.sweep.plan import Durations
from tests.sweep_runs import trivial_runs

ROW = {"status": "ok", "configuration_id": "c", "architecture": "lenet5", "total_seconds": 10.0, "epochs_run": 2,
       "compile_seconds": 1.0, "train_seconds": 6.0, "evaluate_seconds": None}  # fmt: skip


@pytest.fixture
def state():
    left = {run.run_id: run for run in trivial_runs(4)}
    return SweepState(title="study t", present=2, left=left, durations=Durations(), concurrency=2)


def shown(state, terminal, log_seconds=0.0):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    with Display(state, console, log_seconds) as display:
        display.tick()
        display.say("a line [that] stays")
    return out.getvalue()


def test_counts_follow_the_runs(state):
    runs = list(state.left.values())
    for run in runs:
        state.start(run, 1)
    state.finish(runs[0], ROW)
    state.fail(runs[1], given_up=False)
    state.fail(runs[2], given_up=True)
    state.drop(runs[3])
    assert (state.wanted, state.finished, state.failed, state.present, len(state.left)) == (6, 4, 1, 3, 1)
    assert state.computing_seconds == 7.0
    assert state.headline().startswith("4 of 6 done, 0 running, 1 failed, about 10 s left")


def test_a_row_that_waits_is_made_but_not_in_place(state):
    for run in list(state.left.values())[:2]:
        state.finish(run, ROW)
    state.unsent = 1
    assert (state.done, state.finished, state.wanted) == (2, 3, 6)
    assert "3 of 6 done, 0 running, 0 failed, 1 waiting to be sent, about" in state.headline()


def test_time_left_is_unknown_before_a_run_is_finished(state):
    assert state.seconds_left() is None
    assert state.headline() == "2 of 6 done, 0 running, 0 failed"


def test_time_left_divides_by_the_runs_at_a_time(state):
    state.finish(next(iter(state.left.values())), ROW)
    assert state.seconds_left() == pytest.approx(3 * 10.0 / 2)


def test_the_resources_for_computing_is_said_where_it_is_known(state):
    first, second, *_ = state.left.values()
    state.started -= 100
    state.start(first, 1)
    state.finish(first, {**ROW, "resumed": False})
    assert state.summary() == (
        "1 run in 2 min, 2 at a time; compiling, training and evaluating took 3 % of the workers' time"
    )
    state.start(second, 1)
    assert state.summary() == "1 run in 2 min, 2 at a time"
    state.finish(second, {**ROW, "resumed": True})
    assert state.summary() == "2 runs in 2 min, 2 at a time"


def test_a_run_that_pretrains_says_so(state):
    configuration = configure("lenet5", label="pretrained", pretraining="half_classes", pretraining_epochs=4)
    run = replace(next(iter(state.left.values())), configuration=configuration)
    state.start(run, 1)
    state.pretraining_epoch(run, 3)
    assert "[pretrained repeat 0: pretraining, epoch 3 of 4]" in shown(state, terminal=False)


class CountingDurations(Durations):
    """Counts how often a run's time is estimated: what a frame costs."""

    asked = 0

    def expected(self, run):
        self.asked += 1
        return super().expected(run)


def many_runs(repeats):
    configurations = tuple(configure("lenet5", label=f"{n}", batch_size=n + 1, epochs=1) for n in range(10))
    study = Study(name="many", question="?", configurations=configurations, repeats=repeats)
    return study.runs({item.label: "structure" for item in configurations}, "data")


@pytest.mark.parametrize("repeats", [10, 1000])
def test_a_frame_costs_by_configurations_and_not_by_runs(repeats):
    runs, durations = many_runs(repeats), CountingDurations()
    left = {run.run_id: run for run in runs}
    state = SweepState(title="many", present=0, left=left, durations=durations, concurrency=4)
    for run in runs[: len(runs) // 2]:
        state.finish(run, {**ROW, "configuration_id": run.configuration_id})
    for run in runs[len(runs) // 2 :][:4]:
        state.start(run, 1)
    durations.asked = 0
    assert state.seconds_left() == pytest.approx(len(runs) / 2 * 10.0 / 4, rel=0.1)
    assert durations.asked == 10 + 4  # configurations, and runs under way
    for run in runs[len(runs) // 2 :]:
        state.drop(run)
    assert state.seconds_left() == 0


def test_a_frame_is_drawn_only_when_the_sweep_asks_for_it(state):
    before = threading.active_count()
    with Display(state, Console(file=io.StringIO(), force_terminal=True)) as display:
        display.tick()
        assert threading.active_count() == before  # a thread of its own would see the state change under its hands


def test_a_run_that_waits_for_its_place_is_told_of(state):
    run = next(iter(state.left.values()))
    state.start(run, 1, WAITING)
    assert state.running[run.run_id].describe() == f"plain repeat 0: {WAITING}"
    state.start(run, 1)
    assert state.running[run.run_id].describe() == "plain repeat 0: starting"


def test_what_no_node_can_give_is_said_while_nothing_runs(state):
    state.asks_for = "1 CPU and 1 fast"
    assert state.headline().endswith("0 failed, waits for a node with 1 CPU and 1 fast: none was up at the start")
    state.start(next(iter(state.left.values())), 1)
    assert "waits" not in state.headline()


@pytest.mark.parametrize("terminal", [False, True])
def test_what_runs_is_shown_with_its_accuracy(state, terminal):
    run = next(iter(state.left.values()))
    state.start(run, 2)
    state.epoch(run, 1, 0.875)
    text = shown(state, terminal)
    assert "plain repeat 0, attempt 2: epoch 1 of 2, validation accuracy 87.5 %" in text
    assert "a line [that] stays" in text
    assert "2 of 6 done, 1 running, 0 failed" in text


def test_a_log_is_not_flooded(state):
    out = io.StringIO()
    with Display(state, Console(file=out), log_seconds=3600) as display:
        for _ in range(10):
            display.tick()
    assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (200, "3 min"), (3 * 3600 + 1200, "3 h 20 min"), (100 * 3600, "4 d 4 h")]
)
def test_durations_are_written_for_people(seconds, text):
    assert readable_seconds(seconds) == text
