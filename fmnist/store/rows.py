"""One row and many: a dict checked against the schema, its Parquet bytes, and which of several rows of a run counts."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fmnist.schema import SCHEMA, STATUSES
from fmnist.store.row_checks import impossible_values

RANKS: Mapping[str, int] = {"ok": 2, "diverged": 1, "failed": 0}  # of two rows the higher one counts
CONVERSION_ERRORS = (TypeError, OverflowError, pa.ArrowInvalid, pa.ArrowNotImplementedError)


class Entry(NamedTuple):
    """What the store needs to know of a row to choose it and to place it."""

    run_id: str
    placement: str
    status: str
    started_at: int  # microseconds since 1970, 0 where the row does not say
    configuration_id: str
    repeat: int

    @property
    def key(self) -> tuple[str, str]:
        """Of several rows with the same key one counts."""
        return self.run_id, self.placement

    @property
    def merit(self) -> tuple[int, int]:
        """The row with the greatest merit counts."""
        return RANKS.get(self.status, -1), self.started_at


KEY_COLUMNS = Entry._fields
KEY_SCHEMA = pa.schema([SCHEMA.field(name) for name in KEY_COLUMNS])


def to_table(row: Mapping[str, Any]) -> pa.Table:
    """Make a table of one row; a column that `row` leaves out is null.

    ValueError names a key that is no column, a column that may not be null and a value that does not fit.
    """
    unknown = sorted(set(row) - set(SCHEMA.names))
    if unknown:
        raise ValueError(f"row: got {', '.join(unknown)}, expected columns of the schema: {', '.join(SCHEMA.names)}")
    if row.get("status") not in STATUSES:
        raise ValueError(f"row: column status: got {row.get('status')!r}, expected one of {', '.join(STATUSES)}")
    table = pa.Table.from_arrays([_column(field, row.get(field.name)) for field in SCHEMA], schema=SCHEMA)
    for _, reason in impossible_values(table):
        raise ValueError(f"row: {reason}")
    return table


def row_file(row: Mapping[str, Any]) -> tuple[str, bytes]:
    """Write one row as a Parquet file in memory; gives its path in a store and its content. ValueError as `to_table`.

    The name holds a hash of the content: no row overwrites another one, and who reads it knows it for what was written.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        to_table(row),
        sink,
        compression="zstd",
        write_statistics=False,  # of one row, and a footer without them and without pyarrow's schema is read faster
        store_schema=False,
        write_page_checksum=True,
    )
    content = bytes(sink.getvalue())
    return f"runs/{row['run_id']}.{row['placement']}.{_content_hash(content)}.parquet", content


def is_written_row(path: str, content: bytes) -> bool:
    """Tell whether a file is as `row_file` made it."""
    return path.endswith(f".{_content_hash(content)}.parquet")


def _content_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def schema_of(columns: Sequence[str] | None) -> pa.Schema:
    """The schema of some columns, or of all; ValueError names the ones that there are not."""
    unknown = sorted(set(columns or ()) - set(SCHEMA.names))
    if unknown:
        raise ValueError(f"columns: got {', '.join(unknown)}, expected some of {', '.join(SCHEMA.names)}")
    return SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])


def entries_of(table: pa.Table) -> list[Entry]:
    """List the entries of a table that has the KEY_COLUMNS."""
    started = table["started_at"].cast(pa.int64()).fill_null(0)
    columns = [started if name == "started_at" else table[name] for name in KEY_COLUMNS]
    return [Entry(*values) for values in zip(*(column.to_pylist() for column in columns), strict=True)]


class BestRows:
    """Chooses one row for each run and placement.

    A finished row beats a diverged one, that a failed one; of equals the one started last counts.
    First `add` all entries, then `take` from each table what counts; of rows that are alike the first one is taken.
    """

    def __init__(self) -> None:
        self._best: dict[tuple[str, str], Entry] = {}
        self._taken: set[tuple[str, str]] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        """Let rows compete."""
        for entry in entries:
            best = self._best.get(entry.key)
            if best is None or entry.merit > best.merit:
                self._best[entry.key] = entry

    def chosen(self) -> Collection[Entry]:
        """The rows that count."""
        return self._best.values()

    def take(self, table: pa.Table) -> pa.Table:
        """Keep the rows of a table with the KEY_COLUMNS that count and were not taken before, in their order."""
        kept = []
        for index, entry in enumerate(entries_of(table)):
            best = self._best.get(entry.key)
            if best is not None and best.merit == entry.merit and entry.key not in self._taken:
                self._taken.add(entry.key)
                kept.append(index)
        return table if len(kept) == table.num_rows else table.take(pa.array(kept, pa.int64()))

    def compete_again(self) -> None:
        """Forget what competed, but not what was taken."""
        self._best.clear()


def _column(field: pa.Field, value: Any) -> pa.Array:
    if value is None and not field.nullable:
        raise ValueError(f"row: column {field.name}: got nothing, expected {field.type}; it may not be left out")
    try:
        if not _fits(value, field.type):
            raise TypeError("a value of another type")
        return pa.array([value], type=field.type)
    except CONVERSION_ERRORS as error:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
        raise ValueError(f"row: column {field.name}: got {shown}, expected {field.type} ({error})") from error


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Tell whether a value is of a type: pyarrow would cut 1.5 to 1 and drop unknown fields without a word."""
    if value is None:
        return True
    if pa.types.is_list(kind):
        if isinstance(value, np.ndarray):
            return value.ndim == 1 and _fits(value.dtype.type(), kind.value_type)
        return isinstance(value, list | tuple) and all(_fits(item, kind.value_type) for item in value)
    if pa.types.is_struct(kind):
        known = {field.name: field.type for field in kind}
        return isinstance(value, Mapping) and all(
            name in known and _fits(item, known[name]) for name, item in value.items()
        )
    return isinstance(value, _python_type(kind)) and (pa.types.is_boolean(kind) or not isinstance(value, bool))


def _python_type(kind: pa.DataType) -> type | tuple[type, ...]:
    if pa.types.is_boolean(kind):
        return (bool, np.bool_)
    if pa.types.is_integer(kind):
        return numbers.Integral
    if pa.types.is_floating(kind):
        return numbers.Real
    return datetime if pa.types.is_timestamp(kind) else str
