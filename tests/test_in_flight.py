"""What is kept of runs under way: claims and checkpoints."""

from __future__ import annotations

import os
import time

import pytest

from fmnist.store.storage import Storage
from fmnist.sweep.in_flight import CheckpointStore, Claims, forget, forget_old
from tests.sweep_runs import trivial_runs


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path)


def test_a_claim_makes_no_checkpoint_and_removes_none(storage):
    (run,), claims, checkpoints = trivial_runs(1), Claims(storage), CheckpointStore(storage)
    assert not claims.claim(run)
    assert claims.claimed() == {(run.run_id, "shared")}
    assert checkpoints.load(run) is None
    checkpoints.save(run, b"after epoch 1")
    assert claims.claim(run)
    claims.delete(run)
    assert not claims.claimed()
    assert checkpoints.load(run) == b"after epoch 1"
    assert not claims.claim(run)


def test_finished_runs_are_forgotten_whichever_code_began_them(storage, tmp_path):
    finished, other = trivial_runs(2)
    for version in ("older", None):
        for run in (finished, other):
            assert not Claims(storage, version).claim(run)
            CheckpointStore(storage, version).save(run, b"checkpoint")
    forget(storage, {(finished.run_id, "shared")})
    assert Claims(storage).claimed() == Claims(storage, "older").claimed() == {(other.run_id, "shared")}
    assert len(list((tmp_path / "inflight").glob(f"{other.run_id}.shared.*.checkpoint"))) == 2
    assert not list((tmp_path / "inflight").glob(f"{finished.run_id}*"))


def test_nothing_of_other_code_is_resumed_or_puts_a_run_off(storage):
    (run,) = trivial_runs(1)
    CheckpointStore(storage, "older").save(run, b"checkpoint")
    assert not Claims(storage, "older").claim(run)
    assert CheckpointStore(storage).load(run) is None
    assert not Claims(storage).claimed()
    assert not Claims(storage).claim(run)


def test_after_a_day_claims_checkpoints_of_other_code_and_parts_of_files_go(storage, tmp_path):
    (run,), checkpoints = trivial_runs(1), CheckpointStore(storage)
    CheckpointStore(storage, "older").save(run, b"checkpoint")
    checkpoints.save(run, b"own checkpoint")
    Claims(storage).claim(run)
    model = tmp_path / "models" / "a.shared.keras"
    for left in (tmp_path / "inflight" / ".a.checkpoint.0123", model, model.with_name(".b.keras.0123")):
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"part")
    everything = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    forget_old(storage)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == everything
    two_days_ago = time.time() - 2 * 86_400
    for path in everything:
        os.utime(path, (two_days_ago, two_days_ago))
    forget_old(storage)
    assert [path for path in everything if path.exists()] == [
        tmp_path / checkpoints.path(run),
        model,
    ]


def test_a_storage_that_fails_costs_the_checkpoint_and_no_more(storage, monkeypatch, caplog):
    (run,), claims, checkpoints = trivial_runs(1), Claims(storage), CheckpointStore(storage)

    def fail(*_):
        raise OSError("server gone")

    for name in ("put", "get", "files", "delete", "delete_old"):
        monkeypatch.setattr(Storage, name, fail)
    assert not claims.claim(run)
    assert claims.claimed() is None
    claims.delete(run)
    checkpoints.save(run, b"checkpoint")
    assert checkpoints.load(run) is None
    checkpoints.delete(run)
    forget(storage, {(run.run_id, "shared")})
    forget_old(storage)
    assert caplog.text.count("server gone") == 8
