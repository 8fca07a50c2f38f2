"""Joins a Ray, or starts one of our own. Imports Ray."""

import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from ray._private.services import canonicalize_bootstrap_address

from fmnist import UserError
from fmnist.sweep.resources import Cluster

PENDING_RUNS = 16  # asked of a cluster beyond those that fit: what makes it add nodes
OBJECT_STORE_BYTES = 200 * 2**20  # of a Ray of our own: the data is 55 MB
ANSWER_SECONDS = 30.0  # that a Ray has to answer; Ray itself tries for many minutes
ASK_FOR_ANSWER = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@contextmanager
def connection(address: str | None = None) -> Iterator[Cluster]:
    """Join a Ray, or start one of our own for as long as the block runs; the environment is as before afterwards.

    None joins that of RAY_ADDRESS or of `ray start`, and starts one where there is neither; `local` always starts one,
    `auto` never. UserError where no Ray answers within ANSWER_SECONDS.
    """
    with patch.dict(os.environ):
        find: Any = canonicalize_bootstrap_address  # takes None, against its annotation
        nodes: Any = ray.nodes  # its annotations are incomplete
        try:
            found: str | None = find(address)
            _choose_token(starts=found is None)
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(PENDING_RUNS if found else 1)
            if found is None:
                _start()
            else:
                _refuse_silent(found)
                ray.init(address=address, **QUIET)
        except (ConnectionError, ValueError, ray.exceptions.RaySystemError) as error:
            tried = address or os.environ.get("RAY_ADDRESS") or "that of `ray start`"
            raise UserError(f"address: got {tried}, where no Ray answers ({error}); start it, or use local") from error
        try:
            living = [node["Resources"] for node in nodes() if node["Alive"]]
            yield Cluster(nodes=living, can_grow=found is not None)
        finally:
            ray.shutdown()


def _choose_token(*, starts: bool) -> None:
    """Give a Ray of our own a token for its life, unless the user has said how Rays know each other.

    It listens on the addresses of the machine: without a token other users, and other machines, could run code in it.
    Ray itself would write a token into the home folder, which Rays that are started later would ask for.
    """
    said = any(os.environ.get(f"RAY_AUTH_{name}") for name in ("MODE", "TOKEN", "TOKEN_PATH"))
    if not said and not (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token" if starts else "disabled"
        if starts:
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    raylet: Any = ray._raylet
    raylet.Config.initialize("")  # this process may have used another Ray before
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _refuse_silent(address: str) -> None:
    """ConnectionError unless a Ray answers; asked by a process of its own, since Ray's own call cannot be ended."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", ASK_FOR_ANSWER, address], capture_output=True, text=True, timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ConnectionError(f"no word in {ANSWER_SECONDS:g} s") from None
    if asked.returncode:
        raise ConnectionError(asked.stderr.strip().splitlines()[-1])


def _start() -> None:
    """Start a Ray without dashboard."""
    own: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(address="local", include_dashboard=False, **own, **QUIET)
    except Exception as error:  # a start that takes too long is a bare Exception
        raise OSError(
            f"ray: it did not start on this machine ({error}). A machine with much else to do may be too slow for it:"
            " run the command again later, or start it beforehand with `ray start --head`"
        ) from error
