import math

import pandas as pd
import pytest

from fmnist.compare.comparable import Hardware, Refusal, hardware_of, metric_table, select_comparable
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
    chosen, refusal = select_comparable(frame, SECONDS)
    assert refusal is None
    assert chosen["train_seconds"].unique().tolist() == [10.0]
    assert chosen.groupby("label").size().to_dict() == {"a": 3, "b": 3}


def test_an_exclusive_row_that_had_a_neighbour_after_all_is_left_out():
    frame = both(rows("a"), rows("b", repeats=2), rows("b", neighbours=1, seconds=99.0)[2:])
    assert select_comparable(frame, SECONDS)[0]["train_seconds"].tolist() == [10.0] * 5


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"placement": "shared", "neighbours": 1, "resumed": True}, "shared"),
        ({"resumed": True}, "resumed"),
        ({"neighbours": 1}, "disturbed"),
    ],
)
def test_time_without_rows_that_may_be_compared_is_refused_with_the_reason(columns, reason):
    chosen, refusal = select_comparable(both(rows("a"), rows("b", **columns)), SECONDS)
    assert chosen.empty
    assert refusal == Refusal((reason,), ("b",))


def test_several_reasons_and_labels_are_all_named():
    frame = both(rows("c", "shared"), rows("b", resumed=True), rows("b", neighbours=1)[:1])
    assert select_comparable(frame, SECONDS)[1] == Refusal(("shared", "disturbed", "resumed"), ("b", "c"))


def test_one_label_without_such_rows_does_not_withhold_the_others():
    chosen, refusal = select_comparable(both(rows("a"), rows("b"), rows("c", resumed=True)), SECONDS)
    assert refusal is None
    assert set(chosen["label"]) == {"a", "b"}


def test_memory_is_refused_alike():
    frame = rows("a", "shared", host_allocated_bytes=1e8)
    assert select_comparable(frame, METRICS["host_allocated_bytes"])[1] == Refusal(("shared",), ("a",))


@pytest.mark.parametrize("change", [{"device_model": "Xeon"}, {"threads": 2}, {"gpus": 1.0}])
def test_mixed_hardware_is_refused_and_named(change):
    chosen, refusal = select_comparable(both(rows("a"), rows("b", **change)), SECONDS)
    assert chosen.empty
    plain = {"device_model": "EPYC", "threads": 1, "gpus": 0.0}
    hardware = (Hardware(**plain), Hardware(**{**plain, **change}))
    assert refusal == Refusal(("mixed hardware",), hardware=hardware)


def test_accuracy_takes_any_placement_and_each_repeat_once():
    frame = both(rows("a", "shared", test_accuracy=0.8), rows("a", repeats=2), rows("b", "shared", device_model="Xeon"))
    chosen, refusal = select_comparable(frame, ACCURACY)
    assert refusal is None
    assert chosen["test_accuracy"].tolist() == [0.9, 0.9, 0.8, 0.9, 0.9, 0.9]


def test_a_comparison_of_time_that_was_not_selected_refuses():
    for other in (rows("b", "shared"), both(rows("b"), rows("c", "shared")), rows("b", device_model="Xeon")):
        with pytest.raises(ValueError, match="rows that may not be compared, expected those of select_comparable"):
            compare_pairs(both(rows("a"), other), SECONDS, 0.05)
    assert len(compare_pairs(both(rows("a"), rows("b", "shared")), ACCURACY, 0.002)) == 1


def test_each_kind_of_hardware_is_listed_once():
    assert hardware_of(both(rows("a", threads=2), rows("b", threads=2))) == [("EPYC", 2, 0.0)]


def test_table_keeps_labels_without_values_and_sorts_repeats():
    frame = frame_of({"b": [None, None], "a": [0.9, math.inf]}).iloc[::-1]
    table = metric_table(frame, ACCURACY)
    assert table.columns.tolist() == ["a", "b"]
    assert table.index.tolist() == [0, 1]
    assert table["a"].isna().tolist() == [False, True]
    assert metric_table(frame, ACCURACY, ["b", "c", "a"]).columns.tolist() == ["b", "c", "a"]


def test_table_refuses_what_it_cannot_arrange():
    frame = frame_of({"a": [0.9], "b": [0.8]})
    with pytest.raises(ValueError, match="duplicate entries"):
        metric_table(both(frame, frame), ACCURACY)
