"""Imports run one way: read from the source of every module, and seen when some are loaded in a fresh interpreter."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fmnist"
JOBS = PACKAGE.parent / "jobs"
# the rooms, a floor a line: a room may import from the floors below its own
FLOORS = (("data",), ("declare",), ("store", "studies"), ("compare", "train"), ("report",), ("sweep",), ("jobs",))
# which modules may import a package that takes seconds to load, be it inside a function
HEAVY = {
    "ray": {
        "fmnist.sweep.connection",
        "fmnist.sweep.proposals",
        "fmnist.sweep.tracking",
        "fmnist.sweep.tuner",
        "fmnist.sweep.worker",
    },
    "tensorflow": {"fmnist.train", "fmnist.declare.structure"},
    "keras": {"fmnist.train", "fmnist.declare.architectures", "fmnist.declare.structure"},
}

FORBIDDEN = {
    "fmnist.data": ("tensorflow", "keras", "ray"),
    "fmnist.declare": ("tensorflow", "keras", "ray"),
    "fmnist.studies": ("tensorflow", "keras", "ray"),
    "fmnist.store": ("tensorflow", "keras", "ray"),
    "fmnist.train": ("tensorflow", "keras", "ray"),
    "fmnist.train.run": ("ray",),
    "fmnist.compare": ("tensorflow", "keras", "ray", "matplotlib"),
    "fmnist.report": ("tensorflow", "keras", "ray"),
    "fmnist.sweep": ("tensorflow", "keras", "ray", "matplotlib", "scipy"),
    "fmnist.sweep.tuner": ("tensorflow", "keras"),
}


def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, parsed."""
    named = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
    }
    return {name: ast.parse(file.read_text()) for name, file in named.items()}


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    """Dotted names of what import statements among `nodes` bring in, a name of a module counted as a module too."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", HEAVY)
def test_only_some_modules_import(package):
    importers = {
        name
        for name, tree in modules().items()
        if package in {target.partition(".")[0] for target in imported(ast.walk(tree))}
    }
    allowed = HEAVY[package]
    assert importers
    assert not {name for name in importers if not any(name == a or name.startswith(f"{a}.") for a in allowed)}


def test_there_are_rooms_only():
    rooms = {room for floor in FLOORS for room in floor} - {"jobs"}
    assert {file.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*.py")} == {*rooms, "__init__.py"}


def test_rooms_import_downwards_and_through_doors():
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    jobs = {f"jobs.{file.stem}": ast.parse(file.read_text()) for file in JOBS.glob("*.py")}
    wrong = []
    for name, tree in {**modules(), **jobs}.items():
        own = name.removeprefix("fmnist.").partition(".")[0]
        if own == "fmnist":
            continue
        for target in (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module):
            room, _, inner = target.removeprefix("fmnist.").partition(".")
            if target.startswith("fmnist.") and room != own and (inner or floor_of[room] >= floor_of[own]):
                wrong.append(f"{name} imports {target}")
    assert not wrong


def test_the_kernels_are_behind_a_door_of_their_own():
    kernels = "fmnist.train.kernels"
    past_it = {
        (name, target)
        for name, tree in modules().items()
        for target in (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module)
        if target.startswith(f"{kernels}.") and not name.startswith(kernels)
    }
    assert not past_it


def test_no_modules_import_each_other():
    found = modules()
    graph = {
        name: {target for target in imported(tree.body) if target in found and not name.startswith(f"{target}.")}
        for name, tree in found.items()
    }
    TopologicalSorter(graph).prepare()  # CycleError names a circle


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


def run_python(code, **environment):
    free = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**free, **environment})


def test_keras_settings_of_a_user_change_no_model(tmp_path):
    (tmp_path / "keras.json").write_text(
        '{"backend": "torch", "floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first"}'
    )
    code = (
        "import fmnist, keras; from fmnist.declare import build_model;"
        "from fmnist.declare.structure import structure_fingerprint; model = build_model('own_v1');"
        "print(keras.config.backend(), keras.config.epsilon(), keras.config.max_epochs(), model.dtype,"
        " structure_fingerprint(model))"
    )
    told = run_python(code, KERAS_BACKEND="torch", KERAS_HOME=str(tmp_path), KERAS_MAX_EPOCHS="3")
    assert told.stdout.split() == ["tensorflow", "1e-07", "None", "float32", "59f12e122b0b7b11"], told.stderr


def test_keras_with_another_backend_before_fmnist_is_refused():
    code = (
        "import sys, types; sys.modules['keras'] = keras = types.ModuleType('keras');"
        "keras.config = types.SimpleNamespace(backend=lambda: 'jax'); import fmnist"
    )
    refused = run_python(code)
    assert "UserError: Keras was imported before fmnist, with the backend jax" in refused.stderr
