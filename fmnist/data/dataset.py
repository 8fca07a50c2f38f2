"""Fashion-MNIST: find it or fetch it, check it against its SHA-256, load it, split it. No TensorFlow here."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fmnist import UserError
from fmnist.data.directories import user_cache
from fmnist.data.sources import fetch

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# SHA-256 of the unpacked content: Debian's files lack the name and the time in the gzip header that Zalando's have,
# so the packed bytes differ between the sources, and the content does not
CONTENT_SHA256: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

DEBIAN_DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
IMAGE_HEADER_BYTES = 16  # IDX: magic number, count, rows, columns
LABEL_HEADER_BYTES = 8  # IDX: magic number, count

ByteArray = npt.NDArray[np.uint8]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels as they come: uint8 in [0, 255], labels in [0, 9], arrays that cannot be written to."""

    train_images: ByteArray  # (60000, 28, 28)
    train_labels: ByteArray  # (60000,)
    test_images: ByteArray  # (10000, 28, 28)
    test_labels: ByteArray  # (10000,)
    fingerprint: str  # hash of the content, the same on every machine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Which training images are trained on and which are held back; both sorted, together all of them."""

    train_indices: IndexArray
    validation_indices: IndexArray


def load_data(directory: Path | None = None) -> Dataset:
    """Load Fashion-MNIST, each file checked against its SHA-256.

    Looks in `directory`, then in the folder that FMNIST_DATA names: either, if given, must hold the four files.
    Else takes the first that holds them of Debian's folder and the user's cache; else fetches them into that cache.
    Raises FileNotFoundError for a missing file, ValueError for a damaged one and OSError if nothing could be fetched.
    """
    found = _find(directory)
    contents = {name: _read_content(found / name) for name in CONTENT_SHA256}
    train_images, train_labels, test_images, test_labels = contents.values()
    return Dataset(
        train_images=_images(train_images),
        train_labels=np.frombuffer(train_labels, np.uint8, offset=LABEL_HEADER_BYTES),
        test_images=_images(test_images),
        test_labels=np.frombuffer(test_labels, np.uint8, offset=LABEL_HEADER_BYTES),
        fingerprint=hashlib.sha256("".join(CONTENT_SHA256.values()).encode()).hexdigest()[:16],
    )


def cache_directory() -> Path:
    """Where fetched files are kept."""
    return user_cache() / "fashion-mnist"


def draw_split(train_labels: ByteArray, seed: int, validation_count: int) -> Split:
    """Hold back `validation_count` images at random, each class by its share of the training set.

    Classes of equal size differ by at most one image. `train_labels` has the shape (images,). The same seed gives
    the same split on every machine. ValueError if `validation_count` is not between 1 and the images less one.
    """
    total = len(train_labels)
    if not 1 <= validation_count < total:
        raise UserError(f"validation_count: got {validation_count}, expected 1 to {total - 1} of {total} images")
    generator = np.random.default_rng(seed)
    classes, sizes = np.unique(train_labels, return_counts=True)
    quotas = _share_out(validation_count, sizes, generator)
    drawn = [
        generator.choice(np.flatnonzero(train_labels == label), size=quota, replace=False)
        for label, quota in zip(classes, quotas, strict=True)
    ]
    validation_indices = np.sort(np.concatenate(drawn)).astype(np.int64)
    train_indices = np.setdiff1d(np.arange(total, dtype=np.int64), validation_indices, assume_unique=True)
    return Split(train_indices=train_indices, validation_indices=validation_indices)


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
    for place in (DEBIAN_DIRECTORY, cache_directory()):
        if not _missing(place):
            return place
    fetch(cache_directory(), tuple(CONTENT_SHA256), check=_read_content)
    return cache_directory()


def _missing(directory: Path) -> list[str]:
    return [name for name in CONTENT_SHA256 if not (directory / name).is_file()]


def _require(directory: Path, origin: str) -> Path:
    missing = _missing(directory)
    if missing:
        raise FileNotFoundError(
            f"data: {origin} is {directory}, which lacks {', '.join(missing)}. Put Fashion-MNIST's four files there,"
            " or leave the folder out: then they are looked for and fetched"
        )
    return directory


def _read_content(path: Path) -> bytes:
    """Unpack one file; ValueError if it is cut short, damaged or another file."""
    expected = CONTENT_SHA256[path.name]
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"data: {path} is damaged or cut short ({error}). {_way_out(path)}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise UserError(f"data: the content of {path} has SHA-256 {actual}, expected {expected}. {_way_out(path)}")
    return content


def _way_out(path: Path) -> str:
    if path.parent == DEBIAN_DIRECTORY:
        return "Run `apt-get install --reinstall dataset-fashion-mnist`, or name another folder with FMNIST_DATA"
    return "Delete it: it is fetched anew if no folder is given and FMNIST_DATA is not set"


def _images(content: bytes) -> ByteArray:
    return np.frombuffer(content, np.uint8, offset=IMAGE_HEADER_BYTES).reshape(-1, 28, 28)
