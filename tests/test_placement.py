from __future__ import annotations

import pytest

from fmnist.sweeping.placement import Share, check_cpus, check_gpus, share_of

LAPTOP = [{"CPU": 2.0}]
GPU_BOX = [{"CPU": 16.0, "GPU": 2.0}]
CLUSTER = [{"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}]


@pytest.mark.parametrize(
    ("placement", "nodes", "cpus", "gpus", "expected", "slots"),
    [
        ("shared", LAPTOP, None, None, (1, 0), 2),
        ("shared", LAPTOP, 0.5, None, (0.5, 0), 4),
        ("exclusive", LAPTOP, None, None, (2, 0), 1),
        ("shared", GPU_BOX, None, None, (1, 1), 2),
        ("shared", GPU_BOX, None, 0.25, (1, 0.25), 8),
        ("shared", GPU_BOX, 4, 0.25, (4, 0.25), 4),
        ("shared", GPU_BOX, None, 0.0, (1, 0), 16),
        ("exclusive", GPU_BOX, None, None, (1, 1), 2),
        ("exclusive", GPU_BOX, None, 0.0, (16, 0), 1),
        ("exclusive", CLUSTER, None, 0.0, (8, 0), 1),
        ("shared", CLUSTER, None, 0.2, (1, 0.2), 5),
    ],
)
def test_a_run_is_given_its_share(placement, nodes, cpus, gpus, expected, slots):
    share = share_of(placement, nodes, cpus, gpus)
    assert (share.cpus, share.gpus) == expected
    assert share.slots(nodes) == slots


def test_threads_are_the_whole_cpus_and_at_least_one():
    assert [Share(cpus=cpus, gpus=0.0).threads for cpus in (0.5, 1.0, 4.0)] == [1, 1, 4]


def test_an_exclusive_run_does_not_share_a_gpu():
    with pytest.raises(ValueError, match=r"got 0.5, but an exclusive run has a whole GPU"):
        share_of("exclusive", GPU_BOX, None, 0.5)


@pytest.mark.parametrize("gpus", [None, 0, 1, 0.5, 0.25, 0.2, 1 / 3, 0.125])
def test_shares_of_a_gpu_that_fill_it_are_accepted(gpus):
    check_gpus(gpus)


@pytest.mark.parametrize("gpus", [-1, 0.3, 0.75, 1.5, 2, float("nan"), float("inf")])
def test_other_shares_of_a_gpu_are_refused(gpus):
    with pytest.raises(ValueError, match=r"gpus per run: got .* expected 0, 1, or a fraction"):
        check_gpus(gpus)


@pytest.mark.parametrize("cpus", [0, -1, 1.5, float("nan"), float("inf")])
def test_nonsense_cpus_are_refused(cpus):
    with pytest.raises(ValueError, match="cpus per run: got"):
        check_cpus(cpus)
