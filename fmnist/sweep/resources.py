"""What one run is given: CPUs, a share of a GPU, threads; and how many runs fit at once. No Ray here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmnist import UserError
from fmnist.declare import Placement

Node = Mapping[str, float]  # resources of one node by name, "CPU" and "GPU" among them; Ray leaves out those that are 0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The Ray that is connected, as it stands at the start of a study."""

    nodes: Sequence[Node]
    can_grow: bool  # nodes may come up later; a Ray of our own stays as it is


@dataclass(frozen=True, kw_only=True)
class Share:
    """The resources of one run, by which Ray chooses where it goes, and its threads."""

    cpus: float
    gpus: float  # in (0, 1] with 1/gpus a whole number; 0 for none
    threads: int | None = 1  # that TensorFlow may use; None: all CPUs of the node that the run comes to
    node_resource: str | None = None  # a custom resource of Ray that each run takes one of: chooses the kind of node

    @property
    def needs(self) -> dict[str, float]:
        """What is asked of Ray, by its names of resources."""
        needs = {"CPU": self.cpus, "GPU": self.gpus}
        if self.node_resource:
            needs[self.node_resource] = 1.0
        return {name: need for name, need in needs.items() if need}

    def describe(self) -> str:
        """Say it in words: '1 CPU and 0.5 GPU'."""
        return " and ".join(f"{need:g} {name}" for name, need in self.needs.items())

    def slots(self, nodes: Sequence[Node]) -> int:
        """Count the runs that fit on `nodes` at the same time."""
        return sum(
            min(math.floor(node.get(name, 0.0) / need + 1e-9) for name, need in self.needs.items()) for node in nodes
        )


def share_of(
    placement: Placement,
    nodes: Sequence[Node],
    cpus: float | None = None,
    gpus: float | None = None,
    node_resource: str | None = None,
) -> Share:
    """Choose what one run is given on `nodes`, unless `cpus` or `gpus` say it.

    Shared: one CPU, and a GPU where there are any. Exclusive: a whole GPU where there are any, else all CPUs of the
    largest node, also where `cpus` asks for fewer threads. So Ray does not send a second run to the same device or
    node; that none computes there, whoever sent it, is held by `neighbours.NodeMark`, which every run takes first.
    Exclusive runs on different GPUs of one node do not share a device, but the node's CPUs, memory and storage.
    UserError for an exclusive run on a part of a GPU, or on CPUs while no node is up to tell how many those are.
    """
    chosen = [node for node in nodes if not node_resource or node.get(node_resource, 0.0) >= 1]
    chosen_gpus = gpus if gpus is not None else float(any(node.get("GPU", 0.0) >= 1 for node in chosen))
    if placement == "exclusive" and 0 < chosen_gpus < 1:
        raise UserError(
            f"gpus per run: got {chosen_gpus:g}, but an exclusive run has a whole GPU: give 1, or --placement shared"
        )
    threads = None if cpus is None else max(1, int(cpus))
    if placement == "shared" or chosen_gpus:
        return Share(cpus=cpus or 1.0, gpus=chosen_gpus, threads=threads or 1, node_resource=node_resource)
    whole_node = max((node.get("CPU", 0.0) for node in chosen), default=0.0)
    if not whole_node and cpus is None:
        raise UserError(
            "cpus per run: an exclusive run gets all CPUs of a node, but no node is up that has CPUs"
            f"{f' and {node_resource}' if node_resource else ''}: give them by --cpus-per-run, or say --gpus-per-run 1"
        )
    return Share(cpus=max(whole_node, cpus or 0.0), gpus=0.0, threads=threads, node_resource=node_resource)


def check_cpus(cpus: float | None) -> None:
    """UserError unless `cpus` is None, a fraction in (0, 1) or a whole number."""
    if cpus is None or 0 < cpus < 1 or (cpus >= 1 and float(cpus).is_integer()):
        return
    raise UserError(f"cpus per run: got {cpus:g}, expected a fraction between 0 and 1 or a whole number from 1")


def check_gpus(gpus: float | None) -> None:
    """UserError unless `gpus` is None, 0, 1, or a fraction whose inverse is a whole number."""
    if gpus is None or gpus == 0:
        return
    if 0 < gpus <= 1 and math.isclose(1 / gpus, round(1 / gpus), rel_tol=1e-6):
        return
    raise UserError(
        f"gpus per run: got {gpus:g}, expected 0, 1 (a run computes on one GPU), or a fraction of which a whole number"
        " fits a GPU: 0.5, 0.25, 0.2, 0.125"
    )
