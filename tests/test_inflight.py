from __future__ import annotations

import pytest

from fmnist.store.storage import Storage
from fmnist.sweeping.inflight import InFlight
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
    inflight.release(run)
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


def test_a_storage_that_fails_costs_the_state_and_no_more(inflight, monkeypatch, caplog):
    (run,) = trivial_runs(1)

    def fail(*_):
        raise OSError("server gone")

    for name in ("put", "get", "files", "delete"):
        monkeypatch.setattr(Storage, name, fail)
    inflight.claim(run)
    inflight.save(run, b"state")
    inflight.release(run)
    inflight.clear(run)
    assert inflight.load(run) is None
    assert inflight.claimed() == set()
    assert caplog.text.count("server gone") == 6
