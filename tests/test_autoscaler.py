"""A study's demand brings workers up, which go again when it is done: Ray's autoscaler, its nodes mere processes."""

from typing import Any

import pytest

from tests.cluster_lab.lab import PROJECT, run_in_lab, why_not

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def autoscaled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened to the nodes while the study ran."""
    folder = tmp_path_factory.mktemp("autoscaler")
    paths = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests' / 'cluster_lab'}"}
    return run_in_lab(folder, "autoscaled_study.py", hosts=0, environment=paths, timeout=550)


def test_no_worker_before_the_study(autoscaled: dict[str, Any]) -> None:
    assert autoscaled["workers_before"] == 0


def test_the_demand_brings_workers_up_to_the_limit(autoscaled: dict[str, Any]) -> None:
    assert autoscaled["most_workers"] == 2
    assert autoscaled["rows"] == 6
    assert autoscaled["statuses"] == ["ok"]


def test_they_go_when_nothing_waits_for_them(autoscaled: dict[str, Any]) -> None:
    assert autoscaled["workers_after"] == 0
