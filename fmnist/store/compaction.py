"""Merge the many small files of a store into few large ones; no row is lost or doubled, wherever it is stopped.

A merged file is in place before the files it was made of are deleted. Until these are gone a row is there twice, which
every reader resolves. A file's name holds a fingerprint of its rows and is never reused for others: two compactions at
once write the same files or different ones, and what one deletes stands complete in the other's.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fmnist.declare import fingerprint
from fmnist.store.row_files import RowFiles
from fmnist.store.rows import RowKey, RowSelection, parquet_bytes, row_keys
from fmnist.store.schema import SCALAR_COLUMNS, SCHEMA
from fmnist.store.storage import Storage, StoredFile

COMPACTED = "compacted"
ROWS_PER_FILE = 2000  # a merged file has at most twice as many; with predictions some 13 kB a row
ROWS_PER_GROUP = 256  # what is read at once of a merged file: with predictions 8 MB in memory

# repeated values (names, classes) are stored once, in a dictionary; confidences hardly repeat: their bytes are split
LAYOUT: dict[str, Any] = {
    "use_dictionary": [*SCALAR_COLUMNS, "test_predicted.list.element", "history.list.element.learning_rate"],
    "column_encoding": {"test_confidence.list.element": "BYTE_STREAM_SPLIT"},
    "compression_level": 16,  # 7 % smaller than by default, at 11 ms a row: written once, read and copied often
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What a compaction did."""

    merged_files: int  # files there were, and are no more
    written_files: int
    rows: int  # rows in the written files


def compact(storage: Storage, row_files: RowFiles, files: Sequence[StoredFile]) -> Compaction:
    """Merge what is small among `files`; damaged files, and those with columns of newer code, stay where they are."""
    for folder in ("runs", COMPACTED):
        storage.delete_old(folder)
    merged = written = rows = 0
    keys = row_files.keys(files)
    for group in _groups({file: rows for file, rows in keys.items() if file.path not in row_files.newer}):
        table, whole_files = _merge(row_files, group)
        name = f"{COMPACTED}/{fingerprint(row_keys(table))}.parquet"
        storage.put(name, parquet_bytes(table, row_group_size=ROWS_PER_GROUP, **LAYOUT))
        superseded = [file.path for file in whole_files if file.path != name]
        storage.delete(superseded)
        merged, written, rows = merged + len(superseded), written + 1, rows + table.num_rows
    return Compaction(merged_files=merged, written_files=written, rows=rows)


def _groups(keys: Mapping[StoredFile, list[RowKey]]) -> Iterator[list[StoredFile]]:
    """Gather files that are to become one, in the order of configuration and repeat."""
    small = [file for file, rows in keys.items() if 0 < len(rows) < ROWS_PER_FILE]
    group: list[StoredFile] = []
    for file in sorted(small, key=lambda file: (keys[file][0].configuration_id, keys[file][0].repeat, file.path)):
        group.append(file)
        if sum(len(keys[member]) for member in group) >= ROWS_PER_FILE:
            yield group
            group = []
    if len(group) > 1:
        yield group


def _merge(row_files: RowFiles, group: Sequence[StoredFile]) -> tuple[pa.Table, list[StoredFile]]:
    """Read a group's rows, each once and sorted, and tell which of its files are whole."""
    tables = list(row_files.tables(group, SCHEMA))
    selection = RowSelection(itertools.chain.from_iterable(map(row_keys, tables)))
    merged = pa.concat_tables([SCHEMA.empty_table(), *map(selection.take, tables)])
    order = [(name, "ascending") for name in ("configuration_id", "repeat", "placement", "run_id")]
    return merged.sort_by(order), [file for file in group if file.path not in row_files.damaged]
