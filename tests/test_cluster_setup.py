"""The setup lines of every cluster file, run as Ray runs them, with a real pip; stand_ins.py lists what is replaced."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ray.autoscaler._private.command_runner import _with_interactive

from tests.cluster_lab.lab import exports
from tests.cluster_lab.stand_ins import CUDA, PROJECT, STAND_INS, make_stand_ins

CONFIGURATIONS = ["cluster.yaml", "clusters/local.yaml"]
PINNED = re.compile(r"^([\w.-]+)==([^\s;]+)", flags=re.MULTILINE)
PYTHONS = ["3.11.2", "3.12.3", "3.13.5"]  # of Debian 12, of cluster.yaml's images, of Debian 13


def pins(path: Path, place: dict[str, str] | None = None) -> dict[str, str]:
    """The versions that a file pins for an environment, for this one by default."""
    lines = re.findall(r"^\w[^\\\n]+", path.read_text(), flags=re.MULTILINE)
    asked = [item for item in map(Requirement, lines) if item.marker is None or item.marker.evaluate(place)]
    assert len({item.name for item in asked}) == len(asked)
    return {canonicalize_name(item.name): str(item.specifier).removeprefix("==") for item in asked}


@dataclass
class Host:
    """A home folder with the files of `file_mounts`, and the shell that Ray opens there."""

    home: Path
    environment: dict[str, str]
    lines: list[str] = field(default_factory=list)  # that have run, and what they said
    said: list[str] = field(default_factory=list)

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line as Ray has SSH run it: one string, which the user's shell on the host takes apart."""
        return self.bash(" ".join(_with_interactive(line)))

    def bash(self, line: str) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-c", line]
        return subprocess.run(words, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False)

    def run(self, lines: Sequence[str]) -> None:
        for line in lines:
            done = self.shell(line)
            assert done.returncode == 0, f"{line}:\n{done.stdout}{done.stderr}"
            self.lines.append(line)
            self.said.append(done.stdout + done.stderr)

    def versions(self) -> dict[str, str]:
        """Every package that the environment of the setup has, with its version."""
        listed = self.shell("python -m pip list --format freeze").stdout
        return {canonicalize_name(name): version for name, version in PINNED.findall(listed)}


def new_host(home: Path, stand_ins: dict[str, str]) -> Host:
    (home / ".bash_profile").write_text(". ~/.bashrc\n")
    (home / ".bashrc").write_text(exports(stand_ins))  # a login shell makes its PATH anew
    return Host(home, {"HOME": str(home), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"})


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_stand_ins(tmp_path_factory.mktemp("setup") / "stand_ins")


def read(name: str) -> dict[str, Any]:
    cluster: dict[str, Any] = yaml.safe_load((PROJECT / name).read_text())
    return cluster


def setup_lines(cluster: dict[str, Any]) -> list[str]:
    """What a worker runs, in Ray's order; the head runs the first part of it."""
    assert not {"initialization_commands", "head_setup_commands", "docker"} & set(cluster)
    return [*cluster["setup_commands"], *cluster.get("worker_setup_commands", [])]


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stand_ins: dict[str, str]) -> Host:
    """A worker on which every setup line of a cluster file has run."""
    cluster, host = read(request.param), new_host(tmp_path_factory.mktemp("home"), stand_ins)
    source = (PROJECT / cluster["file_mounts"]["~/fmnist"]).resolve()

    def left_out(folder: str, names: list[str]) -> set[str]:
        """As rsync: a pattern that begins with / is of the project's own folder."""
        patterns = [item.rstrip("/") for item in cluster["rsync_exclude"]]
        here = [item.lstrip("/") for item in patterns if not item.startswith("/") or Path(folder) == source]
        return shutil.ignore_patterns(*here)(folder, names)

    shutil.copytree(source, host.home / "fmnist", ignore=left_out)
    host.run(setup_lines(cluster))
    return host


def test_the_environment_is_the_locked_one_with_cuda(worker: Host) -> None:
    locked, cuda, there = pins(PROJECT / "requirements.lock"), pins(CUDA), worker.versions()
    assert {"tensorflow", "keras", "ray", "numpy", "pyarrow", "boto3"} <= set(locked)
    assert {"nvidia-cudnn-cu12", "nvidia-ml-py"} <= set(cuda)
    assert {name: there.get(name) for name in locked | cuda} == locked | cuda
    assert not [said for said in worker.said if "WARNING" in said or "ERROR" in said]


def test_python_is_that_of_the_setup_and_has_the_project(worker: Host) -> None:
    done = worker.shell("cd /; python -c 'import sys, fmnist; print(sys.prefix, fmnist.__file__)'")
    assert done.stdout.split() == [str(worker.home / "fmnist-env"), str(worker.home / "fmnist/fmnist/__init__.py")]
    assert "start" in worker.shell("ray --help").stdout


def test_every_module_of_the_project_is_copied(worker: Host) -> None:
    def modules(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for name in ("fmnist", "jobs") for path in (folder / name).rglob("*.py")}

    assert modules(worker.home / "fmnist") == modules(PROJECT)


def test_debian_is_asked_for_what_a_bare_image_lacks(worker: Host) -> None:
    asked = [line.partition("sudo ")[2] for line in worker.lines if "sudo" in line]
    log = worker.home / "sudo.log"
    assert (log.read_text().splitlines() if log.exists() else []) == asked
    assert [words.split()[-1] for words in asked] in ([], ["-qq", "python3-venv"])


def test_a_second_ray_up_makes_nothing_anew(worker: Host) -> None:
    def state() -> list[object]:
        files = [worker.home / name for name in (".bashrc", "sudo.log", "fmnist-env/pyvenv.cfg")]
        return [(path.read_text(), path.stat().st_mtime) for path in files if path.exists()]

    before = state()
    assert len(before) >= 2
    worker.run([line for line in list(worker.lines) if "pip install" not in line])
    assert state() == before


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("~/fmnist-env/bin/pip install -q -e '~/fmnist[aws]'", "not a valid editable requirement"),
        ("~/fmnist-env/bin/pip install -q 'keras==3.14.0'", "No matching distribution found for keras==3.14.0"),
    ],
)
def test_a_line_that_cannot_work_is_seen_here(worker: Host, line: str, complaint: str) -> None:
    assert complaint in worker.shell(line).stderr


def test_the_image_of_the_kubernetes_job_builds_from_what_it_copies(tmp_path: Path, stand_ins: dict[str, str]) -> None:
    host = new_host(tmp_path, stand_ins)
    host.run(["python3 -m venv ~/image", "echo 'export PATH=~/image/bin:$PATH' >> ~/.bashrc"])
    unsent = {line.rstrip("/") for line in (PROJECT / ".dockerignore").read_text().splitlines()}
    for line in (PROJECT / "clusters" / "Dockerfile").read_text().splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "COPY":
            *sources, target = rest.removeprefix("--chown=ray:users ").split()
            assert not unsent & {source.partition("/")[0] for source in sources}
            copy_into(tmp_path / target.removeprefix("/home/ray/"), sources)
        elif instruction == "RUN":
            host.run([rest])
        else:
            assert instruction == "FROM" or line == "USER ray" or line.startswith("#") or not line, line
    locked = pins(PROJECT / "requirements.lock") | pins(CUDA) | {"fmnist": "0.1.0"}
    there = host.versions()
    assert {name: there.get(name) for name in locked} == locked


def copy_into(folder: Path, sources: Sequence[str]) -> None:
    """Copy as Docker does: of a folder, what is in it."""
    folder.mkdir(parents=True)
    for source in (PROJECT / name for name in sources):
        if source.is_dir():
            shutil.copytree(source, folder, dirs_exist_ok=True)
        else:
            shutil.copy(source, folder)


def test_what_is_replaced_is_all_that_is_replaced(stand_ins: dict[str, str]) -> None:
    folder = Path(stand_ins["PYTHONPATH"]).parent
    wheels = {path.name.partition("-")[0] for path in (folder / "wheels").iterdir()}
    cuda = {name for name in wheels if name.startswith("nvidia_")}
    programs = {path.name for path in (folder / "bin").iterdir()}
    assert {path.name for path in folder.iterdir()} == {"bin", "packages", "wheels"}
    assert set(STAND_INS) == {"registry", "cuda"} | programs | (wheels - cuda)
    assert set(stand_ins) == {"PATH", "PYTHONPATH", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"}


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_every_package_that_a_python_needs(python: str) -> None:
    place = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    locked = pins(PROJECT / "requirements.lock", place)
    waiting, seen = [Requirement("fmnist[test,lint]")], {"fmnist"}
    while waiting:
        package = waiting.pop()
        for needed in map(Requirement, importlib.metadata.requires(package.name) or []):
            asked = [{**place, "extra": extra} for extra in {"", *package.extras}]
            if needed.marker is None or any(needed.marker.evaluate(place) for place in asked):
                name = canonicalize_name(needed.name)
                assert name == "fmnist" or locked.get(name, "none") in needed.specifier, f"{package} needs {needed}"
                if str(needed) not in seen:
                    seen.add(str(needed))
                    waiting.append(needed)
    assert len(seen) > len(locked)
