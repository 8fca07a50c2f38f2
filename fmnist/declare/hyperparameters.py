"""What a run can be asked to do besides its architecture: one typed field each, one Parquet column each."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from fmnist.declare.checks import flag, member, number, sha256, whole

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle")
# of Keras' functions, those that a hidden layer may have
ACTIVATIONS = ("default", "relu", "leaky_relu", "elu", "selu", "gelu", "swish", "mish", "softplus", "tanh", "sigmoid")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto")
PRETRAININGS = ("none", "half_classes")
FROZEN = ("none", "half", "all")
A_FILE = "SHA-256"  # what a text may be that names a file by its content


def _within(default: Any, allowed: Any) -> Any:
    """A field, and what it may be: an interval of a number, the least of a whole number, a text's words or A_FILE."""
    return field(default=default, metadata={"allowed": allowed})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Training settings of one run; a field's default and range stand only here. New fields go to the end.

    Numbers, numpy's too, become the declared type, so that 10 and 10.0 are one setting. Raises UserError, naming the
    field, what was given and what is allowed, for another type and for a value outside its range.
    """

    optimizer: str = _within("adam", OPTIMIZERS)
    learning_rate: float = _within(1e-3, "(0, infinity)")
    momentum: float = _within(0.0, "[0, 1)")  # read by sgd alone
    batch_size: int = _within(128, 1)  # images a step
    epochs: int = _within(20, 1)  # at most this many passes over the training set
    dropout_rate: float = _within(0.0, "[0, 1)")  # for architectures that have a dropout layer
    l2: float = _within(0.0, "[0, infinity)")  # weight of the sum of squares of every kernel in the training loss
    rotation: float = _within(0.0, "[0, 180]")  # largest random turn of a training image, degrees
    translation: float = _within(0.0, "[0, 1)")  # largest random shift, fraction of the image's side
    zoom: float = _within(0.0, "[0, 1)")  # largest random change of size, fraction
    horizontal_flip: bool = False  # mirror half of the training images
    early_stopping_patience: int | None = _within(None, 0)  # epochs without a better validation loss before it stops
    restore_best_weights: bool = False  # end with the weights of the epoch with the lowest validation loss
    plateau_patience: int | None = _within(None, 0)  # epochs without a better validation loss before the rate falls
    plateau_factor: float = _within(0.5, "(0, 1)")  # the rate is multiplied by this on a plateau
    minimum_learning_rate: float = _within(0.0, "[0, infinity)")  # the rate is not reduced below this
    precision: str = _within("float32", PRECISIONS)  # auto takes what the hardware has and what pays
    random_erasing: float = _within(0.0, "[0, 1]")  # chance that a rectangle of a training image becomes noise
    mixup: float = _within(0.0, "[0, 1000]")  # a of Beta(a, a), the share of an image that is blended with another
    label_smoothing: float = _within(0.0, "[0, 1)")  # share of a training label that all classes get in equal parts
    minimum_delta: float = _within(0.0, "[0, infinity)")  # a validation loss is better if it is lower by more than this
    activation: str = _within("default", ACTIVATIONS)  # of every hidden layer; default: the architecture's own
    schedule: str = _within("constant", SCHEDULES)  # how the rate changes from step to step over all epochs
    train_images: int | None = _within(None, 1)  # trained on, drawn anew each repeat, all classes alike; None: all
    pretraining: str = _within("none", PRETRAININGS)  # half_classes: first learn the first half of the classes
    pretraining_epochs: int = _within(5, 1)
    frozen: str = _within("none", FROZEN)  # layers that are not trained, after pretraining: see `train.transfer`
    initial_weights: str = _within("", A_FILE)  # the file that the layers before the output start from; "": drawn

    def __post_init__(self) -> None:
        for item in fields(self):
            value = _checked(item.name, str(item.type), getattr(self, item.name), item.metadata.get("allowed"))
            object.__setattr__(self, item.name, value)

    @property
    def augments(self) -> bool:
        """Whether training images are changed at random, each by itself."""
        return self.warps or self.random_erasing > 0

    @property
    def warps(self) -> bool:
        """Whether pixels of training images are moved at random."""
        return bool(self.rotation or self.translation or self.zoom or self.horizontal_flip)


def typed(name: str, value: Any) -> Any:
    """Give a hyperparameter's value its own type; UserError as Hyperparameters, TypeError for a name that is none."""
    return getattr(Hyperparameters(**{name: value}), name)


def _checked(name: str, kind: str, value: Any, allowed: Any) -> Any:
    if kind == "bool":
        return flag(name, value)
    if kind == "str":
        return sha256(name, value) if allowed == A_FILE else member(name, value, allowed)
    if kind == "float":
        return number(name, value, allowed)
    return None if value is None and kind == "int | None" else whole(name, value, allowed)
