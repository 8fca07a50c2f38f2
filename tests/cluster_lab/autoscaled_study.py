"""A study on a head that never computes, beside node types of which none is up: what the autoscaler makes of it.

The nodes are processes (Ray's fake multi-node provider). Started in the laboratory without hosts, since `ray stop`,
which begins and ends such a cluster, ends every Ray process that it sees.
"""

from typing import Any

import ray
from operator_tools import LAB, found, wait_for
from ray.cluster_utils import AutoscalingCluster
from rich.console import Console

from fmnist.declare.study import Study, configure
from fmnist.store.store import Store
from fmnist.sweep.connection import connection
from fmnist.sweep.display import Display, SweepState
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations
from fmnist.sweep.resources import RunResources
from fmnist.sweep.tuner import sweep

WORKER = {"resources": {"CPU": 1, "GPU": 1, "object_store_memory": 100_000_000}, "node_config": {}}
STUDY = Study(
    name="demand", question="Do nodes come?", configurations=(configure("lenet5", learning_rate=1.0),), repeats=6
)


class Cluster(AutoscalingCluster):
    """Ray's cluster of processes, its configuration written out: the wheel lacks the file that Ray reads it from."""

    def _generate_config(self, head_resources: Any, worker_node_types: Any, **_: Any) -> dict[str, Any]:
        head = {"resources": head_resources, "node_config": {}, "max_workers": 0}
        return {
            "cluster_name": "fake",
            "max_workers": 2,
            "idle_timeout_minutes": 0.1,
            "upscaling_speed": 1.0,
            "provider": {
                "type": "external",
                "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
                "use_node_id_as_ip": True,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "available_node_types": {"ray.head.default": head, **worker_node_types},
            "head_node_type": "ray.head.default",
            "file_mounts": {},
            "cluster_synced_files": [],
            "file_mounts_sync_continuously": False,
            "rsync_exclude": [],
            "rsync_filter": [],
            "initialization_commands": [],
            "setup_commands": [],
            "head_setup_commands": [],
            "worker_setup_commands": [],
            "head_start_ray_commands": [],
            "worker_start_ray_commands": [],
            "auth": {},
            "docker": {},
        }


class Watching(Display):
    """Counts the workers instead of showing anything."""

    def __init__(self, state: SweepState) -> None:
        super().__init__(state, Console())
        self.seen: list[int] = []

    def tick(self) -> None:
        """See how many workers there are."""
        self.seen.append(workers())


def workers() -> int:
    """Living nodes but the head."""
    return sum(node["Alive"] for node in ray.nodes()) - 1


def main() -> None:
    """Count the workers before, during and after the study."""
    head = {"CPU": 0, "object_store_memory": 100_000_000}
    cluster = Cluster(head_resources=head, worker_node_types={"gpu": WORKER | {"min_workers": 0, "max_workers": 2}})
    cluster.start()
    results = str(LAB / "results")
    runs = STUDY.runs({"lenet5": "structure"}, "data")
    with connection("auto"):
        before = workers()
        left = {run.run_id: run for run in runs}
        state = SweepState(title="demand", present=0, left=left, durations=Durations(), concurrency=1)
        resources = RunResources(cpus=1, gpus=1)
        options = StudyOptions(results=results, engine="sleepy_engine")
        watching = Watching(state)
        sweep(runs, {}, options, resources, watching)
        took = wait_for("the workers' end", lambda: workers() == 0, 240)
        after = workers()
    rows = Store(results).read(["status"]).to_pylist()
    cluster.shutdown()
    found(
        workers_before=before,
        most_workers=max(watching.seen),
        workers_after=after,
        seconds_until_idle_workers_ended=took,
        rows=len(rows),
        statuses=sorted({row["status"] for row in rows}),
    )


main()
