"""own_v1 on images shifted, zoomed, turned, mirrored, erased in part or blended, and all of these together.

    python jobs/study.py augmentation

The report wished for stronger augmentation. own_v1 stands for its own CNN: it trains in about a minute a run. Sizes are
those of the report's EfficientNet (shift, zoom, turn) and of the papers (erasing: Zhong et al. 2020; mixup: Zhang et
al. 2018). All runs have own_v1's 20 epochs at most and its early stopping: a change that makes training slower has to
pay within them.

Expected time and test accuracy: see docs/results.md. The plain runs are those of study `comparison`.
"""

from typing import Any

from fmnist.declare import Study, configure

CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "shift 0.1": {"translation": 0.1},
    "zoom 0.1": {"zoom": 0.1},
    "rotation 10": {"rotation": 10.0},
    "flip": {"horizontal_flip": True},
    "erasing 0.5": {"random_erasing": 0.5},
    "mixup 0.2": {"mixup": 0.2},
}
CHANGES["all six"] = {name: value for change in CHANGES.values() for name, value in change.items()}

STUDY = Study(
    name="augmentation",
    question="Which random changes of the training images make the own CNN more accurate, each alone and together?",
    configurations=tuple(configure("own_v1", label=label, **changes) for label, changes in CHANGES.items()),
    repeats=10,
)
