"""One run, from its specification to its row (`run.train_run`, which loads TensorFlow). No Ray."""

from fmnist.train.checkpoint import UnusableCheckpointError
from fmnist.train.initial_weights import load_initial_weights
from fmnist.train.measurement import code_version, provenance
