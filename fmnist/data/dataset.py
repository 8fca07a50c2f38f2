"""The images: found or fetched, checked against their SHA-256, loaded, split."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fmnist import UserError
from fmnist.data.sources import fetch
from fmnist.data.spec import DATASET

ByteArray = npt.NDArray[np.uint8]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images (count, side, side) in [0, 255] and labels (count,) as they come, arrays that cannot be written to."""

    train_images: ByteArray
    train_labels: ByteArray
    test_images: ByteArray
    test_labels: ByteArray
    fingerprint: str  # that of the DatasetSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Which training images are trained on and which are held back; both sorted, together all of them."""

    train_indices: IndexArray
    validation_indices: IndexArray


def load_data(directory: Path | None = None) -> Dataset:
    """Load Fashion-MNIST, each file checked against its SHA-256.

    Looks in `directory`, then in the folder that FMNIST_DATA names: either, if given, must hold the four files.
    Else takes the first that holds them of Debian's folder and the user's cache; else fetches them into that cache.
    Raises FileNotFoundError for a missing file, UserError for a damaged one and OSError if nothing could be fetched.
    """
    found = _find(directory)
    arrays = (_array(_read_content(found / name)) for name in DATASET.content_sha256)
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset(train_images, train_labels, test_images, test_labels, DATASET.fingerprint)


def user_cache() -> Path:
    """Where the program keeps files that are no results: `fmnist` in XDG_CACHE_HOME, else in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fmnist"


def cache_directory() -> Path:
    """Where fetched files are kept."""
    return user_cache() / DATASET.name.lower()


def draw_split(train_labels: ByteArray, seed: int, validation_count: int) -> Split:
    """Hold back `validation_count` images at random, each class by its share of the training set.

    Classes of equal size differ by at most one image. `train_labels` has the shape (images,). The same seed gives
    the same split on every machine. UserError if `validation_count` is not between 1 and the images less one.
    """
    total = len(train_labels)
    if not 1 <= validation_count < total:
        raise UserError(f"validation_count: got {validation_count}, expected 1 to {total - 1} of {total} images")
    validation_indices = _stratified(train_labels, validation_count, np.random.default_rng(seed))
    train_indices = np.setdiff1d(np.arange(total, dtype=np.int64), validation_indices, assume_unique=True)
    return Split(train_indices=train_indices, validation_indices=validation_indices)


def draw_fewer(train_labels: ByteArray, indices: IndexArray, seed: int, count: int) -> IndexArray:
    """Draw `count` of the training images at `indices` at random, each class by its share; returns them sorted.

    The same seed gives the same images on every machine. UserError if `count` is not between 1 and their number.
    """
    if not 1 <= count <= len(indices):
        raise UserError(f"train_images: got {count}, expected 1 to {len(indices)}, the images that may be trained on")
    return indices[_stratified(train_labels[indices], count, np.random.default_rng([seed, 1]))]


def _stratified(labels: ByteArray, count: int, generator: np.random.Generator) -> IndexArray:
    """Draw the places of `count` labels, sorted, each class by its share of them."""
    classes, sizes = np.unique(labels, return_counts=True)
    quotas = _share_out(count, sizes, generator)
    drawn = [
        generator.choice(np.flatnonzero(labels == label), size=quota, replace=False)
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def _share_out(count: int, sizes: IndexArray, generator: np.random.Generator) -> IndexArray:
    """Share `count` among classes in proportion to their sizes: largest remainders, ties drawn at random."""
    exact = count * sizes
    quotas, remainders = np.divmod(exact, sizes.sum())
    by_remainder = np.lexsort((generator.permutation(len(sizes)), -remainders))
    quotas[by_remainder[: count - quotas.sum()]] += 1
    return quotas


def _find(directory: Path | None) -> Path:
    named = os.environ.get("FMNIST_DATA")
    if directory is not None:
        return _require(Path(directory), "the folder given")
    if named:
        return _require(Path(named), "FMNIST_DATA")
    for place in (DATASET.debian_directory, cache_directory()):
        if not _missing(place):
            return place
    fetch(DATASET, cache_directory(), check=_read_content)
    return cache_directory()


def _missing(directory: Path) -> list[str]:
    return [name for name in DATASET.content_sha256 if not (directory / name).is_file()]


def _require(directory: Path, origin: str) -> Path:
    if missing := _missing(directory):
        raise FileNotFoundError(
            f"data: {origin} is {directory}, which lacks {', '.join(missing)}. Put {DATASET.name}'s four files"
            " there, or leave the folder out: then they are looked for and fetched"
        )
    return directory


def _read_content(path: Path) -> bytes:
    """Unpack one file; UserError if it is cut short, damaged or another file."""
    if path.parent == DATASET.debian_directory:
        package = DATASET.debian_package
        way_out = f"Run `apt-get install --reinstall {package}`, or name another folder with FMNIST_DATA"
    else:
        way_out = "Delete it: it is fetched anew if no folder is given and FMNIST_DATA is not set"
    expected = DATASET.content_sha256[path.name]
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"data: {path} is damaged or cut short ({error}). {way_out}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise UserError(f"data: the content of {path} has SHA-256 {actual}, expected {expected}. {way_out}")
    return content


def _array(content: bytes) -> ByteArray:
    """Read an IDX file of bytes: two zeros, the type, the number of dimensions, each dimension in 32 bits, the data."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions)).reshape(shape)
