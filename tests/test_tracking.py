"""Dashboards: what Ray's callbacks log of a small sweep, against a real MLflow server and TensorBoard files."""

import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

from fmnist.declare.identity import seeds_of_repeat
from fmnist.declare.study import RunSpec, configure
from fmnist.store.storage import Storage
from fmnist.sweep.connection import connection
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.tracking import shown_result, tracking_callbacks

EPOCHS = [
    {"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8, "validation_accuracy": 0.71, "learning_rate": 1e-3},
    {"epoch": 2, "train_loss": 0.6, "validation_loss": 0.5, "validation_accuracy": 0.82, "learning_rate": 5e-4},
]


def a_run(repeat: int = 0) -> RunSpec:
    configuration = configure("lenet5", label="lenet5 small", epochs=2, batch_size=64)
    return RunSpec(
        configuration=configuration,
        repeat=repeat,
        seeds=seeds_of_repeat(repeat),
        structure="structure",
        data_fingerprint="data",
    )


def feed(callbacks: list[Any], run: RunSpec, *, trial_id: str, failure: str | None = None) -> None:
    """Tell callbacks of one run what Tune would tell them."""
    trial = SimpleNamespace(trial_id=trial_id, config={"attempt": SimpleNamespace(run=run)}, last_result={})
    row = {"test_accuracy": 0.8, "train_seconds": 3.0, "parameter_count": 61_706, "label": "lenet5 small"}
    path = f"runs/{run.run_id}.shared.0123abcd.parquet"
    end = {"failure": failure} if failure else {"row": row, "path": path}
    for callback in callbacks:
        callback.setup()
        callback.on_trial_start(iteration=0, trials=[trial], trial=trial)
        for step, record in enumerate([*EPOCHS, end], start=1):
            trial.last_result = {**record, "training_iteration": step, "config": trial.config, "pid": 1}
            callback.on_trial_result(iteration=step, trials=[trial], trial=trial, result=trial.last_result)
        callback.on_trial_complete(iteration=9, trials=[trial], trial=trial)
        callback.on_experiment_end(trials=[trial])


@pytest.fixture
def results(tmp_path: Path) -> str:
    """A store with the row and the model of run 0."""
    run, storage = a_run(), Storage(tmp_path / "results")
    storage.put(f"runs/{run.run_id}.shared.0123abcd.parquet", b"the row")
    storage.put(f"models/{run.run_id}.shared.keras", b"the model")
    return str(tmp_path / "results")


def test_a_final_result_shows_metrics_and_an_epoch_its_curves() -> None:
    assert shown_result({"training_iteration": 3, "row": {"test_accuracy": 0.9, "label": "a"}, "pid": 1}) == {
        "training_iteration": 3,
        "final/test_accuracy": 0.9,
    }
    assert shown_result({"training_iteration": 1, **EPOCHS[0], "pid": 7}) == {"training_iteration": 1, **EPOCHS[0]}
    of_source_task = {"training_iteration": 1, "pretraining_epoch": 1, "pretraining_loss": 0.9}
    assert shown_result(of_source_task) == {"training_iteration": 1}


def test_nothing_asked_for_is_no_callback(results: str) -> None:
    assert tracking_callbacks("quick", StudyOptions(results=results)) == []


@pytest.mark.parametrize("package", ["mlflow", "wandb"])
def test_a_missing_package_is_named_with_its_extra(package: str, results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmnist.sweep.tracking.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=rf"{package}: .*pip install '\.\[{package}\]'"):
        tracking_callbacks("quick", StudyOptions(results=results, **{package: "somewhere"}))  # type: ignore[arg-type]


def test_tensorboard_has_a_folder_of_curves_for_each_run(tmp_path: Path, results: str) -> None:
    (callback,) = tracking_callbacks("quick", StudyOptions(results=results, tensorboard=tmp_path / "board"))
    for repeat in (0, 1):
        feed([callback], a_run(repeat), trial_id=f"trial{repeat}")
    folders = sorted((tmp_path / "board" / "quick").iterdir())
    assert [folder.name.rsplit("-", 1)[0] for folder in folders] == ["lenet5 small-0", "lenet5 small-1"]
    scalars = scalars_of(folders[0])
    assert scalars["ray/tune/validation_accuracy"] == pytest.approx({1: 0.71, 2: 0.82})
    assert scalars["ray/tune/final/test_accuracy"] == pytest.approx({3: 0.8})


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback, its store in SQLite, its artifacts in a folder."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder / "files")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            words, stdout=log, stderr=log, cwd=folder, env=os.environ | quiet, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(url + "/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.25)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def test_mlflow_has_parameters_curves_row_and_model(mlflow_server: str, tmp_path: Path, results: str) -> None:
    (callback,) = tracking_callbacks("quick", StudyOptions(results=results, mlflow=mlflow_server))
    feed([callback], a_run(0), trial_id="trial0")
    feed([callback], a_run(1), trial_id="trial1", failure="it broke")

    from mlflow.tracking import MlflowClient

    client = MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("quick")
    failed, done = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
    assert (done.info.run_name, done.info.status) == ("lenet5 small repeat 0", "FINISHED")
    assert (failed.info.run_name, failed.info.status) == ("lenet5 small repeat 1", "FAILED")
    assert done.data.params["batch_size"] == "64"
    assert done.data.params["run_id"] == a_run(0).run_id
    curve = client.get_metric_history(done.info.run_id, "validation_accuracy")
    assert [(point.step, point.value) for point in curve] == [(1, 0.71), (2, 0.82)]
    assert done.data.metrics["final/test_accuracy"] == 0.8
    artifacts = {item.path: client.download_artifacts(done.info.run_id, item.path, str(tmp_path))
                 for item in client.list_artifacts(done.info.run_id)}  # fmt: skip
    assert {name: Path(path).read_bytes() for name, path in artifacts.items()} == {
        "row.parquet": b"the row",
        "model.keras": b"the model",
    }
    assert client.list_artifacts(failed.info.run_id) == []


def test_weights_and_biases_has_an_offline_run_for_each_run(
    tmp_path: Path, results: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    (callback,) = tracking_callbacks("quick", StudyOptions(results=results, wandb="fmnist"))
    with connection("local"):
        feed([callback], a_run(), trial_id="trial0")
    (run,) = (tmp_path / "wandb" / "quick").glob("lenet5 small-0-*/wandb/offline-run-*-trial0")
    assert (run / "run-trial0.wandb").exists()
    log = (run / "logs" / "debug.log").read_text()
    assert "'batch_size': 64" in log
    assert "finishing run fmnist/trial0" in log


class Looking:
    """A logger that notes which files it was to keep."""

    seen: list[str]

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None

    def log_trial_end(self, run: Any, failed: bool) -> None:
        assert not failed
        self.seen = sorted(path.name for path in Path(run.local_path).iterdir())


def test_files_are_lent_to_the_logger_and_do_not_stay(
    tmp_path: Path, results: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Looking()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fmnist.sweep.tracking._mlflow", lambda *_: logger)
    feed(tracking_callbacks("quick", StudyOptions(results=results, mlflow="anywhere")), a_run(), trial_id="t")
    assert logger.seen == ["model.keras", "row.parquet"]
    assert not list(tmp_path.glob("fmnist-track-*"))


def test_a_run_whose_files_are_not_there_is_logged_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Looking()
    monkeypatch.setattr("fmnist.sweep.tracking._mlflow", lambda *_: logger)
    feed(tracking_callbacks("quick", StudyOptions(results=str(tmp_path), mlflow="anywhere")), a_run(), trial_id="t")
    assert logger.seen == []


class Broken(Looking):
    """A logger whose server is gone from one event on."""

    def __init__(self, event: str) -> None:
        self.event, self.told = event, list[str]()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith(("log_", "setup", "on_")):
            return super().__getattribute__(name)
        self.told.append(name)
        if name == self.event:
            raise ConnectionError("the server is gone")
        return lambda *_, **__: None


EVENTS = ["setup", "log_trial_start", *["log_trial_result"] * 3, "log_trial_end", "on_experiment_end"]


@pytest.mark.parametrize("event", list(dict.fromkeys(EVENTS)))
def test_a_dashboard_that_fails_is_told_nothing_more_and_named_once(
    event: str, tmp_path: Path, results: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logger = Broken(event)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fmnist.sweep.tracking._mlflow", lambda *_: logger)
    feed(tracking_callbacks("quick", StudyOptions(results=results, mlflow="anywhere")), a_run(), trial_id="t")
    assert logger.told == EVENTS[: EVENTS.index(event) + 1]
    assert caplog.messages == ["Broken is told nothing more of this sweep: the server is gone"]


def test_a_server_that_is_down_ends_no_sweep(
    results: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    feed(tracking_callbacks("quick", StudyOptions(results=results, mlflow=nobody)), a_run(), trial_id="t")
    (line,) = [line for line in caplog.messages if "told nothing more" in line]
    assert nobody.removeprefix("http://127.0.0.1:") in line


def scalars_of(folder: Path) -> dict[str, dict[int, float]]:
    """Read a folder's TensorBoard scalars by tag and step; a record is length, checksum, event, checksum."""
    (file,) = folder.glob("events.out.tfevents.*")
    content, scalars, at = file.read_bytes(), defaultdict[str, dict[int, float]](dict), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars[value.tag][event.step] = value.simple_value
        at += 12 + length + 4
    return scalars
