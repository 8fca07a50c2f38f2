"""All six architectures with their default hyperparameters, ten repeats: which one is the most accurate?

    python jobs/study.py comparison

Expected time: hours on 2 cores, most of them for efficientnet_small; `--dry-run` estimates it from the rows that are
there. Expected test accuracy: lenet5 and brownlee 89 to 91 %, own_v1 and own_v2 90 to 92 %, own_v3 92 %,
efficientnet_small 92 to 93 %.
"""

from fmnist.architectures import ARCHITECTURES
from fmnist.study import Study, configure

STUDY = Study(
    name="comparison",
    question="Which architecture classifies Fashion-MNIST best, each trained with the settings it was designed for?",
    configurations=tuple(configure(name) for name in ARCHITECTURES),
    repeats=10,
)
