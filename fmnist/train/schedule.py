"""How far a training run has come and what follows from it: learning rate, best epoch, when to stop."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fmnist.declare import Hyperparameters

PLATEAU_MINIMUM_GAIN = 1e-4  # Keras' ReduceLROnPlateau takes a smaller gain of the loss for none


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """History and schedule of one run. The rules are those of Keras' EarlyStopping and ReduceLROnPlateau."""

    learning_rate: float
    pretrained_epochs: int = 0
    history: list[dict[str, float]] = field(default_factory=list)  # one EPOCH struct an epoch
    best_epoch: int | None = None  # from 1
    best_loss: float = math.inf
    plateau_loss: float = math.inf
    epochs_on_plateau: int = 0
    finished: bool = False
    pruned: str | None = None  # why the run was given up before its end

    def record(
        self, entry: dict[str, float], settings: Hyperparameters, pruned_below: Mapping[int, float] | None = None
    ) -> bool:
        """Take in an epoch; return whether its validation loss is the best so far, by more than the minimum delta.

        `pruned_below` gives the validation accuracy below which the run is given up at some epochs.
        """
        self.history.append(entry)
        epoch, loss = len(self.history), entry["validation_loss"]
        is_best = loss + settings.minimum_delta < self.best_loss
        if is_best:
            self.best_loss, self.best_epoch = loss, epoch
        self._reduce_on_plateau(loss, settings)
        patience = settings.early_stopping_patience
        waited = epoch - (self.best_epoch or 0)
        stops_early = patience is not None and epoch > 1 and not is_best and waited >= patience
        self.finished = stops_early or epoch >= settings.epochs
        least = (pruned_below or {}).get(epoch, -math.inf)
        if entry["validation_accuracy"] < least and not self.finished:
            self.finished = True
            self.pruned = (
                f"validation accuracy {entry['validation_accuracy']:.4f} after epoch {epoch}, below {least:.4f}"
            )
        return is_best

    def _reduce_on_plateau(self, loss: float, settings: Hyperparameters) -> None:
        if settings.plateau_patience is None:
            return
        if loss < self.plateau_loss - PLATEAU_MINIMUM_GAIN:
            self.plateau_loss, self.epochs_on_plateau = loss, 0
            return
        self.epochs_on_plateau += 1
        if self.epochs_on_plateau >= settings.plateau_patience:
            reduced = max(self.learning_rate * settings.plateau_factor, settings.minimum_learning_rate)
            # a rate that starts below the minimum stays: a plateau never raises it
            self.learning_rate = min(self.learning_rate, reduced)
            self.epochs_on_plateau = 0
