"""A store is verified: each kind of damage is named, and a store without any has none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from stored_rows import make_manifest, make_row

from fmnist.data import DATASET
from fmnist.declare import id_of_run, seeds_of_repeat
from fmnist.store import Store, check_store

ROOT = Path(__file__).resolve().parents[1]


def run_row(repeat=0, images=5, **changes):
    row = make_row(repeat, images=images, **changes)
    return {**row, "run_id": id_of_run(row["configuration_id"], seeds_of_repeat(repeat))} | changes


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "results")
    for repeat in range(3):
        made.write(run_row(repeat))
    made.write_manifest(make_manifest())
    return made


def problems_of(store):
    return check_store(Store(store.uri))[1]


def test_published_rows_are_as_they_were_written():
    store = Store(ROOT / "published")
    assert check_store(store) == (store.read(["run_id"]).num_rows, [])


def test_nothing_is_wrong(store):
    assert check_store(store) == (3, [])


def test_a_truncated_file_is_named_and_the_rest_is_read(store):
    file = next(Path(store.uri, "runs").iterdir())
    file.write_bytes(file.read_bytes()[:-7])
    count, problems = check_store(Store(store.uri))
    assert count == 2
    assert all(file.name in problem for problem in problems)
    assert problems


def test_a_file_under_another_name_is_named(store):
    file = next(Path(store.uri, "runs").iterdir())
    file.rename(file.with_name("0" * 16 + ".shared.00000000.parquet"))
    assert "not the one that its name was made of" in problems_of(store)[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_id": "0" * 16}, "lenet5 repeat 0: run_id 0000000000000000 does not follow"),
        ({"seed_split": 7}, "its seeds are not those of its repeat"),
        ({"images": 9, "data_fingerprint": DATASET.fingerprint}, "9 predictions for 10000 test images"),
        ({"test_accuracy": 0.123}, "2 rows that differ"),
    ],
)
def test_a_row_at_odds_with_itself_or_another_is_named(store, changes, words):
    store.write(run_row(**changes))
    assert words in "; ".join(problems_of(store))


def test_rows_that_agree_in_both_placements_are_not_wrong(store):
    store.write(run_row(placement="exclusive"))
    assert problems_of(store) == []


@pytest.mark.parametrize("content", ["{", "[]", json.dumps(make_manifest("other"))])
def test_a_manifest_that_is_damaged_or_another_ones_is_named(store, content):
    Path(store.uri, "studies", "quick.json").write_text(content)
    assert len(problems_of(store)) == 1


def check(uri):
    command = [sys.executable, str(ROOT / "jobs" / "aggregate.py"), "--check", "--results", uri]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_job_says_what_is_wrong_and_exits_with_1(store):
    assert check(store.uri) == (0, f"3 rows in {store.uri}: nothing is wrong\n")
    Path(store.uri, "studies", "quick.json").write_text("{")
    code, told = check(store.uri)
    assert code == 1
    assert "studies/quick.json" in told
    assert "3 rows" in told
