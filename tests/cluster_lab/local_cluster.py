"""The operator of a cluster of three hosts: clusters/local.yaml with their addresses, a study, and back to nothing."""

import subprocess
import sys
from pathlib import Path

import yaml
from operator_tools import LAB, PROJECT, command, found, living_nodes, on_host, wait_for

HOSTS = ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
CLUSTER = LAB / "cluster.yaml"


def write_configuration() -> None:
    """Take the project's example; only addresses, key, what needs a network, and the size of a host are the lab's."""
    cluster = yaml.safe_load((PROJECT / "clusters" / "local.yaml").read_text())
    cluster["provider"] |= {"head_ip": HOSTS[0], "worker_ips": HOSTS[1:]}
    cluster["auth"] = {"ssh_user": "root", "ssh_private_key": str(LAB / "id")}
    install = f"{sys.executable} -m pip install -q --no-index --no-deps --no-build-isolation --target ~/installed ~/fmnist"
    cluster["setup_commands"] = [f"test -d ~/installed || {install}"]
    size = " --num-cpus=2 --num-gpus=2 --object-store-memory=200000000"
    for starts in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        starts[-1] += size
    cluster["head_start_ray_commands"][-1] = cluster["head_start_ray_commands"][-1].replace("--num-cpus=2", "--num-cpus=0")
    CLUSTER.write_text(yaml.safe_dump(cluster))


def main() -> None:
    write_configuration()
    token = command("ray", "get-auth-token", "--generate").strip().splitlines()[-1]
    command("ray", "up", "-y", "--no-config-cache", str(CLUSTER))
    tunnel = subprocess.Popen(["ray", "dashboard", "--no-config-cache", str(CLUSTER)], stdin=subprocess.DEVNULL)
    wait_for("three nodes", lambda: len(living_nodes(token)) == 3, 90)
    found(nodes=living_nodes(token), files=on_host(HOSTS[2], "ls -a ~/fmnist ~/installed"))
    tunnel.terminate()
    command("ray", "down", "-y", "--no-config-cache", str(CLUSTER))


main()
