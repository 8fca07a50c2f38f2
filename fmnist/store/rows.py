"""Rows: a dict or a table checked against the schema, its Parquet bytes, and which of several rows of a run counts."""

import hashlib
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fmnist.store.schema import RETIRED_COLUMNS, SCHEMA, STATUSES

# of several rows of one run the highest counts
STATUS_RANKS: Mapping[str, int] = {"ok": 4, "validated": 3, "diverged": 2, "pruned": 1, "failed": 0}

_POSITIVE = (0.0, sys.float_info.max)
_RANGE_OF_SUFFIX = {
    "_accuracy": (0.0, 1.0),
    "_loss": (-1e-6, math.inf),  # a sum of float32 numbers may come out a little below 0
    "_seconds": _POSITIVE,
    "_bytes": _POSITIVE,
    "_count": _POSITIVE,
}
RANGES = {name: bounds for name in SCHEMA.names for suffix, bounds in _RANGE_OF_SUFFIX.items() if name.endswith(suffix)}


class RowKey(NamedTuple):
    """What tells a row from others, chooses among those of one run, and places it in a merged file."""

    run_id: str
    placement: str
    status: str
    started_at: int  # microseconds since 1970, 0 where the row does not say
    configuration_id: str
    repeat: int

    @property
    def run(self) -> tuple[str, str]:
        """Of several rows of the same run and placement one counts."""
        return self.run_id, self.placement

    @property
    def priority(self) -> tuple[int, int]:
        """The row with the highest priority counts."""
        return STATUS_RANKS.get(self.status, -1), self.started_at


KEY_COLUMNS = RowKey._fields
KEY_SCHEMA = pa.schema([SCHEMA.field(name) for name in KEY_COLUMNS])


def to_table(row: Mapping[str, Any]) -> pa.Table:
    """Make a table of one row; a column that `row` leaves out is null.

    ValueError names a key that is no column, a column that may not be null and a value that does not fit.
    """
    if unknown := sorted(set(row) - set(SCHEMA.names)):
        raise ValueError(f"row: got {', '.join(unknown)}, expected columns of the schema: {', '.join(SCHEMA.names)}")
    if row.get("status") not in STATUSES:
        raise ValueError(f"row: column status: got {row.get('status')!r}, expected one of {', '.join(STATUSES)}")
    table = pa.Table.from_arrays([_column(field, row.get(field.name)) for field in SCHEMA], schema=SCHEMA)
    for _, reason in impossible_values(table):
        raise ValueError(f"row: {reason}")
    return table


def row_file(row: Mapping[str, Any]) -> tuple[str, bytes]:
    """Write one row as a Parquet file in memory; gives its path in a store and its content. ValueError as `to_table`.

    The name holds a fingerprint of the content: no row overwrites another one, and a reader sees that it is unchanged.
    """
    # statistics are of one row, and a footer without them and without pyarrow's schema is read faster
    content = parquet_bytes(to_table(row), write_statistics=False, store_schema=False)
    return f"runs/{row['run_id']}.{row['placement']}.{_fingerprint(content)}.parquet", content


def parquet_bytes(table: pa.Table, **options: Any) -> bytes:
    """Write a table as a Parquet file in memory; `options` are pyarrow's of `write_table`."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, **options)
    return bytes(sink.getvalue())


def is_written_row(path: str, content: bytes) -> bool:
    """Tell whether a file is as `row_file` made it."""
    return path.endswith(f".{_fingerprint(content)}.parquet")


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def schema_of(columns: Sequence[str] | None) -> pa.Schema:
    """The schema of some columns, or of all; ValueError names the ones that there are not."""
    if unknown := sorted(set(columns or ()) - set(SCHEMA.names)):
        raise ValueError(f"columns: got {', '.join(unknown)}, expected some of {', '.join(SCHEMA.names)}")
    return SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])


def row_keys(table: pa.Table) -> list[RowKey]:
    """List the keys of a table that has the KEY_COLUMNS."""
    started = table["started_at"].cast(pa.int64()).fill_null(0)
    columns = [started if name == "started_at" else table[name] for name in KEY_COLUMNS]
    return [RowKey(*values) for values in zip(*(column.to_pylist() for column in columns), strict=True)]


class RowSelection:
    """Chooses one row for each run and placement.

    A finished row beats a diverged one, that a failed one; of equals the one started last counts.
    Made of all keys; then `take` from each table what counts; of rows that are alike the first is taken.
    """

    chosen: dict[tuple[str, str], RowKey]

    def __init__(self, keys: Iterable[RowKey] = ()) -> None:
        self._taken: set[tuple[str, str]] = set()
        self.choose(keys)

    def choose(self, keys: Iterable[RowKey]) -> None:
        """Choose anew, among `keys`; what was taken before stays taken."""
        self.chosen = {key.run: key for key in sorted(keys, key=lambda key: key.priority)}

    def take(self, table: pa.Table) -> pa.Table:
        """Keep the rows of a table with the KEY_COLUMNS that count and were not taken before, in their order."""
        kept = []
        for index, key in enumerate(row_keys(table)):
            best = self.chosen.get(key.run)
            if best is not None and best.priority == key.priority and key.run not in self._taken:
                self._taken.add(key.run)
                kept.append(index)
        return table.take(pa.array(kept, pa.int64()))


def _column(field: pa.Field, value: Any) -> pa.Array:
    if value is None and not field.nullable:
        raise ValueError(f"row: column {field.name}: got nothing, expected {field.type}; it may not be left out")
    try:
        if not _fits(pa.array([value]).type, field.type):
            raise TypeError("a value of another type")
        return pa.array([value], type=field.type)
    except (TypeError, OverflowError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"row: column {field.name}: got {value!r:.80}, expected {field.type} ({error})") from error


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Tell whether a type may become another: pyarrow would cut 1.5 to 1 and drop unknown fields without a word."""
    if pa.types.is_list(found) and pa.types.is_list(wanted):
        return _fits(found.value_type, wanted.value_type)
    if pa.types.is_struct(found) and pa.types.is_struct(wanted):
        known = {field.name: field.type for field in wanted}
        return all(field.name in known and _fits(field.type, known[field.name]) for field in found)
    if pa.types.is_integer(found):
        return bool(pa.types.is_integer(wanted) or pa.types.is_floating(wanted))
    same_kind = (pa.types.is_floating, pa.types.is_boolean, pa.types.is_string, pa.types.is_timestamp)
    return pa.types.is_null(found) or any(is_kind(found) and is_kind(wanted) for is_kind in same_kind)


class DamagedFileError(ValueError):
    """A file that is not a Parquet file of rows, or not a whole one."""


def has_newer_columns(found: pa.Schema) -> bool:
    """Tell whether a file has columns, or fields of the history, that this code does not know; they are not read.

    DamagedFileError if it does not hold rows. A column that may be null can be missing: the row is older than it.
    """
    if found.equals(SCHEMA):  # nearly always, and much faster
        return False
    for field in SCHEMA:
        if field.name not in found.names and not field.nullable:
            raise DamagedFileError(f"it has no column {field.name}")
    return bool(_names(found) - _names(SCHEMA) - RETIRED_COLUMNS)


def _names(schema: pa.Schema) -> set[str]:
    """Names of the columns, and of the fields of those that are lists of structs."""
    inner = {field.name: getattr(getattr(field.type, "value_type", None), "names", []) for field in schema}
    return set(schema.names) | {f"{column}.{name}" for column, names in inner.items() for name in names}


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give the columns of `schema` their order and types, those that `table` lacks as null.

    Other programs write whole numbers with more bits and strings as dictionaries: what can be converted without loss
    is, DamagedFileError names a column that cannot.
    """
    return pa.Table.from_arrays([_converted(table, field) for field in schema], schema=schema)


def _converted(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column = table[field.name]
    if column.null_count and not field.nullable:
        raise DamagedFileError(f"column {field.name} has no value in {column.null_count} of {len(column)} rows")
    try:
        return column if column.type.equals(field.type) else column.cast(field.type)
    except pa.ArrowException as error:
        raise DamagedFileError(f"column {field.name} is {column.type}, expected {field.type} ({error})") from error


def impossible_values(table: pa.Table) -> Iterator[tuple[int, str]]:
    """Name, by the row's place and in words, each value that no run can have: an accuracy of 93, a time below 0."""
    finished = pc.is_in(table["status"], pa.array(["ok", "validated"]))
    for name, (low, high) in RANGES.items():
        if name in table.column_names and table[name].null_count < len(table):
            column = table[name].cast(pa.float64())
            outside = pc.or_(pc.less(column, low), pc.greater(column, high))
            for place in _places(pc.or_(outside, pc.and_(finished, pc.is_nan(column)))):
                yield place, f"{name} is {column[place]}, expected a number from {max(low, 0):g} to {high:g}"
    if {"test_predicted", "test_confidence"} <= set(table.column_names):
        classes, confidences = (pc.list_value_length(table[name]) for name in ("test_predicted", "test_confidence"))
        for place in _places(pc.not_equal(classes, confidences)):
            yield place, f"test_predicted has {classes[place]} images, test_confidence {confidences[place]}"


def _places(mask: pa.ChunkedArray) -> list[int]:
    return list(pc.indices_nonzero(mask.fill_null(False)).to_pylist())
