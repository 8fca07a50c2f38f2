"""One run, from its specification to its row. No Ray."""

from typing import TYPE_CHECKING

from fmnist import lazily
from fmnist.train.measurement import code_version, provenance
from fmnist.train.schedule import UnusableSnapshotError

if TYPE_CHECKING:
    from fmnist.train.run import train_run
else:
    __getattr__ = lazily(__name__, train_run="run")
