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
    named = set(re.findall(r"^ +(\w+\.py) ", section, re.MULTILINE))
    assert named == {path.name for path in (ROOT / folder).glob("*.py")} - {"__init__.py"}
