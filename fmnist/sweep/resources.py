"""What one run is given: CPUs, a part of a GPU, threads; and how many runs fit at the same time. No Ray here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmnist import UserError
from fmnist.declare import Placement
from fmnist.sweep.options import StudyOptions

Node = Mapping[str, float]  # resources of one node by name, "CPU" and "GPU" among them; Ray leaves out those that are 0


@dataclass(frozen=True, kw_only=True)
class RunResources:
    """What one run is given: resources, by which Ray chooses where it goes, and threads."""

    cpus: float
    gpus: float  # in (0, 1] with 1/gpus a whole number; 0 for none
    threads: int | None = 1  # that TensorFlow may use; None: all CPUs of the node that the run comes to
    node_resource: str | None = None  # a custom resource of Ray that each run takes one of: chooses the kind of node

    @property
    def demand(self) -> dict[str, float]:
        """What is asked of Ray, by its names of resources."""
        demand = {"CPU": self.cpus, "GPU": self.gpus}
        if self.node_resource:
            demand[self.node_resource] = 1.0
        return {name: amount for name, amount in demand.items() if amount}

    def describe(self) -> str:
        """Say it in words: '1 CPU and 0.5 GPU'."""
        return " and ".join(f"{amount:g} {name}" for name, amount in self.demand.items())

    def concurrency(self, nodes: Sequence[Node]) -> int:
        """Count the runs that fit on `nodes` at the same time."""
        return sum(
            min(math.floor(node.get(name, 0.0) / amount + 1e-9) for name, amount in self.demand.items())
            for node in nodes
        )


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The Ray that is connected, as it stands at the start of a study."""

    nodes: Sequence[Node]
    can_grow: bool  # nodes may come up later; a Ray of our own stays as it is

    def awaited(self, resources: RunResources) -> str:
        """Say what a run needs and no node that is up has, '' if one has it. UserError if none ever will."""
        if resources.concurrency(self.nodes):
            return ""
        if self.can_grow:
            return resources.describe()
        has = " and ".join(f"{self.nodes[0].get(name, 0.0):g} {name}" for name in resources.demand)
        raise UserError(
            f"resources: a run asks for {resources.describe()}, but this machine has {has}: ask for less with"
            " --cpus-per-run and --gpus-per-run, or join a Ray that has it with --address"
        )


def resources_for(placement: Placement, nodes: Sequence[Node], options: StudyOptions) -> RunResources:
    """Choose what one run is given on `nodes`, unless the options say it.

    Shared: one CPU, and a GPU where there are any. Exclusive: a whole GPU where there are any, else all CPUs of the
    largest node, also where the options ask for fewer threads. So Ray sends no second run to the same device or node;
    `NodeLock`, which every run takes first, holds that nobody else computes there. Exclusive runs on different GPUs of
    one node do not share a device, but the node's CPUs, memory and storage.
    UserError for an exclusive run on a part of a GPU, or on CPUs while no node is up to tell how many those are.
    """
    cpus, gpus, node_resource = options.cpus_per_run, options.gpus_per_run, options.node_resource
    chosen = [node for node in nodes if not node_resource or node.get(node_resource, 0.0) >= 1]
    chosen_gpus = gpus if gpus is not None else float(any(node.get("GPU", 0.0) >= 1 for node in chosen))
    if placement == "exclusive" and 0 < chosen_gpus < 1:
        raise UserError(
            f"gpus per run: got {chosen_gpus:g}, but an exclusive run has a whole GPU: give 1, or --placement shared"
        )
    threads = None if cpus is None else max(1, int(cpus))
    if placement == "shared" or chosen_gpus:
        return RunResources(cpus=cpus or 1.0, gpus=chosen_gpus, threads=threads or 1, node_resource=node_resource)
    whole_node = max((node.get("CPU", 0.0) for node in chosen), default=0.0)
    if not whole_node and cpus is None:
        raise UserError(
            "cpus per run: an exclusive run gets all CPUs of a node, but no node is up that has CPUs"
            f"{f' and {node_resource}' if node_resource else ''}: give them by --cpus-per-run, or say --gpus-per-run 1"
        )
    return RunResources(cpus=max(whole_node, cpus or 0.0), gpus=0.0, threads=threads, node_resource=node_resource)
