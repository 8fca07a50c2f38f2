from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fmnist.compare.comparison import compare_pairs
from fmnist.compare.sequential import decide
from fmnist.declare.metrics import METRICS
from fmnist.report.study_data import turned
from tests.small_frames import frame_of
from tests.synthetic_rows import SIX, study_data_of


@pytest.mark.parametrize("metric", ["test_accuracy", "train_seconds"])
@pytest.mark.parametrize("analyses", [None, (5, 9)])
def test_a_pair_turned_round_is_the_comparison_the_other_way(metric, analyses):
    random = np.random.default_rng(3)
    values = {"a": list(random.normal(0.92, 0.002, 9)), "b": list(random.normal(0.9, 0.002, 9))}
    frame = frame_of(values, metric, placement="exclusive", neighbours=0, resumed=False, device_model="EPYC",
                     threads=1, gpus=0)  # fmt: skip
    forth, back = (
        compare_pairs(
            frame,
            METRICS[metric],
            0.002,
            labels=labels,
            decisions=decide(frame, METRICS[metric], 0.002, analyses, labels=labels) if analyses else [],
        )[0]
        for labels in ("ab", "ba")
    )
    assert forth.verdict != back.verdict
    for name, value in dataclasses.asdict(turned(forth)).items():
        wanted = dataclasses.asdict(back)[name]
        if isinstance(wanted, float | tuple):
            assert value == pytest.approx(wanted, nan_ok=True), name
        else:
            assert value == wanted, name


def test_a_pair_is_of_the_first_label_against_the_second(tmp_path):
    data = study_data_of(tmp_path, SIX[:3], 6)
    assert data.ranked_labels == ["own_v1", "brownlee", "lenet5"]
    pairs = data.primary.pairs_of(data.ranked_labels)
    verdicts = {(pair.a, pair.b): pair.verdict for pair in pairs}
    assert list(verdicts) == [("own_v1", "brownlee"), ("own_v1", "lenet5"), ("brownlee", "lenet5")]
    assert list(verdicts.values()) == ["better", "better", "inconclusive"]
    assert data.primary.pair("lenet5", "own_v1").verdict == "worse"
    assert data.primary.pair("lenet5", "no such") is None
