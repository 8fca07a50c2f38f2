"""The store of results: one Parquet file a run, put in place atomically; read as one table; studies' manifests."""

import itertools
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa

from fmnist import UserError
from fmnist.data import user_cache
from fmnist.declare import fingerprint
from fmnist.store.compaction import COMPACTED, Compaction, compact
from fmnist.store.row_files import RowFiles
from fmnist.store.rows import KEY_COLUMNS, RowKey, RowSelection, row_file, schema_of
from fmnist.store.storage import Storage, StoredFile

Result = TypeVar("Result")

LISTINGS = 10  # a file can be compacted away between listing and reading: list again, at most so many times
PAUSE = 0.05  # seconds before the second listing, twice as long before each one after it: 26 s in all

MANIFEST: Mapping[str, type] = {  # what every manifest holds; newer code may add to it
    "name": str, "question": str, "primary_metric": str, "margins": dict, "repeats": int, "placement": str,
    "configurations": list,
}  # fmt: skip
CONFIGURATION = ("configuration_id", "label", "architecture")  # of each configuration in it

log = logging.getLogger(__name__)


class Store:
    """Results under a folder or any URI pyarrow opens: `runs/`, `compacted/` and `studies/` below it.

    A row that cannot be written is kept on this machine and sent when the store answers again.
    """

    def __init__(self, uri: str | Path) -> None:
        self.storage = Storage(uri)
        self.uri = self.storage.uri
        address = fingerprint([self.storage.filesystem.type_name, self.storage.server, self.storage.root])
        self.unsent = Storage(user_cache() / "unsent" / address)
        self._row_files = RowFiles(self.storage)

    @property
    def damaged(self) -> Mapping[str, str]:
        """Files that could not be read so far, and why."""
        return self._row_files.damaged

    def write(self, row: Mapping[str, Any]) -> bool:
        """Put one row in place, atomically; see `send`. ValueError if `row` does not fit the schema."""
        return self.send(*row_file(row))

    def send(self, path: str, content: bytes) -> bool:
        """Put a file in place; if the store fails, keep it on this machine and say so. Returns whether it is in place.

        OSError if it cannot be kept on this machine either.
        """
        try:
            self.storage.put(path, content)
        except OSError as error:
            self.unsent.put(path, content)
            log.warning("%s. It is kept in %s and sent when the store answers again", error, self.unsent.uri)
            return False
        self.flush()
        return True

    def waiting(self) -> list[str]:
        """List the files that are kept on this machine because they could not be sent: rows first, then models."""
        return [file.path for folder in ("runs", "models") for file in self.unsent.files(folder, "")]

    def flush(self) -> list[str]:
        """Send what could not be sent before; return what is still waiting on this machine."""
        waiting = self.waiting()
        for index, path in enumerate(waiting):
            try:
                self.storage.put(path, self.unsent.get(path))
            except FileNotFoundError:  # another process has sent it
                continue
            except OSError as error:
                log.warning("%s. Files that wait in %s: %d", error, self.unsent.uri, len(waiting) - index)
                return waiting[index:]
            self.unsent.delete([path])
        return []

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all rows, or some columns of all rows, sorted by run_id and placement; see `batches`."""
        names = schema_of(columns).names
        needed = list(dict.fromkeys([*names, "run_id", "placement"]))
        rows = pa.concat_tables([schema_of(needed).empty_table(), *self.batches(needed)])
        return rows.sort_by([("run_id", "ascending"), ("placement", "ascending")]).select(names)

    def batches(
        self, columns: Sequence[str] | None = None, configurations: Collection[str] | None = None
    ) -> Iterator[pa.Table]:
        """Read rows in tables of some hundred, in no order that counts: memory stays bounded.

        Of several rows of one run and placement one is given (see RowSelection). A damaged file is left out, with a
        warning, and named in `damaged`. `configurations` restricts it to rows with one of these configuration_ids.
        """
        names = schema_of(columns).names
        needed = schema_of(list(dict.fromkeys([*names, *KEY_COLUMNS])))
        self.flush()
        selection = RowSelection()
        for files in self._listings():
            with suppress(FileNotFoundError):
                keys = self._row_files.keys(files)
                selection.choose(itertools.chain.from_iterable(keys.values()))
                for table in self._row_files.tables(_holding(keys, configurations), needed, configurations):
                    chosen = selection.take(table)
                    if chosen.num_rows:
                        yield chosen.select(names)
                return

    def all_rows(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read some columns of every row there is, of each run and placement all, in tables as `batches`."""
        for files in self._listings():
            with suppress(FileNotFoundError):
                yield from self._row_files.tables(files, schema_of(columns))
                return

    def present(self) -> set[tuple[str, str, str]]:
        """List what is there: (run_id, placement, status) of each row. A file read once is not read again."""
        return {(*key.run, key.status) for key in self.keys()}

    def keys(self) -> set[RowKey]:
        """List what is there, as `present` does, and when each row's run was started."""
        self.flush()
        found = self._steadily(self._row_files.keys)
        return set(RowSelection(itertools.chain.from_iterable(found.values())).chosen.values())

    def compact(self) -> Compaction:
        """Merge small files into few large ones. It may be killed, or run twice at once: no row is lost or doubled."""
        self.flush()
        return self._steadily(lambda files: compact(self.storage, self._row_files, files))

    def file_count(self) -> int:
        """Count the files of rows there are."""
        return len(self._files())

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Put a study's manifest in place under its `name`."""
        content = json.dumps(manifest, indent=2, allow_nan=False)
        self.storage.put(f"studies/{manifest['name']}.json", content.encode())

    def read_manifest(self, name: str) -> dict[str, Any] | None:
        """Read a study's manifest; None if no study of that name was run here. UserError if it is damaged."""
        path = f"studies/{name}.json"
        try:
            return _checked_manifest(json.loads(self.storage.get(path)))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(
                f"results: {path} in {self.uri} is damaged ({error}); delete it: the study writes it anew when it is"
                " run again"
            ) from error

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

    def _listings(self) -> Iterator[list[StoredFile]]:
        """List the files of rows again and again, with growing pauses: a compaction beside takes a while."""
        for attempt in range(LISTINGS):
            time.sleep(PAUSE * 2 ** (attempt - 1) if attempt else 0)
            yield self._files()
        raise OSError(f"results: {self.uri} changes faster than it can be read; wait for the compactions that run")

    def _steadily(self, action: Callable[[list[StoredFile]], Result]) -> Result:
        """Do what needs the files that are listed, again while another process compacts them away meanwhile."""
        listings = self._listings()
        while True:
            with suppress(FileNotFoundError):
                return action(next(listings))


def _holding(keys: Mapping[StoredFile, list[RowKey]], configurations: Collection[str] | None) -> list[StoredFile]:
    """The files with a row of these configurations; all where none are named."""
    if configurations is None:
        return list(keys)
    wanted = frozenset(configurations)
    return [file for file, rows in keys.items() if any(row.configuration_id in wanted for row in rows)]


def _checked_manifest(manifest: Any) -> dict[str, Any]:
    """Give a JSON value back; ValueError says what keeps it from being a study's manifest."""
    if not isinstance(manifest, dict):
        raise ValueError(f"it holds {manifest!r:.80}, expected a study's manifest")
    for name, kind in MANIFEST.items():
        if not isinstance(manifest.get(name), kind):
            raise ValueError(f"{name}: got {manifest.get(name)!r:.80}, expected {kind.__name__}")
    for described in manifest["configurations"]:
        if not (isinstance(described, dict) and all(isinstance(described.get(name), str) for name in CONFIGURATION)):
            raise ValueError(f"configurations: got {described!r:.80}, expected {', '.join(CONFIGURATION)} of each")
    return manifest
