"""own_v1 without regularisation, with dropout, with L2, with both: which keeps it from overfitting, and is it enough?

    python jobs/study.py regularisation

own_v1 stands for the report's own CNN, whose improvement the report wished for: it trains in minutes. Its dropout rate
of 0.5 is the report's; the weight of L2 is one that leaves the cross-entropy the larger part of the loss.

Expected time: 45 min on 2 cores, 30 min where the rows of study `comparison` are there, whose runs of own_v1 are those
with dropout here. Expected test accuracy: 90.5 to 91.4 % with neither, 91.4 to 92.1 % with dropout, 90.6 to 91.5 % with
L2, 91.1 to 92 % with both.
"""

from fmnist.declare import Study, configure

STUDY = Study(
    name="regularisation",
    question="Do dropout, L2 and both together make the own CNN more accurate than it is without?",
    configurations=(
        configure("own_v1", label="neither", dropout_rate=0.0),
        configure("own_v1", label="dropout 0.5"),
        configure("own_v1", label="L2 0.0001", dropout_rate=0.0, l2=1e-4),
        configure("own_v1", label="dropout 0.5 and L2 0.0001", l2=1e-4),
    ),
    repeats=10,
)
