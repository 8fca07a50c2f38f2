"""What a run can be asked to do besides its architecture: one typed field each, one Parquet column each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fmnist.errors import UserError

OPTIMIZERS = ("adam", "sgd")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Training settings of one run. Every field is part of a run's identity; its default stands only here.

    Raises ValueError, naming the field, what was given and what is allowed, for a value outside its range.
    """

    optimizer: str = "adam"  # one of OPTIMIZERS
    learning_rate: float = 1e-3  # > 0
    momentum: float = 0.0  # in [0, 1), read by sgd alone
    batch_size: int = 128  # images a step, >= 1
    epochs: int = 20  # at most this many passes over the training set, >= 1
    dropout_rate: float = 0.0  # in [0, 1), for architectures that have a dropout layer
    l2: float = 0.0  # >= 0, weight of the sum of squares of every kernel in the training loss
    rotation: float = 0.0  # largest random turn of a training image, degrees, in [0, 180]
    translation: float = 0.0  # largest random shift, fraction of the image's side, in [0, 1)
    zoom: float = 0.0  # largest random change of size, fraction, in [0, 1)
    horizontal_flip: bool = False  # mirror half of the training images
    early_stopping_patience: int | None = None  # epochs without a better validation loss before the run stops
    restore_best_weights: bool = False  # end with the weights of the epoch with the lowest validation loss
    plateau_patience: int | None = None  # epochs without a better validation loss before the rate is reduced
    plateau_factor: float = 0.5  # the rate is multiplied by this on a plateau, in (0, 1)
    minimum_learning_rate: float = 0.0  # the rate is not reduced below this
    precision: str = "float32"  # one of PRECISIONS; auto takes what the hardware has and what pays

    def __post_init__(self) -> None:
        _member("optimizer", self.optimizer, OPTIMIZERS)
        _member("precision", self.precision, PRECISIONS)
        for name in ("batch_size", "epochs"):
            _whole(name, getattr(self, name), minimum=1)
        for name in ("early_stopping_patience", "plateau_patience"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), minimum=0)
        for name in ("momentum", "dropout_rate", "translation", "zoom"):
            _within(name, getattr(self, name), "[0, 1)", lambda value: 0 <= value < 1)
        for name in ("l2", "minimum_learning_rate"):
            _within(name, getattr(self, name), "[0, infinity)", lambda value: value >= 0)
        _within("learning_rate", self.learning_rate, "(0, infinity)", lambda value: value > 0)
        _within("plateau_factor", self.plateau_factor, "(0, 1)", lambda value: 0 < value < 1)
        _within("rotation", self.rotation, "[0, 180]", lambda value: 0 <= value <= 180)

    @property
    def augments(self) -> bool:
        """Whether training images are changed at random."""
        return bool(self.rotation or self.translation or self.zoom or self.horizontal_flip)


def _member(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{name}: got {value!r}, expected one of {', '.join(allowed)}")


def _whole(name: str, value: Any, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise UserError(f"{name}: got {value!r}, expected a whole number of at least {minimum}")


def _within(name: str, value: Any, interval: str, allowed: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not allowed(value):
        raise UserError(f"{name}: got {value!r}, expected a number in {interval}")
