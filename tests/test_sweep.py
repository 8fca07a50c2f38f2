"""The sweep on a real Ray: trivial runs for its rules, and the real engine on tiny data for the whole way."""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import ray
from ray.tune import Callback

from fmnist import UserError
from fmnist.declare.study import Study, configure
from fmnist.store.storage import Storage
from fmnist.store.store import Store
from fmnist.sweep import connection as connections
from fmnist.sweep import tuner
from fmnist.sweep.connection import connection
from fmnist.sweep.in_flight import CheckpointStore
from fmnist.sweep.node_lock import NodeLock, Occupancy
from fmnist.sweep.resources import RunResources
from tests.sweep_runs import sweep_in_a_process, sweep_trivially, trivial_runs, wait_for_rows
from tests.tiny_data import tiny_dataset
from tests.trivial_engine import COURSES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    folder = tempfile.mkdtemp(prefix="node-")  # short, for Ray's sockets
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("XDG_CACHE_HOME", folder)
        patch.setenv("TMPDIR", folder)  # whatever else runs on this machine is no neighbour
        with connection("local") as nodes:
            yield nodes
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """One sweep of runs that go well, fail, are killed, and are killed without a checkpoint to resume from."""
    folder, said = tmp_path_factory.mktemp("swept"), []
    runs = {
        "plain": trivial_runs(3),
        "raises": trivial_runs(1, "raises"),
        "killed once": trivial_runs(1, "is_killed_once"),
        "killed once, exclusive": trivial_runs(2, "is_killed_once", placement="exclusive")[1:],
    }
    every = [run for some in runs.values() for run in some]
    state = sweep_trivially(every, folder, said, max_failures=1, checkpoint_seconds=0.0)
    rows = {row["run_id"]: row for row in Store(folder).read().to_pylist()}
    found = {name: [rows[run.run_id] for run in some] for name, some in runs.items()}
    return {"state": state, "said": said, "rows": found, "count": len(rows), "folder": folder, "runs": runs}


def test_every_run_gets_its_row(swept):
    state = swept["state"]
    assert swept["count"] == 6
    assert (state.done, state.failed, state.left, state.running) == (4, 2, {}, {})
    for row in swept["rows"]["plain"]:
        assert (row["status"], row["attempts"], row["resumed"], row["threads"]) == ("ok", 1, False, 1)
        assert row["ray_version"] == ray.__version__
        assert row["neighbours"] in (0, 1)
        assert len(row["test_predicted"]) == 10


def test_nothing_stays_in_flight(swept):
    assert not list((swept["folder"] / "inflight").iterdir())


def test_a_run_that_fails_is_tried_again_and_then_written_down(swept):
    (run,), (row,) = swept["runs"]["raises"], swept["rows"]["raises"]
    assert (row["status"], row["attempts"]) == ("failed", 2)
    assert row["error"].endswith("RuntimeError: this run always fails")
    assert row["test_accuracy"] is None
    assert row["learning_rate"] == run.configuration.hyperparameters.learning_rate
    said = [line for line in swept["said"] if line.startswith("raises")]
    assert said == [
        "raises repeat 0 failed (attempt 1), is tried again: RuntimeError: this run always fails",
        "raises repeat 0 failed (attempt 2), given up: RuntimeError: this run always fails",
    ]


def test_a_killed_run_resumes_from_its_checkpoint(swept):
    (again,) = swept["rows"]["killed once"]
    assert (again["status"], again["resumed"], again["attempts"]) == ("ok", True, 2)
    plain = swept["rows"]["plain"][0]  # the same seeds and epochs
    assert again["test_accuracy"] == plain["test_accuracy"]
    assert not plain["resumed"]


def test_an_exclusive_run_starts_again_for_the_sake_of_its_times(swept):
    (row,) = swept["rows"]["killed once, exclusive"]
    assert (row["status"], row["attempts"]) == ("failed", 2)  # killed again, having no checkpoint to resume from
    assert "SIGKILL" in row["error"]


def test_new_repeats_are_added_over_several_tuners_and_then_nothing(swept, monkeypatch):
    folder = swept["folder"]
    monkeypatch.setattr(tuner, "TRIALS_OF_TUNER", 2)
    before = {path.name for path in (folder / "runs").iterdir()}
    assert sweep_trivially(trivial_runs(6), folder).done == 3
    assert before < {path.name for path in (folder / "runs").iterdir()}
    assert sweep_trivially(trivial_runs(6), folder).done == 0


class KillFirstWorker(Callback):
    """Ends the process of the first worker that reports an epoch, as a machine short of memory does."""

    def __init__(self):
        self.killed = False

    def on_trial_result(self, *_, **info):
        if not self.killed:
            self.killed = True
            ray.kill(info["trial"].temporary_state.ray_actor, no_restart=True)


def test_the_loss_of_a_worker_costs_no_run(tmp_path):
    said = []
    state = sweep_trivially(trivial_runs(3, epochs=4), tmp_path, said, callbacks=[KillFirstWorker()])
    assert (state.done, state.failed) == (3, 0)
    assert Store(tmp_path).read(["status"])["status"].to_pylist() == ["ok"] * 3
    (line,) = said
    assert line.endswith("is tried again: the run's worker, or its node, is gone")


def test_what_a_stopped_sweep_had_begun_resumes_as_a_second_start(tmp_path):
    (run,) = trivial_runs(1, epochs=3)
    CheckpointStore(Storage(tmp_path)).save(run, pickle.dumps((7, 1)))
    sweep_trivially([run], tmp_path)
    (row,) = Store(tmp_path).read(["resumed", "attempts", "history"]).to_pylist()
    assert (row["resumed"], row["attempts"]) == (True, 2)
    assert [epoch["epoch"] for epoch in row["history"]] == [2, 3]


class InTurn(Callback):
    """Notes the runs in the order in which they end."""

    def __init__(self, runs):
        self.runs = runs

    def on_trial_complete(self, iteration, trials, trial, **info):  # noqa: ARG002
        self.runs.append(trial.config["attempt"].run)


@pytest.mark.parametrize(("keep_order", "later"), [(False, ["is_slow", "plain"]), (True, ["plain", "is_slow"])])
def test_later_repeats_begin_with_their_longest_run_unless_their_order_is_to_be_kept(tmp_path, keep_order, later):
    configurations = tuple(
        configure("lenet5", label=course, learning_rate=COURSES[course], epochs=2) for course in ("plain", "is_slow")
    )
    study = Study(name="mixed", question="?", configurations=configurations, repeats=3)
    runs = study.runs(dict.fromkeys(("plain", "is_slow"), "structure"), "data")
    in_turn = []
    one_at_a_time = RunResources(cpus=2.0, gpus=0.0)
    sweep_trivially(runs, tmp_path, resources=one_at_a_time, keep_order=keep_order, callbacks=[InTurn(in_turn)])
    assert [run.configuration.label for run in in_turn if run.repeat == 2] == later


def test_two_sweeps_at_once_share_the_runs_and_lose_none(tmp_path):
    runs, at_once = trivial_runs(24, "is_slow"), 2 + 2
    with sweep_in_a_process(tmp_path, "local", len(runs)) as other:
        wait_for_rows(tmp_path, 1)
        state = sweep_trivially(runs, tmp_path)
        said = other.communicate(timeout=120)[0]
    assert other.returncode == 0, said
    assert {run_id for run_id, *_ in Store(tmp_path).present()} == {run.run_id for run in runs}
    files = wait_for_rows(tmp_path, len(runs))
    assert len(files) <= len(runs) + at_once  # at most those in flight twice
    assert 0 < state.done < len(files)


def test_the_engine_trains_through_the_sweep(tmp_path):
    data = tiny_dataset(240, 50)
    pretrained = configure("lenet5", label="pretrained", epochs=2, pretraining="half_classes", pretraining_epochs=1)
    study = Study(
        name="tiny", question="?", configurations=(configure("lenet5", epochs=2), pretrained), repeats=1
    )  # fmt: skip
    runs = study.runs({"lenet5": "structure", "pretrained": "structure"}, data.fingerprint)
    state = sweep_trivially(runs, tmp_path, data=data, engine="fmnist.train.run", save_models=True)
    assert (state.done, state.failed) == (2, 0)
    assert state.computing_seconds > 0
    for row in Store(tmp_path).read().to_pylist():
        assert (row["status"], row["threads"], row["device_kind"]) == ("ok", 1, "CPU")
        assert len(row["history"]) == 2
        assert len(row["test_predicted"]) == 50
        assert row["host_allocated_bytes"] > 0
        assert (tmp_path / "models" / f"{row['run_id']}.shared.keras").stat().st_size > 61_706 * 4


def test_a_row_that_a_worker_cannot_write_is_written_by_the_sweep(tmp_path, monkeypatch):
    results = Path("/proc/self/cwd/pyproject.toml/results")  # a worker works in another folder, where that is a file
    (tmp_path / "pyproject.toml").mkdir()
    monkeypatch.chdir(tmp_path)
    runs = trivial_runs(2)
    state = sweep_trivially(runs, results)
    assert (state.done, state.finished, state.unsent) == (2, 2, 0)
    assert {run_id for run_id, *_ in Store(results).present()} == {run.run_id for run in runs}
    assert not list((results / "inflight").iterdir())


class CutOff(Callback):
    """Puts a file where the rows are to go, as soon as a run has begun."""

    def __init__(self, folder):
        self.folder = folder

    def on_trial_start(self, *_, **__):
        self.folder.write_text("in the way")


def test_rows_that_nobody_can_write_wait_and_are_not_counted_as_there(tmp_path):
    runs, blocked = [*trivial_runs(2), *trivial_runs(1, "raises")], tmp_path / "runs"
    state = sweep_trivially(runs, tmp_path, callbacks=[CutOff(blocked)], max_failures=0)
    assert (state.done, state.unsent, state.finished, state.wanted, state.failed) == (2, 2, 0, 3, 1)
    assert not list((tmp_path / "inflight").glob("*.claim"))  # another sweep need not wait for these
    store = Store(tmp_path)
    assert len(store.waiting()) == 3
    blocked.unlink()
    assert store.flush() == []
    assert {run_id for run_id, *_ in store.present()} == {run.run_id for run in runs}


def test_a_row_that_can_be_kept_nowhere_is_tried_again_and_said(tmp_path, monkeypatch):
    said, blocked = [], tmp_path / "runs"

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "send", no_room)
    state = sweep_trivially(trivial_runs(1), tmp_path, said, callbacks=[CutOff(blocked)], max_failures=1)
    assert (state.done, state.failed, state.finished) == (0, 1, 0)
    assert [line.split(":")[0] for line in said] == [
        "plain repeat 0 failed (attempt 1), is tried again",
        "plain repeat 0 failed (attempt 2), given up",
        "plain repeat 0",
    ]
    assert all("No space left on device" in line for line in said)


def test_a_model_that_cannot_be_saved_costs_no_row_and_is_said(tmp_path):
    said = []
    state = sweep_trivially(trivial_runs(1, "does_not_save"), tmp_path, said, save_models=True)
    assert (state.done, state.failed) == (1, 0)
    assert Store(tmp_path).read(["status"])["status"].to_pylist() == ["ok"]
    (line,) = said
    assert line.startswith("does_not_save repeat 0: its model is not kept: the run's process was killed (SIGKILL)")


def test_an_address_that_is_none_is_one_clear_line():
    with pytest.raises(ValueError, match=r"address: got nonsense, where no Ray answers"), connection("nonsense"):
        pass


def test_a_ray_that_does_not_start_is_one_clear_line(monkeypatch):
    def time_out(**_):
        raise Exception("The current node timed out during startup")  # as Ray says it

    monkeypatch.setattr("ray.init", time_out)
    words = r"ray: it did not start on this machine .*timed out.* `ray start --head`"
    with pytest.raises(OSError, match=words), connection("local"):
        pass


OWN_RAY = """
import os, subprocess, sys
import ray
from fmnist.sweep.connection import connection

ASK = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]).get_all_node_info()"

def is_answered(**auth):
    without = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-c", ASK, ray.get_runtime_context().gcs_address]
    return subprocess.run(command, env=without | auth, capture_output=True).returncode == 0

before = dict(os.environ)
tokens = set()
for _ in range(2):  # each with a token of its own
    with connection() as cluster:
        own = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
        tokens.add(own["RAY_AUTH_TOKEN"])
        stranger = is_answered(), is_answered(**own | {"RAY_AUTH_TOKEN": "0" * 64})
        print(cluster.can_grow, len(cluster.nodes), is_answered(**own), *stranger)
        assert ray.get(ray.remote(lambda: 7).remote()) == 7
    assert dict(os.environ) == before
print(len(tokens))
"""


def test_a_ray_of_our_own_refuses_strangers_and_leaves_no_token_and_the_environment_as_it_was(tmp_path):
    hidden = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS", "RAY_TMPDIR")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    folder = tempfile.mkdtemp(prefix="own-")  # with no Ray of this machine in it
    environment |= {"HOME": str(tmp_path), "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", OWN_RAY]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    assert (ended.stdout, ended.returncode) == ("False 1 True False False\n" * 2 + "2\n", 0), ended.stderr
    assert not (tmp_path / ".ray" / "auth_token").exists()


@pytest.fixture
def silent_address():
    """Something that takes connections and never says a word, as a Ray whose machine has stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_ray_that_is_dead_is_one_clear_line_after_a_while(silent_address, monkeypatch):
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 3.0)
    words = rf"address: got {silent_address}, where no Ray answers \(no word in 3 s\)"
    with pytest.raises(UserError, match=words), connection(silent_address):
        pass


def test_an_exclusive_run_waits_for_others_and_has_all_threads_of_its_node(tmp_path):
    (run,) = trivial_runs(1, placement="exclusive")
    folder = Path(os.environ["TMPDIR"]) / "fmnist-runs"  # the workers'
    other = NodeLock(Occupancy("shared"), folder)
    assert other.acquire()
    waited = []

    class LetIn(Callback):
        def on_trial_result(self, iteration, trials, trial, result, **_):  # noqa: ARG002
            if result.get("waits"):
                waited.append(sorted(folder.glob("*.lock")))
                other.release()

    whole_node = RunResources(cpus=1.0, gpus=0.0, threads=None)
    sweep_trivially([run], tmp_path, resources=whole_node, callbacks=[LetIn()])
    assert len(waited[0]) == 1  # that of the other one
    (row,) = Store(tmp_path).read(["neighbours", "threads", "placement"]).to_pylist()
    assert row == {"neighbours": 0, "threads": int(ray.cluster_resources()["CPU"]), "placement": "exclusive"}


class BesideTheFirst(Callback):
    """Starts a run of somebody else when the first epoch is told of, and ends it soon."""

    def __init__(self, folder):
        self.other = NodeLock(Occupancy("shared"), folder)
        self.epochs = 0

    def __getstate__(self):
        return {}

    def on_trial_result(self, *_, **info):
        self.epochs += "epoch" in info["result"]
        if self.epochs == 1:
            assert self.other.acquire()
        if self.epochs == 3:
            self.other.release()


def test_a_neighbour_that_comes_later_and_goes_earlier_is_seen(tmp_path):
    (run,) = trivial_runs(1, "is_slow", epochs=4)
    beside = BesideTheFirst(Path(os.environ["TMPDIR"]) / "fmnist-runs")
    sweep_trivially([run], tmp_path, callbacks=[beside])
    assert Store(tmp_path).read(["neighbours"])["neighbours"].to_pylist() == [1]
