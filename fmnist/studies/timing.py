"""All six architectures, a fixed number of epochs, each run alone on a machine or GPU: how long, how much memory?

    python jobs/study.py timing

Expected time: 20 to 25 minutes on 2 cores. The configurations are interleaved in random order within each repeat, so
that a drift of the machine meets all of them alike. Every run trains the same three epochs, without early stopping:
times compare, accuracies (84 to 91 %) say little.
"""

from fmnist.declare import Study, configure

ARCHITECTURES = ("lenet5", "brownlee", "own_v1", "own_v2", "own_v3", "efficientnet_small")

STUDY = Study(
    name="timing",
    question="How much time and memory does training each architecture take on hardware of its own?",
    configurations=tuple(
        configure(name, epochs=3, early_stopping_patience=None, plateau_patience=None) for name in ARCHITECTURES
    ),
    repeats=5,
    placement="exclusive",
    primary_metric="train_seconds",
    shuffle_within_repeat=True,
)
