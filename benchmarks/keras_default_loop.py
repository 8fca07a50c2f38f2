"""Training in plain Keras on TensorFlow as it comes: on CPUs without AVX-512 that is without oneDNN."""

from __future__ import annotations

import os

os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)  # fmnist has set it by now; TensorFlow reads it when it is imported

from keras_loop import prepare, versions

__all__ = ["prepare", "versions"]
