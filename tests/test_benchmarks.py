"""The benchmarks: what is timed side by side is the same training, and the figures are what they are called."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmnist.compare.intervals import Interval
from fmnist.declare.architectures import ARCHITECTURES, build_model
from fmnist.studies import find_study
from fmnist.studies.comparison import ARCHITECTURES as SIX

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import rounds
import throughput
from rounds import Case, Contender, ContenderError, Segment, measure

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = {
    "lenet5": 61_706,
    "brownlee": 542_230,
    "own_v1": 225_034,
    "own_v2": 225_034,
    "own_v3": 225_930,
    "efficientnet_small": 321_418,
}


@pytest.fixture(scope="module")
def study_benchmark():
    """benchmarks/study.py, loaded under a name of its own: there is a jobs/study.py too."""
    spec = importlib.util.spec_from_file_location("study_benchmark", ROOT / "benchmarks/study.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pytorch():
    """The modules of the PyTorch side."""
    pytest.importorskip("torch", reason="PyTorch is missing: pip install .[bench]")
    import pytorch_loop
    import pytorch_models

    return argparse.Namespace(**vars(pytorch_models), build_optimizer=pytorch_loop.build_optimizer)


def keras_model(name, kernel_scale):
    """A Keras model without dropout whose biases and batch statistics are not the trivial ones they start with."""
    import keras

    keras.utils.set_random_seed(1)
    settings = replace(ARCHITECTURES[name].defaults, dropout_rate=0.0)
    model = build_model(name, settings)
    generator = np.random.default_rng(1)
    model.set_weights(
        [w * kernel_scale if w.ndim > 1 else w + generator.uniform(0, 0.2, w.shape) for w in model.get_weights()]
    )
    return model, settings


def twins(pytorch, name, kernel_scale=1):
    """The Keras model, the same in PyTorch, and how images have to be turned for the latter."""
    model, settings = keras_model(name, kernel_scale)
    twin = pytorch.build_pytorch_model(name, settings)
    mirrored = name == "efficientnet_small"  # has convolutions of stride 2 with padding
    pytorch.copy_keras_weights(twin, model.get_weights(), mirrored)

    def as_tensor(images):
        return pytorch.torch.from_numpy(np.ascontiguousarray(images[:, ::-1, ::-1] if mirrored else images)).permute(
            0, 3, 1, 2
        )

    return model, twin, settings, as_tensor


@pytest.mark.parametrize("name", SIX)
def test_pytorch_models_have_the_parameters_of_the_keras_models(pytorch, name):
    twin = pytorch.build_pytorch_model(name, ARCHITECTURES[name].defaults)
    assert pytorch.parameter_count(twin) == PARAMETERS[name] == build_model(name).count_params()


@pytest.mark.parametrize("name", SIX)
def test_pytorch_models_compute_what_the_keras_models_compute(pytorch, name):
    # larger kernels: as they are drawn, the many layers of efficientnet_small give nearly the same for every image
    model, twin, _, as_tensor = twins(pytorch, name, kernel_scale=2)
    images = np.random.default_rng(0).random((8, 28, 28, 1), dtype=np.float32)
    expected = np.asarray(model(images, training=False))
    with pytorch.torch.no_grad():
        got = pytorch.torch.softmax(twin.eval()(as_tensor(images)), 1).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("name", SIX)
def test_pytorch_trains_as_keras_does(pytorch, name):
    from keras_loop import compile_model

    model, twin, settings, as_tensor = twins(pytorch, name)
    compile_model(model, settings)
    optimizer = pytorch.build_optimizer(twin.train(), settings)
    generator = np.random.default_rng(0)
    for _ in range(4):
        images = generator.random((16, 28, 28, 1), dtype=np.float32)
        labels = generator.integers(0, 10, 16)
        expected = model.train_on_batch(images, labels, return_dict=True)["loss"]
        model.reset_metrics()
        optimizer.zero_grad()
        loss = pytorch.nn.functional.cross_entropy(twin(as_tensor(images)), pytorch.torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(float(expected), rel=2e-3)


@pytest.mark.parametrize("name", SIX)
def test_pytorch_kernels_begin_in_the_range_of_the_keras_kernels(pytorch, name):
    settings = ARCHITECTURES[name].defaults
    pytorch.torch.manual_seed(0)
    kernels = [w for w in pytorch.build_pytorch_model(name, settings).parameters() if w.ndim > 1]
    expected = [w for w in build_model(name).get_weights() if w.ndim > 1]
    for kernel, keras_kernel in zip(kernels, expected, strict=True):
        # the largest of n uniform values is within a few n-ths of the bound
        assert kernel.abs().max().item() == pytest.approx(np.abs(keras_kernel).max(), rel=30 / kernel.numel() + 1e-3)
    biases = [w for layer in pytorch.build_pytorch_model(name, settings) for w in [getattr(layer, "bias", None)]]
    assert all(not bias.any() for bias in biases if bias is not None)


def test_pytorch_flattens_without_a_copy(pytorch):
    x = pytorch.torch.rand(2, 3, 4, 5).to(memory_format=pytorch.torch.channels_last)
    assert pytorch.Flatten()(x).data_ptr() == x.data_ptr()


def test_unknown_pytorch_architecture_lists_the_known_ones(pytorch):
    with pytest.raises(ValueError, match=r"got 'alexnet'.*lenet5"):
        pytorch.build_pytorch_model("alexnet", ARCHITECTURES["lenet5"].defaults)


@pytest.mark.parametrize("module", rounds.CONTENDERS.values())
def test_every_contender_trains(module):
    if module == "pytorch_loop":
        pytest.importorskip("torch", reason="PyTorch is missing: pip install .[bench]")
    code = f"""
import sys
sys.path[:0] = ["benchmarks", "."]
from rounds import Case, hold_to_one_thread
hold_to_one_thread(None)
import {module} as loop
from tests.tiny_data import tiny_dataset
sys.modules[loop.prepare.__module__].load_data = tiny_dataset
train = loop.prepare(Case(architecture="lenet5", batch_size=32, precision="float32"))
print(train(2) > 0 and train(3) > 0, *loop.versions())
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("True "), ended.stderr


FAKE = """
def versions():
    return {"fake": "1"}

def prepare(case):
    if case.precision != "float32":
        raise ValueError("no such precision")
    def train(steps):
        if steps > 1000:
            raise SystemExit(7)
        return steps * case.batch_size / 1000
    return train
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A contender that says it trains 1,000 images per second, asked for in float32."""
    (tmp_path / "fake_loop.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(rounds, "CONTENDERS", {"fake": "fake_loop"})
    return Case(architecture="lenet5", batch_size=10, precision="float32")


def test_turns_are_as_long_as_asked_for_and_end_with_the_epoch(fake):
    with Contender("fake", fake, None) as contender:
        assert contender.versions == {"fake": "1"}
        segments = measure([contender], 10, epoch_images=50_000, rounds=3, seconds=2)["fake"]
        assert [segment.images for segment in segments] == [2000] * 3
        assert segments[0].images_per_second() == pytest.approx(1000)
        assert measure([contender], 10, epoch_images=505, rounds=1, seconds=2)["fake"][0].images == 500


def test_what_ends_a_contender_is_told(fake):
    with pytest.raises(ContenderError, match="fake: ValueError: no such precision"):
        Contender("fake", replace(fake, precision="mixed_float16"), None)
    with Contender("fake", fake, None) as contender, pytest.raises(ContenderError, match="exit code 7"):
        contender.train(1001)


def test_cases_leave_augmentation_out_and_keep_the_rest():
    settings = Case(architecture="efficientnet_small", batch_size=64, precision="float32").hyperparameters
    assert not settings.augments
    assert settings.batch_size == 64
    own = Case(architecture="own_v1", batch_size=32, precision="float32").hyperparameters
    assert own == replace(ARCHITECTURES["own_v1"].defaults, batch_size=32)


def test_batch_sizes_are_listed_once():
    assert throughput.batch_sizes_of("lenet5", ["own", "128"]) == [32, 128]
    assert throughput.batch_sizes_of("own_v1", ["own", "128"]) == [128]


def segment(images, seconds=1.0, processor_seconds=1.0):
    return Segment(images=images, seconds=seconds, processor_seconds=processor_seconds)


def test_figures_take_the_median_of_the_ratios_of_the_rounds():
    segments = {
        "engine": [segment(100), segment(400), segment(300)],
        "keras": [segment(100), segment(100), segment(200, 1.0, 0.5)],
    }
    figures = throughput.figures(segments, "wall")
    assert figures["images_per_second"]["engine"]["median"] == 300
    assert figures["ratio_of_engine_to"]["keras"] == {
        "median": 1.5, "minimum": 1.0, "maximum": 4.0, "rounds": [1.0, 4.0, 1.5],
    }  # fmt: skip
    assert figures["share_of_core"]["keras"]["minimum"] == 0.5
    assert throughput.figures(segments, "processor")["ratio_of_engine_to"]["keras"]["rounds"] == [1.0, 4.0, 0.75]


def test_figures_without_the_engine_have_no_ratios():
    assert throughput.figures({"keras": [segment(1)]}, "wall")["ratio_of_engine_to"] == {}


def test_missing_pytorch_is_said_at_once(monkeypatch, capsys):
    monkeypatch.setattr(throughput.importlib.util, "find_spec", lambda _: None)
    assert throughput.main([]) == 2
    assert "pip install .[bench]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--architectures", "alexnet"], "expected one of lenet5"),
        (["--batch-sizes", "0"], "--batch-sizes: got '0'"),
        (["--rounds", "0"], "--rounds: got 0"),
        (["--core", "4096"], "--core: got 4096"),
        (["--json", "nowhere/at/all.json"], "there is no folder nowhere/at"),
    ],
)
def test_mistakes_on_the_command_line_of_throughput(arguments, message, capsys):
    assert throughput.main([*arguments, "--contenders", "engine"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--architectures", "alexnet"], "expected one of lenet5"),
        (["--repeats", "0"], "--repeats: got 0"),
        (["--json", "nowhere/at/all.json"], "there is no folder nowhere/at"),
    ],
)
def test_mistakes_on_the_command_line_of_study(study_benchmark, arguments, message, capsys):
    assert study_benchmark.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_study_of_this_project_is_the_one_of_the_script(study_benchmark, tmp_path):
    file = tmp_path / "benchmark.py"
    file.write_text(study_benchmark.STUDY_FILE.format(architectures=("lenet5",), epochs=3, repeats=2))
    study = find_study(str(file))
    assert study.repeats == 2
    assert [configuration.hyperparameters for configuration in study.configurations] == [
        replace(ARCHITECTURES["lenet5"].defaults, epochs=3)
    ]


def test_comparison_of_accuracies(study_benchmark):
    alike = study_benchmark.compare([0.80, 0.82, 0.84], [0.81, 0.82, 0.83])
    assert alike["script"]["mean"] == pytest.approx(0.82)
    assert alike["overlap"] is True
    assert study_benchmark.compare([0.80, 0.81, 0.82], [0.90, 0.91, 0.92])["overlap"] is False
    single = study_benchmark.compare([0.80], [0.80])
    assert single["overlap"] is single["script"]["interval"] is None  # no NaN, which JSON does not know


def test_intervals_that_touch_overlap(study_benchmark):
    one, other = (Interval(lower=low, upper=low + 1) for low in (0.0, 1.0))
    assert study_benchmark.overlap(one, other)
    assert study_benchmark.overlap(other, one)


@pytest.mark.parametrize(("onednn", "wanted"), [(False, None), (True, "1")])
def test_the_script_gets_tensorflow_as_it_comes_unless_asked(study_benchmark, tmp_path, monkeypatch, onednn, wanted):
    given = {}

    def timed(_, environment):
        given.update(environment)
        (tmp_path / "accuracies.json").write_text('[{"architecture": "lenet5", "repeat": 0, "test_accuracy": 0.8}]')
        return 1.0

    monkeypatch.setattr(study_benchmark, "_timed", timed)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    options = argparse.Namespace(architectures=["lenet5"], epochs=1, repeats=1, onednn=onednn)
    assert study_benchmark.run_script(options, tmp_path) == (1.0, {"lenet5": [0.8]})
    assert given.get("TF_ENABLE_ONEDNN_OPTS") == wanted
    assert given["PATH"]


def test_a_study_with_a_failed_run_is_no_figure(study_benchmark):
    rows = [{"architecture": "lenet5", "repeat": r, "test_accuracy": a} for r, a in enumerate((0.8, None))]
    with pytest.raises(ValueError, match=r"lenet5: got 1 test accuracies, expected 2"):
        study_benchmark._by_architecture(rows, 2)


def test_the_plain_script_asks_keras_for_the_same_settings():
    import keras
    import plain_study

    settings = replace(ARCHITECTURES["efficientnet_small"].defaults, horizontal_flip=True, minimum_learning_rate=1e-5)
    kinds = [type(layer).__name__ for layer in plain_study.augmentation_layers(settings)]
    assert kinds == ["RandomRotation", "RandomTranslation", "RandomZoom", "RandomFlip"]
    stopping, plateau = plain_study.callbacks(settings)
    assert (stopping.patience, stopping.restore_best_weights) == (8, True)
    assert (plateau.patience, plateau.factor, plateau.min_lr) == (3, 0.5, 1e-5)
    brownlee = ARCHITECTURES["brownlee"].defaults
    assert plain_study.augmentation_layers(brownlee) == plain_study.callbacks(brownlee) == []
    optimizer = plain_study.compiled_model("brownlee", brownlee).optimizer
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (float(optimizer.learning_rate), optimizer.momentum) == (pytest.approx(0.01), 0.9)


def test_the_plain_script_trains_on_what_the_split_leaves(monkeypatch):
    import plain_study

    from tests.tiny_data import tiny_dataset

    fitted = {}

    class Model:
        def fit(self, images, labels, **settings):
            fitted.update(settings, images=images, labels=labels)

    monkeypatch.setattr(plain_study, "compiled_model", lambda *_: Model())
    data = tiny_dataset(train_count=6000)
    images = data.train_images[..., None] / np.float32(255)
    plain_study.train("lenet5", ARCHITECTURES["lenet5"].defaults, 0, images, data.train_labels)
    assert len(fitted["images"]) == len(fitted["labels"]) == 1000
    assert len(fitted["validation_data"][0]) == 5000
    assert fitted["batch_size"] == 32


def test_the_display_is_timed_by_the_number_of_runs(capsys, monkeypatch):
    from benchmarks import display

    monkeypatch.setattr(sys, "argv", ["display.py", "--runs", "20", "40"])
    monkeypatch.setattr(display.display, "FRAME_SECONDS", display.display.FRAME_SECONDS)  # which it changes
    display.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" runs: ")[0] for line in lines] == ["20", "40"]
    assert all("ms a frame" in line for line in lines)
