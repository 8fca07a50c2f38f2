"""A real S3 server in a process of its own, and a gate before it that can be shut: for tests of object storage."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.request import Request, urlopen

START_SECONDS = 60


@contextmanager
def s3_server() -> Iterator[int]:
    """Run moto's server; gives its port on 127.0.0.1."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


def check_permissions_from_now_on(port: int, after: float = 0) -> None:
    """Have the server check credentials and policies of all requests but the first `after`; infinity: of none."""
    headers = {"Content-Type": "text/plain"}
    with urlopen(Request(f"http://127.0.0.1:{port}/moto-api/reset-auth", str(after).encode(), headers, method="POST")):
        pass


class Gate:
    """Forwards connections to a port while it is open.

    `limit` is how many bytes a client may send on one connection before it is cut; 0 shuts the gate, None opens it.
    """

    def __init__(self, target_port: int) -> None:
        self.limit: int | None = None
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                threading.Thread(target=self._forward, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        sent = 0
        with suppress(OSError), source, target:
            while chunk := source.recv(65536):
                sent += len(chunk)
                if counted and self.limit is not None and sent > self.limit:
                    break
                target.sendall(chunk)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"moto's server did not start on port {port}; its exit code is {process.poll()}")
