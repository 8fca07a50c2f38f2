import math

import pandas as pd
import pytest

from fmnist import UserError
from fmnist.compare.comparable import hardware_of, metric_table, select_comparable
from fmnist.compare.comparison import compare_pairs
from fmnist.declare.metrics import METRICS
from tests.small_frames import frame_of

SECONDS, ACCURACY = METRICS["train_seconds"], METRICS["test_accuracy"]


def rows(label, placement="exclusive", repeats=3, seconds=10.0, **columns):
    plain = {
        "resumed": False,
        "neighbours": 0,
        "device_model": "EPYC",
        "threads": 1,
        "gpus": 0.0,
        "test_accuracy": 0.9,
        "status": "ok",
    }
    return frame_of({label: [seconds] * repeats}, "train_seconds", **{**plain, "placement": placement, **columns})


def both(*frames):
    return pd.concat(frames, ignore_index=True)


def test_time_takes_the_exclusive_rows_and_leaves_shared_and_resumed_ones():
    frame = both(rows("a"), rows("a", "shared", seconds=99.0), rows("b"), rows("b", resumed=True, seconds=99.0))
    chosen = select_comparable(frame, SECONDS)
    assert chosen["train_seconds"].unique().tolist() == [10.0]
    assert chosen.groupby("label").size().to_dict() == {"a": 3, "b": 3}


def test_an_exclusive_row_that_had_a_neighbour_after_all_is_left_out():
    frame = both(rows("a"), rows("b", repeats=2), rows("b", neighbours=1, seconds=99.0)[2:])
    assert select_comparable(frame, SECONDS)["train_seconds"].tolist() == [10.0] * 5


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"placement": "shared"}, "shared a machine"),
        ({"resumed": True}, "were resumed from a checkpoint"),
        ({"neighbours": 1}, "had other runs beside them"),
    ],
)
def test_time_without_rows_that_may_be_compared_is_refused_with_the_reason(columns, words):
    with pytest.raises(
        UserError, match=rf"^training time: the runs of b {words}, expected exclusive runs, not resumed$"
    ):
        select_comparable(both(rows("a"), rows("b", **columns)), SECONDS)


def test_one_label_without_such_rows_does_not_withhold_the_others():
    chosen = select_comparable(both(rows("a"), rows("b"), rows("c", resumed=True)), SECONDS)
    assert set(chosen["label"]) == {"a", "b"}


def test_memory_is_refused_alike():
    frame = rows("a", "shared", host_allocated_bytes=1e8)
    with pytest.raises(ValueError, match=r"allocated host memory: the runs of a shared"):
        select_comparable(frame, METRICS["host_allocated_bytes"])


@pytest.mark.parametrize("change", [{"device_model": "Xeon"}, {"threads": 2}, {"gpus": 1.0}])
def test_mixed_hardware_is_refused_and_named(change):
    with pytest.raises(ValueError, match=r"2 kinds of hardware \(EPYC, 1 thread, 0 GPU; .*expected one$"):
        select_comparable(both(rows("a"), rows("b", **change)), SECONDS)


def test_accuracy_takes_any_placement_and_each_repeat_once():
    frame = both(rows("a", "shared", test_accuracy=0.8), rows("a", repeats=2), rows("b", "shared", device_model="Xeon"))
    chosen = select_comparable(frame, ACCURACY)
    assert chosen["test_accuracy"].tolist() == [0.9, 0.9, 0.8, 0.9, 0.9, 0.9]


def test_a_comparison_of_time_that_was_not_selected_refuses():
    with pytest.raises(ValueError, match="the runs of b shared a machine"):
        compare_pairs(both(rows("a"), rows("b", "shared")), SECONDS, 0.05)
    with pytest.raises(ValueError, match=r"rows that are not alike, .*select_comparable"):
        compare_pairs(both(rows("a"), rows("b"), rows("c", "shared")), SECONDS, 0.05)
    with pytest.raises(ValueError, match="2 kinds of hardware"):
        compare_pairs(both(rows("a"), rows("b", device_model="Xeon")), SECONDS, 0.05)
    assert len(compare_pairs(both(rows("a"), rows("b", "shared")), ACCURACY, 0.002)) == 1


def test_hardware_in_words():
    assert hardware_of(both(rows("a", threads=2), rows("b", threads=2))) == ["EPYC, 2 threads, 0 GPU"]


def test_table_keeps_labels_without_values_and_sorts_repeats():
    frame = frame_of({"b": [None, None], "a": [0.9, math.inf]}).iloc[::-1]
    table = metric_table(frame, ACCURACY)
    assert table.columns.tolist() == ["a", "b"]
    assert table.index.tolist() == [0, 1]
    assert table["a"].isna().tolist() == [False, True]
    assert metric_table(frame, ACCURACY, ["b", "a"]).columns.tolist() == ["b", "a"]


def test_table_refuses_what_it_cannot_arrange():
    frame = frame_of({"a": [0.9], "b": [0.8]})
    with pytest.raises(ValueError, match="label 'a' has two rows of repeat 0; expected one"):
        metric_table(both(frame, frame), ACCURACY)
