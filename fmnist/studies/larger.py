"""A small and a wide residual net beside own_v3 and efficientnet_small, all trained for the same five epochs.

    python jobs/study.py larger

The report wished for larger nets. residual_small (ResNet-20) and wide_residual (WRN-10-2) have 8.6 and 9.4 million
multiply-adds an image; own_v3 has 2.6, efficientnet_small 4.8. All four train in one cycle of the rate, to the
last epoch, on images mirrored at random and otherwise unchanged. Optimizer, rate, batch, L2 and dropout are each
architecture's own.
Five epochs say who is the best after so short a training, not who would be the best after a long one.

Expected time: 55 minutes on 2 cores (an epoch on a core: own_v3 12 s, efficientnet_small 45 s, the residual nets 35 to
40 s). Expected test accuracy: see docs/results.md.
"""

from fmnist.declare import Study, configure

ARCHITECTURES = ("own_v3", "efficientnet_small", "residual_small", "wide_residual")

STUDY = Study(
    name="larger",
    question="Do larger nets, a small and a wide residual one, classify better than the report's after five epochs?",
    configurations=tuple(
        configure(
            name,
            epochs=5,
            schedule="one_cycle",
            horizontal_flip=True,
            rotation=0.0,
            translation=0.0,
            zoom=0.0,
            early_stopping_patience=None,
            restore_best_weights=False,
            plateau_patience=None,
        )
        for name in ARCHITECTURES
    ),
    repeats=10,
)
