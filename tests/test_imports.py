"""Imports run one way: each module is loaded in a fresh interpreter and looked at for what it must not bring along."""

from __future__ import annotations

import subprocess
import sys

import pytest

FORBIDDEN = {
    "fmnist.study": ("tensorflow", "keras", "ray"),
    "fmnist.schema": ("tensorflow", "keras", "ray"),
    "fmnist.data": ("tensorflow", "keras", "ray"),
    "fmnist.results": ("tensorflow", "keras", "ray"),
    "fmnist.comparison": ("tensorflow", "keras", "ray", "matplotlib"),
    "fmnist.report": ("tensorflow", "keras", "ray"),
    "fmnist.training": ("ray",),
    "fmnist.sweep": ("tensorflow", "keras"),
}


@pytest.mark.parametrize("module", FORBIDDEN)
def test_module_does_not_load(module):
    code = f"import {module}, sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & set(FORBIDDEN[module])
