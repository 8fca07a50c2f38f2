"""One run, from its specification to its row. No Ray."""

from typing import TYPE_CHECKING

from fmnist import lazily
from fmnist.train.checkpoint import UnusableCheckpointError
from fmnist.train.measurement import code_version, provenance

if TYPE_CHECKING:
    from fmnist.train.run import train_run
else:
    __getattr__ = lazily(__name__, train_run="run")
