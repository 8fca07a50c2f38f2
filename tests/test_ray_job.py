"""The study on a Ray that somebody else started: as a job on a head with logical GPUs, and on nodes that go."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster
from ray.job_submission import JobStatus, JobSubmissionClient
from ray.tune import Callback

from fmnist import UserError
from fmnist.declare.study import Study, configure
from fmnist.store.store import Store
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import RunResources, resources_for
from tests.sweep_runs import sweep_in_a_process, sweep_trivially, trivial_runs, wait_for_rows
from tests.tiny_data import tiny_dataset

ROOT = Path(__file__).resolve().parents[1]
JOB_SECONDS = 240

STUDY = """
from fmnist.declare.study import Study, configure

STUDY = Study(name="job", question="?", configurations=(configure("lenet5", epochs=1),), repeats=2)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started_head(*options, **variables):
    """`ray start --head`, apart from any other Ray of this machine; gives its process."""
    folder = tempfile.mkdtemp(prefix="ray-")
    command = [
        Path(sys.executable).parent / "ray", "start", "--head", "--block", "--num-cpus=2", f"--temp-dir={folder}",
        f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}",
        "--node-ip-address=127.0.0.1", "--object-store-memory=200000000", *options,
    ]  # fmt: skip
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", **variables}
    environment.pop("RAY_ADDRESS", None)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def head():
    """A head with two logical GPUs; gives the jobs' address."""
    dashboard = free_port()
    with started_head("--num-gpus=2", f"--port={free_port()}", f"--dashboard-port={dashboard}"):
        yield f"http://127.0.0.1:{dashboard}"


def wait_for_port(port, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def connected(address):
    deadline = time.monotonic() + 120
    while True:
        try:
            return JobSubmissionClient(address)
        except (ConnectionError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_a_submitted_job_runs_the_study_on_shares_of_gpus(head, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    study, results = tmp_path / "job_study.py", tmp_path / "rows"
    study.write_text(STUDY)
    client = connected(head)
    job = client.submit_job(
        entrypoint=f"{sys.executable} jobs/study.py {study} --results {results} --gpus-per-run 0.5 --no-report",
        runtime_env={"working_dir": str(ROOT), "excludes": ["tests"], "env_vars": {"FMNIST_LOGICAL_GPUS": "1"}},
    )
    deadline = time.monotonic() + JOB_SECONDS
    while not client.get_job_status(job).is_terminal() and time.monotonic() < deadline:
        time.sleep(0.5)
    log = client.get_job_logs(job)
    assert client.get_job_status(job) == JobStatus.SUCCEEDED, log
    rows = Store(results).read(["status", "gpus", "threads", "placement", "test_accuracy"]).to_pylist()
    assert [(row["status"], row["gpus"], row["threads"]) for row in rows] == [("ok", 0.5, 1)] * 2
    assert all(row["test_accuracy"] > 0.7 for row in rows)
    assert "2 of 2 runs to compute, 2 at a time with 1 CPU and 0.5 GPU each" in log


def kill(process):
    """Kill a process and all that it started."""
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def test_after_the_loss_of_the_head_the_same_command_resumes(tmp_path, monkeypatch):
    port, count = free_port(), 12
    options = (f"--port={port}", "--include-dashboard=false")
    for name, value in {"RAY_AUTH_MODE": "disabled", "RAY_gcs_rpc_server_reconnect_timeout_s": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with started_head(*options) as head:
        wait_for_port(port)
        with sweep_in_a_process(tmp_path, f"127.0.0.1:{port}", count) as study:
            before = wait_for_rows(tmp_path, 3)
            kill(head)
            said = study.communicate(timeout=120)[0]
        assert study.returncode != 0, said
    assert len(Store(tmp_path).present()) < count
    with started_head(*options):
        wait_for_port(port)
        with sweep_in_a_process(tmp_path, f"127.0.0.1:{port}", count) as study:
            said = study.communicate(timeout=120)[0]
        assert study.returncode == 0, said
    assert len(Store(tmp_path).present()) == count
    assert set(before) <= set(wait_for_rows(tmp_path, count))


class LoseNode(Callback):
    """When the first epoch is told of: adds a node, and takes away the one that the run is on."""

    def __init__(self, cluster, node):
        self.cluster, self.node = cluster, node

    def __getstate__(self):
        return {}  # Tune saves its callbacks, and a cluster cannot be saved

    def on_trial_result(self, *_, **__):
        if self.node is not None:
            lost, self.node = self.node, None
            self.cluster.add_node(num_cpus=1)
            self.cluster.remove_node(lost, allow_graceful=False)


@pytest.fixture
def own_places(monkeypatch):
    folder = tempfile.mkdtemp(prefix="node-")
    monkeypatch.setenv("TMPDIR", folder)  # whatever else runs on this machine is no neighbour
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(monkeypatch, own_places):  # noqa: ARG001
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = tempfile.mkdtemp(prefix="ray-")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


class NoteRunning(Callback):
    """Adds a worker when the first run is asked for, and notes how many runs are past their first epoch at once."""

    def __init__(self, cluster):
        self.cluster, self.between, self.most = cluster, set(), 0

    def __getstate__(self):
        return {}

    def on_step_begin(self, iteration, trials, **_):  # noqa: ARG002
        if self.cluster is not None and trials:
            self.cluster.add_node(num_cpus=4)
            self.cluster = None

    def on_trial_result(self, iteration, trials, trial, result, **_):  # noqa: ARG002
        if "epoch" in result:
            self.between.add(trial.trial_id)
            self.most = max(self.most, len(self.between))

    def on_trial_complete(self, iteration, trials, trial, **_):  # noqa: ARG002
        self.between.discard(trial.trial_id)


@pytest.mark.parametrize(("placement", "together", "threads"), [("exclusive", False, 4), ("shared", True, 1)])
def test_exclusive_runs_are_alone_on_a_worker_that_comes_later(cluster, tmp_path, placement, together, threads):
    head = [node["Resources"] for node in ray.nodes()]
    with pytest.raises(UserError, match="no node is up that has CPUs"):
        resources_for("exclusive", head, StudyOptions())
    resources = replace(
        resources_for(placement, head, StudyOptions(cpus_per_run=1)), threads=None if placement == "exclusive" else 1
    )
    note = NoteRunning(cluster)
    runs = trivial_runs(3, "is_slow", epochs=10, placement=placement)
    sweep_trivially(runs, tmp_path, resources=resources, callbacks=[note])
    rows = Store(tmp_path).read(["neighbours", "threads", "status"]).to_pylist()
    assert {(row["status"], row["threads"]) for row in rows} == {("ok", threads)}
    assert (note.most > 1, max(row["neighbours"] for row in rows) > 0) == (together, together)


def test_a_run_on_a_node_that_is_lost_resumes_elsewhere_to_the_same_row(cluster, tmp_path):
    data = tiny_dataset(240, 50)
    study = Study(name="tiny", question="?", configurations=(configure("own_v1", epochs=3),), repeats=1)
    runs = study.runs({"own_v1": "structure"}, data.fingerprint)
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    one_cpu = {"resources": RunResources(cpus=1.0, gpus=0.0), "data": data, "checkpoint_seconds": 0.0}
    lose = LoseNode(cluster, node)
    sweep_trivially(runs, tmp_path / "lost", engine="tests.patient_engine", callbacks=[lose], **one_cpu)
    sweep_trivially(runs, tmp_path / "plain", engine="fmnist.train.run", **one_cpu)
    (lost,), (plain,) = (Store(tmp_path / name).read().to_pylist() for name in ("lost", "plain"))
    assert (lost["status"], lost["resumed"], lost["attempts"]) == ("ok", True, 2)
    assert (plain["resumed"], plain["attempts"]) == (False, 1)
    same = ("test_accuracy", "test_loss", "validation_loss", "train_loss", "test_predicted", "test_confidence",
            "epochs_run", "best_epoch", "run_id")  # fmt: skip
    assert {name: lost[name] for name in same} == {name: plain[name] for name in same}
    curves = [[{**epoch, "seconds": None} for epoch in row["history"]] for row in (lost, plain)]
    assert curves[0] == curves[1]
