from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmnist import UserError
from fmnist.store import compaction, row_files
from fmnist.store import store as store_module
from fmnist.store.rows import RowSelection, row_keys, to_table
from fmnist.store.schema import RETIRED_COLUMNS, SCHEMA
from fmnist.store.storage import Storage
from fmnist.store.store import Store
from tests.stored_rows import make_manifest, make_row

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def files_of(store: Store, folder: str = "runs") -> list[Path]:
    return sorted(path for path in (Path(store.storage.root) / folder).glob("*") if path.is_file())


def repeats_of(store: Store) -> list[int]:
    return sorted(store.read(["repeat"])["repeat"].to_pylist())


# --- rows


def test_a_row_comes_back_as_it_was_written(store: Store) -> None:
    row = make_row(images=100)
    store.write(row)
    table = store.read()
    assert table.schema.equals(SCHEMA)
    (found,) = table.to_pylist()
    assert set(found["test_predicted"]) <= set(range(10))
    np.testing.assert_array_equal(np.array(found["test_confidence"], np.float16), row["test_confidence"])
    assert found["history"][1]["train_loss"] == row["history"][1]["train_loss"]
    assert found["history"][1]["validation_loss"] is None
    assert found["started_at"] == row["started_at"]
    assert found["device_peak_bytes"] is None
    assert {name: found[name] for name in ("run_id", "test_accuracy", "learning_rate", "early_stopping_patience")} == {
        name: row[name] for name in ("run_id", "test_accuracy", "learning_rate", "early_stopping_patience")
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": 0.9}, "got accuracy, expected columns of the schema: run_id"),
        ({"test_accuracy": "0.9"}, "column test_accuracy: got '0.9', expected double"),
        ({"repeat": 1.5}, "column repeat: got 1.5, expected int32"),
        ({"repeat": 2**40}, "column repeat: got 1099511627776, expected int32"),
        ({"run_id": None}, "column run_id: got nothing, expected string"),
        ({"resumed": 1}, "column resumed: got 1, expected bool"),
        ({"test_accuracy": True}, "column test_accuracy: got True, expected double"),
        ({"started_at": 5}, "column started_at: got 5, expected timestamp"),
        ({"history": [{"epoch": "first"}]}, "column history: got [{'epoch': 'first'}], expected list"),
        ({"history": [{"epoch": 1, "top5": 0.9}]}, "column history: got [{'epoch': 1, 'top5': 0.9}], expected list"),
        ({"test_predicted": np.array([300])}, "column test_predicted: got array([300]), expected list"),
        ({"test_predicted": [0.5]}, "column test_predicted: got [0.5], expected list"),
        ({"test_predicted": np.zeros(3)}, "column test_predicted: got array([0., 0., 0.]), expected list"),
        ({"test_predicted": np.zeros((1, 3), np.uint8)}, "column test_predicted: got array([[0, 0, 0]]"),
        ({"test_accuracy": 93.1}, "test_accuracy is 93.1, expected a number from 0 to 1"),
        ({"train_seconds": -1.0}, "train_seconds is -1.0, expected a number from 0"),
        ({"test_loss": float("nan")}, "test_loss is nan"),
        ({"test_confidence": np.zeros(3, np.float16)}, "test_predicted has 0 images, test_confidence 3"),
        ({"status": "fine"}, "column status: got 'fine', expected one of ok, failed, diverged"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_the_column_named(
    store: Store, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="row:") as caught:
        store.write(make_row() | changes)
    assert message in str(caught.value)
    assert not files_of(store)


def test_unknown_columns_are_refused_by_name(store: Store) -> None:
    with pytest.raises(ValueError, match="columns: got accuracy, expected some of run_id"):
        store.read(["accuracy"])
    with pytest.raises(ValueError, match="columns: got accuracy"):
        list(store.batches(["accuracy"]))


def test_a_store_that_is_not_there_yet_is_empty(store: Store) -> None:
    assert store.read().num_rows == 0
    assert store.read().schema.equals(SCHEMA)
    assert list(store.batches()) == []
    assert store.present() == set()
    assert store.manifests() == []
    assert store.read_manifest("quick") is None
    assert store.compact() == compaction.Compaction(merged_files=0, written_files=0, rows=0)
    assert not Path(store.storage.root).exists()


# --- writing is atomic


def test_a_write_that_breaks_off_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(_: Storage, path: str, content: bytes) -> None:
        Path(path).write_bytes(content[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Storage, "_write", break_off)
    with pytest.raises(KeyboardInterrupt):
        store.write(make_row())
    assert not files_of(store)
    assert store.read().num_rows == 0


def test_a_file_and_its_name_are_on_the_disk_when_it_is_in_place(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = [], os.fsync

    def note(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), files_of(store, "studies")[0].suffix == ".json"))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store.write_manifest(make_manifest())
    assert synced == [(False, False), (True, True)]  # the content before the rename, the folder after it


def test_a_file_that_is_being_written_is_not_seen(store: Store) -> None:
    store.write(make_row())
    (written,) = files_of(store)
    written.with_name(f".{written.name}.0123").write_bytes(b"PAR1")
    assert store.read().num_rows == 1
    assert not store.damaged


# --- several rows of one run


def test_of_several_rows_of_a_run_the_best_and_then_the_newest_counts(store: Store) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    store.write(make_row(0, status="ok", started_at=early, test_accuracy=0.5))
    store.write(make_row(0, status="failed", started_at=late, test_accuracy=None))
    store.write(make_row(1, status="failed", started_at=early, error="first"))
    store.write(make_row(1, status="failed", started_at=late, error="second"))
    store.write(make_row(1, status="failed", started_at=None, error="third"))
    store.write(make_row(2, status="diverged", started_at=early))
    store.write(make_row(2, status="failed", started_at=late))
    rows = sorted(store.read(["repeat", "status", "error"]).to_pylist(), key=lambda row: row["repeat"])
    assert [(row["status"], row["error"]) for row in rows] == [("ok", None), ("failed", "second"), ("diverged", None)]
    assert {status for _, _, status in store.present()} == {"ok", "failed", "diverged"}


def test_a_run_counts_once_in_each_placement(store: Store) -> None:
    for placement in ("shared", "exclusive", "shared"):
        store.write(make_row(0, placement=placement))
    assert sorted(store.read(["placement"])["placement"].to_pylist()) == ["exclusive", "shared"]
    assert len(store.present()) == 2


def test_the_same_row_written_twice_is_one_file(store: Store) -> None:
    store.write(make_row())
    store.write(make_row())
    assert len(files_of(store)) == 1


RANKED = ("ok", "validated", "diverged", "pruned", "failed")


@given(st.integers(0, 4).flatmap(lambda n: st.permutations([(end, day) for end in RANKED[n:] for day in (1, 2)])))
@settings(max_examples=30, deadline=None)
def test_which_row_counts_does_not_hang_on_the_order(order: list[tuple[str, int]]) -> None:
    tables = [to_table(make_row(status=status, started_at=datetime(2026, 1, day, tzinfo=UTC))) for status, day in order]
    best = RowSelection(entry for table in tables for entry in row_keys(table))
    taken = pa.concat_tables(best.take(table) for table in tables).to_pylist()
    assert [(row["status"], row["started_at"].day) for row in taken] == [(RANKED[-len(order) // 2], 2)]


# --- damaged and foreign files


def write_foreign_files(store: Store) -> set[str]:
    """Put beside the rows what is none, and return the names."""
    (row_file,) = files_of(store)
    whole = row_file.read_bytes()
    middle = len(whole) // 3
    contents = {
        "empty": b"",
        "text": b"run_id,placement\n",
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 50]) + whole[middle + 50 :],
    }
    for name, content in contents.items():
        row_file.with_name(f"{name}.parquet").write_bytes(content)
    others = {
        "other": pa.table({"x": [1]}),
        "typed": to_table(make_row()).set_column(5, "repeat", pa.array(["one"])),
    }
    for name, table in others.items():
        pq.write_table(table, row_file.with_name(f"{name}.parquet"))
    return {f"runs/{name}.parquet" for name in (*contents, *others)}


def test_damaged_and_foreign_files_are_named_and_do_not_stop_the_reading(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.write(make_row(images=10_000))
    foreign = write_foreign_files(store)
    assert store.read().num_rows == 1
    assert set(store.damaged) == foreign
    assert store.damaged["runs/other.parquet"] == "it has no column run_id"
    assert (
        store.damaged["runs/typed.parquet"]
        == "column repeat is string, expected int32 (Failed to parse string: 'one' as a scalar of type int32)"
    )
    assert all(any(name in message for message in caplog.messages) for name in foreign)
    caplog.clear()
    assert sum(table.num_rows for table in store.batches()) == 1
    assert not caplog.messages  # each is warned of once


def test_a_damaged_file_is_not_present_and_compaction_leaves_it(store: Store) -> None:
    for repeat in range(3):
        store.write(make_row(repeat))
    damaged = files_of(store)[0]
    damaged.write_bytes(damaged.read_bytes()[:-10])
    assert len(store.present()) == 2
    store.compact()
    assert files_of(store) == [damaged]
    assert store.read().num_rows == 2


def test_of_a_damaged_large_file_the_whole_parts_are_read_and_it_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(row_files, "WHOLE_BYTES", 0)
    for repeat in range(6):
        store.write(make_row(repeat, images=1000))
    store.compact()
    (compacted,) = files_of(store, "compacted")
    with pq.ParquetFile(compacted) as file:
        column = file.metadata.row_group(1).column(SCHEMA.names.index("run_id"))
        offset = column.dictionary_page_offset + 20
    content = bytearray(compacted.read_bytes())
    content[offset : offset + 20] = bytes(20)
    compacted.write_bytes(content)
    store = Store(store.uri)
    assert repeats_of(store) == [0, 1]
    assert f"compacted/{compacted.name}" in store.damaged
    for repeat in range(2, 6):
        store.write(make_row(repeat, images=1000))
    store.compact()
    assert compacted.exists()
    assert repeats_of(store) == list(range(6))


def test_rows_older_than_a_column_have_null_there(store: Store) -> None:
    store.write(make_row(0, python_version="3.11.2"))
    folder = files_of(store)[0].parent
    pq.write_table(to_table(make_row(1)).drop_columns(["python_version"]), folder / "older.parquet")
    pq.write_table(to_table(make_row(2)).append_column("newer", pa.array([1])), folder / "newer.parquet")
    table = store.read(["repeat", "python_version"]).sort_by("repeat")
    assert table.to_pydict() == {"repeat": [0, 1, 2], "python_version": ["3.11.2", None, None]}
    assert not store.damaged


# --- rows that other programs wrote


def put_table(store: Store, table: pa.Table, name: str = "other") -> str:
    """Write a table as another program would; returns the file's path in the store."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    store.storage.put(f"runs/{name}.parquet", bytes(sink.getvalue()))
    return f"runs/{name}.parquet"


def rows_table(*repeats: int, **columns: pa.Array) -> pa.Table:
    """Make a table of rows, some columns replaced by arrays that need not fit the schema."""
    table = pa.concat_tables([to_table(make_row(repeat, images=3)) for repeat in repeats])
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, values) if index >= 0 else table.append_column(name, values)
    return table


def test_rows_that_pandas_wrote_back_are_rows(store: Store) -> None:
    for repeat in range(3):
        store.write(make_row(repeat, images=10, error="none" if repeat else None))
    before = store.read()
    frame = before.to_pandas()
    frame["label"] = frame["label"].astype("category")
    frame["best_epoch"] = frame["best_epoch"].astype("object")
    frame = frame.astype({"repeat": "int64", "attempts": "int64"})
    for path in files_of(store):
        path.unlink()
    frame.to_parquet(Path(store.storage.root) / "runs" / "pandas.parquet")
    written = pq.read_schema(Path(store.storage.root) / "runs" / "pandas.parquet")
    assert pa.types.is_dictionary(written.field("label").type)
    assert written.field("repeat").type == pa.int64()
    again = Store(store.uri)
    assert again.read().equals(before)
    assert not again.damaged
    store.write(make_row(3))
    assert again.compact().rows == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"repeat": pa.array([2**40])}, "column repeat is int64, expected int32 (Integer value 1099511627776"),
        ({"test_loss": pa.array(["0,3"])}, "column test_loss is string, expected double (Failed to parse"),
        ({"label": pa.array([None], pa.string())}, "column label has no value in 1 of 1 rows"),
        ({"started_at": pa.array(["today"])}, "column started_at is string, expected timestamp[us, tz=UTC]"),
    ],
)
def test_a_column_that_cannot_be_converted_is_named(store: Store, columns: dict[str, pa.Array], message: str) -> None:
    store.write(make_row(1))
    path = put_table(store, rows_table(0, **columns))
    assert repeats_of(store) == [1]
    assert message in store.damaged[path]


IMPOSSIBLE: list[tuple[str, Any, str]] = [
    ("test_accuracy", 93.1, "test_accuracy is 93.1, expected a number from 0 to 1"),
    ("validation_accuracy", -0.1, "validation_accuracy is -0.1"),
    ("test_accuracy", float("nan"), "test_accuracy is nan"),
    ("test_loss", -0.5, "test_loss is -0.5"),
    ("train_seconds", -3.0, "train_seconds is -3.0"),
    ("total_seconds", float("inf"), "total_seconds is inf"),
    ("parameter_count", -1, "parameter_count is -1"),
    ("device_peak_bytes", -1, "device_peak_bytes is -1"),
]


@pytest.mark.parametrize(("column", "value", "message"), IMPOSSIBLE)
@pytest.mark.parametrize("whole_bytes", [0, 2**20])
def test_a_row_with_an_impossible_value_is_named_and_the_others_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    column: str, value: Any, message: str, whole_bytes: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(row_files, "WHOLE_BYTES", whole_bytes)
    kind = SCHEMA.field(column).type
    path = put_table(store, rows_table(0, 1, 2, **{column: pa.array([None, value, None], kind)}))
    store.write(make_row(3))
    assert repeats_of(store) == [0, 2, 3]
    assert len(Store(store.uri).present()) == 3  # so the run is computed again
    assert store.damaged[path].startswith(f"impossible values in 1 rows; in lenet5 repeat 1: {message}")
    assert path in caplog.text
    before = store.read()
    store.compact()
    assert (Path(store.storage.root) / path).exists()  # whoever can mend it finds all of it
    assert store.read().equals(before)


def test_an_impossible_row_does_not_hide_a_good_one_of_the_same_run(store: Store) -> None:
    late = pa.array([datetime(2027, 1, 1, tzinfo=UTC)], SCHEMA.field("started_at").type)
    put_table(store, rows_table(0, test_accuracy=pa.array([93.1]), started_at=late))
    store.write(make_row(0, images=3, test_accuracy=0.931))
    configuration = {make_row()["configuration_id"]}
    for table in (store.read(["test_accuracy"]), *store.batches(["test_accuracy"], configuration)):
        assert table["test_accuracy"].to_pylist() == [0.931]


def test_a_row_changed_under_its_own_name_is_looked_at_again(store: Store) -> None:
    store.write(make_row(0))
    (path,) = files_of(store)
    pq.write_table(rows_table(0, test_accuracy=pa.array([93.1])), path)
    assert repeats_of(Store(store.uri)) == []


def test_predictions_of_two_lengths_are_left_out(store: Store) -> None:
    short = pa.array([[1, 2]], SCHEMA.field("test_predicted").type)
    path = put_table(store, rows_table(0, test_predicted=short))
    store.write(make_row(1, images=3))
    (batch,) = store.batches(["repeat", "test_predicted", "test_confidence"])
    assert batch["repeat"].to_pylist() == [1]
    assert "test_predicted has 2 images, test_confidence 3" in store.damaged[path]


# --- rows of other code


@pytest.mark.parametrize("column", ["newer", "history"])
def test_compaction_leaves_rows_of_newer_code_alone(store: Store, column: str) -> None:
    values = pa.array([1]) if column == "newer" else pa.array([[{"epoch": 1, "train_loss": 0.5, "newer": 1.0}]])
    path = put_table(store, rows_table(0, **{column: values}))
    content = store.storage.get(path)
    for repeat in (1, 2):
        store.write(make_row(repeat))
    assert store.compact().merged_files == 2
    assert store.storage.get(path) == content
    assert repeats_of(store) == [0, 1, 2]
    assert store.read(["history"])["history"][0][0]["epoch"].as_py() == 1
    assert not store.damaged


def test_compaction_may_drop_columns_that_were_given_up(store: Store) -> None:
    put_table(store, rows_table(0, **{name: pa.array([1]) for name in RETIRED_COLUMNS}))
    store.write(make_row(1))
    assert store.compact() == compaction.Compaction(merged_files=2, written_files=1, rows=2)
    assert repeats_of(store) == [0, 1]


# --- a store that fails


def test_a_row_that_cannot_be_written_is_kept_and_sent_later(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    healthy = Storage._put

    def fail(storage: Storage, target: str, content: bytes) -> None:
        if storage is store.storage:
            raise OSError(28, "No space left on device")
        healthy(storage, target, content)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "_put", fail)
        for repeat in range(3):
            store.write(make_row(repeat))
        assert "No space left on device" in caplog.text
        assert f"It is kept in {store.unsent.uri}" in caplog.text
        assert len(store.flush()) == 3
        assert repeats_of(store) == []
    another = Store(store.uri)
    assert len(another.present()) == 3
    assert repeats_of(another) == [0, 1, 2]
    assert not another.flush()
    assert another.unsent.files("runs", ".parquet") == []


def test_unsent_rows_go_to_their_own_store(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    one.unsent.put("runs/a.shared.0.parquet", b"")
    assert not other.flush()
    assert other.storage.files("runs", ".parquet") == []
    assert Store(str(tmp_path / "one")).unsent.root == one.unsent.root


def test_what_the_store_answers_is_explained(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file, not a folder")
    with pytest.raises(OSError, match=r"results: cannot write studies/quick.json at .*results: "):
        Store(tmp_path / "results").write_manifest({"name": "quick"})


# --- manifests


def test_manifests_come_back_by_name(store: Store) -> None:
    manifests = [make_manifest(name) for name in ("b", "a")]
    for manifest in manifests:
        store.write_manifest(manifest)
    assert store.read_manifest("b") == manifests[0]
    assert store.manifests() == manifests[::-1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "can't decode byte"),
        (b"[]", "it holds [], expected a study's manifest"),
        (b"{}", "name: got None, expected str"),
        (json.dumps(make_manifest() | {"repeats": "3"}).encode(), "repeats: got '3', expected int"),
        (json.dumps(make_manifest() | {"configurations": [{"label": "a"}]}).encode(), "configurations: got {'label'"),
    ],
)
def test_a_damaged_manifest_is_named(store: Store, content: bytes, problem: str) -> None:
    store.storage.put("studies/quick.json", content)
    with pytest.raises(UserError, match=r"results: studies/quick.json in .* is damaged .*; delete it") as caught:
        store.manifests()
    assert problem in str(caught.value)


# --- streaming


def test_batches_give_what_read_gives(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "FILES_AT_ONCE", 4)
    monkeypatch.setattr(row_files, "WHOLE_BYTES", 0)
    monkeypatch.setattr(compaction, "ROWS_PER_GROUP", 3)
    for repeat in range(10):
        store.write(make_row(repeat, images=10))
    store.compact()
    for repeat in range(5, 20):
        store.write(make_row(repeat, images=10, status="failed" if repeat < 7 else "ok"))
    batches = list(store.batches(["run_id", "placement", "status", "test_predicted"]))
    assert len(batches) > 1
    joined = pa.concat_tables(batches).sort_by([("run_id", "ascending"), ("placement", "ascending")])
    assert joined.equals(store.read(["run_id", "placement", "status", "test_predicted"]))
    assert joined.num_rows == 20


@pytest.mark.parametrize("compacted", [False, True])
def test_batches_of_some_configurations(store: Store, monkeypatch: pytest.MonkeyPatch, compacted: bool) -> None:
    monkeypatch.setattr(row_files, "WHOLE_BYTES", 0)
    for configuration in ("lenet5", "own_v3", "brownlee"):
        for repeat in range(3):
            store.write(make_row(repeat, configuration=configuration))
    if compacted:
        store.compact()
    wanted = {make_row(configuration=name)["configuration_id"] for name in ("lenet5", "brownlee")}
    found = pa.concat_tables(store.batches(["label"], wanted))["label"].to_pylist()
    assert sorted(found) == ["brownlee"] * 3 + ["lenet5"] * 3
    assert list(store.batches(["label"], set())) == []


# --- compaction


def test_compaction_keeps_every_row_and_sorts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 8)
    for repeat in range(6):
        for configuration in ("lenet5", "own_v3", "brownlee"):
            store.write(make_row(repeat, configuration=configuration, images=50))
    before = store.read()
    assert store.compact() == compaction.Compaction(merged_files=18, written_files=3, rows=18)
    assert files_of(store) == []
    assert store.read().equals(before)
    assert Store(store.uri).read().equals(before)
    for path in files_of(store, "compacted"):
        table = pq.read_table(path)
        assert table.equals(table.sort_by([("configuration_id", "ascending"), ("repeat", "ascending")]))
    assert store.compact().written_files <= 1
    assert store.read().equals(before)


def test_compacting_again_and_again_keeps_few_files(store: Store) -> None:
    for repeat in range(12):
        store.write(make_row(repeat))
        store.compact()
    assert len(files_of(store)) + len(files_of(store, "compacted")) == 1
    assert repeats_of(store) == list(range(12))
    assert store.compact().written_files == 0


def test_compaction_resolves_duplicates(store: Store) -> None:
    store.write(make_row(0, status="failed"))
    store.write(make_row(1))
    store.compact()
    store.write(make_row(0, status="ok"))
    store.write(make_row(1))
    assert store.compact() == compaction.Compaction(merged_files=3, written_files=1, rows=2)
    (compacted,) = files_of(store, "compacted")
    assert pq.read_table(compacted, columns=["status"])["status"].to_pylist() == ["ok", "ok"]
    store.write(make_row(1))  # what is merged again comes to the same file, which must not be deleted
    store.compact()
    assert files_of(store, "compacted") == [compacted]
    assert repeats_of(store) == [0, 1]


def test_a_compaction_that_fails_at_any_step_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 4)
    for repeat in range(10):
        store.write(make_row(repeat))
    before = store.read()
    steps_left = 0

    def count_down() -> None:
        nonlocal steps_left
        steps_left -= 1
        if steps_left < 0:
            raise KeyboardInterrupt

    def put(storage: Storage, path: str, content: bytes) -> None:
        count_down()
        real_put(storage, path, content)

    def delete(storage: Storage, paths: list[str]) -> None:
        for path in paths:
            count_down()
            real_delete(storage, [path])

    real_put, real_delete = Storage.put, Storage.delete
    monkeypatch.setattr(Storage, "put", put)
    monkeypatch.setattr(Storage, "delete", delete)
    for steps in range(30):
        steps_left = steps % 5
        try:
            store.compact()
        except KeyboardInterrupt:
            assert store.read().equals(before)
            assert Store(store.uri).read().equals(before)
    assert files_of(store) == []
    assert store.read().equals(before)


COMPACT_FOREVER = """
import sys
from fmnist.store import compaction
from fmnist.store.store import Store
compaction.ROWS_PER_FILE = 5
print("ready", flush=True)
Store(sys.argv[1]).compact()
print("done", flush=True)
"""


def start_compaction(store: Store) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMPACT_FOREVER, store.uri]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_compaction_killed_at_any_moment_loses_nothing(store: Store) -> None:
    for repeat in range(60):
        store.write(make_row(repeat))
    before = store.read()
    chance = random.Random(0)
    for _ in range(6):
        process = start_compaction(store)
        time.sleep(chance.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert Store(store.uri).read().equals(before)
    store.compact()
    assert files_of(store) == []
    assert Store(store.uri).read().equals(before)


def test_readers_and_compactions_at_once_see_every_row(store: Store) -> None:
    for repeat in range(60):
        store.write(make_row(repeat))
    before = store.read()
    processes = [start_compaction(store) for _ in range(2)]
    while any(process.poll() is None for process in processes):
        assert Store(store.uri).read().equals(before)
        assert sum(table.num_rows for table in Store(store.uri).batches(["run_id"])) == 60
    assert [process.communicate()[0] for process in processes] == ["done\n", "done\n"]
    assert files_of(store) == []
    assert Store(store.uri).read().equals(before)


def test_batches_go_on_when_files_are_compacted_under_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "FILES_AT_ONCE", 3)
    for repeat in range(20):
        store.write(make_row(repeat))
    batches = Store(store.uri).batches(["repeat"])
    found = next(batches)["repeat"].to_pylist()
    store.compact()
    for batch in batches:
        found += batch["repeat"].to_pylist()
    assert sorted(found) == list(range(20))


def test_a_store_that_never_holds_still_is_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(make_row())
    gone = files_of(store)[0]
    listed = store._files()
    gone.unlink()
    monkeypatch.setattr(Store, "_files", lambda _: listed)
    monkeypatch.setattr(store_module, "PAUSE", 0.001)
    for read in (store.read, store.present, store.compact, lambda: list(store.batches())):
        with pytest.raises(OSError, match="changes faster than it can be read"):
            read()


def test_what_killed_writers_left_is_deleted_after_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(make_row())
    left = files_of(store)[0].with_name(".x.parquet.0123")
    left.write_bytes(b"PAR1")
    store.compact()
    assert left.exists()
    monkeypatch.setattr("fmnist.store.storage.LEFT_ALONE", -timedelta(days=1))
    store.compact()
    assert not left.exists()
    assert repeats_of(store) == [0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--results", "{store}"], 0, "6 files merged into 1"),
        (["--results", "s3://bucket?region=here&colour=blue"], 2, "colour"),
        (["--help"], 0, "results"),
    ],
)
def test_the_command_compacts(store: Store, arguments: list[str], code: int, said: str) -> None:
    for repeat in range(6):
        store.write(make_row(repeat))
    command = [sys.executable, "jobs/compact.py", *(argument.format(store=store.uri) for argument in arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= 1
    assert repeats_of(store) == list(range(6))
