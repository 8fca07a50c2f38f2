"""What an operator's script in the laboratory does at the command line and through the tunnel to the dashboard."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAB = Path(os.environ["LAB"])
PROJECT = Path(os.environ["PROJECT"])
DASHBOARD = "http://127.0.0.1:8265"


def command(*words: str, check: bool = True) -> str:
    """Run a command as a user would, from the project's folder; show and return what it printed."""
    print(time.strftime("%H:%M:%S"), "$", *words, flush=True)
    output = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    result = subprocess.run(words, cwd=PROJECT, check=False, **output)
    print(result.stdout, flush=True)
    if check and result.returncode != 0:
        raise SystemExit(f"{words[0]} ended with {result.returncode}")
    return result.stdout


def on_host(address: str, line: str) -> str:
    """Run a line on a host by SSH and return its output."""
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    words = ["ssh", *options, "-i", str(LAB / "id"), f"root@{address}", line]
    return subprocess.run(words, text=True, stdout=subprocess.PIPE, timeout=20, check=False).stdout


def wait_for(what: str, is_so: Callable[[], bool], seconds: float) -> float:
    """Wait until `is_so()`; returns the seconds it took and ends the script when it takes too long."""
    begin = time.monotonic()
    while not is_so():
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"waited {seconds} s in vain: {what}")
        time.sleep(0.5)
    took = time.monotonic() - begin
    print(f"{what}: after {took:.1f} s", flush=True)
    return took


def ask_dashboard(path: str, token: str | None) -> Any:
    """GET a JSON answer of the head's dashboard, through the tunnel."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(DASHBOARD + path, headers=headers), timeout=10) as answer:
        return json.load(answer)


def living_nodes(token: str) -> list[dict[str, Any]]:
    """The cluster's nodes that are alive, as the dashboard knows them; none while it cannot be reached."""
    try:
        answer = ask_dashboard("/api/v0/nodes?detail=1", token)
    except OSError:
        return []
    return [node for node in answer["data"]["result"]["result"] if node["state"] == "ALIVE"]


def changes(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two configurations differ: the dotted path of each value that one of them lacks or has otherwise."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [path]
    names = sorted(before.keys() | after.keys())
    return [
        place for name in names for place in changes(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
    ]


def found(**facts: Any) -> None:
    """Hand what was found to the test."""
    (LAB / "found.json").write_text(json.dumps(facts, indent=2, default=str))
