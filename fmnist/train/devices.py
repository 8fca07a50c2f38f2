"""The device a run computes on: threads and GPU memory before TensorFlow's first op, and the precision that pays."""

import os
from typing import Any

import keras
import tensorflow as tf

from fmnist import UserError
from fmnist.train.measurement import ask_driver, cpu_flags, graphics_cards

_SMALLEST_WIDE_CONVOLUTION = 32  # input channels, those of the nets that study `precision` compares
_MEBIBYTE = 2**20
_GPU_RESERVE = 1024 * _MEBIBYTE  # what context, cuDNN, cuBLAS and XLA take besides TensorFlow, however small a share is


def prepare_process(threads: int, gpus: float) -> None:
    """Give this process its threads and its share of one GPU; must come before TensorFlow's first op.

    `gpus` is 0 or a fraction up to 1 of a GPU. A fraction limits TensorFlow's memory to that share of the card, less
    1 GiB, where the card's size is known; memory is taken as it is needed. `float32` is float32: TF32, which leaves 10
    bits of the mantissa, is off. Ops are not made deterministic: that costs time and some of them have no such kernel.
    UserError if threads < 1, gpus is out of [0, 1] or too small for the card, or TensorFlow sees no GPU; ValueError if
    it has already started with other settings.
    """
    if threads < 1:
        raise UserError(f"threads: got {threads}, expected at least 1")
    if not 0 <= gpus <= 1:
        raise UserError(f"gpus: got {gpus}, expected 0 to 1: a run computes on one GPU or a part of it")
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # set_memory_growth is refused beside a limit
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # NVML's order, and so Ray's
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # one op after the other: these nets are chains, and a second pool would only take the neighbours' cores
        tf.config.threading.set_inter_op_parallelism_threads(1)
        _share_graphics_card(gpus)
    except RuntimeError as error:
        raise ValueError(
            f"threads={threads}, gpus={gpus}: TensorFlow has already started in this process with other settings;"
            " start a new process for the run"
        ) from error


def _share_graphics_card(gpus: float) -> None:
    cards = tf.config.list_physical_devices("GPU")
    if gpus and not cards:
        raise UserError(f"gpus: got {gpus}, expected 0: TensorFlow sees no GPU in this process")
    if cards:
        tf.config.set_visible_devices(cards[:1] if gpus else [], "GPU")
    if 0 < gpus < 1:
        limit = memory_limit_megabytes(gpus, _card_memory_bytes())
        if limit is not None:
            share = tf.config.LogicalDeviceConfiguration(memory_limit=limit)
            tf.config.set_logical_device_configuration(cards[0], [share])


def memory_limit_megabytes(gpus: float, card_bytes: int | None) -> int | None:
    """Memory, in MiB, that a run with a fraction of a card may take; None for a card of unknown size."""
    if card_bytes is None:
        return None
    limit = int(card_bytes * gpus - _GPU_RESERVE) // _MEBIBYTE
    if limit < 1:
        raise UserError(
            f"gpus: got {gpus:g} of a card of {card_bytes // _MEBIBYTE} MiB, expected more than the"
            f" {_GPU_RESERVE // _MEBIBYTE} MiB that each process takes for itself: give a larger share"
        )
    return limit


def _card_memory_bytes() -> int | None:
    """Memory of the first GPU that CUDA shows this process, as the driver tells it; None without pynvml or driver.

    CUDA_VISIBLE_DEVICES names it by index among all cards, or by the UUID of a card or of a part of one (MIG).
    """
    name = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()

    def size(driver: Any) -> int:
        by_index, by_uuid = driver.nvmlDeviceGetHandleByIndex, driver.nvmlDeviceGetHandleByUUID
        return int(driver.nvmlDeviceGetMemoryInfo(by_index(int(name)) if name.isdecimal() else by_uuid(name)).total)

    return ask_driver(size)


def choose_policy(model: keras.Model) -> str:
    """Return the Keras dtype policy that pays on this device, for precision `auto`.

    That is bfloat16 where the device gains by it and the model is of the kind that study `precision` has shown to
    classify as well in it: wide convolutions, none of them depthwise (own_v1, own_v3). The others are faster in it too,
    but no study has asked yet, and none has asked about float16.
    """
    return "mixed_bfloat16" if _classifies_as_well(model) and _gains(model) else "float32"


def _classifies_as_well(model: keras.Model) -> bool:
    depthwise = any(isinstance(layer, keras.layers.DepthwiseConv2D) for layer in model.layers)
    widest = max((layer.kernel.shape[2] for layer in model.layers if type(layer) is keras.layers.Conv2D), default=0)
    return not depthwise and widest >= _SMALLEST_WIDE_CONVOLUTION


def _gains(model: keras.Model) -> bool:
    if not graphics_cards():
        return cpu_gains(cpu_flags(), model)
    card = tf.config.list_physical_devices("GPU")[0]
    capability = tf.config.experimental.get_device_details(card).get("compute_capability", (0, 0))
    return bool(capability >= (8, 0))  # since then tensor cores know bfloat16


def cpu_gains(flags: frozenset[str], model: keras.Model) -> bool:
    """Whether a CPU with these instruction sets (names of /proc/cpuinfo) trains a model faster in bfloat16.

    With AVX-512 alone, products take half the time and all else as long as before: a net with batch normalisation,
    which is mostly passes over memory, gains next to nothing then (own_v3: 1.01 times).
    """
    normalises = any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    return "amx_bf16" in flags or ("avx512_bf16" in flags and not normalises)
