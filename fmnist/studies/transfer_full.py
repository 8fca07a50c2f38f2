"""own_v1 on all training images, from scratch and after learning half of the classes: does transfer learning help?

    python jobs/study.py transfer_full

The source task shows the same images that the run trains on afterwards: it brings no new information. A gain would come
from the way there, a loss from what the first classes leave behind (docs/transfer.md). What few labels change, and
what a body gives that is frozen as a whole, is study `transfer`.

own_v1 stands for the report's own CNN, whose improvement the report wished for: it trains in minutes.

Expected time: 35 min on 2 cores, 25 min where the rows of study `comparison` are there, whose runs of own_v1 are those
from scratch here. Expected test accuracy: see docs/results.md.
"""

from fmnist.declare import Study, configure

STUDY = Study(
    name="transfer_full",
    question="With all training images, is a net that first learnt half of the classes more accurate than one from"
    " scratch, also where its convolutions stay fixed?",
    configurations=(
        configure("own_v1", label="from scratch"),
        configure("own_v1", label="pretrained", pretraining="half_classes"),
        configure("own_v1", label="pretrained, half frozen", pretraining="half_classes", frozen="half"),
    ),
    repeats=10,
)
