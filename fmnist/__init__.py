"""Compare neural networks honestly: declared studies, repeated runs on Ray, one row a run, one report."""

import os
import sys
import warnings
from importlib.util import find_spec


class UserError(ValueError):
    """What a user gave cannot be used; the message says what was given, what was expected and what to do.

    Any other exception is a fault of the program and shows its traceback.
    """


# TensorFlow reads this at its import. On CPUs without AVX-512 it leaves oneDNN off, and its own kernels, built without
# AVX2, train these nets at a third to three quarters of the speed.
if "tensorflow" in sys.modules and "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
    warnings.warn(
        "TensorFlow was imported before fmnist, which could not turn oneDNN on for it: on some CPUs training is up to"
        " three times as slow. Import fmnist first, or set TF_ENABLE_ONEDNN_OPTS=1.",
        RuntimeWarning,
        stacklevel=2,
    )
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Keras reads this at its import; the engine is TensorFlow's, whatever a user has chosen for other programs
if "keras" in sys.modules and (chosen := sys.modules["keras"].config.backend()) != "tensorflow":
    raise UserError(f"Keras was imported before fmnist, with the backend {chosen}: import fmnist first")
os.environ["KERAS_BACKEND"] = "tensorflow"

# A notebook hands its MPLBACKEND on to the commands it starts. Where the module that it names is not there, matplotlib
# cannot even be imported; no figure here needs it.
_backend = os.environ.get("MPLBACKEND", "")
if _backend.startswith("module://") and find_spec(_backend.removeprefix("module://").partition(".")[0]) is None:
    del os.environ["MPLBACKEND"]
