"""Where Fashion-MNIST is fetched from when the machine does not have it: by HTTPS, else out of Debian's package."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

MIRRORS = (
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com",  # Zalando's bucket, as its README names it, by HTTPS
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
)
DEBIAN_PACKAGE = "dataset-fashion-mnist"
TIMEOUT_SECONDS = 20  # of silence on a connection, not of the whole transfer
APT_TIMEOUT_SECONDS = 600


def fetch(target: Path, names: Sequence[str], check: Callable[[Path], object]) -> None:
    """Put the files `names` into the folder `target`, from the first source that gives all of them intact.

    `check(path)` raises ValueError for a damaged file. Each file is moved into place whole, so that processes that
    fetch at once overwrite each other with the same content. OSError tells what each source answered.
    """
    target.mkdir(parents=True, exist_ok=True)
    answers: list[str] = []
    for source in (*MIRRORS, DEBIAN_PACKAGE):
        print(f"Fashion-MNIST: fetching 30 MB from {source}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target) as temporary:
            try:
                folder = _fetch_from(source, names, Path(temporary))
                for name in names:
                    check(folder / name)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                answers.append(f"  {source}: {error}")
                continue
            for name in names:
                (folder / name).replace(target / name)
            return
    raise OSError(
        "data: Fashion-MNIST is not on this machine and could not be fetched:\n" + "\n".join(answers) + "\n"
        f"Install it with `apt-get install {DEBIAN_PACKAGE}`, or put {', '.join(names)} into a folder and name it with"
        " --data or FMNIST_DATA"
    )


def _fetch_from(source: str, names: Sequence[str], folder: Path) -> Path:
    if source == DEBIAN_PACKAGE:
        return _unpack_debian_package(folder)
    for name in names:
        with urllib.request.urlopen(f"{source}/{name}", timeout=TIMEOUT_SECONDS) as answer:
            (folder / name).write_bytes(answer.read())
    return folder


def _unpack_debian_package(folder: Path) -> Path:
    """Take the files out of Debian's package without installing it, which needs no root."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    own_lists = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={folder}"]
    try:
        _run(["apt-get", "download", DEBIAN_PACKAGE], folder)
    except OSError:  # the system's package lists are missing or old: read them anew, into a folder of our own
        _run(["apt-get", *own_lists, "update"], folder)
        _run(["apt-get", *own_lists, "download", DEBIAN_PACKAGE], folder)
    package = next(folder.glob(f"{DEBIAN_PACKAGE}*.deb"))
    _run(["dpkg", "-x", str(package), str(folder / "package")], folder)
    return folder / "package" / "usr" / "share" / "datasets" / "fashion-mnist"


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=APT_TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        raise OSError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
