"""The store of results: one Parquet file a run, in place whole or not at all; read, compared by run, compacted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmnist.rows import KEY_COLUMNS, row_bytes, winners
from fmnist.schema import SCHEMA
from fmnist.storage import Storage


class Store:
    """Results under a folder or any URI pyarrow opens: `runs/`, `compacted/` and `studies/` below it."""

    def __init__(self, uri: str | Path) -> None:
        self.storage = Storage(uri)

    def write(self, row: Mapping[str, Any]) -> None:
        """Put one row in place, whole or not at all, replacing the one of the same run and placement."""
        content = row_bytes(row)
        self.storage.put(f"runs/{row['run_id']}.{row['placement']}.parquet", content)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all rows, or some columns of all rows; of several rows for one run and placement the best one."""
        wanted = list(SCHEMA.names if columns is None else columns)
        needed = list(dict.fromkeys([*wanted, *KEY_COLUMNS]))
        paths = [path for folder in ("runs", "compacted") for path in self.storage.names(folder, ".parquet")]
        schema = pa.schema([SCHEMA.field(name) for name in needed])
        tables = [schema.empty_table()]
        for path in paths:
            with self.storage.filesystem.open_input_file(f"{self.storage.root}/{path}") as stream:
                tables.append(pq.read_table(stream, columns=needed).select(needed).cast(schema))
        table = pa.concat_tables(tables)
        return table.take(winners(table)).select(wanted)

    def present(self) -> set[tuple[str, str, str]]:
        """List what is there: (run_id, placement, status) of each row."""
        table = self.read(["run_id", "placement", "status"])
        return set(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Put a study's manifest in place under its `name`."""
        content = json.dumps(manifest, indent=2, allow_nan=False)
        self.storage.put(f"studies/{manifest['name']}.json", content.encode())

    def read_manifest(self, name: str) -> dict[str, Any] | None:
        """Read a study's manifest; None if no study of that name was run here."""
        content = self.storage.get(f"studies/{name}.json")
        return None if content is None else json.loads(content)

    def manifests(self) -> list[dict[str, Any]]:
        """Read the manifests of all studies run here, by name."""
        names = [Path(path).stem for path in self.storage.names("studies", ".json")]
        found = (self.read_manifest(name) for name in names)
        return [manifest for manifest in found if manifest is not None]
