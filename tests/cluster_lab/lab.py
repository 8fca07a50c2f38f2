"""A laboratory of hosts on one machine (lab.sh): may it run here, run an operator's script in it, what it found."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster_lab.stand_ins import make_stand_ins

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent.parent
COMMANDS = {"ip": "iproute2", "sshd": "openssh-server", "rsync": "rsync", "unshare": "util-linux"}

HOST_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # workers leave soon when the head is gone, not after a minute
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def why_not() -> str | None:
    """Say what the laboratory lacks on this machine, or None where it can run."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the laboratory of network namespaces needs root on Linux"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted(package for command, package in COMMANDS.items() if not shutil.which(command, path=path))
    if missing:
        return f"the laboratory needs the Debian package {' and '.join(missing)}"
    trial = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], check=False)
    return None if trial.returncode == 0 else "this machine lets even root make no namespaces"


def exports(variables: dict[str, str]) -> str:
    """Lines of a shell's start file that set environment variables."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def run_in_lab(
    folder: Path, script: str, *, hosts: int, first: int = 1, environment: dict[str, str] | None = None, timeout: float
) -> dict[str, Any]:
    """Run an operator's script (of this folder) beside `hosts` hosts, the first of them 10.77.0.`first`.

    What its setup lines reach outside of a host is replaced there (stand_ins.py). Returns what the script wrote as JSON
    into $LAB/found.json. RuntimeError holds its output if it failed.
    """
    variables = HOST_ENVIRONMENT | (environment or {})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts.env").write_text(exports(variables | make_stand_ins(folder / "stand_ins")))
    lab = {
        "LAB": str(folder),
        "VENV": sys.prefix,
        "KEEP": f"{sys.base_prefix} {PROJECT}",
        "FIRST": str(first),
        "PROJECT": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
    }
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    log = folder / "operator.log"
    with log.open("w") as output:
        result = subprocess.run(
            ["bash", str(FOLDER / "lab.sh"), str(hosts), sys.executable, str(FOLDER / script)],
            env=kept | {"HOME": str(Path.home())} | variables | lab,
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    if result.returncode != 0:
        raise RuntimeError(f"{script} ended with {result.returncode}:\n{log.read_text()[-8000:]}")
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found
