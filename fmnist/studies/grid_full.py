"""The grid search at full length, for a cluster of GPUs: what `grid` asks, finer and with each net's whole training.

    python jobs/study.py grid_full --dry-run --price-per-gpu-hour 1.0
    ray job submit --working-dir . -- python jobs/study.py grid_full --results s3://BUCKET/results

8,800 runs. Expected time: the dry run says it, from the rows that are there; not run by the authors.
"""

from fmnist.declare import Choice, Given, Search, Space

STUDY = Search(
    name="grid_full",
    question="Which settings suit each architecture best when it is trained to its end?",
    architectures=("lenet5", "brownlee", "own_v1", "own_v2", "own_v3", "efficientnet_small"),
    space=Space(
        {
            "optimizer": Choice(("adam", "sgd")),
            "learning_rate": Given(
                "optimizer",
                {"adam": Choice((1e-4, 3e-4, 1e-3, 3e-3, 1e-2)), "sgd": Choice((3e-3, 0.01, 0.03, 0.1, 0.3))},
            ),
            "momentum": Given("optimizer", {"sgd": Choice((0.9,))}),
            "batch_size": Choice((32, 64, 128, 256)),
            "l2": Choice((0.0, 1e-5, 1e-4, 1e-3)),
            "dropout_rate": Choice((0.0, 0.25, 0.4, 0.5)),
        }
    ),
    repeats=5,
)
