"""Weights out of a file: found by content, matched to the layers, refused in words; the file's model is not run."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from fmnist import UserError
from fmnist.declare.architectures import ARCHITECTURES, build_model
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.study import Study, configure
from fmnist.studies import find_study
from fmnist.sweep.structures import fingerprint
from fmnist.train import load_initial_weights
from fmnist.train.run import build_for, train_run
from tests.test_training import make_spec
from tests.tiny_data import tiny_dataset

# Keras asks its own variables for a copy in a way that numpy has given up
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "transfer.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FMNIST_WEIGHTS", str(tmp_path))
    return tmp_path


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def kept(model, folder, name):
    """Keep a model as a user does; returns the SHA-256 of the file."""
    file = folder / name
    model.save(file) if name.endswith(".keras") else model.save_weights(file)
    return sha256(file)


def arrays(model):
    return [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("name", ["mnist.weights.h5", "mnist.keras"])
def test_the_layers_before_the_output_start_from_the_file(folder, name):
    keras.utils.set_random_seed(5)
    trained = build_model("own_v3")
    for weight in trained.weights:
        weight.assign(np.random.default_rng(len(weight.shape)).random(weight.shape))
    settings = ARCHITECTURES["own_v3"].defaults
    drawn = build_for("own_v3", settings, 3)
    started = build_for("own_v3", replace(settings, initial_weights=kept(trained, folder, name)), 3)
    for ours, theirs in zip(arrays(started)[:-2], arrays(trained)[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, first in zip(arrays(started)[-2:], arrays(drawn)[-2:], strict=True):
        np.testing.assert_array_equal(ours, first)


STARTED = """
from fmnist.declare import Study, configure
STUDY = Study(
    name="started", question="?", configurations=(configure("mobilenet_v2", initial_weights="{}"),), repeats=1
)
"""


def test_a_file_of_an_application_for_colours_starts_a_net_of_grey_images(folder):
    """The form that weights of ImageNet have, and the architecture of docs/transfer.md, in a study's own file."""
    keras.utils.set_random_seed(1)
    theirs = keras.applications.MobileNetV2(
        input_shape=(56, 56, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    digest = kept(theirs, folder, "imagenet.weights.h5")
    (block,) = (block for block in BLOCKS if "def mobilenet_v2" in block)
    (folder / "started.py").write_text(block + STARTED.format(digest))
    (configuration,) = find_study(str(folder / "started.py")).configurations
    try:
        assert fingerprint(configuration)
        model = build_for("mobilenet_v2", configuration.hyperparameters, 0)
    finally:
        del ARCHITECTURES["mobilenet_v2"]
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    ours = keras.Model(model.inputs[0], model.layers[-1].input)(images)
    larger = keras.layers.UpSampling2D(2, interpolation="bilinear")(images) * 2.0 - 1.0
    expected = theirs(keras.ops.repeat(larger, 3, axis=-1)).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(ours, expected, atol=1e-3 * expected.std())  # random weights give small numbers


def test_the_script_for_mnist_makes_a_file_that_starts_a_net(folder, monkeypatch):
    monkeypatch.chdir(folder)
    images, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10
    np.savez("mnist.npz", x_train=images, y_train=labels)
    (block,) = (block for block in BLOCKS if "mnist.npz" in block)
    made = {}
    exec(block, made)
    model = build_model("own_v1")
    load_initial_weights(model, sha256(folder / "mnist.weights.h5"))
    for ours, theirs in zip(arrays(model)[:-2], arrays(made["model"])[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_only_arrays_are_read_the_description_of_the_model_is_not(folder):
    source = build_model("own_v1")
    kept(source, folder, "own.keras")
    with zipfile.ZipFile(folder / "own.keras") as archive:
        content = archive.read("model.weights.h5")
    with zipfile.ZipFile(folder / "strange.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Lambda", "config": "of unknown origin"}))
        archive.writestr("model.weights.h5", content)
    model = build_model("own_v1")
    load_initial_weights(model, sha256(folder / "strange.keras"))
    np.testing.assert_array_equal(arrays(model)[0], arrays(source)[0])


def test_a_file_that_is_not_there_is_told_with_those_that_are(folder):
    wanted = "0" * 64
    with pytest.raises(UserError, match=rf"no file in {folder} has the SHA-256 {wanted}; there is no such file"):
        load_initial_weights(build_model("lenet5"), wanted)
    digest = kept(build_model("lenet5"), folder, "lenet.weights.h5")
    with pytest.raises(UserError, match=rf"there is lenet.weights.h5 \({digest[:8]}.*FMNIST_WEIGHTS.*each node"):
        load_initial_weights(build_model("lenet5"), wanted)
    (folder / "lenet.weights.h5").write_bytes(b"another content")
    with pytest.raises(UserError, match=f"no file in .* has the SHA-256 {digest}"):
        load_initial_weights(build_model("lenet5"), digest)


def test_a_file_of_another_net_is_told_layer_by_layer(folder):
    digest = kept(build_model("brownlee"), folder, "brownlee.weights.h5")
    with pytest.raises(UserError) as refused:
        load_initial_weights(build_model("own_v3"), digest)
    said = str(refused.value)
    assert said.endswith(
        "brownlee.weights.h5 does not fit own_v3. of another shape: dense ((5408, 100) for (1600, 128)),"
        " dense ((100,) for (128,)); not in the file: batch_normalization, batch_normalization_1,"
        " batch_normalization_2, conv2d_1; matched: conv2d; not used: dense_1"
    )


@pytest.mark.parametrize("name", ["old.weights.h5", "text.weights.h5", "text.keras"])
def test_a_file_of_another_format_is_refused(folder, name):
    file = folder / name
    if name.startswith("old"):
        with h5py.File(file, "w") as opened:  # as Keras 2 wrote it
            opened["conv2d/conv2d/kernel:0"] = np.zeros((3, 3, 1, 32))
    else:
        file.write_text("no weights")
    with pytest.raises(UserError, match=rf"{name} (is no file of Keras 3: .*save_weights|cannot be read)"):
        load_initial_weights(build_model("own_v1"), sha256(file))


def test_the_content_of_the_file_is_part_of_the_identity_and_is_looked_at_before_a_study_begins(folder):
    digests = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        digests.append(kept(build_model("lenet5"), folder, f"{seed}.weights.h5"))
    started = [configure("lenet5", label=digest[:4], initial_weights=digest) for digest in digests]
    study = Study(name="started", question="?", configurations=(configure("lenet5"), *started), repeats=1)
    runs = study.runs({item.label: fingerprint(item) for item in study.configurations}, "data")
    assert len({run.configuration_id for run in runs}) == 3
    assert len({run.structure for run in runs}) == 1
    with pytest.raises(UserError, match="does not fit brownlee"):
        fingerprint(configure("brownlee", initial_weights=digests[0]))


def test_a_run_trains_from_the_file_and_takes_no_other_path_for_it(folder):
    data = tiny_dataset(240, 50)
    drawn = build_for("lenet5", Hyperparameters(), 1)
    digest = kept(drawn, folder, "anything.weights.h5")
    spec = make_spec("lenet5", epochs=1, initial_weights=digest, frozen="all")
    ended = []
    row = train_run(spec, data, on_end=lambda _, model: ended.extend(arrays(model)))
    assert row["initial_weights"] == digest
    for kept_weight, weight in zip(arrays(drawn)[:-2], ended[:-2], strict=True):
        np.testing.assert_array_equal(kept_weight, weight)
    assert not np.array_equal(arrays(drawn)[-2], ended[-2])
    with pytest.raises(UserError, match=r"got 'anything.weights.h5', expected '' or the SHA-256 of a file"):
        configure("lenet5", initial_weights="anything.weights.h5")
