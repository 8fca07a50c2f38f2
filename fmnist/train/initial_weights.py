"""Weights that a run starts from, out of a Keras file (.weights.h5 or .keras) that is found by its SHA-256.

Only arrays are read, no model is rebuilt and nothing is unpickled: a file from elsewhere runs no code. Keras and h5py
load when a file is read.
"""

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from fmnist import UserError
from fmnist.data import user_cache

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]

SUFFIXES = (".weights.h5", ".keras")
_IN_KERAS_FILE = "model.weights.h5"


def load_initial_weights(model: "keras.Model", sha256: str) -> None:
    """Give the layers before the output layer the weights of the file with that SHA-256.

    Layers are matched as Keras numbers them in its files: by kind, in their order (conv2d, conv2d_1, ...), and each
    array must have the shape of the layer's. A kernel for colour images is summed over its channels where the images
    are grey: it then computes what it would of three equal channels. What else the file has is left out. UserError if
    there is no such file, it is of another format, or lacks an array of that shape.
    """
    import h5py
    import keras

    file = _find(sha256)
    given = _arrays(file)
    body = keras.Model(model.inputs, model.layers[-1].input)
    with tempfile.TemporaryDirectory(prefix="fmnist-weights-") as folder:
        own = Path(folder) / "body.weights.h5"
        body.save_weights(own)
        with h5py.File(own, "r+") as written:
            fitting = _fitting(f"{file} does not fit {model.name}", given, _datasets(written))
            for path, array in fitting.items():
                written[path][...] = array
        body.load_weights(own)


def weights_folder() -> Path:
    """Where files of weights are looked for: the folder that FMNIST_WEIGHTS names, else `weights` in the cache."""
    return Path(os.environ.get("FMNIST_WEIGHTS") or user_cache() / "weights")


def _find(sha256: str) -> Path:
    folder = weights_folder()
    files = [file for file in sorted(folder.glob("*")) if file.name.endswith(SUFFIXES)]
    hashes = {_sha256(file, file.stat().st_mtime_ns): file for file in files}
    if sha256 not in hashes:
        listed = ", ".join(f"{file.name} ({found[:8]}...)" for found, file in hashes.items()) or "no such file"
        raise UserError(
            f"initial_weights: no file in {folder} has the SHA-256 {sha256}; there is {listed}. Put the file there,"
            f" named *{' or *'.join(SUFFIXES)}, or name its folder with FMNIST_WEIGHTS; on a cluster each node needs it"
        )
    return hashes[sha256]


@cache
def _sha256(file: Path, changed: int) -> str:  # noqa: ARG001
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _arrays(file: Path) -> dict[str, Array]:
    """Read all arrays of layers by their path in the file."""
    import h5py

    try:
        content = file.read_bytes()
        if file.name.endswith(".keras"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(_IN_KERAS_FILE)
        with h5py.File(io.BytesIO(content)) as opened:
            arrays = {path: dataset[()] for path, dataset in _datasets(opened).items()}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"initial_weights: {file} cannot be read as a {' or '.join(SUFFIXES)} file: {error}") from error
    if not arrays:
        raise UserError(
            f"initial_weights: {file} is no file of Keras 3: open the model in Keras and keep it with"
            " model.save_weights('NAME.weights.h5')"
        )
    return arrays


def _datasets(file: Any) -> dict[str, Any]:
    """Give the weights of layers in an open HDF5 file by path, without the state of their random numbers."""
    import h5py

    found: dict[str, Any] = {}

    def take(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and path.startswith("layers/") and "seed_generator" not in path:
            found[path] = item

    file.visititems(take)
    return found


def _fitting(problem: str, given: Mapping[str, Array], wanted: Mapping[str, Any]) -> dict[str, Array]:
    """Choose the arrays of the wanted shapes; UserError tells which are there, which are not, and which differ."""
    arrays = {path: _grey(given[path], place.shape) for path, place in wanted.items() if path in given}
    differing = {path for path, array in arrays.items() if array.shape != wanted[path].shape}
    missing = wanted.keys() - given.keys()
    if not differing and not missing:
        return arrays
    told = {
        "of another shape": [f"{_layer(p)} ({given[p].shape} for {wanted[p].shape})" for p in wanted if p in differing],
        "not in the file": [_layer(path) for path in wanted if path in missing],
        "matched": [_layer(path) for path in wanted if path not in differing | missing],
        "not used": [_layer(path) for path in given if path not in wanted],
    }
    listed = "; ".join(f"{name}: {', '.join(dict.fromkeys(layers))}" for name, layers in told.items() if layers)
    raise UserError(f"initial_weights: {problem}. {listed}")


def _grey(array: Array, shape: tuple[int, ...]) -> Array:
    """Sum a convolution's kernel (rows, columns, channels, filters) over its channels if `shape` has one of them."""
    is_for_colours = array.ndim == len(shape) == 4 and shape[2] == 1 < array.shape[2] and array.shape[3] == shape[3]
    return array.sum(axis=2, keepdims=True) if is_for_colours else array


def _layer(path: str) -> str:
    """Name the layer that an array belongs to: that of 'layers/conv2d_1/vars/0' is conv2d_1."""
    return path.removeprefix("layers/").partition("/vars/")[0].replace("/layers/", "/")
