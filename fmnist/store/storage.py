"""Bytes in a folder or on any filesystem pyarrow opens, written atomically. Knows nothing of rows."""

import contextlib
import os
import posixpath
import re
import urllib.parse
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import fs

from fmnist import UserError

Result = TypeVar("Result")

# a file of these appears when its upload is complete, and there is no rename; elsewhere a temporary name is renamed
OBJECT_STORES = ("s3", "gcs", "abfs")
TEMPORARY_PREFIX = "."  # of names that are not complete yet: left out of every listing
LEFT_ALONE = timedelta(days=1)  # after that its writer is dead
THREADS = 16  # requests in flight: an object store answers each one late, but many at once

PUBLIC_OPTIONS = ("region", "scheme", "endpoint_override")  # of a URI; the value of any other may be a secret

TRIES = 5  # of a request to S3, with random pauses of up to 1, 2, 4 and 8 s between them: 7.5 s in the mean

# what an object store answers, and what to do; none of these gets better by trying again
ANSWERS = {
    "NO_SUCH_BUCKET": "the bucket does not exist. Check its name, and AWS_ENDPOINT_URL if the server is not Amazon's",
    "ACCESS_DENIED": "no permission. Check whose AWS_ACCESS_KEY_ID this is and what the bucket's policy allows",
    "INVALID_ACCESS_KEY_ID": "the access key is unknown there. Check AWS_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID": "the access key is unknown there. Check AWS_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH": "the secret key is wrong. Check AWS_SECRET_ACCESS_KEY",
    "EXPIRED_TOKEN": "the session token has expired. Renew AWS_SESSION_TOKEN",
    "MISSING_AUTHENTICATION_TOKEN": "no credentials were sent. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A complete file: its path relative to the storage's root, and its size in bytes."""

    path: str
    size: int


class Storage:
    """One folder, local or remote; paths are relative to it.

    A remote one that does not answer is asked again by its client. What is left is an OSError that says what was tried,
    what the answer was and what to do. `uri` is for readers: it holds no secret.
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = without_secrets(str(uri))
        self.filesystem, self.root, self.server = _open(str(uri))

    def put(self, path: str, content: bytes) -> None:
        """Write a file, replacing what is there; readers see the old one or the new one, never a part."""
        self._attempt(f"write {path}", lambda: self._put(self._full(path), content))

    def get(self, path: str) -> bytes:
        """Read a whole file. FileNotFoundError if it is not there."""
        with self.open(path) as stream:
            return self._attempt(f"read {path}", lambda: bytes(stream.read()))

    def open(self, path: str) -> pa.NativeFile:
        """Open a file to read. FileNotFoundError if it is not there."""
        return self._attempt(f"open {path}", lambda: self.filesystem.open_input_file(self._full(path)))

    def files(self, folder: str, suffix: str) -> list[StoredFile]:
        """List the complete files of a folder that end in `suffix`, by name. No folder is an empty list."""
        return [
            StoredFile(posixpath.join(folder, info.base_name), info.size)
            for info in self._list(folder)
            if info.base_name.endswith(suffix) and not info.base_name.startswith(TEMPORARY_PREFIX)
        ]

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; one that is gone already is no error."""

        def delete(path: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                self._attempt(f"delete {path}", lambda: self.filesystem.delete_file(self._full(path)))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(delete, paths))

    def delete_old(self, folder: str, unwanted: Callable[[str], bool] | None = None) -> None:
        """Delete files of names that are `unwanted` and that were not written to for a day.

        None: what writers left that were killed before a file was whole.
        """
        limit = datetime.now(UTC) - LEFT_ALONE
        names = [info.base_name for info in self._list(folder) if info.mtime < limit]
        self.delete(
            posixpath.join(folder, name)
            for name in names
            if name.startswith(TEMPORARY_PREFIX) or (unwanted and unwanted(name))
        )

    def _full(self, path: str) -> str:
        return posixpath.join(self.root, path)

    def _list(self, folder: str) -> list[fs.FileInfo]:
        selector = fs.FileSelector(self._full(folder), allow_not_found=True)
        found = self._attempt(f"list {folder}", lambda: self.filesystem.get_file_info(selector))
        if not found and self.filesystem.type_name == "s3":
            self._require_bucket()
        return sorted((info for info in found if info.is_file), key=lambda info: str(info.base_name))

    def _require_bucket(self) -> None:
        """Raise if there is no such bucket: a listing takes that for an empty folder."""
        try:
            info = self.filesystem.get_file_info(self.root.split("/")[0])
        except OSError:  # who may list the folder need not be allowed to ask for the bucket
            return
        if info.type == fs.FileType.NotFound:
            raise OSError(f"results: {self.uri}: {ANSWERS['NO_SUCH_BUCKET']}")

    def _put(self, target: str, content: bytes) -> None:
        if self.filesystem.type_name in OBJECT_STORES:
            self._write(target, content)
            return
        folder, name = posixpath.split(target)
        temporary = posixpath.join(folder, f"{TEMPORARY_PREFIX}{name}.{uuid.uuid4().hex}")
        self.filesystem.create_dir(folder, recursive=True)
        try:
            self._write(temporary, content)
            self.filesystem.move(temporary, target)
            self._sync(folder)  # else a crash of the machine can lose a file that was put in place
        except BaseException:
            with contextlib.suppress(OSError):
                self.filesystem.delete_file(temporary)
            raise

    def _write(self, path: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)
        self._sync(path)  # else a crash of the machine can leave the name without the content

    def _sync(self, path: str) -> None:
        """Have a disk of this machine hold what a file, or the names in a folder, are now."""
        if self.filesystem.type_name == "local":
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _attempt(self, doing: str, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = next((advice for answer, advice in ANSWERS.items() if answer in str(error)), error)
            raise OSError(f"results: cannot {doing} at {self.uri}: {reason}") from error


def without_secrets(uri: str) -> str:
    """Give a URI as it may be printed: `...` for a password and for the value of any option but PUBLIC_OPTIONS."""
    if "://" not in uri:
        return uri
    place, _, query = uri.partition("?")
    place = re.sub(r"^(\w+://[^/:@]*):[^@]*@", r"\1:...@", place)
    options = urllib.parse.parse_qsl(query)
    shown = "&".join(f"{name}={value if name in PUBLIC_OPTIONS else '...'}" for name, value in options)
    return f"{place}?{shown}" if shown else place


def _open(uri: str) -> tuple[fs.FileSystem, str, str]:
    """Open what a URI names: the filesystem, the folder's path in it, and the name of the server."""
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute()), ""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "s3":
        return _open_s3(parts)
    try:
        filesystem, root = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        raise UserError(f"results: {str(error).replace(uri, without_secrets(uri))}") from error
    return filesystem, str(root), parts.netloc


def _open_s3(parts: urllib.parse.SplitResult) -> tuple[fs.FileSystem, str, str]:
    """Open a bucket: credentials, region and endpoint are found as other AWS programs find them.

    The query may name options of pyarrow's S3FileSystem, as in `s3://bucket/results?region=eu-central-1`.
    `allow_delayed_open` makes a small file a single PUT; a larger one is a multipart upload. Both appear at the end.
    """
    options: dict[str, Any] = dict(urllib.parse.parse_qsl(parts.query))
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        options.setdefault("endpoint_override", endpoint)
    if region:
        options.setdefault("region", region)
    if not {"region", "endpoint_override"} & set(options):
        with contextlib.suppress(OSError):  # the first request will tell what is wrong
            options["region"] = fs.resolve_s3_region(parts.netloc)
    try:
        retries = fs.AwsStandardS3RetryStrategy(max_attempts=TRIES)
        filesystem = fs.S3FileSystem(allow_delayed_open=True, retry_strategy=retries, **options)
    except TypeError as error:
        shown = without_secrets(parts.geturl())
        raise UserError(f"results: {shown}: {error}; expected options of pyarrow.fs.S3FileSystem") from error
    return filesystem, f"{parts.netloc}{parts.path}".rstrip("/"), str(options.get("endpoint_override", ""))
