"""All six architectures with their default hyperparameters, ten repeats: which one is the most accurate?

    python jobs/study.py comparison

Expected time: 4 h 15 min on 2 cores (8.5 core-hours, 5.2 of them for efficientnet_small). Expected test accuracy:
lenet5 89.3 to 90.5 %, brownlee 90.1 to 91.2 %, own_v1 91.4 to 92.1 %, own_v2 89.3 to 90 %, own_v3 91.3 to 92.3 %,
efficientnet_small 92.1 to 93 %.
"""

from fmnist.declare import Study, configure

ARCHITECTURES = ("lenet5", "brownlee", "own_v1", "own_v2", "own_v3", "efficientnet_small")

STUDY = Study(
    name="comparison",
    question="Which architecture classifies Fashion-MNIST best, each trained with the settings it was designed for?",
    configurations=tuple(configure(name) for name in ARCHITECTURES),
    repeats=10,
)
