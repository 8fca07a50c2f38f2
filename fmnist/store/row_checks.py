"""Whether what a file holds are rows: its columns, and values that no run can have."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from fmnist.schema import RETIRED_COLUMNS, SCHEMA

_POSITIVE = (0.0, sys.float_info.max)
_RANGE_OF_SUFFIX = {
    "_accuracy": (0.0, 1.0),
    "_loss": (-1e-6, math.inf),  # a sum of float32 numbers may come out a little below 0
    "_seconds": _POSITIVE,
    "_bytes": _POSITIVE,
    "_count": _POSITIVE,
}
RANGES = {name: bounds for name in SCHEMA.names for suffix, bounds in _RANGE_OF_SUFFIX.items() if name.endswith(suffix)}


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
    finished = pc.equal(table["status"], "ok")
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
    places: list[int] = pc.indices_nonzero(mask.fill_null(False)).to_pylist()
    return places
