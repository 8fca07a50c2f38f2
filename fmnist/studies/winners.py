"""Each architecture as study `grid` tuned it, and with its defaults: is it better, on runs that chose nothing?

    python jobs/study.py grid
    python jobs/study.py winners

The best point of each architecture was chosen on validation, as the best of many: its figure there is too high. Here it
is trained again beside the defaults, on ten repeats of their own, and only here the test set is scored. As in `grid` a
run has two epochs.

Expected time: 50 min on 2 cores. Expected test accuracy: 82 to 90 %.
"""

from fmnist.declare import Tuning
from fmnist.studies.grid import STUDY as GRID

STUDY = Tuning(
    name="winners",
    question="Does the grid search make an architecture better, and does it change which one is best?",
    search=GRID,
    repeats=10,
)
