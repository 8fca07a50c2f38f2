"""What stands in for all that a cluster's setup lines reach outside of their host; the lines are run as they are.

STAND_INS is the whole list. pip is the real one and resolves as it does elsewhere, but finds its packages here.
"""

import importlib.metadata
import os
import re
import stat
import sys
import sysconfig
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CUDA = PROJECT / "clusters" / "cuda.txt"

STAND_INS = {
    "sudo": "writes down what it was asked for and does nothing: no package of Debian is installed",
    "registry": "none: every package of this environment but the project counts as installed, as a link to it",
    "setuptools": "a wheel made of this environment's own, which builds the project",
    "cuda": "wheels of the names and versions of clusters/cuda.txt with nothing in them",
    "ray": "this environment's command, run by the python that is first in PATH",
}


def make_stand_ins(folder: Path) -> dict[str, str]:
    """Write all of STAND_INS into a folder; returns the environment variables that put them in place on a host."""
    programs, packages, wheels = (folder / name for name in ("bin", "packages", "wheels"))
    for path in (programs, packages, wheels):
        path.mkdir(parents=True)
    link_packages(packages)
    wheel_of("setuptools", wheels)
    for name, version in re.findall(r"^([\w-]+)==(\S+)", CUDA.read_text(), flags=re.MULTILINE):
        empty_wheel(name, version, wheels)
    program(programs / "sudo", 'echo "$@" >> ~/sudo.log')
    program(programs / "ray", f'exec python3 {sysconfig.get_path("scripts")}/ray "$@"')
    return {
        "PATH": f"{programs}:{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(packages),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,  # of this machine
    }


def link_packages(folder: Path) -> None:
    """Link everything installed in this environment but the project and pip, which a host has of its own."""
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for item in Path(site).iterdir():
            if "fmnist" not in item.name and not re.match(r"pip\b", item.name):
                (folder / item.name).symlink_to(item)


def wheel_of(name: str, folder: Path) -> None:
    """Pack an installed package of pure Python into a wheel again."""
    package = importlib.metadata.distribution(name)
    with zipfile.ZipFile(folder / f"{name}-{package.version}-py3-none-any.whl", "w") as wheel:
        for file in package.files or []:
            if ".." not in file.parts and file.suffix != ".pyc":
                wheel.write(file.locate(), str(file))


def empty_wheel(name: str, version: str, folder: Path) -> None:
    """Write a wheel that installs nothing but its name and version."""
    known = f"{name.replace('-', '_')}-{version}"
    contents = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "".join(f"{known}.dist-info/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")),
    }
    with zipfile.ZipFile(folder / f"{known}-py3-none-any.whl", "w") as wheel:
        for file, text in contents.items():
            wheel.writestr(f"{known}.dist-info/{file}", text)


def program(path: Path, line: str) -> None:
    """Write a program of one line of sh."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
