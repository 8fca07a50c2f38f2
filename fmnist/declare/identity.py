"""The identity of a run: its seeds, and the hashes that its row is found by. A change here makes every row a stranger.

The hash of a model's structure, which needs TensorFlow, is in `structure`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from fmnist.declare.hyperparameters import Hyperparameters

FIRST_FIELDS = 17  # of Hyperparameters, those that the first rows were published with


def fingerprint(value: Any) -> str:
    """Hash a JSON value into 16 hexadecimal digits, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def id_of_configuration(structure: str, hyperparameters: Hyperparameters, data: str) -> str:
    """Hash what is compared, given the fingerprints of the model's structure and of the data.

    A later hyperparameter counts only where it differs from its default: a new one leaves every stored id as it is.
    """
    named = {item.name: getattr(hyperparameters, item.name) for item in fields(hyperparameters)}
    for item in fields(hyperparameters)[FIRST_FIELDS:]:
        if named[item.name] == item.default:
            del named[item.name]
    return fingerprint({"structure": structure, "hyperparameters": named, "data": data})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """One seed, in [0, 2**31), for each source of chance in a run."""

    split: int  # which training images are held back for validation
    initialisation: int  # first weights
    order: int  # order of the training images, drawn anew each epoch
    dropout: int
    augmentation: int


@lru_cache(maxsize=10_000)
def seeds_of_repeat(repeat: int) -> Seeds:
    """Draw the seeds of repeat `repeat` (>= 0): the same for every configuration, so that repeats pair.

    One independent stream for each source (numpy's SeedSequence): fixing one leaves the others as they are.
    """
    states = np.random.SeedSequence([20_170_825, repeat]).spawn(len(Seeds.__dataclass_fields__))
    drawn = (int(state.generate_state(1)[0]) & 0x7FFF_FFFF for state in states)
    return Seeds(**dict(zip(Seeds.__dataclass_fields__, drawn, strict=True)))


def id_of_run(configuration_id: str, seeds: Seeds) -> str:
    """Hash what decides the outcome of a run: its configuration and its seeds."""
    return fingerprint({"configuration": configuration_id, "seeds": asdict(seeds)})
