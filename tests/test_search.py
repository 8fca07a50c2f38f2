"""A search from its declaration to its rows: with a real Ray and trivial runs."""

from __future__ import annotations

import io
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from fmnist.declare import Choice, Search, Space
from fmnist.store.store import Store
from fmnist.sweep import connection as connections
from fmnist.sweep import search_job, study_job
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.search_job import run_search
from tests.tiny_data import tiny_dataset

ROOT = Path(__file__).resolve().parents[1]


class KnownStructures:
    def of(self, configurations):
        return [f"{item.architecture} {item.hyperparameters.dropout_rate}" for item in configurations]


@contextmanager
def known_structures():
    yield KnownStructures()


@pytest.fixture(scope="module")
def one_ray():
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("PYTHONPATH", str(ROOT))
    with connections.connection("local") as nodes:
        yield nodes
    patch.undo()


@pytest.fixture
def on_one_ray(one_ray, monkeypatch):
    """Tiny data, no Keras, and the same Ray for every search of a test."""
    data = tiny_dataset(40, 10)
    monkeypatch.setattr(study_job, "load_data", lambda _: data)
    monkeypatch.setattr(search_job, "structure_process", known_structures)
    monkeypatch.setattr(study_job, "structure_process", known_structures)
    monkeypatch.setattr(connections, "connection", lambda _: nullcontext(one_ray))


SPACE = Space({"batch_size": Choice((16, 32, 64)), "l2": Choice((0.0, 1e-4))})
GRID = Search(name="s", question="?", architectures=("lenet5", "own_v1"), space=SPACE, repeats=2,
              settings={"epochs": 4, "learning_rate": 1.0})  # fmt: skip


def options(results, **changes):
    return StudyOptions(results=str(results), engine="tests.trivial_engine", report=None, address="local", **changes)


def console():
    return Console(file=io.StringIO(), width=200)


def rows(results):
    columns = ["run_id", "status", "repeat", "architecture", "history", "test_accuracy", "validation_accuracy", "study"]
    return Store(results).read(columns).to_pylist()


@pytest.mark.usefixtures("on_one_ray")
def test_a_grid_runs_and_then_has_nothing_to_do(tmp_path):
    out = console()
    assert run_search(GRID, options(tmp_path), out) == 0
    assert "24 of 24 runs to compute" in out.file.getvalue()
    assert {(row["status"], row["test_accuracy"]) for row in rows(tmp_path)} == {("validated", None)}
    assert len(rows(tmp_path)) == 24
    manifest = Store(tmp_path).read_manifest("s")
    print(manifest)
    out = console()
    assert run_search(GRID, options(tmp_path), out) == 0
    assert f"Nothing to compute: all 24 runs are in {tmp_path}" in out.file.getvalue()
