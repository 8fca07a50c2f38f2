"""A job that needs a GPU for a shared task and the exclusive type for another: what a study asks of the autoscaler."""

import json
import os

import ray


@ray.remote(num_cpus=1, num_gpus=1)
def node() -> dict[str, str]:
    return {"address": str(ray.util.get_node_ip_address()), "commit": os.environ["FMNIST_COMMIT"]}


ray.init()
shared, exclusive = ray.get([node.remote(), node.options(resources={"exclusive": 1}).remote()])
print("ran on", json.dumps({"exclusive": exclusive["address"], "commit": shared["commit"]}))
