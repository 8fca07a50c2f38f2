"""Parquet files of rows: read some columns of many, damaged ones among them, and of large ones part by part."""

import itertools
import logging
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fmnist.store.rows import (
    KEY_COLUMNS,
    KEY_SCHEMA,
    RANGES,
    DamagedFileError,
    RowKey,
    conform,
    has_newer_columns,
    impossible_values,
    is_written_row,
    row_keys,
)
from fmnist.store.schema import SCHEMA
from fmnist.store.storage import THREADS, Storage, StoredFile

WHOLE_BYTES = 2**20  # a file up to this size is read in one request, of a larger one only what is needed
FILES_AT_ONCE = 256  # small files that make one table
CHECKED = [SCHEMA.field(name) for name in dict.fromkeys([*KEY_COLUMNS, "label", *RANGES])]  # whatever is asked for

log = logging.getLogger(__name__)


class RowFiles:
    """Reads the Parquet files of a storage.

    `damaged` says why a file, or some rows of it, were left out; each is warned of once. `newer` are the files with
    columns that this code does not know: they are read without these, and must not be rewritten.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.damaged: dict[str, str] = {}
        self.newer: set[str] = set()
        self._known: dict[StoredFile, list[RowKey]] = {}

    def keys(self, files: Sequence[StoredFile]) -> dict[StoredFile, list[RowKey]]:
        """List the keys of each file's rows. A whole file is read once: its name changes with its content."""
        unknown = [file for file in files if file not in self._known or file.path in self.damaged]
        with ThreadPoolExecutor(THREADS) as pool:
            self._known.update(zip(unknown, pool.map(self._read_keys, unknown), strict=True))
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
            content = self.storage.get(path) if whole else None
            with self.storage.open(path) if content is None else pa.BufferReader(content) as source:
                is_ours = content is not None and is_written_row(path, content)  # what is in it was checked then
                further = [] if is_ours else [field for field in CHECKED if field.name not in schema.names]
                for table in self._row_groups(path, source, pa.schema([*schema, *further]), configurations):
                    yield table if is_ours else self._possible(path, table).select(schema.names)
        except FileNotFoundError:
            raise
        except (DamagedFileError, pa.ArrowException, OSError) as error:
            if not whole:
                self.storage.get(path)  # OSError if it is the storage that fails, not the file that is damaged
            self._report(path, str(error))

    def _read_keys(self, file: StoredFile) -> list[RowKey]:
        parts = self.parts(file.path, KEY_SCHEMA, whole=file.size <= WHOLE_BYTES)
        return list(itertools.chain.from_iterable(map(row_keys, parts)))

    def _row_groups(
        self, path: str, source: pa.NativeFile, schema: pa.Schema, configurations: Collection[str] | None
    ) -> Iterator[pa.Table]:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            found = file.schema_arrow
            if has_newer_columns(found):
                self.newer.add(path)
            wanted = list(set(schema.names) & set(found.names))
            for index in range(file.num_row_groups):
                if configurations is None:
                    yield conform(file.read_row_group(index, columns=wanted, use_threads=False), schema)
                    continue
                column = file.read_row_group(index, columns=["configuration_id"])["configuration_id"]
                keep = pc.is_in(column.cast(pa.string()), value_set=pa.array(configurations, pa.string()))
                if pc.any(keep).as_py():
                    yield conform(file.read_row_group(index, columns=wanted).filter(keep), schema)

    def _possible(self, path: str, table: pa.Table) -> pa.Table:
        """Leave out the rows with a value that no run can have, and name one of them."""
        if not (wrong := dict(impossible_values(table))):
            return table
        place, reason = next(iter(wrong.items()))
        name = f"{table['label'][place]} repeat {table['repeat'][place]}"
        self._report(path, f"impossible values in {len(wrong)} rows; in {name}: {reason}")
        return table.filter(pa.array([place not in wrong for place in range(table.num_rows)]))

    def _report(self, path: str, reason: str) -> None:
        if path not in self.damaged:
            log.warning("results: %s in %s is left out, whole or in part: %s", path, self.storage.uri, reason)
        self.damaged[path] = reason
