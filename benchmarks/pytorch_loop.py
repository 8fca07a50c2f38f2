"""Training in PyTorch: the strongest simple eager loop, with fused optimizer and all images resident in memory."""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch
from pytorch_models import build_pytorch_model
from rounds import Case, Train
from torch import Tensor, nn

from fmnist.data.dataset import load_data
from fmnist.declare.hyperparameters import Hyperparameters

KERAS_ADAM_EPSILON = 1e-7


def versions() -> dict[str, str]:
    """Versions of what this contender trains with."""
    return {"torch": torch.__version__}


def prepare(case: Case) -> Train:
    """Build the model and load the images, float32 in [0, 1]; the returned function times steps of one epoch."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)  # as TensorFlow does; numbers that small slow a processor down
    torch.manual_seed(0)
    model = build_pytorch_model(case.architecture, case.hyperparameters).train()
    optimizer = build_optimizer(model, case.hyperparameters)
    data = load_data()
    images = torch.tensor(data.train_images).unsqueeze(-1).float() / 255
    labels = torch.tensor(data.train_labels).long()

    def train(steps: int) -> float:
        started = time.perf_counter()
        train_steps(model, optimizer, images, labels, steps, case)
        return time.perf_counter() - started

    return train


def build_optimizer(model: nn.Module, hyperparameters: Hyperparameters) -> torch.optim.Optimizer:
    """Build the fused optimizer with Keras' constants."""
    if hyperparameters.optimizer == "adam":
        return torch.optim.Adam(
            model.parameters(), lr=hyperparameters.learning_rate, eps=KERAS_ADAM_EPSILON, fused=True
        )
    return torch.optim.SGD(
        model.parameters(), lr=hyperparameters.learning_rate, momentum=hyperparameters.momentum, fused=True
    )


def train_steps(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, steps: int, case: Case
) -> tuple[float, float]:
    """Train `steps` batches of a new random order; returns mean loss and accuracy, as the other contenders do.

    `images` is (count, 28, 28, 1) float32, so that a gathered batch is channels last without a copy.
    """
    losses = torch.zeros(())
    correct = torch.zeros((), dtype=torch.int64)
    order = torch.randperm(len(images))[: steps * case.batch_size]
    for indices in order.split(case.batch_size):
        targets = labels.index_select(0, indices)
        optimizer.zero_grad(set_to_none=True)
        with _precision(case.precision):
            logits = model(images.index_select(0, indices).permute(0, 3, 1, 2))
        loss = nn.functional.cross_entropy(logits.float(), targets)
        loss.backward()
        optimizer.step()
        losses += loss.detach()
        correct += (logits.detach().argmax(1) == targets).sum()
    return losses.item() / steps, correct.item() / len(order)


def _precision(name: str) -> torch.autocast | nullcontext[None]:
    if name == "float32":
        return nullcontext()
    dtype = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}[name]
    return torch.autocast("cpu", dtype=dtype)
