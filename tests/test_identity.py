"""What decides a run never changes unseen: ids, seeds, split, order of the images and augmentation, as hashes.

Another value in this file makes every stored run a stranger, or pairs it with runs of other chance.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from fmnist.data.dataset import draw_fewer, draw_split
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import Seeds, seeds_of_repeat
from fmnist.declare.study import Study, configure
from fmnist.store.store import Store
from fmnist.studies import find_study
from fmnist.sweep.structures import fingerprint
from fmnist.train.augmentation import random_matrices, random_rectangles, random_share
from fmnist.train.run import order_of_epoch

SIX_IDS = {  # configuration_id and run_id of repeat 0, on Fashion-MNIST
    "lenet5": ("f8f6e642bc69f514", "2711c40052f5c1bb"),
    "brownlee": ("9ff38a3eb5bb1628", "21f6b4bb703f2cee"),
    "own_v1": ("02531d13ded56d64", "09f2ff0eb4285f6b"),
    "own_v2": ("f4891a1364fdcf75", "4cbdf0042a437f5d"),
    "own_v3": ("66e57b0df4af44dd", "fd14deb556622534"),
    "efficientnet_small": ("935afdc467bbf671", "331d6e4c37de794d"),
}
PUBLISHED = Path(__file__).resolve().parents[1] / "published"


def sha256(array, kind):
    return hashlib.sha256(np.ascontiguousarray(array, kind).tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def published():
    store = Store(PUBLISHED)
    return store, store.read(["run_id", "configuration_id", "data_fingerprint"]).to_pylist()


def runs_of(study, data_fingerprint):
    return study.runs({item.label: fingerprint(item) for item in study.configurations}, data_fingerprint)


@pytest.mark.parametrize("name", ["comparison", "timing", "batch_size", "precision"])
def test_every_run_of_a_published_study_has_its_row(published, name):
    store, rows = published
    runs = runs_of(find_study(name), rows[0]["data_fingerprint"])
    assert {run.run_id for run in runs} <= {row["run_id"] for row in rows}
    manifest = store.read_manifest(name)
    assert {run.configuration.label: run.configuration_id for run in runs} == {
        item["label"]: item["configuration_id"] for item in manifest["configurations"]
    }
    assert manifest["repeats"] == len({run.repeat for run in runs})


def test_ids_never_change():
    study = Study(name="pinned", question="?", configurations=tuple(map(configure, SIX_IDS)), repeats=1)
    runs = runs_of(study, "d1fd84a877f3b78f")
    assert {run.configuration.architecture: (run.configuration_id, run.run_id) for run in runs} == SIX_IDS


def test_seeds_never_change():
    assert seeds_of_repeat(0) == Seeds(
        split=2099393141, initialisation=250797003, order=358296851, dropout=824406163, augmentation=1549343339
    )


def test_the_split_never_changes():
    split = draw_split(np.arange(60_000, dtype=np.uint8) % 10, 2099393141, 5000)
    assert sha256(split.validation_indices, "<i8") == "8fd8599a229b369c"
    uneven = draw_split(np.arange(1000, dtype=np.uint8) % 7, 3, 100)  # classes draw for what is left over
    assert sha256(uneven.validation_indices, "<i8") == "c4e81462096f4f2f"


def test_the_fewer_images_never_change():
    labels = np.arange(60_000, dtype=np.uint8) % 10
    few = draw_fewer(labels, draw_split(labels, 2099393141, 5000).train_indices, 2099393141, 1000)
    assert sha256(few, "<i8") == "3afb032ce3c5dc4a"


def test_the_order_of_the_images_never_changes():
    chosen = np.arange(0, 110_000, 2)
    orders = [sha256(order_of_epoch(chosen, 358296851, epoch), "<i4") for epoch in (0, 1)]
    assert orders == ["8ebfe090611ed526", "b9db8bc0dddac1d8"]


def test_the_augmentation_never_changes():
    settings = Hyperparameters(rotation=10.0, translation=0.1, zoom=0.1, horizontal_flip=True)
    matrices = random_matrices(8, (28, 28), settings, (1549343339, 8)).numpy()
    # to 0.01; none of these numbers is near the edge of a rounding, where another CPU's last digit would matter
    assert sha256(np.round(matrices.astype("f8") * 100), "<i8") == "7beb85e2c5bc03b8"


def test_erasures_and_blends_never_change():
    rectangles = random_rectangles(tf.constant(8), (28, 28), (1549343339, 8)).numpy()
    assert sha256(rectangles, "u1") == "7cfae1b3026175bb"
    shares = [float(random_share(0.2, (1549343339, step))) for step in range(6)]
    assert shares == pytest.approx([0.0026, 0.8082, 1.0, 0.1775, 0.0298, 0.0], abs=1e-4)
