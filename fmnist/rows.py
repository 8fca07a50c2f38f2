"""One row and many: a dict checked against the schema, its Parquet bytes, and which of several rows of a run counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fmnist.schema import SCHEMA

KEY_COLUMNS = ("run_id", "placement", "status", "started_at")
RANKS: Mapping[str, int] = {"ok": 3, "diverged": 2, "pruned": 1, "failed": 0}  # of two rows the higher one counts


def to_table(row: Mapping[str, Any]) -> pa.Table:
    """Make a table of one row; a column that `row` leaves out is null.

    ValueError names a key that is no column, a column that may not be null and a value of another type.
    """
    unknown = sorted(set(row) - set(SCHEMA.names))
    if unknown:
        raise ValueError(f"row: got {', '.join(unknown)}, expected columns of the schema: {', '.join(SCHEMA.names)}")
    return pa.Table.from_arrays([_column(field, row.get(field.name)) for field in SCHEMA], schema=SCHEMA)


def row_bytes(row: Mapping[str, Any]) -> bytes:
    """Write one row as a Parquet file in memory."""
    sink = pa.BufferOutputStream()
    pq.write_table(to_table(row), sink, compression="zstd", write_statistics=False, write_page_checksum=True)
    return sink.getvalue().to_pybytes()


def winners(table: pa.Table) -> npt.NDArray[np.int64]:
    """Choose one row for each run and placement, and return their indices in the table's order.

    A finished row beats a diverged one, that a pruned one, that a failed one; of equals the one started last counts.
    """
    ranks = [RANKS.get(status, -1) for status in table["status"].to_pylist()]
    started = table["started_at"].cast(pa.int64()).fill_null(0).to_pylist()
    best: dict[tuple[str, str], tuple[int, int, int]] = {}
    keys = zip(table["run_id"].to_pylist(), table["placement"].to_pylist(), strict=True)
    for index, (key, rank, start) in enumerate(zip(keys, ranks, started, strict=True)):
        if key not in best or (rank, start) > best[key][:2]:
            best[key] = (rank, start, index)
    return np.array(sorted(index for _, _, index in best.values()), dtype=np.int64)


def _column(field: pa.Field, value: Any) -> pa.Array:
    if value is None and not field.nullable:
        raise ValueError(f"row: column {field.name}: got nothing, expected {field.type}; it may not be left out")
    try:
        return pa.array([value], type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:80] + "..."
        raise ValueError(f"row: column {field.name}: got {shown}, expected {field.type} ({error})") from error
