"""Where the data is fetched from when the machine does not have it: by HTTPS, else out of Debian's package."""

import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from fmnist.data.spec import DatasetSpec

TIMEOUT_SECONDS = 20  # of silence on a connection, not of the whole transfer
APT_TIMEOUT_SECONDS = 600


def fetch(spec: DatasetSpec, target: Path, check: Callable[[Path], object]) -> None:
    """Put the files of a data set into the folder `target`, from the first source that gives all of them intact.

    `check(path)` raises ValueError for a damaged file. Each file is put in place by a rename: processes that fetch at
    once overwrite each other's files with the same content. OSError tells what each source answered.
    """
    target.mkdir(parents=True, exist_ok=True)
    answers: list[str] = []
    for source in (*spec.mirrors, spec.debian_package):
        print(f"{spec.name}: fetching {spec.megabytes} MB from {source}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target) as temporary:
            try:
                folder = _fetch_from(source, spec, Path(temporary))
                for name in spec.content_sha256:
                    check(folder / name)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                answers.append(f"  {source}: {error}")
                continue
            for name in spec.content_sha256:
                (folder / name).replace(target / name)
            return
    raise OSError(
        f"data: {spec.name} is not on this machine and could not be fetched:\n" + "\n".join(answers) + "\n"
        f"Install it with `apt-get install {spec.debian_package}`, or put {', '.join(spec.content_sha256)} into a"
        " folder and name it with --data or FMNIST_DATA"
    )


def _fetch_from(source: str, spec: DatasetSpec, folder: Path) -> Path:
    if source == spec.debian_package:
        return _unpack_debian_package(spec, folder)
    for name in spec.content_sha256:
        with urllib.request.urlopen(f"{source}/{name}", timeout=TIMEOUT_SECONDS) as answer:
            (folder / name).write_bytes(answer.read())
    return folder


def _unpack_debian_package(spec: DatasetSpec, folder: Path) -> Path:
    """Take the files out of Debian's package without installing it, which needs no root."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    own_lists = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={folder}"]
    try:
        _run(["apt-get", "download", spec.debian_package], folder)
    except OSError:  # the system's package lists are missing or old: read them anew, into a folder of our own
        _run(["apt-get", *own_lists, "update"], folder)
        _run(["apt-get", *own_lists, "download", spec.debian_package], folder)
    package = next(folder.glob(f"{spec.debian_package}*.deb"))
    _run(["dpkg", "-x", str(package), str(folder / "package")], folder)
    return folder / "package" / spec.debian_directory.relative_to("/")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=APT_TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        raise OSError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
