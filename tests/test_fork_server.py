from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fmnist.store.storage import Storage
from fmnist.store.store import Store
from fmnist.sweep.claims import InFlight
from fmnist.sweep.fork_server import Nursery, model_path
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import Share
from tests.sweep_runs import trivial_runs


@contextmanager
def opened_nursery(results, checkpoint_seconds=0.0, **changes):
    options = StudyOptions(
        results=str(results), engine="tests.trivial_engine", checkpoint_seconds=checkpoint_seconds, **changes
    )
    made = Nursery(options, Share(cpus=1.0, gpus=0.0), {"folder": str(results)})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def nursery(tmp_path):
    with opened_nursery(tmp_path) as made:
        yield made


def last_message(nursery, run):
    nursery.start(run)
    while (message := nursery.next_message()).kind == "epoch":
        pass
    return message


def test_runs_follow_each_other_in_processes_of_their_own(nursery):
    for run in trivial_runs(3):
        nursery.start(run)
        messages = [nursery.next_message() for _ in range(3)]
        assert [message.kind for message in messages] == ["epoch", "epoch", "row"]
        assert messages[0].content["epoch"] == 1
        assert messages[2].content["run_id"] == run.run_id
        assert messages[2].content["resumed"] is False


def test_an_error_is_told_with_the_end_of_its_traceback(nursery):
    message = last_message(nursery, trivial_runs(1, "raises")[0])
    assert message.kind == "failure"
    assert message.content.endswith("RuntimeError: this run always fails")
    assert "trivial_engine.py" in message.content
    assert last_message(nursery, trivial_runs(1)[0]).kind == "row"


def test_a_killed_run_fails_alone_and_goes_on_from_its_state(nursery):
    killed, undisturbed = trivial_runs(1, "is_killed_once", epochs=3)[0], trivial_runs(1, epochs=3)[0]
    message = last_message(nursery, killed)
    assert message.kind == "failure"
    assert "SIGKILL" in message.content
    again = last_message(nursery, killed).content
    assert again["resumed"] is True
    assert again["test_accuracy"] == last_message(nursery, undisturbed).content["test_accuracy"]


def test_no_state_of_an_exclusive_run_is_saved_or_read(nursery, tmp_path):
    (run,) = trivial_runs(1, "is_killed_once", placement="exclusive")
    last_message(nursery, run)
    inflight = InFlight(Storage(tmp_path))
    assert inflight.load(run) is None
    inflight.save(run, b"not to be read")
    assert last_message(nursery, run).kind == "failure"


def test_a_damaged_state_is_dropped_and_the_run_begins_anew(tmp_path):
    (run,) = trivial_runs(1)
    InFlight(Storage(tmp_path)).save(run, b"no pickle")
    with opened_nursery(tmp_path, checkpoint_seconds=3600.0) as nursery:
        message = last_message(nursery, run)
    assert (message.kind, message.content["resumed"]) == ("row", False)
    assert [epoch["epoch"] for epoch in message.content["history"]] == [1, 2]
    assert InFlight(Storage(tmp_path)).load(run) is None


@pytest.mark.parametrize(("course", "kept"), [("plain", True), ("does_not_save", False)])
def test_a_model_comes_after_the_row_and_costs_none(tmp_path, course, kept):
    (run,) = trivial_runs(1, course)
    with opened_nursery(tmp_path, save_models=True) as nursery:
        assert last_message(nursery, run).kind == "row"
        problem = nursery.wait_for_end()
        assert (tmp_path / model_path(run)).exists() is kept
        assert problem is None if kept else "SIGKILL" in problem
        assert last_message(nursery, trivial_runs(1)[0]).kind == "row"


def test_a_model_waits_while_the_results_do_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").write_text("a file, not a folder")
    (run,) = trivial_runs(1)
    with opened_nursery(tmp_path, save_models=True) as nursery:  # with the cache of this test
        assert last_message(nursery, run).kind == "row"
        assert nursery.wait_for_end() is None
    store = Store(tmp_path)
    assert store.waiting() == [model_path(run)]
    (tmp_path / "models").unlink()
    assert store.flush() == []
    assert (tmp_path / model_path(run)).read_bytes() == b"the model"


def test_states_are_not_saved_more_often_than_asked(tmp_path):
    (run,) = trivial_runs(1)
    with opened_nursery(tmp_path, checkpoint_seconds=3600.0) as nursery:
        assert last_message(nursery, run).kind == "row"
    assert InFlight(Storage(tmp_path)).load(run) is None


def test_a_waiting_process_that_dies_is_a_failure_and_no_hang_and_another_comes(nursery):
    nursery.start(trivial_runs(1, "waits")[0])
    assert nursery.next_message().kind == "epoch"
    (child,) = children_of(nursery._process.pid)
    for process in (nursery._process.pid, int(child)):
        os.kill(process, signal.SIGKILL)
    message = nursery.next_message()
    assert message.kind == "failure"
    assert "exit code -9" in message.content
    assert last_message(nursery, trivial_runs(1)[0]).kind == "row"


def test_a_run_ends_when_nobody_waits_for_it_any_more(nursery):
    nursery.start(trivial_runs(1, "waits")[0])
    assert nursery.next_message().kind == "epoch"
    (child,) = children_of(nursery._process.pid)
    nursery.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
