"""The README's tree names every file, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TREE = re.search(r"## The house\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.DOTALL)[1]


@pytest.mark.parametrize("folder", ["jobs", "fmnist", "benchmarks"])
def test_tree_names_every_file(folder):
    section = re.search(rf"^    {folder}/\n(.*?)(?=^    \S|\Z)", TREE, re.DOTALL | re.MULTILINE)[1]
    named, package = set(), ""
    for indent, name in re.findall(r"^( {6}| {8})(\w+/|\w+\.py) ", section, re.MULTILINE):
        if name.endswith("/"):
            package = name
        else:
            named.add(f"{package if len(indent) == 8 else ''}{name}")
    there = {path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*.py")}
    assert named == {name for name in there if not name.endswith("__init__.py") and not name.startswith("studies/")}
