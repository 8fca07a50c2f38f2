from __future__ import annotations

import pytest

from fmnist import UserError
from fmnist.sweep import resources
from fmnist.sweep.options import StudyOptions


def resources_for(placement, nodes, cpus=None, gpus=None, node_resource=None):
    options = StudyOptions(cpus_per_run=cpus, gpus_per_run=gpus, node_resource=node_resource)
    return resources.resources_for(placement, nodes, options)


LAPTOP = [{"CPU": 2.0}]
GPU_BOX = [{"CPU": 16.0, "GPU": 2.0}]
CLUSTER = [{"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}]
HEAD = [{"memory": 1e9}]  # without a CPU: Ray leaves out what is 0
EIGHT_GPUS = [{"CPU": 96.0, "GPU": 8.0}]


@pytest.mark.parametrize(
    ("placement", "nodes", "cpus", "gpus", "expected", "concurrency"),
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
        ("exclusive", LAPTOP, 1, None, (2, 0), 1),
        ("exclusive", GPU_BOX, 0.5, 0.0, (16, 0), 1),
        ("exclusive", EIGHT_GPUS, None, None, (1, 1), 8),
        ("exclusive", HEAD, 4, None, (4, 0), 0),
        ("exclusive", [*HEAD, *LAPTOP], None, None, (2, 0), 1),
        ("shared", HEAD, None, None, (1, 0), 0),
    ],
)
def test_a_run_is_given_its_resources(placement, nodes, cpus, gpus, expected, concurrency):
    given = resources_for(placement, nodes, cpus, gpus)
    assert (given.cpus, given.gpus) == expected
    assert given.concurrency(nodes) == concurrency


@pytest.mark.parametrize(
    ("placement", "cpus", "gpus", "threads"),
    [
        ("shared", None, None, 1),
        ("shared", 0.5, None, 1),
        ("shared", 4, None, 4),
        ("exclusive", None, 0, None),  # all of the node that it comes to, which may be larger than those up now
        ("exclusive", 4, 0, 4),
        ("exclusive", None, 1, 1),
    ],
)
def test_threads_are_the_whole_cpus_and_at_least_one(placement, cpus, gpus, threads):
    assert resources_for(placement, GPU_BOX, cpus, gpus).threads == threads


@pytest.mark.parametrize("cpus", [None, 0.5, 1, 3, 15, 16])
@pytest.mark.parametrize("node", [{"CPU": 16.0}, {"CPU": 1.0}, {"CPU": 16.0, "GPU": 8.0}])
def test_no_second_exclusive_run_fits_beside_the_first_on_cpus(node, cpus):
    assert resources_for("exclusive", [node, *HEAD], cpus, 0).concurrency([node]) <= 1


def test_an_exclusive_run_is_not_sized_by_a_head_that_has_no_cpu():
    with pytest.raises(UserError, match=r"no node is up that has CPUs: give them by --cpus-per-run"):
        resources_for("exclusive", HEAD)
    with pytest.raises(UserError, match=r"no node is up that has CPUs and fast:"):
        resources_for("exclusive", LAPTOP, node_resource="fast")


def test_a_kind_of_node_is_asked_for_and_counted():
    fast = {"CPU": 8.0, "fast": 1.0}
    given = resources_for("exclusive", [*LAPTOP, {"CPU": 64.0}, fast], node_resource="fast")
    assert given.demand == {"CPU": 8.0, "fast": 1.0}
    assert given.describe() == "8 CPU and 1 fast"
    assert [given.concurrency([node]) for node in (*LAPTOP, {"CPU": 64.0}, fast)] == [0, 0, 1]


def test_an_exclusive_run_does_not_share_a_gpu():
    with pytest.raises(ValueError, match=r"got 0.5, but an exclusive run has a whole GPU"):
        resources_for("exclusive", GPU_BOX, None, 0.5)


@pytest.mark.parametrize("gpus", [None, 0, 1, 0.5, 0.25, 0.2, 1 / 3, 0.125])
def test_shares_of_a_gpu_that_fill_it_are_accepted(gpus):
    StudyOptions(gpus_per_run=gpus)


@pytest.mark.parametrize("gpus", [-1, 0.3, 0.75, 1.5, 2, 8, 1e-320, float("nan"), float("inf")])
def test_other_shares_of_a_gpu_are_refused(gpus):
    with pytest.raises(
        ValueError, match=r"gpus per run: got .* expected 0, 1 .a run computes on one GPU., or a fraction"
    ):
        StudyOptions(gpus_per_run=gpus)


@pytest.mark.parametrize("cpus", [0, -1, 1.5, 1e-320, float("nan"), float("inf")])
def test_nonsense_cpus_are_refused(cpus):
    with pytest.raises(ValueError, match="cpus per run: got"):
        StudyOptions(cpus_per_run=cpus)


@pytest.mark.parametrize("name", ["", " fast", "two\nlines", "CPU", "GPU", "memory", 3])
def test_nonsense_kinds_of_node_are_refused(name):
    with pytest.raises(UserError, match=r"node resource: got .*, expected a"):
        StudyOptions(node_resource=name)
