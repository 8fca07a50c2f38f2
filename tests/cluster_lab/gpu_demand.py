"""A job that needs a GPU for a shared task and the exclusive type for another: what a study asks of the autoscaler."""

import json

import ray


@ray.remote(num_cpus=1, num_gpus=1)
def address() -> str:
    return str(ray.util.get_node_ip_address())


ray.init()
shared = address.remote()
exclusive = address.options(resources={"exclusive": 1}).remote()
print("ran on", json.dumps({"shared": ray.get(shared), "exclusive": ray.get(exclusive)}))
