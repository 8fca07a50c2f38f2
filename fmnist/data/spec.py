"""All that is known of a data set before it is loaded, and which one is in use."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set of labelled square images: its shape, its classes, and where its files are found."""

    name: str
    reference: str  # where it was published
    side: int  # of an image, pixels
    channels: int
    class_names: tuple[str, ...]  # in the order of their labels, from 0
    train_count: int  # images that a run trains on
    validation_count: int  # and those that it holds back: both are in the files of training images
    test_count: int
    # SHA-256 of each file's unpacked content: training images, their labels, test images, their labels. Debian's files
    # lack the name and the time in the gzip header that Zalando's have: the packed bytes differ between the sources
    content_sha256: Mapping[str, str]
    megabytes: int  # of the packed files
    mirrors: tuple[str, ...]  # addresses below which the files are
    debian_package: str
    debian_directory: Path  # where the package puts the files

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.side, self.side, self.channels

    @property
    def fingerprint(self) -> str:
        """Hash of the content, 16 hexadecimal digits: part of every run's identity."""
        return hashlib.sha256("".join(self.content_sha256.values()).encode()).hexdigest()[:16]


FASHION_MNIST = DatasetSpec(
    name="Fashion-MNIST",
    reference="Xiao, Rasul and Vollgraf 2017",
    side=28,
    channels=1,
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    train_count=55_000,
    validation_count=5_000,
    test_count=10_000,
    content_sha256={
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    megabytes=30,
    mirrors=(
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com",  # Zalando's bucket, as its README names it, by HTTPS
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ),
    debian_package="dataset-fashion-mnist",
    debian_directory=Path("/usr/share/datasets/fashion-mnist"),
)

DATASET = FASHION_MNIST
CLASS_NAMES = DATASET.class_names
