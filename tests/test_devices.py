"""Threads, GPU memory and precision. No GPU is here: `tf.config` and NVML are replaced, and what they get is seen."""

import os
import sys
from types import ModuleType, SimpleNamespace

import keras
import pytest
import tensorflow as tf

from fmnist import UserError
from fmnist.declare.architectures import build_model
from fmnist.train import devices
from fmnist.train.devices import choose_policy, cpu_gains, memory_limit_megabytes, prepare_process

# before any test of any file starts TensorFlow, which would settle its threads
prepare_process(1, 0.0)

GIBIBYTE = 2**30
CARDS = [SimpleNamespace(name=f"/physical_device:GPU:{index}", device_type="GPU") for index in range(2)]


@pytest.fixture
def calls(monkeypatch):
    """What prepare_process tells TensorFlow of the two GPUs that it is made to see, by function."""
    told = {}

    def watch(module, name):
        monkeypatch.setattr(module, name, lambda *given: told.__setitem__(name, given))

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: CARDS if kind == "GPU" else [])
    for name in ("set_visible_devices", "set_logical_device_configuration"):
        watch(tf.config, name)
    for name in ("set_intra_op_parallelism_threads", "set_inter_op_parallelism_threads"):
        watch(tf.config.threading, name)
    for name in ("enable_tensor_float_32_execution", "set_memory_growth", "enable_op_determinism"):
        watch(tf.config.experimental, name)
    for variable in ("TF_FORCE_GPU_ALLOW_GROWTH", "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    return told


@pytest.fixture
def driver(monkeypatch):
    """An NVML of cards by index and UUID, in bytes."""
    nvml = ModuleType("pynvml")
    sizes = {0: 40 * GIBIBYTE, 1: 24 * GIBIBYTE, "GPU-aa": 24 * GIBIBYTE, "MIG-bb": 5 * GIBIBYTE}
    nvml.NVMLError = KeyError
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetHandleByIndex = nvml.nvmlDeviceGetHandleByUUID = lambda name: sizes[name]
    nvml.nvmlDeviceGetMemoryInfo = lambda size: SimpleNamespace(total=size)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)


@pytest.mark.parametrize(
    ("visible", "gibibytes"),
    [
        (None, 40),
        ("0,1", 40),
        ("1,0", 24),
        ("1", 24),
        ("GPU-aa", 24),
        ("MIG-bb,0", 5),
        ("GPU-unknown", None),
        ("7", None),
    ],
)
@pytest.mark.usefixtures("driver")
def test_a_share_is_that_of_the_card_that_cuda_shows_less_a_fixed_reserve(calls, monkeypatch, visible, gibibytes):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    prepare_process(1, 0.5)
    assert calls["set_visible_devices"] == (CARDS[:1], "GPU")
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    if gibibytes is None:
        assert "set_logical_device_configuration" not in calls
    else:
        card, (share,) = calls["set_logical_device_configuration"]
        assert card is CARDS[0]
        assert share.memory_limit == gibibytes * 512 - 1024


@pytest.mark.usefixtures("driver")
def test_a_whole_card_has_no_limit_and_a_run_without_a_gpu_sees_none(calls):
    prepare_process(2, 1.0)
    assert calls["set_visible_devices"] == (CARDS[:1], "GPU")
    prepare_process(2, 0.0)
    assert calls["set_visible_devices"] == ([], "GPU")
    assert "set_logical_device_configuration" not in calls
    assert calls["set_intra_op_parallelism_threads"] == (2,)


@pytest.mark.parametrize("gpus", [0.0, 0.5, 1.0])
def test_float32_is_float32_and_determinism_is_not_claimed(calls, gpus):
    prepare_process(1, gpus)
    assert calls["enable_tensor_float_32_execution"] == (False,)
    assert "enable_op_determinism" not in calls


def test_tensorflow_itself_has_tf32_switched_off():
    tf.config.experimental.enable_tensor_float_32_execution(True)
    prepare_process(1, 0.0)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_share_that_the_reserve_takes_whole_is_refused():
    assert memory_limit_megabytes(0.5, 16 * GIBIBYTE) == 7168
    assert memory_limit_megabytes(0.5, None) is None
    with pytest.raises(UserError, match=r"got 0\.125 of a card of 8192 MiB, expected more than the 1024 MiB"):
        memory_limit_megabytes(0.125, 8 * GIBIBYTE)


@pytest.mark.parametrize(("threads", "gpus"), [(0, 0.0), (1, -1.0), (1, 2.0), (1, 1.5), (1, float("nan"))])
def test_threads_and_gpus_out_of_range_are_refused(calls, threads, gpus):
    with pytest.raises(UserError, match="got 0, expected at least 1" if threads == 0 else "a run computes on one GPU"):
        prepare_process(threads, gpus)
    assert not calls


def test_a_gpu_that_tensorflow_does_not_see_is_refused():
    with pytest.raises(UserError, match="TensorFlow sees no GPU"):
        prepare_process(1, 1.0)


def test_auto_precision_asks_the_study_first_on_every_device(monkeypatch):
    models = {name: build_model(name) for name in ("own_v1", "own_v3", "lenet5", "efficientnet_small")}

    def in_bfloat16():
        policies = {name: choose_policy(model) for name, model in models.items()}
        assert set(policies.values()) <= {"float32", "mixed_bfloat16"}
        return [name for name, policy in policies.items() if policy == "mixed_bfloat16"]

    for flags, expected in (
        ({"avx2"}, []),
        ({"avx2", "avx512_bf16"}, ["own_v1"]),
        ({"avx2", "avx512_bf16", "amx_bf16"}, ["own_v1", "own_v3"]),
    ):
        monkeypatch.setattr(devices, "cpu_flags", lambda flags=flags: frozenset(flags))
        assert in_bfloat16() == expected
    monkeypatch.setattr(devices, "graphics_cards", lambda: ["GPU:0"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: CARDS)
    for capability, expected in (
        (None, []),
        ((7, 5), []),
        ((8, 0), ["own_v1", "own_v3"]),
        ((9, 0), ["own_v1", "own_v3"]),
    ):
        details = {"compute_capability": capability} if capability else {}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _, details=details: details)
        assert in_bfloat16() == expected


def test_normalising_nets_gain_by_matrix_units_alone():
    images = keras.Input((4, 4, 1))
    normalised = keras.Model(images, keras.layers.BatchNormalization()(images))
    plain = keras.Model(images, keras.layers.ReLU()(images))
    assert [cpu_gains(frozenset({"avx512_bf16"}), model) for model in (plain, normalised)] == [True, False]
