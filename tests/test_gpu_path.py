"""The path that a GPU takes, on a CPU: XLA compiles the step and the kernels made for CPUs stay away.

TensorFlow is made to list a GPU; what runs is XLA's code for the CPU.
"""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from fmnist.declare.architectures import ARCHITECTURES
from fmnist.declare.identity import seeds_of_repeat
from fmnist.train.loop import Engine
from fmnist.train.run import build_for

BATCH, IMAGES = 4, 11  # two full batches and one of three
NAMES = set(ARCHITECTURES) - {"residual_small"}  # XLA takes a minute for its 21 convolutions; the wide one branches too


def three_steps(architecture, precision, **changes):
    settings = replace(ARCHITECTURES[architecture].defaults, batch_size=BATCH, precision=precision, **changes)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, IMAGES, dtype=np.uint8)
    images = generator.integers(0, 255, (IMAGES, 28, 28), dtype=np.uint8)
    seeds = seeds_of_repeat(0)
    model = build_for(architecture, settings, seeds.initialisation)
    engine = Engine(model, settings, seeds, {"train": (images, labels)})
    rate = min(settings.learning_rate, 1e-3)
    _, loss = engine.train_epoch(np.arange(IMAGES, dtype=np.int32), 0, rate)
    return engine, loss, engine.evaluate("train", np.arange(IMAGES)).loss


@pytest.fixture
def gpu_listed(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"] if kind == "GPU" else [])


def step_is_compiled(engine):
    functions = engine._epoch.get_concrete_function().graph.as_graph_def().library.function
    return any("train_step" in found.signature.name and found.attr["_XlaMustCompile"].b for found in functions)


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [*((name, "float32") for name in sorted(NAMES)), ("own_v3", "mixed_bfloat16"), ("own_v1", "mixed_float16")],
)
def test_steps_compiled_by_xla_are_those_of_the_cpu(architecture, precision, request):
    augmented = {"rotation": 10.0, "translation": 0.1, "horizontal_flip": True, "optimizer": "sgd"}
    if architecture == "lenet5":  # soft targets go through the compiled step
        augmented |= {"random_erasing": 0.5, "mixup": 0.2, "label_smoothing": 0.1, "schedule": "cosine"}
    here, *losses = three_steps(architecture, precision, **augmented)
    assert not step_is_compiled(here)
    request.getfixturevalue("gpu_listed")
    there, *compiled_losses = three_steps(architecture, precision, **augmented)
    assert step_is_compiled(there)
    tolerance = {"float32": 1e-4, "mixed_bfloat16": 3e-2, "mixed_float16": 5e-3}[precision]
    np.testing.assert_allclose(compiled_losses, losses, rtol=tolerance)
