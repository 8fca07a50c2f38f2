"""The studies there are: one file each in `fmnist/studies`, or a file of one's own."""

import importlib
import importlib.util
import linecache
import pkgutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from fmnist import UserError
from fmnist.declare import ARCHITECTURES, Configuration, Search, Study, Tuning


def study_names() -> list[str]:
    """Names of the studies in `fmnist/studies`: each file's name is its study's."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_study(name: str) -> Study | Search | Tuning:
    """Return what the file of that name, or the Python file of that path, declares; UserError lists the known names.

    The text of such a file goes along with its configurations: it must do without other files of its folder.
    """
    if name.endswith(".py"):
        source = _read(Path(name))
        return _with_source(_study_of(_run(source, name), name), source)
    if name not in study_names():
        raise UserError(f"study: got {name!r}, expected one of {', '.join(study_names())}, or the path of a .py file")
    study = _study_of(importlib.import_module(f"fmnist.studies.{name}"), name)
    if study.name != name:
        raise UserError(f"study {study.name!r} stands in the file {name}.py: give both the same name")
    return study


def define_architecture(configuration: Configuration) -> None:
    """Make a configuration's architecture known to this process: run the study's own file, which may define it."""
    if configuration.architecture not in ARCHITECTURES:
        _run(configuration.source, f"{configuration.architecture}.py")


def _read(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"study: there is no file {path}; expected one of {', '.join(study_names())}, or a .py file")
    return importlib.util.decode_source(path.read_bytes())


def _run(source: str, path: str) -> ModuleType:
    """Run the text of a study's file as a module that its classes, and `inspect`, find; `path` need not exist."""
    module = ModuleType(f"study file {path}")
    module.__file__ = path
    for name in [name for name, found in ARCHITECTURES.items() if found.body.__module__ == module.__name__]:
        del ARCHITECTURES[name]  # the file is read again
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    sys.modules[module.__name__] = module
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def _with_source(study: Study | Search | Tuning, source: str) -> Study | Search | Tuning:
    if isinstance(study, Study):
        return replace(study, configurations=tuple(replace(item, source=source) for item in study.configurations))
    if isinstance(study, Search):
        return replace(study, source=source)
    return replace(study, search=replace(study.search, source=source))


def _study_of(module: ModuleType, name: str) -> Study | Search | Tuning:
    study = getattr(module, "STUDY", None)
    if not isinstance(study, (Study, Search, Tuning)):
        raise UserError(f"study {name!r}: its file defines no STUDY = Study(...), Search(...) or Tuning(...)")
    return study
