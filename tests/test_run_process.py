from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fmnist.results import Store
from fmnist.store.storage import Storage
from fmnist.sweeping.inflight import InFlight
from fmnist.sweeping.run_process import Nursery, Request, model_path
from tests.sweep_runs import trivial_runs


@pytest.fixture
def nursery(tmp_path):
    made = Nursery("tests.trivial_engine", {"folder": str(tmp_path)})
    yield made
    made.close()


def request_for(run, results, checkpoint_seconds=0.0):
    return Request(
        run=run,
        results=str(results),
        code_version="test",
        threads=1,
        gpus=0.0,
        checkpoint_seconds=checkpoint_seconds,
    )


def last_message(nursery, request):
    nursery.start(request)
    while (message := nursery.next_message()).kind == "epoch":
        pass
    return message


def test_runs_follow_each_other_in_processes_of_their_own(nursery, tmp_path):
    for run in trivial_runs(3):
        nursery.start(request_for(run, tmp_path))
        messages = [nursery.next_message() for _ in range(3)]
        assert [message.kind for message in messages] == ["epoch", "epoch", "row"]
        assert messages[0].content["epoch"] == 1
        assert messages[2].content["run_id"] == run.run_id
        assert messages[2].content["resumed"] is False


def test_an_error_is_told_with_the_end_of_its_traceback(nursery, tmp_path):
    message = last_message(nursery, request_for(trivial_runs(1, "raises")[0], tmp_path))
    assert message.kind == "failure"
    assert message.content.endswith("RuntimeError: this run always fails")
    assert "trivial_engine.py" in message.content
    assert last_message(nursery, request_for(trivial_runs(1)[0], tmp_path)).kind == "row"


def test_a_killed_run_fails_alone_and_goes_on_from_its_state(nursery, tmp_path):
    killed, undisturbed = trivial_runs(1, "is_killed_once", epochs=3)[0], trivial_runs(1, epochs=3)[0]
    message = last_message(nursery, request_for(killed, tmp_path))
    assert message.kind == "failure"
    assert "SIGKILL" in message.content
    assert nursery.alive
    again = last_message(nursery, request_for(killed, tmp_path)).content
    assert again["resumed"] is True
    assert again["test_accuracy"] == last_message(nursery, request_for(undisturbed, tmp_path)).content["test_accuracy"]


def test_no_state_is_saved_or_read_where_none_is_asked_for(nursery, tmp_path):
    (run,) = trivial_runs(1, "is_killed_once")
    last_message(nursery, request_for(run, tmp_path, checkpoint_seconds=None))
    inflight = InFlight(Storage(tmp_path), "test")
    assert inflight.load(run) is None
    inflight.save(run, b"not to be read")
    assert last_message(nursery, request_for(run, tmp_path, checkpoint_seconds=None)).kind == "failure"


def test_a_damaged_state_is_dropped_and_the_run_begins_anew(nursery, tmp_path):
    (run,) = trivial_runs(1)
    InFlight(Storage(tmp_path), "test").save(run, b"no pickle")
    message = last_message(nursery, request_for(run, tmp_path, checkpoint_seconds=3600.0))
    assert (message.kind, message.content["resumed"]) == ("row", False)
    assert [epoch["epoch"] for epoch in message.content["history"]] == [1, 2]
    assert InFlight(Storage(tmp_path), "test").load(run) is None


@pytest.mark.parametrize(("course", "kept"), [("plain", True), ("does_not_save", False)])
def test_a_model_comes_after_the_row_and_costs_none(nursery, tmp_path, course, kept):
    (run,) = trivial_runs(1, course)
    message = last_message(nursery, replace(request_for(run, tmp_path), save_model=True))
    assert message.kind == "row"
    problem = nursery.wait_for_end()
    assert (tmp_path / model_path(run)).exists() is kept
    assert problem is None if kept else "SIGKILL" in problem
    assert last_message(nursery, request_for(trivial_runs(1)[0], tmp_path)).kind == "row"


def test_a_model_waits_while_the_results_do_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").write_text("a file, not a folder")
    (run,) = trivial_runs(1)
    made = Nursery("tests.trivial_engine", None)  # with the cache of this test
    try:
        assert last_message(made, replace(request_for(run, tmp_path), save_model=True)).kind == "row"
        assert made.wait_for_end() is None
    finally:
        made.close()
    store = Store(tmp_path)
    assert store.waiting() == [model_path(run)]
    (tmp_path / "models").unlink()
    assert store.flush() == []
    assert (tmp_path / model_path(run)).read_bytes() == b"the model"


def test_states_are_not_saved_more_often_than_asked(nursery, tmp_path):
    (run,) = trivial_runs(1)
    assert last_message(nursery, request_for(run, tmp_path, checkpoint_seconds=3600.0)).kind == "row"
    assert InFlight(Storage(tmp_path), "test").load(run) is None


def test_a_waiting_process_that_dies_is_a_failure_and_no_hang(nursery, tmp_path):
    assert last_message(nursery, request_for(trivial_runs(1)[0], tmp_path)).kind == "row"
    os.kill(nursery._process.pid, signal.SIGKILL)
    message = last_message(nursery, request_for(trivial_runs(1)[0], tmp_path))
    assert message.kind == "failure"
    assert "exit code -9" in message.content
    assert not nursery.alive


def test_a_run_ends_when_nobody_waits_for_it_any_more(nursery, tmp_path):
    nursery.start(request_for(trivial_runs(1, "waits")[0], tmp_path))
    assert nursery.next_message().kind == "epoch"
    (child,) = children_of(nursery._process.pid)
    nursery.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
