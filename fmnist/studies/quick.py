"""All six architectures, three repeats, one epoch: a first report within minutes.

    python jobs/study.py quick

Expected time: 3 to 7 minutes on 2 cores. Expected test accuracy: 79 to 87 %. Too short to say which architecture is
best: that is study `comparison`.
"""

from fmnist.declare import Study, configure

ARCHITECTURES = ("efficientnet_small", "own_v3", "own_v2", "own_v1", "brownlee", "lenet5")

STUDY = Study(
    name="quick",
    question="Does the whole way from training to report work, and how do the architectures begin?",
    # the longest runs first, so that no core waits for the last one
    configurations=tuple(configure(name, epochs=1) for name in ARCHITECTURES),
    repeats=3,
)
