"""The six architectures in PyTorch, layer for layer what `fmnist.declare.architectures` builds in Keras.

Written for speed on a CPU: channels last in memory, the flattened features in the order in which they lie there (which
is also Keras' order, and costs no copy), rectifiers in place, logits instead of probabilities for the fused loss.

Where Keras pads an even side at stride 2 (`same`), it pads the far end; PyTorch pads both ends, and a pad of its own
would cost a copy. Here PyTorch's way is kept: seen in a mirror, both compute the same network. `copy_keras_weights` can
therefore mirror the kernels, and with mirrored images the outputs are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fmnist.declare.hyperparameters import Hyperparameters

CLASS_COUNT = 10
# Keras' constants; its momentum 0.99 is the share that is kept, PyTorch's the share that is replaced
BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}


class Flatten(nn.Module):
    """Flatten (batch, channels, height, width) to (batch, features) with the channels varying fastest, as Keras."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a view, where `x` is channels last in memory."""
        return x.permute(0, 2, 3, 1).flatten(1)


class GlobalAveragePool(nn.Module):
    """Average (batch, channels, height, width) over the image to (batch, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over height and width."""
        return x.mean((2, 3))


def glorot_uniform(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Draw the kernel as Keras does by default, uniform within sqrt(6 / (fan_in + fan_out)); biases are 0."""
    nn.init.xavier_uniform_(layer.weight)
    return _without_bias(layer)


def he_uniform(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Draw the kernel uniform within sqrt(6 / fan_in); biases are 0."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return _without_bias(layer)


def _without_bias(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _lenet5(_: Hyperparameters) -> list[nn.Module]:
    return [
        *(glorot_uniform(nn.Conv2d(1, 6, 5, padding=2)), nn.Tanh(), nn.MaxPool2d(2)),
        *(glorot_uniform(nn.Conv2d(6, 16, 5)), nn.Tanh(), nn.MaxPool2d(2), Flatten()),
        *(glorot_uniform(nn.Linear(400, 120)), nn.Tanh()),
        *(glorot_uniform(nn.Linear(120, 84)), nn.Tanh()),
        glorot_uniform(nn.Linear(84, CLASS_COUNT)),
    ]


def _brownlee(_: Hyperparameters) -> list[nn.Module]:
    return [
        *(he_uniform(nn.Conv2d(1, 32, 3)), _relu(), nn.AvgPool2d(2), Flatten()),
        *(he_uniform(nn.Linear(5408, 100)), _relu()),
        glorot_uniform(nn.Linear(100, CLASS_COUNT)),
    ]


def _own_cnn(hyperparameters: Hyperparameters) -> list[nn.Module]:
    return [
        *(he_uniform(nn.Conv2d(1, 32, 3)), _relu(), nn.MaxPool2d(2)),
        *(glorot_uniform(nn.Conv2d(32, 64, 3)), _relu(), nn.MaxPool2d(2), Flatten()),
        nn.Dropout(hyperparameters.dropout_rate),
        *(glorot_uniform(nn.Linear(1600, 128)), _relu()),
        glorot_uniform(nn.Linear(128, CLASS_COUNT)),
    ]


def _own_v3(hyperparameters: Hyperparameters) -> list[nn.Module]:
    return [
        *(he_uniform(nn.Conv2d(1, 32, 3)), _relu(), nn.BatchNorm2d(32, **BATCH_NORM), nn.MaxPool2d(2)),
        *(he_uniform(nn.Conv2d(32, 64, 3)), _relu(), nn.BatchNorm2d(64, **BATCH_NORM), nn.MaxPool2d(2), Flatten()),
        nn.Dropout(hyperparameters.dropout_rate),
        *(he_uniform(nn.Linear(1600, 128)), _relu(), nn.BatchNorm1d(128, **BATCH_NORM)),
        glorot_uniform(nn.Linear(128, CLASS_COUNT)),
    ]


def _normalised_swish(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels, **BATCH_NORM), nn.SiLU()]


def _separable_block(channels: int, filters: int, stride: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
    pointwise = nn.Conv2d(channels, filters, 1, bias=False)
    return [
        *(glorot_uniform(depthwise), *_normalised_swish(channels)),
        *(glorot_uniform(pointwise), *_normalised_swish(filters)),
    ]


def _efficientnet_small(_: Hyperparameters) -> list[nn.Module]:
    stem = glorot_uniform(nn.Conv2d(1, 32, 3, stride=2, padding=1, bias=False))
    layers = [stem, *_normalised_swish(32)]
    channels = 32
    for filters, stride in ((64, 1), (128, 2), (256, 2), (256, 1), (512, 1)):
        layers += _separable_block(channels, filters, stride)
        channels = filters
    layers += [GlobalAveragePool(), glorot_uniform(nn.Linear(512, 128)), nn.SiLU()]
    return [*layers, glorot_uniform(nn.Linear(128, CLASS_COUNT))]


LAYERS: dict[str, Callable[[Hyperparameters], list[nn.Module]]] = {
    "lenet5": _lenet5,
    "brownlee": _brownlee,
    "own_v1": _own_cnn,
    "own_v2": _own_cnn,
    "own_v3": _own_v3,
    "efficientnet_small": _efficientnet_small,
}


def build_pytorch_model(name: str, hyperparameters: Hyperparameters) -> nn.Sequential:
    """Build the model: input float32 (batch, 1, 28, 28), output (batch, 10) logits; ValueError for an unknown name."""
    if name not in LAYERS:
        raise ValueError(f"architecture: got {name!r}, expected one with a PyTorch counterpart: {', '.join(LAYERS)}")
    return nn.Sequential(*LAYERS[name](hyperparameters)).to(memory_format=torch.channels_last)


def parameter_count(model: nn.Module) -> int:
    """Count the weights as Keras does, moving statistics included (PyTorch's counter of batches is not a weight)."""
    buffers = (value for key, value in model.named_buffers() if not key.endswith("num_batches_tracked"))
    return sum(value.numel() for value in [*model.parameters(), *buffers])


def copy_keras_weights(model: nn.Sequential, weights: Sequence[np.ndarray], mirrored: bool = False) -> None:
    """Give `model` the weights of its Keras counterpart (`keras_model.get_weights()`), kernels mirrored if asked."""
    remaining = iter(weights)
    with torch.no_grad():
        for layer in model:
            for target in _weights_in_keras_order(layer):
                value = next(remaining)
                if value.ndim == 4:
                    value = _convolution_kernel(value, depthwise=layer.groups > 1, mirrored=mirrored)
                elif value.ndim == 2:
                    value = value.T
                target.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def _convolution_kernel(kernel: np.ndarray, depthwise: bool, mirrored: bool) -> np.ndarray:
    """Turn (height, width, in, out), for depthwise (height, width, out, 1), into (out, in, height, width)."""
    kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    return kernel[:, :, ::-1, ::-1] if mirrored else kernel


def _weights_in_keras_order(layer: nn.Module) -> list[Tensor]:
    if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return [layer.weight, layer.bias, layer.running_mean, layer.running_var]
    return list(layer.parameters())
