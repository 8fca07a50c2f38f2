from __future__ import annotations

import dataclasses

import pytest

from fmnist.reporting.selection import select_studies
from fmnist.results import Store
from tests.synthetic_rows import SIX, manifest_of, rows_of

TWO = SIX[:2]


def fill(store, rows):
    for row in rows:
        store.write(row)
    return store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Store(tmp_path / "results")


def test_an_empty_store_says_what_to_run(store):
    with pytest.raises(ValueError, match=r"holds no run.*jobs/study.py quick"):
        select_studies(store)


def test_an_unknown_study_lists_the_known_ones(store):
    fill(store, rows_of(TWO, 1)).write_manifest(manifest_of(TWO, 1))
    with pytest.raises(ValueError, match=r"got 'other'.*made_up"):
        select_studies(store, ["other"])


def test_a_study_without_rows_says_what_to_run(store):
    fill(store, rows_of(TWO, 1)).write_manifest(manifest_of(SIX[2:], 1, name="later"))
    with pytest.raises(ValueError, match=r"jobs/study.py later"):
        select_studies(store, ["later"])


def test_rows_are_found_by_configuration_whoever_asked_for_them(store):
    fill(store, rows_of(TWO, 3, study="another")).write_manifest(manifest_of(TWO, 3))
    (study,) = select_studies(store)
    assert study.name == "made_up"
    assert study.counts()["ok"].to_dict() == {"lenet5": 3, "brownlee": 3}


def test_a_label_is_the_studys_own(store):
    manifest = manifest_of(TWO, 1)
    manifest["configurations"][0]["label"] = "renamed"
    fill(store, rows_of(TWO, 1)).write_manifest(manifest)
    (study,) = select_studies(store)
    assert study.finished_labels == ["renamed", "brownlee"]


def test_rows_of_no_manifest_are_reported_under_their_study(store):
    fill(store, [*rows_of(TWO, 1), *rows_of(SIX[2:3], 2, study="orphan")]).write_manifest(manifest_of(TWO, 1))
    studies = {study.name: study for study in select_studies(store)}
    assert set(studies) == {"made_up", "orphan"}
    assert studies["orphan"].repeats is None
    assert studies["orphan"].missing_repeats("own_v1") == []


def test_the_study_with_the_latest_run_comes_first(store):
    fill(store, [*rows_of(TWO, 1), *rows_of(SIX[2:3], 5)])
    store.write_manifest(manifest_of(TWO, 1, name="early"))
    store.write_manifest(manifest_of(SIX[2:3], 5, name="late"))
    assert [study.name for study in select_studies(store)] == ["late", "early"]
    assert [study.name for study in select_studies(store, ["early", "late"])] == ["early", "late"]


def test_every_run_is_counted_and_missing_repeats_are_named(store):
    maker = dataclasses.replace(TWO[0], statuses={1: "failed", 2: "diverged"}, left_out=frozenset({4}))
    fill(store, rows_of([maker, TWO[1]], 5)).write_manifest(manifest_of(TWO, 5))
    (study,) = select_studies(store)
    counts = study.counts().loc["lenet5"].to_dict()
    assert counts == {"wanted": 5, "ok": 2, "failed": 1, "diverged": 1, "missing": 1}
    assert study.missing_repeats("lenet5") == [4]


def test_more_repeats_than_wanted_are_all_taken(store):
    fill(store, rows_of(TWO, 4)).write_manifest(manifest_of(TWO, 2))
    (study,) = select_studies(store)
    assert len(study.values("test_accuracy")["lenet5"]) == 4


def test_a_repeat_counts_once_the_finished_row_before_the_failed_one(store):
    failed = dataclasses.replace(TWO[0], statuses={0: "failed"})
    fill(store, [*rows_of([failed], 1, placement="exclusive"), *rows_of(TWO, 1, placement="shared")])
    store.write_manifest(manifest_of(TWO, 1))
    (study,) = select_studies(store)
    assert study.counts().loc["lenet5", "ok"] == 1
    assert study.counts().loc["lenet5", "failed"] == 0


def test_time_is_read_from_exclusive_rows_alone(store):
    slow = [dataclasses.replace(maker, train_seconds=1000.0) for maker in TWO]
    fill(store, [*rows_of(slow, 3, placement="shared"), *rows_of(TWO, 2, placement="exclusive")])
    store.write_manifest(manifest_of(TWO, 3, placement="shared"))
    (study,) = select_studies(store)
    rows, refusal = study.rows_for("train_seconds")
    assert refusal == ""
    assert set(rows["placement"]) == {"exclusive"}
    assert max(study.values("train_seconds")["lenet5"]) < 100
    assert len(study.values("test_accuracy")["lenet5"]) == 3


def test_time_of_shared_rows_is_described_and_says_what_to_run(store):
    fill(store, rows_of(TWO, 2, placement="shared")).write_manifest(manifest_of(TWO, 2))
    (study,) = select_studies(store)
    rows, refusal = study.rows_for("train_seconds")
    assert len(rows) == 4
    assert "shared a machine" in refusal


def test_time_on_two_kinds_of_hardware_is_refused(store):
    fill(store, [*rows_of(TWO, 2), *rows_of(SIX[2:3], 2, device_model="Another CPU")])
    store.write_manifest(manifest_of(SIX[:3], 2))
    (study,) = select_studies(store)
    assert "2 kinds of hardware" in study.rows_for("host_allocated_bytes")[1]


def test_an_unknown_primary_metric_is_refused(store):
    fill(store, rows_of(TWO, 1)).write_manifest(manifest_of(TWO, 1, primary_metric="beauty"))
    with pytest.raises(ValueError, match=r"got 'beauty', expected test_accuracy"):
        select_studies(store)
