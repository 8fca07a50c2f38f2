"""The grid search of the original report, on all six architectures: which settings are best on validation?

    python jobs/study.py grid

Learning rate, batch size, optimizer, L2 and, where there is a dropout layer, the dropout rate; three repeats of each
point. Two epochs a run, so that it fits 2 cores: what is best then need not be best after twenty. The winners are
judged by study `winners`, on repeats that chose nothing; study `grid_full` is the same grid, finer and with each
architecture's full training, for a cluster of GPUs. own_v1 and own_v2 are one net with two sets of defaults: their
points are the same, and computed once.

Expected time: 2 h 15 min on 2 cores. Expected validation accuracy of the best points: 87 to 91 %.
"""

from fmnist.declare import Choice, Given, Search, Space

STUDY = Search(
    name="grid",
    question="Which learning rate, batch size, optimizer, L2 and dropout rate suit each architecture best?",
    architectures=("lenet5", "brownlee", "own_v1", "own_v2", "own_v3", "efficientnet_small"),
    space=Space(
        {
            "optimizer": Choice(("adam", "sgd")),
            "learning_rate": Given("optimizer", {"adam": Choice((3e-4, 1e-3, 3e-3)), "sgd": Choice((0.01, 0.03, 0.1))}),
            "momentum": Given("optimizer", {"sgd": Choice((0.9,))}),
            "batch_size": Choice((32, 128)),
            "l2": Choice((0.0, 1e-4)),
            "dropout_rate": Choice((0.25, 0.5)),
        }
    ),
    repeats=3,
    settings={"epochs": 2},
)
