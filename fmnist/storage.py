"""Files on a folder or on any filesystem pyarrow opens: a file appears whole or not at all. No rows here, only bytes."""

from __future__ import annotations

import os
import posixpath
import uuid
from collections.abc import Sequence
from pathlib import Path

from pyarrow import fs

# a file of these appears when its upload is complete, and there is no rename; elsewhere a temporary name is renamed
OBJECT_STORES = ("s3", "gcs", "abfs")
TEMPORARY_PREFIX = "."  # of names that are not complete yet: left out of every listing


class Storage:
    """One folder, local or remote; paths are relative to it."""

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri)
        if "://" in self.uri:
            self.filesystem, self.root = fs.FileSystem.from_uri(self.uri)
        else:
            self.filesystem, self.root = fs.LocalFileSystem(), str(Path(self.uri).expanduser().absolute())

    def put(self, path: str, content: bytes) -> None:
        """Write a file, replacing what is there; readers see the old one or the new one, never a part."""
        target = self._full(path)
        if self.filesystem.type_name in OBJECT_STORES:
            self._write(target, content)
            return
        folder, name = posixpath.split(target)
        temporary = posixpath.join(folder, f"{TEMPORARY_PREFIX}{name}.{uuid.uuid4().hex}")
        self.filesystem.create_dir(folder, recursive=True)
        try:
            self._write(temporary, content)
            self.filesystem.move(temporary, target)
        except BaseException:
            if self.filesystem.get_file_info(temporary).type != fs.FileType.NotFound:
                self.filesystem.delete_file(temporary)
            raise

    def get(self, path: str) -> bytes | None:
        """Read a whole file; None if it is not there."""
        try:
            with self.filesystem.open_input_file(self._full(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def names(self, folder: str, suffix: str) -> list[str]:
        """List the complete files of a folder that end in `suffix`, as paths relative to the root, sorted."""
        selector = fs.FileSelector(self._full(folder), allow_not_found=True)
        found = (info.base_name for info in self.filesystem.get_file_info(selector) if info.is_file)
        names = (name for name in found if name.endswith(suffix) and not name.startswith(TEMPORARY_PREFIX))
        return sorted(posixpath.join(folder, name) for name in names)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files; one that is gone already is no error."""
        for path in paths:
            try:
                self.filesystem.delete_file(self._full(path))
            except FileNotFoundError:
                continue

    def _full(self, path: str) -> str:
        return posixpath.join(self.root, path)

    def _write(self, path: str, content: bytes) -> None:
        if self.filesystem.type_name == "local":
            with Path(path).open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            return
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)
