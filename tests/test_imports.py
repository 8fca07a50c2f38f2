"""Imports run one way: each module is loaded in a fresh interpreter and looked at for what it must not bring along."""

from __future__ import annotations

import os
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


def test_tensorflow_before_fmnist_is_warned_of():
    code = "import sys; sys.modules['tensorflow'] = sys; import fmnist"
    free = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    late = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=free)
    assert "TensorFlow was imported before fmnist, which could not turn oneDNN on" in late.stderr
    chosen = {**free, "TF_ENABLE_ONEDNN_OPTS": "0"}
    assert not subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=chosen).stderr
