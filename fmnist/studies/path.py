"""From each architecture's defaults to what study `grid` found, one setting at a time: which setting made the gain?

    python jobs/study.py grid
    python jobs/study.py path

Every configuration between the two is trained, on the repeats of study `winners`, whose runs serve here too. The
setting that mattered most in the grid is changed first.

Expected time: 60 min on 2 cores after `winners`. Expected test accuracy: 82 to 90 %.
"""

from fmnist.declare import Tuning
from fmnist.studies.grid import STUDY as GRID

STUDY = Tuning(
    name="path",
    question="Which setting makes the difference between an architecture's defaults and its best point?",
    search=GRID,
    repeats=10,
    path=True,
)
