from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fmnist.store.storage import Storage
from fmnist.store.store import Store
from fmnist.sweep.fork_server import ForkServer, model_path
from fmnist.sweep.in_flight import CheckpointStore
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import RunResources
from tests.sweep_runs import trivial_runs


@contextmanager
def opened_fork_server(results, checkpoint_seconds=0.0, **changes):
    options = StudyOptions(
        results=str(results), engine="tests.trivial_engine", checkpoint_seconds=checkpoint_seconds, **changes
    )
    made = ForkServer(options, RunResources(cpus=1.0, gpus=0.0), {"folder": str(results)})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def fork_server(tmp_path):
    with opened_fork_server(tmp_path) as made:
        yield made


def last_message(fork_server, run):
    fork_server.start(run)
    while "epoch" in (message := fork_server.next_message()):
        pass
    return message


def test_runs_follow_each_other_in_processes_of_their_own(fork_server):
    for run in trivial_runs(3):
        fork_server.start(run)
        messages = [fork_server.next_message() for _ in range(3)]
        assert [message.get("epoch") for message in messages] == [1, 2, None]
        assert messages[2]["row"]["run_id"] == run.run_id
        assert messages[2]["row"]["resumed"] is False


def test_a_run_is_a_fork_for_which_no_interpreter_starts(fork_server):
    fork_server.start(trivial_runs(1, "waits")[0])
    assert "epoch" in fork_server.next_message()
    (child,) = children_of(fork_server._process.pid)
    command, *others = (Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (fork_server._process.pid, child))
    assert b"fork_server import serve" in command
    assert others == [command]


def test_an_error_is_told_with_the_end_of_its_traceback(fork_server):
    message = last_message(fork_server, trivial_runs(1, "raises")[0])
    assert message["failure"].endswith("RuntimeError: this run always fails")
    assert "trivial_engine.py" in message["failure"]
    assert "row" in last_message(fork_server, trivial_runs(1)[0])


def test_a_killed_run_fails_alone_and_resumes_from_its_checkpoint(fork_server):
    killed, undisturbed = trivial_runs(1, "is_killed_once", epochs=3)[0], trivial_runs(1, epochs=3)[0]
    message = last_message(fork_server, killed)
    assert "SIGKILL" in message["failure"]
    again = last_message(fork_server, killed)["row"]
    assert again["resumed"] is True
    assert again["test_accuracy"] == last_message(fork_server, undisturbed)["row"]["test_accuracy"]


def test_no_checkpoint_of_an_exclusive_run_is_saved_or_read(fork_server, tmp_path):
    (run,) = trivial_runs(1, "is_killed_once", placement="exclusive")
    last_message(fork_server, run)
    checkpoints = CheckpointStore(Storage(tmp_path))
    assert checkpoints.load(run) is None
    checkpoints.save(run, b"not to be read")
    assert "failure" in last_message(fork_server, run)


def test_a_damaged_checkpoint_is_deleted_and_the_run_starts_again(tmp_path):
    (run,) = trivial_runs(1)
    CheckpointStore(Storage(tmp_path)).save(run, b"no pickle")
    with opened_fork_server(tmp_path, checkpoint_seconds=3600.0) as fork_server:
        message = last_message(fork_server, run)
    assert message["row"]["resumed"] is False
    assert [epoch["epoch"] for epoch in message["row"]["history"]] == [1, 2]
    assert CheckpointStore(Storage(tmp_path)).load(run) is None


@pytest.mark.parametrize(("course", "kept"), [("plain", True), ("does_not_save", False)])
def test_a_model_comes_after_the_row_and_costs_none(tmp_path, course, kept):
    (run,) = trivial_runs(1, course)
    with opened_fork_server(tmp_path, save_models=True) as fork_server:
        assert "row" in last_message(fork_server, run)
        problem = fork_server.wait_for_end()
        assert (tmp_path / model_path(run)).exists() is kept
        assert problem is None if kept else "SIGKILL" in problem
        assert "row" in last_message(fork_server, trivial_runs(1)[0])


def test_a_model_waits_while_the_results_do_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").write_text("a file, not a folder")
    (run,) = trivial_runs(1)
    with opened_fork_server(tmp_path, save_models=True) as fork_server:  # with the cache of this test
        assert "row" in last_message(fork_server, run)
        assert fork_server.wait_for_end() is None
    store = Store(tmp_path)
    assert store.waiting() == [model_path(run)]
    (tmp_path / "models").unlink()
    assert store.flush() == []
    assert (tmp_path / model_path(run)).read_bytes() == b"the model"


def test_checkpoints_are_not_saved_more_often_than_asked(tmp_path):
    (run,) = trivial_runs(1)
    with opened_fork_server(tmp_path, checkpoint_seconds=3600.0) as fork_server:
        assert "row" in last_message(fork_server, run)
    assert CheckpointStore(Storage(tmp_path)).load(run) is None


def test_a_waiting_process_that_dies_is_a_failure_and_no_hang_and_another_comes(fork_server):
    fork_server.start(trivial_runs(1, "waits")[0])
    assert "epoch" in fork_server.next_message()
    (child,) = children_of(fork_server._process.pid)
    for process in (fork_server._process.pid, int(child)):
        os.kill(process, signal.SIGKILL)
    message = fork_server.next_message()
    assert "exit code -9" in message["failure"]
    assert "row" in last_message(fork_server, trivial_runs(1)[0])


def test_a_run_ends_when_nobody_waits_for_it_any_more(fork_server):
    fork_server.start(trivial_runs(1, "waits")[0])
    assert "epoch" in fork_server.next_message()
    (child,) = children_of(fork_server._process.pid)
    fork_server.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
