"""The device a run computes on: threads and GPU memory before TensorFlow's first op, and the precision that pays."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from fmnist.measure import cpu_flags, graphics_cards

_SMALLEST_WIDE_CONVOLUTION = 32  # input channels, those of the nets that study `precision` compares


def prepare_process(threads: int, gpus: float) -> None:
    """Give this process its threads and its share of one GPU; must come before TensorFlow's first op.

    `gpus` is a fraction in (0, 1] of a GPU, a whole number of GPUs, or 0 for none. A fraction limits TensorFlow's
    memory to that share of the card where the card's size is known; else memory grows as it is needed.
    ValueError if threads < 1, gpus < 0, or TensorFlow has already started with other settings.
    """
    if threads < 1:
        raise ValueError(f"threads: got {threads}, expected at least 1")
    if gpus < 0:
        raise ValueError(f"gpus: got {gpus}, expected 0 or more")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # one op after the other: these nets are chains, and a second pool would only take the neighbours' cores
        tf.config.threading.set_inter_op_parallelism_threads(1)
        _share_graphics_cards(gpus)
    except RuntimeError as error:
        raise ValueError(
            f"threads={threads}, gpus={gpus}: TensorFlow has already started in this process with other settings;"
            " start a new process for the run"
        ) from error


def _share_graphics_cards(gpus: float) -> None:
    cards = tf.config.list_physical_devices("GPU")
    if not gpus:
        if cards:
            tf.config.set_visible_devices([], "GPU")
        return
    if len(cards) < gpus:
        raise ValueError(f"gpus: got {gpus}, expected at most the {len(cards)} that TensorFlow sees in this process")
    for card in cards:
        limit = memory_limit_megabytes(gpus, _card_memory_bytes(card))
        if limit is None:
            tf.config.experimental.set_memory_growth(card, True)
        else:
            tf.config.set_logical_device_configuration(card, [tf.config.LogicalDeviceConfiguration(memory_limit=limit)])


def memory_limit_megabytes(gpus: float, card_bytes: int | None, reserve: float = 0.08) -> int | None:
    """Memory, in MB, that a run with a fraction of a card may take; None for a whole card or one of unknown size.

    `reserve` is the part of the share that the driver's context and the libraries take besides TensorFlow.
    """
    if gpus >= 1 or card_bytes is None:
        return None
    return int(card_bytes * gpus * (1 - reserve) / 2**20)


def _card_memory_bytes(card: Any) -> int | None:
    """Memory of a GPU as the driver tells it, or None without pynvml or driver."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(card.name.rpartition(":")[2]))
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:
        return None


def choose_policy(precision: str, model: keras.Model) -> str:
    """Return the Keras dtype policy for a precision: itself, or for `auto` what the device has and what pays.

    On a GPU with tensor cores that is half precision. On a CPU it is bfloat16 if the CPU computes in it and the model
    is of the kind that study `precision` has shown to classify as well: wide convolutions, none of them depthwise
    (own_v1, own_v3). The others are faster in it too, but no study has asked yet.
    """
    if precision != "auto":
        return precision
    if graphics_cards():
        card = tf.config.list_physical_devices("GPU")[0]
        return gpu_policy(tf.config.experimental.get_device_details(card).get("compute_capability"))
    return cpu_policy(cpu_flags(), model)


def gpu_policy(compute_capability: tuple[int, int] | None) -> str:
    """Policy for a GPU: tensor cores know float16 since capability 7.0 and bfloat16 since 8.0."""
    if compute_capability is None or compute_capability < (7, 0):
        return "float32"
    return "mixed_bfloat16" if compute_capability >= (8, 0) else "mixed_float16"


def cpu_policy(flags: frozenset[str], model: keras.Model) -> str:
    """Policy for a CPU with these instruction sets (names of /proc/cpuinfo).

    With AVX-512 alone, products take half the time and all else as long as before: a net with batch normalisation,
    which is mostly passes over memory, gains next to nothing then (own_v3: 1.01 times) and stays in float32.
    """
    kinds = {type(layer) for layer in model.layers}
    widest = max((layer.kernel.shape[2] for layer in model.layers if type(layer) is keras.layers.Conv2D), default=0)
    as_accurate = keras.layers.DepthwiseConv2D not in kinds and widest >= _SMALLEST_WIDE_CONVOLUTION
    gains = "amx_bf16" in flags or ("avx512_bf16" in flags and keras.layers.BatchNormalization not in kinds)
    return "mixed_bfloat16" if as_accurate and gains else "float32"
