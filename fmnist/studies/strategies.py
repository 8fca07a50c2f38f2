"""Five ways to search one space for LeNet-5, five seeds each, on one budget: which finds good settings soonest?

    python jobs/study.py strategies

Grid, random, Optuna's estimator, and that with each way of giving up early: successive halving over epochs, and a race
over repeats. The space is finite, so that what several searches ask for is computed once; each is charged all that it
asked for. Two epochs a run.

Expected time: 45 min on 2 cores. Expected validation accuracy of the best points: 87 to 88 %.
"""

from fmnist.declare import Budget, Choice, Given, Search, Space, Strategy

STUDY = Search(
    name="strategies",
    question="Which strategy finds good settings of LeNet-5 at the least cost?",
    architectures=("lenet5",),
    space=Space(
        {
            "optimizer": Choice(("adam", "sgd")),
            "learning_rate": Given(
                "optimizer", {"adam": Choice((1e-4, 3e-4, 1e-3, 3e-3)), "sgd": Choice((3e-3, 0.01, 0.03, 0.1))}
            ),
            "momentum": Given("optimizer", {"sgd": Choice((0.9,))}),
            "batch_size": Choice((32, 64, 128)),
            "l2": Choice((0.0, 1e-4)),
        }
    ),
    repeats=6,
    strategies=(
        Strategy("grid"),
        Strategy("random"),
        Strategy("optuna"),
        Strategy("optuna", pruning="halving"),
        Strategy("optuna", pruning="race"),
    ),
    seeds=5,
    budget=Budget(core_seconds=1500),
    settings={"epochs": 2},
)
