"""The seeds of a run: one for each source of chance, drawn from the number of the repeat alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """One seed, in [0, 2**31), for each source of chance in a run."""

    split: int  # which training images are held back for validation
    initialisation: int  # first weights
    order: int  # order of the training images, drawn anew each epoch
    dropout: int
    augmentation: int


def seeds_of_repeat(repeat: int) -> Seeds:
    """Draw the seeds of repeat `repeat` (>= 0): the same for every configuration, so that repeats pair.

    One independent stream for each axis (numpy's SeedSequence), so that fixing one axis leaves the others as they are.
    """
    states = np.random.SeedSequence([20_170_825, repeat]).spawn(len(Seeds.__dataclass_fields__))
    drawn = (int(state.generate_state(1)[0]) & 0x7FFF_FFFF for state in states)
    return Seeds(**dict(zip(Seeds.__dataclass_fields__, drawn, strict=True)))
