"""What one run is given: CPUs, a share of a GPU, threads; and how many runs fit at once. No Ray here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmnist.errors import UserError
from fmnist.study import Placement

Node = Mapping[str, float]  # resources of one node by name, "CPU" and "GPU" among them


@dataclass(frozen=True, kw_only=True)
class Share:
    """The resources of one run."""

    cpus: float
    gpus: float  # in (0, 1] with 1/gpus a whole number, or a whole number; 0 for none

    @property
    def threads(self) -> int:
        """Threads that TensorFlow may use: one for each CPU, at least one."""
        return max(1, int(self.cpus))

    def describe(self) -> str:
        """Say it in words: '1 CPU and 0.5 GPU'."""
        return f"{self.cpus:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")

    def slots(self, nodes: Sequence[Node]) -> int:
        """Count the runs that fit on `nodes` at the same time."""
        return sum(self._fit(node) for node in nodes)

    def _fit(self, node: Node) -> int:
        fits = [math.floor(node.get(name, 0.0) / need + 1e-9) for name, need in self._needs() if need]
        return min(fits) if fits else 0

    def _needs(self) -> tuple[tuple[str, float], ...]:
        return (("CPU", self.cpus), ("GPU", self.gpus))


def share_of(
    placement: Placement, nodes: Sequence[Node], cpus: float | None = None, gpus: float | None = None
) -> Share:
    """Choose what one run is given on `nodes`, unless `cpus` or `gpus` say it.

    Shared: one CPU, and a GPU where there are any. Exclusive: a whole GPU where there are any, else all CPUs of the
    largest node, so that no second run fits beside it.
    ValueError for a number of CPUs or a share of a GPU that cannot be given.
    """
    check_cpus(cpus)
    check_gpus(gpus)
    has_gpus = any(node.get("GPU", 0.0) >= 1 for node in nodes)
    chosen_gpus = gpus if gpus is not None else float(has_gpus)
    if placement == "exclusive" and 0 < chosen_gpus < 1:
        raise UserError(
            f"gpus per run: got {chosen_gpus:g}, but an exclusive run has a whole GPU: give 1, or --placement shared"
        )
    if cpus is not None:
        return Share(cpus=cpus, gpus=chosen_gpus)
    whole_node = placement == "exclusive" and not chosen_gpus
    return Share(cpus=max(node.get("CPU", 1.0) for node in nodes) if whole_node else 1.0, gpus=chosen_gpus)


def check_cpus(cpus: float | None) -> None:
    """ValueError unless `cpus` is None, a fraction in (0, 1) or a whole number."""
    if cpus is None or 0 < cpus < 1 or (cpus >= 1 and float(cpus).is_integer()):
        return
    raise UserError(f"cpus per run: got {cpus:g}, expected a fraction between 0 and 1 or a whole number from 1")


def check_gpus(gpus: float | None) -> None:
    """ValueError unless `gpus` is None, 0, 1, or a fraction whose inverse is a whole number."""
    if gpus is None or gpus == 0 or (0 < gpus <= 1 and math.isclose(1 / gpus, round(1 / gpus), rel_tol=1e-6)):
        return
    raise UserError(
        f"gpus per run: got {gpus:g}, expected 0, 1, or a fraction of which a whole number fits a GPU:"
        " 0.5, 0.25, 0.2, 0.125; a run computes on one GPU at most"
    )
