"""own_v1 with relu, tanh, swish, gelu and elu in its hidden layers: does another activation classify better?

    python jobs/study.py activations

All else is own_v1's: its first kernels are drawn for relu (He et al. 2015), the others for tanh (Glorot and Bengio
2010), and neither changes with the activation.

Expected time and test accuracy: see docs/results.md. The runs with relu are those of study `comparison`.
"""

from fmnist.declare import Study, configure

STUDY = Study(
    name="activations",
    question="Which activation of the hidden layers makes the own CNN the most accurate?",
    configurations=tuple(
        configure("own_v1", label=name, activation=name) for name in ("relu", "tanh", "swish", "gelu", "elu")
    ),
    repeats=10,
)
