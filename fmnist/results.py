"""The store of results: one Parquet file a run, in place whole or not at all; read as one table; studies' manifests."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from fmnist.directories import user_cache
from fmnist.errors import UserError
from fmnist.store.compaction import COMPACTED, Compaction, compact
from fmnist.store.row_files import RowFiles
from fmnist.store.rows import KEY_COLUMNS, BestRows, entries_of, row_bytes, schema_of
from fmnist.store.storage import Storage, StoredFile
from fmnist.study import digest

LISTINGS = 10  # a file can be compacted away between listing and reading: list again, at most so many times
PAUSE = 0.05  # seconds before the second listing, twice as long before each one after it: 26 s in all

log = logging.getLogger(__name__)


def listings() -> Iterator[int]:
    """Count the times that a store is listed, with growing pauses: a compaction beside takes a while."""
    for attempt in range(LISTINGS):
        time.sleep(PAUSE * 2 ** (attempt - 1) if attempt else 0)
        yield attempt


class Store:
    """Results under a folder or any URI pyarrow opens: `runs/`, `compacted/` and `studies/` below it.

    A row that cannot be written is kept on this machine and sent when the store answers again.
    """

    def __init__(self, uri: str | Path) -> None:
        self.storage = Storage(uri)
        self.uri = self.storage.uri
        address = digest([self.storage.filesystem.type_name, self.storage.server, self.storage.root])
        self.unsent = Storage(user_cache() / "unsent" / address)
        self._row_files = RowFiles(self.storage)

    @property
    def damaged(self) -> Mapping[str, str]:
        """Files that could not be read so far, and why."""
        return self._row_files.damaged

    def write(self, row: Mapping[str, Any]) -> None:
        """Put one row in place, whole or not at all; if the store fails, keep it on this machine and say so.

        No row overwrites another one: the file's name holds a hash of its content, and readers choose among the rows
        of a run. ValueError if `row` does not fit the schema, OSError if it cannot be kept on this machine either.
        """
        content = row_bytes(row)
        content_hash = hashlib.sha256(content).hexdigest()[:8]
        path = f"runs/{row['run_id']}.{row['placement']}.{content_hash}.parquet"
        try:
            self.storage.put(path, content, patient=not self._waiting())
        except OSError as error:
            self.unsent.put(path, content)
            log.warning("%s. The row is kept in %s and sent when the store answers again", error, self.unsent.uri)
        else:
            self.flush()

    def flush(self) -> int:
        """Send the rows that could not be written before; return how many are still waiting on this machine."""
        waiting = self._waiting()
        for index, file in enumerate(waiting):
            try:
                self.storage.put(file.path, self.unsent.get(file.path), patient=False)
            except FileNotFoundError:  # another process has sent it
                continue
            except OSError as error:
                log.warning("%s. Rows that wait in %s: %d", error, self.unsent.uri, len(waiting) - index)
                return len(waiting) - index
            self.unsent.delete([file.path])
        return 0

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all rows, or some columns of all rows, sorted by run_id and placement.

        Of several rows of one run and placement one is given (see BestRows). A file that is damaged is left out, with
        a warning, and named in `damaged`.
        """
        names = schema_of(columns).names
        needed = schema_of(list(dict.fromkeys([*names, *KEY_COLUMNS])))
        self.flush()
        for _ in listings():
            best = BestRows()
            try:
                tables = list(self._row_files.tables(self._files(), needed))
            except FileNotFoundError:
                continue
            for table in tables:
                best.add(entries_of(table))
            whole = pa.concat_tables([needed.empty_table(), *(best.take(table) for table in tables)])
            return whole.sort_by([("run_id", "ascending"), ("placement", "ascending")]).select(names)
        raise self._unsteady()

    def batches(
        self, columns: Sequence[str] | None = None, configurations: Collection[str] | None = None
    ) -> Iterator[pa.Table]:
        """Read what `read` reads in tables of some hundred rows, in no order that counts: memory stays bounded.

        `configurations` restricts it to rows with one of these configuration_ids.
        """
        names = schema_of(columns).names
        needed = schema_of(list(dict.fromkeys([*names, *KEY_COLUMNS])))
        self.flush()
        best = BestRows()
        for _ in listings():
            best.compete_again()
            try:
                files = self._files()
                for entries in self._row_files.entries(files).values():
                    best.add(entries)
                for table in self._row_files.tables(files, needed, configurations):
                    chosen = best.take(table)
                    if chosen.num_rows:
                        yield chosen.select(names)
                return
            except FileNotFoundError:
                continue
        raise self._unsteady()

    def present(self) -> set[tuple[str, str, str]]:
        """List what is there: (run_id, placement, status) of each row. A file read once is not read again."""
        self.flush()
        for _ in listings():
            best = BestRows()
            try:
                for entries in self._row_files.entries(self._files()).values():
                    best.add(entries)
            except FileNotFoundError:
                continue
            return {(entry.run_id, entry.placement, entry.status) for entry in best.chosen()}
        raise self._unsteady()

    def compact(self) -> Compaction:
        """Merge small files into few large ones. It may be killed, or run twice at once: no row is lost or doubled."""
        self.flush()
        for _ in listings():
            try:
                return compact(self.storage, self._row_files, self._files())
            except FileNotFoundError:  # another compaction was faster
                continue
        raise self._unsteady()

    def file_count(self) -> int:
        """Count the files of rows there are."""
        return len(self._files())

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Put a study's manifest in place under its `name`."""
        content = json.dumps(manifest, indent=2, allow_nan=False)
        self.storage.put(f"studies/{manifest['name']}.json", content.encode())

    def read_manifest(self, name: str) -> dict[str, Any] | None:
        """Read a study's manifest; None if no study of that name was run here. ValueError if it is damaged."""
        path = f"studies/{name}.json"
        try:
            manifest = json.loads(self.storage.get(path))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(
                f"results: {path} in {self.uri} is damaged ({error}); run the study again to write it anew"
            ) from error
        if not isinstance(manifest, dict):
            raise UserError(f"results: {path} in {self.uri} holds {manifest!r:.80}, expected a study's manifest")
        return manifest

    def manifests(self) -> list[dict[str, Any]]:
        """Read the manifests of all studies run here, by name."""
        names = [PurePosixPath(file.path).stem for file in self.storage.files("studies", ".json")]
        found = (self.read_manifest(name) for name in names)
        return [manifest for manifest in found if manifest is not None]

    def _files(self) -> list[StoredFile]:
        """List the files of rows so that no row is missed while another process compacts.

        A merged file is in place before its parts go. A listing may pass by a file that comes while it runs and not see
        one that goes meanwhile: what went during the first two listings stands in a file that the last one shows.
        """
        listed = [file for folder in (COMPACTED, "runs", COMPACTED) for file in self.storage.files(folder, ".parquet")]
        return list(dict.fromkeys(listed))

    def _waiting(self) -> list[StoredFile]:
        return self.unsent.files("runs", ".parquet")

    def _unsteady(self) -> OSError:
        return OSError(f"results: {self.uri} changes faster than it can be read; wait for the compactions that run")
