"""Parquet files of rows: read some columns of many, whatever state they are in, and of large ones part by part."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fmnist.schema import SCHEMA
from fmnist.store.rows import KEY_SCHEMA, Entry, entries_of
from fmnist.store.storage import THREADS, Storage, StoredFile

WHOLE_BYTES = 2**20  # a file up to this size is read in one request, of a larger one only what is needed
FILES_AT_ONCE = 256  # small files that make one table
CHUNK_BYTES = 2**24

log = logging.getLogger(__name__)


class DamagedFileError(ValueError):
    """A file that is not a Parquet file of rows, or not a whole one."""


class RowFiles:
    """Reads the Parquet files of a storage; keeps in `damaged` why which file could not be read, and warns once."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.damaged: dict[str, str] = {}
        self._known: dict[StoredFile, list[Entry]] = {}

    def entries(self, files: Sequence[StoredFile]) -> dict[StoredFile, list[Entry]]:
        """List the entries of each file. A file is read once: its name changes with its content."""
        unknown = [file for file in files if file not in self._known]
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(unknown), FILES_AT_ONCE):
                chunk = unknown[start : start + FILES_AT_ONCE]
                tables = list(pool.map(self._read_keys, chunk))
                entries = iter(entries_of(pa.concat_tables(tables)))
                for file, table in zip(chunk, tables, strict=True):
                    self._known[file] = list(itertools.islice(entries, table.num_rows))
        return {file: self._known[file] for file in files}

    def tables(
        self, files: Sequence[StoredFile], schema: pa.Schema, configurations: Collection[str] | None = None
    ) -> Iterator[pa.Table]:
        """Read the columns of `schema` of the rows of `configurations` (None: of all), in tables that fit in memory.

        FileNotFoundError if a file has gone since it was listed.
        """
        small = [file.path for file in files if file.size <= WHOLE_BYTES]
        large = [file.path for file in files if file.size > WHOLE_BYTES]
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(small), FILES_AT_ONCE):
                paths = small[start : start + FILES_AT_ONCE]
                read = pool.map(lambda path: list(self.parts(path, schema, configurations)), paths)
                parts = list(itertools.chain.from_iterable(read))
                if parts:
                    yield pa.concat_tables(parts).combine_chunks()
        for path in large:
            yield from self.parts(path, schema, configurations, whole=False)

    def parts(
        self, path: str, schema: pa.Schema, configurations: Collection[str] | None = None, *, whole: bool = True
    ) -> Iterator[pa.Table]:
        """Read one file, one table for each of its row groups; of a damaged one what can be read."""
        try:
            source = pa.BufferReader(self.storage.get(path)) if whole else self.storage.open(path)
            with source:
                yield from _row_groups(source, schema, configurations)
        except FileNotFoundError:
            raise
        except (DamagedFileError, pa.ArrowException, OSError) as error:
            if not whole:
                self._require_readable(path)
            self._report(path, str(error))

    def _read_keys(self, file: StoredFile) -> pa.Table:
        parts = self.parts(file.path, KEY_SCHEMA, whole=file.size <= WHOLE_BYTES)
        return pa.concat_tables([KEY_SCHEMA.empty_table(), *parts])

    def _require_readable(self, path: str) -> None:
        """Raise OSError if it is the storage that fails, not the file that is damaged."""
        with self.storage.open(path) as stream:
            while stream.read(CHUNK_BYTES):
                pass

    def _report(self, path: str, reason: str) -> None:
        if path not in self.damaged:
            log.warning(
                "results: %s in %s is damaged or no file of rows, and was left out (%s)", path, self.storage.uri, reason
            )
        self.damaged[path] = reason


def _row_groups(source: pa.NativeFile, schema: pa.Schema, configurations: Collection[str] | None) -> Iterator[pa.Table]:
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        available = _check(file.schema_arrow)
        wanted = [name for name in schema.names if name in available]
        for index in range(file.num_row_groups):
            if configurations is None:
                yield _complete(file.read_row_group(index, columns=wanted, use_threads=False), schema)
                continue
            keep = pc.is_in(
                file.read_row_group(index, columns=["configuration_id"])["configuration_id"],
                value_set=pa.array(configurations, pa.string()),
            )
            if pc.any(keep).as_py():
                yield _complete(file.read_row_group(index, columns=wanted).filter(keep), schema)


def _check(found: pa.Schema) -> set[str]:
    """Name the columns of the schema that a file has; DamagedFileError if it does not hold rows.

    A column that may be null can be missing: the row is older than the column.
    """
    if found.equals(SCHEMA):  # nearly always, and much faster
        return set(SCHEMA.names)
    for field in SCHEMA:
        if field.name not in found.names:
            if not field.nullable:
                raise DamagedFileError(f"it has no column {field.name}")
        elif found.field(field.name).type != field.type:
            raise DamagedFileError(f"column {field.name} is {found.field(field.name).type}, expected {field.type}")
    return set(found.names)


def _complete(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Put the columns in the order of a schema, those that are not there as null."""
    for name in set(schema.names) - set(table.column_names):
        table = table.append_column(schema.field(name), pa.nulls(table.num_rows, schema.field(name).type))
    return pa.Table.from_arrays(table.select(schema.names).columns, schema=schema)
