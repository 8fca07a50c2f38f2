"""own_v1 on 1,000 labelled images, from scratch and after learning half of the classes: does transfer learning help?

    python jobs/study.py transfer

The source task has all training images of the first five classes; the other five tell what carries over to classes
that were not shown (docs/transfer.md). A frozen body of random weights is there as a control. Small batches and many
epochs, so that every net has steps enough to converge: early stopping is to end the runs.

own_v1 stands for the report's own CNN, whose improvement the report wished for: it trains in minutes.

Expected time: 20 min on 2 cores. Expected test accuracy: 80 to 83 % from scratch, 85 to 86 % pretrained, 85.5 to 87 %
half frozen, 82 to 84 % frozen, 63 to 69 % of random features.
"""

from fmnist.declare import Study, configure

_FEW = {"train_images": 1000, "batch_size": 32, "epochs": 300, "early_stopping_patience": 10}
_PRETRAINED = {**_FEW, "pretraining": "half_classes"}

STUDY = Study(
    name="transfer",
    question="With 1,000 labelled images, is a net that first learnt half of the classes more accurate than one from"
    " scratch, and which of its layers may stay fixed?",
    configurations=(
        configure("own_v1", label="from scratch", **_FEW),
        configure("own_v1", label="pretrained", **_PRETRAINED),
        configure("own_v1", label="pretrained, half frozen", **_PRETRAINED, frozen="half"),
        configure("own_v1", label="pretrained, frozen", **_PRETRAINED, frozen="all"),
        configure("own_v1", label="random, frozen", **_FEW, frozen="all"),
    ),
    repeats=10,
)
