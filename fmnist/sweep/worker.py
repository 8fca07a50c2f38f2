"""The Tune actor that computes runs. Imports Ray."""

import time
from dataclasses import replace
from typing import Any

import ray
from ray import tune

from fmnist.store import Store, row_file
from fmnist.sweep.fork_server import ForkServer
from fmnist.sweep.node_lock import NodeLock, Occupancy
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.queue import Attempt
from fmnist.sweep.resources import RunResources

LOOK_SECONDS = 0.5  # between two looks of a run that waits until it may compute on the node


class Worker(tune.Trainable):
    """Computes one run after the other and writes each row itself: a row does not depend on the sweep's life.

    A step is an epoch, or a look whether the run may compute beside those that are on the node.
    """

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        """Begin with the first attempt; `shared` is what all workers are given."""
        self._options: StudyOptions = shared["options"]
        resources: RunResources = shared["resources"]
        threads = resources.threads or _cpus_of_node()
        self._fork_server = ForkServer(self._options, replace(resources, threads=threads), shared["data"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin with the next attempt; always possible."""
        self._attempt: Attempt = new_config["attempt"]
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", ())  # numbers or UUIDs on the node
        self._lock = NodeLock(Occupancy(self._attempt.run.placement, "".join(gpus[:1])))
        self._start()
        return True

    def step(self) -> dict[str, Any]:
        """Wait for what is next to be told of the run."""
        if self._waits:
            time.sleep(LOOK_SECONDS)
            self._start()
            return {"waits": self._waits}
        message = self._fork_server.next_message()
        self._lock.look()
        if not {"row", "failure"} & message.keys():
            return message
        self._lock.release()
        return {"done": True, **(self._write(message["row"]) if "row" in message else message)}

    def cleanup(self) -> None:
        """End what was started here."""
        self._lock.release()
        self._fork_server.close()

    def _start(self) -> None:
        """Start the run if it may compute here; before, not even TensorFlow is loaded beside others."""
        self._waits = not self._lock.acquire()
        if not self._waits:
            self._fork_server.start(self._attempt.run)

    def _write(self, measured: dict[str, Any]) -> dict[str, Any]:
        """Write the row; where that fails its content goes to the sweep, which may outlive this node."""
        # a run that resumes was begun before, also where Ray itself moved it, or an earlier sweep was stopped
        attempts = max(self._attempt.number, 2 if measured["resumed"] else 1)
        known_here = {"attempts": attempts, "neighbours": self._lock.neighbours, "ray_version": ray.__version__}
        row = {**measured, **known_here, "placement": self._attempt.run.placement}
        path, content = row_file(row)
        try:
            in_place = Store(self._options.results).send(path, content)
        except OSError:  # this machine has no room either
            in_place = False
        shown: dict[str, Any] = {key: value for key, value in row.items() if isinstance(value, (str, int, float))}
        shown["accuracies"] = [entry["validation_accuracy"] for entry in row.get("history") or ()]
        problem = self._fork_server.wait_for_end() if self._options.save_models else None
        told = {"row": shown, "path": path, "model_failure": problem}
        return told if in_place else {**told, "content": content}


def _cpus_of_node() -> int:
    """The CPUs of this worker's node, at least one, as they are given to Ray."""
    nodes: Any = ray.nodes  # its annotations are incomplete
    here = ray.get_runtime_context().get_node_id()
    return max(1, *(int(node["Resources"].get("CPU", 1)) for node in nodes() if node["NodeID"] == here))
