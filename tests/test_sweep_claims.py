from __future__ import annotations

import os
import time

import pytest

from fmnist.store.storage import Storage
from fmnist.sweep.claims import InFlight
from tests.sweep_runs import trivial_runs


@pytest.fixture
def inflight(tmp_path):
    return InFlight(Storage(tmp_path))


def test_a_claim_holds_no_state_and_does_not_remove_one(inflight):
    (run,) = trivial_runs(1)
    inflight.claim(run)
    assert inflight.claimed() == {(run.run_id, "shared")}
    assert inflight.load(run) is None
    inflight.save(run, b"after epoch 1")
    inflight.claim(run)
    assert inflight.load(run) == b"after epoch 1"
    inflight.drop(run, "claim")
    assert not inflight.claimed()
    assert inflight.load(run) == b"after epoch 1"
    assert inflight.claim(run)
    assert not inflight.claim(run)
    inflight.clear(run)
    assert not inflight.claimed()
    assert inflight.load(run) is None


def test_a_state_of_other_code_is_not_continued(inflight, tmp_path):
    (run,) = trivial_runs(1)
    inflight.save(run, b"state")
    assert InFlight(Storage(tmp_path), "other").load(run) is None


def test_what_older_code_left_goes_with_the_run_and_puts_nothing_off(inflight, tmp_path):
    finished, other = trivial_runs(2)
    older = InFlight(Storage(tmp_path), "older")
    for run in (finished, other):
        older.claim(run)
        older.save(run, b"state")
    assert not inflight.claimed()
    assert inflight.claim(finished)
    inflight.clear(finished)
    assert older.load(finished) is None
    assert older.claimed() == {(other.run_id, "shared")}


def test_states_and_claims_of_finished_runs_are_swept(inflight, tmp_path):
    finished, other = trivial_runs(2)
    for version in ("older", inflight.version):
        for run in (finished, other):
            InFlight(Storage(tmp_path), version).save(run, b"state")
    inflight.claim(finished)
    inflight.tidy({(finished.run_id, "shared")})
    assert sorted(path.name for path in (tmp_path / "inflight").iterdir()) == sorted(
        f"{other.run_id}.shared.{version}.state" for version in ("older", inflight.version)
    )


def test_after_a_day_claims_states_of_other_code_and_broken_writes_go(inflight, tmp_path):
    (run,) = trivial_runs(1)
    older = InFlight(Storage(tmp_path), "older")
    older.save(run, b"state")
    inflight.save(run, b"own state")
    inflight.claim(run)
    model = tmp_path / "models" / "a.shared.keras"
    for left in (tmp_path / "inflight" / ".a.state.0123", model, model.with_name(".b.keras.0123")):
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"part")
    everything = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    inflight.tidy(set())
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == everything
    two_days_ago = time.time() - 2 * 86_400
    for path in everything:
        os.utime(path, (two_days_ago, two_days_ago))
    inflight.tidy(set())
    assert [path for path in everything if path.exists()] == [
        tmp_path / "inflight" / f"{run.run_id}.shared.{inflight.version}.state",
        model,
    ]


def test_a_storage_that_fails_costs_the_state_and_no_more(inflight, monkeypatch, caplog):
    (run,) = trivial_runs(1)

    def fail(*_):
        raise OSError("server gone")

    for name in ("put", "get", "files", "delete"):
        monkeypatch.setattr(Storage, name, fail)
    inflight.claim(run)
    inflight.save(run, b"state")
    inflight.drop(run, "claim")
    inflight.drop(run, "state")
    inflight.clear(run)
    inflight.tidy(set())
    assert inflight.load(run) is None
    assert inflight.claimed() == set()
    assert caplog.text.count("server gone") == 8
