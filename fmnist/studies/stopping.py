"""own_v1 stopped sooner, later or never: what early stopping gains in accuracy, and what it costs in epochs.

    python jobs/study.py stopping

The report wished for stricter stopping. Each configuration changes one part of own_v1's rule, which waits five epochs
for a lower validation loss, 20 epochs at most, and takes the best epoch's weights. The minimum delta of 0.005 is a
little more than what the loss usually changes by from one epoch to the next after the tenth (median 0.004).

Expected time and test accuracy: see docs/results.md. The baseline's runs are those of study `comparison`.
"""

from fmnist.declare import Study, configure

STUDY = Study(
    name="stopping",
    question="Does stricter or no early stopping change the own CNN's accuracy, and how many epochs does it take?",
    configurations=(
        configure("own_v1", label="patience 5, best weights"),
        configure("own_v1", label="patience 2", early_stopping_patience=2),
        configure("own_v1", label="minimum delta 0.005", minimum_delta=0.005),
        configure("own_v1", label="last weights", restore_best_weights=False),
        configure("own_v1", label="all 20 epochs", early_stopping_patience=None, restore_best_weights=False),
    ),
    repeats=10,
)
