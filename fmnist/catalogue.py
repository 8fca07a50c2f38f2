"""The studies there are: one file each in `fmnist/studies`, or a file of one's own."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType

import fmnist.studies
from fmnist.errors import UserError
from fmnist.study import Study


def study_names() -> list[str]:
    """Names of the studies in `fmnist/studies`: each file's name is its study's."""
    return sorted(module.name for module in pkgutil.iter_modules(fmnist.studies.__path__))


def find_study(name: str) -> Study:
    """Return the study of that name, or of the Python file of that path; ValueError lists the known names."""
    if name.endswith(".py"):
        return _study_of(_load_file(Path(name)), name)
    if name not in study_names():
        raise UserError(f"study: got {name!r}, expected one of {', '.join(study_names())}, or the path of a .py file")
    study = _study_of(importlib.import_module(f"fmnist.studies.{name}"), name)
    if study.name != name:
        raise UserError(f"study {study.name!r} stands in the file {name}.py: give both the same name")
    return study


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"study: there is no file {path}; expected one of {', '.join(study_names())}, or a .py file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _study_of(module: ModuleType, name: str) -> Study:
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise UserError(f"study {name!r}: its file defines no STUDY = Study(...)")
    return study
