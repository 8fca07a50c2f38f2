"""make finds a Python that fits, or says in one line what is wanted; the versions are those of pyproject.toml."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
MAKE = shutil.which("make")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ALLOWED = [f"3.{minor}" for minor in range(20) if f"3.{minor}" in SpecifierSet(PROJECT["project"]["requires-python"])]

pytestmark = pytest.mark.skipif(MAKE is None, reason="there is no make")


class Place:
    """A folder with the Makefile and without an environment, and a PATH that has made-up Pythons alone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, folder / "bin"
        self.programs.mkdir()
        shutil.copy(ROOT / "Makefile", folder)
        for name in ("requirements.lock", "pyproject.toml"):
            (folder / name).touch()

    def python(self, name: str, version: str, *, venv: bool = True) -> Path:
        """Add a Python that says it is of that version; without `venv` it is as Debian's without python3-venv."""
        lacks = "" if venv else "sys.modules['ensurepip'] = None"
        code = f"import sys; sys.version_info = (*map(int, '{version}'.split('.')), 0)\n{lacks}\n$2"
        path = self.programs / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -S -c "{code}"\n')
        path.chmod(0o755)
        return path

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What make would do, word for word."""
        environment = {"PATH": str(self.programs)}
        return subprocess.run(
            [str(MAKE), "-n", *words], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": "3.11", "python3.12": "3.12"}, "python3"),
        ({"python3": "3.9", "python3.11": "3.11"}, "python3.11"),
        ({"python3": "3.14", "python3.12": "3.12", "python3.13": "3.13"}, "python3.13"),
        ({"python3.12": "3.12"}, "python3.12"),
    ],
    ids=str,
)
def test_the_first_that_fits_makes_the_environment(place, pythons, chosen):
    for name, version in pythons.items():
        place.python(name, version)
    done = place.make("study")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].strip() == f"{chosen} -m venv .venv"


def test_one_without_venv_is_passed_over(place):
    place.python("python3", "3.13", venv=False)
    place.python("python3.11", "3.11")
    assert place.make("test").stdout.splitlines()[0].strip() == "python3.11 -m venv .venv"


def test_the_one_that_is_named_is_taken_or_refused(place):
    place.python("python3", "3.12")
    named, old = place.python("other", "3.13"), place.python("old", "3.10")
    assert place.make("test", f"PYTHON={named}").stdout.splitlines()[0].strip() == f"{named} -m venv .venv"
    refused = place.make("test", f"PYTHON={old}")
    assert refused.returncode == 2
    assert f"among {old}: expected" in refused.stderr


@pytest.mark.parametrize("pythons", [{}, {"python3": "3.10", "python3.13": "3.14"}], ids=str)
def test_where_none_fits_one_line_says_what_does_and_how_to_name_it(place, pythons):
    for name, version in pythons.items():
        place.python(name, version)
    done = place.make("study")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"expected {', '.join(ALLOWED[:-1])} or {ALLOWED[-1]} with venv" in done.stderr
    assert "make study PYTHON=/path/to/python3" in done.stderr


def test_an_environment_that_is_there_asks_for_no_python(place):
    (place.folder / ".venv").mkdir()
    (place.folder / ".venv" / "ready").touch()
    assert place.make("study").stdout.startswith(".venv/bin/python jobs/study.py quick")


@pytest.mark.parametrize("minor", range(8, 17))
def test_the_versions_are_those_of_the_project(place, minor):
    place.python("python3", f"3.{minor}")
    assert (place.make("test").returncode == 0) == (f"3.{minor}" in ALLOWED)


def test_every_place_that_names_the_versions_agrees():
    classifiers = [words.rpartition(" ")[2] for words in PROJECT["project"]["classifiers"] if ":: Python ::" in words]
    assert classifiers == ALLOWED
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{ALLOWED[0].replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == ALLOWED[0]
    assert f"--python-version {ALLOWED[0]} " in (ROOT / "Makefile").read_text()
    for page in ("README.md", "CONTRIBUTING.md", "docs/cluster.md", "clusters/local.yaml"):
        assert f"{', '.join(ALLOWED[:-1])} or {ALLOWED[-1]}" in (ROOT / page).read_text(), page


def test_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    words = [str(MAKE), "--no-print-directory", "help"]  # `make test` is a make too
    helped = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    assert sorted(line.split()[0] for line in helped.splitlines()) == sorted(targets)
