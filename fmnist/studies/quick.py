"""All six architectures, three repeats, two epochs: a first report within minutes.

    python jobs/study.py quick

Expected time: about 3 minutes on 2 cores. Expected test accuracy after two epochs: between 75 % (own_v2,
efficientnet_small) and 90 % (own_v3). Too short to say which architecture is best: that is study `comparison`.
"""

from fmnist.architectures import ARCHITECTURES
from fmnist.study import Study, configure

STUDY = Study(
    name="quick",
    question="Does the whole way from training to report work, and how do the architectures begin?",
    configurations=tuple(configure(name, epochs=2) for name in ARCHITECTURES),
    repeats=3,
)
