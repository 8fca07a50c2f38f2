"""The pages: README is two, links lead somewhere, architecture.md names every file, AGENTS.md every room."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
TREE = (ROOT / "docs" / "architecture.md").read_text().partition("## Every file in a line\n")[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def test_the_readme_is_two_pages():
    assert len(README.encode()) <= 12_000
    assert README.count("\n") <= 200
    assert max(map(len, README.splitlines())) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_of_the_project(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_the_page_for_agents_names_every_room_in_60_lines():
    page = (ROOT / "AGENTS.md").read_text()
    assert page.count("\n") <= 60
    rooms = {path.parent.name for path in (ROOT / "fmnist").glob("*/__init__.py")}
    assert set(re.findall(r"^    fmnist/(\w+) ", page, re.MULTILINE)) == rooms


def test_the_citation_is_of_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert [str(citation[key]) for key in ("version", "license")] == [project["version"], project["license"]]


@pytest.mark.parametrize("folder", ["jobs", "fmnist", "benchmarks"])
def test_tree_names_every_file(folder):
    section = re.search(rf"^    {folder}/\n(.*?)(?=^    \S|\Z)", TREE, re.DOTALL | re.MULTILINE)[1]
    named, inside = set(), []
    for indent, name in re.findall(r"^( {6,10})(\w+/|\w+\.py) ", section, re.MULTILINE):
        inside = inside[: (len(indent) - 6) // 2]
        if name.endswith("/"):
            inside.append(name)
        else:
            named.add("".join([*inside, name]))
    there = {path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*.py")}
    assert named == {name for name in there if not name.endswith("__init__.py") and not name.startswith("studies/")}


def test_the_study_of_the_readme_is_a_study(tmp_path):
    from fmnist.declare.architectures import ARCHITECTURES
    from fmnist.studies import find_study

    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert ast.get_docstring(ast.parse(code))
    (tmp_path / "wider.py").write_text(code)
    try:
        study = find_study(str(tmp_path / "wider.py"))
        assert [item.label for item in study.configurations] == ["wide", "own_v1", "slow"]
    finally:
        ARCHITECTURES.pop("wide", None)


def test_the_hyperparameter_of_the_readme_is_that_of_the_page_whose_examples_are_carried_out():
    (code,) = re.findall(r"```python\n(# fmnist/declare/hyperparameters.*?)```", README, re.DOTALL)
    lines = [line for line in code.splitlines() if line and not line.startswith("#")]
    page = (ROOT / "docs" / "extending.md").read_text().splitlines()
    assert [line for line in lines if line not in page] == []
