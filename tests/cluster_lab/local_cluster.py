"""The operator of three hosts: clusters/local.yaml with their addresses, a study from outside, and back to nothing."""

import copy
import os
import subprocess

import yaml
from operator_tools import LAB, PROJECT, changes, command, found, living_nodes, on_host, wait_for

HOSTS = ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
CLUSTER = LAB / "cluster.yaml"
IN_ENVIRONMENT = 'cd /; ~/fmnist-env/bin/python -c "{}"'
CUDNN = "from importlib.metadata import version; print(version('nvidia-cudnn-cu12'))"


def write_configuration() -> list[str]:
    """Take the project's example, with the lab's addresses, key and size of a host; returns what was changed."""
    file = yaml.safe_load((PROJECT / "clusters" / "local.yaml").read_text())
    cluster = copy.deepcopy(file)
    cluster["provider"] |= {"head_ip": HOSTS[0], "worker_ips": HOSTS[1:]}
    cluster["auth"] = {"ssh_user": "root", "ssh_private_key": str(LAB / "id")}
    cluster["head_start_ray_commands"][-1] += " --num-cpus=0 --object-store-memory=200000000"
    cluster["worker_start_ray_commands"][-1] += " --num-cpus=1 --object-store-memory=200000000"
    CLUSTER.write_text(yaml.safe_dump(cluster))
    return changes(file, cluster)


def processes(host: str) -> str:
    """Ray's processes on a host."""
    return on_host(host, "pgrep -l 'raylet|gcs_server' || true").strip()


def main() -> None:
    """Bring the cluster up, submit the study given by $STUDY_COMMAND, look around, take the cluster down."""
    changed = write_configuration()
    os.environ |= {"RAY_UP_enable_autoscaler_v2": "0"}
    token = command("ray", "get-auth-token", "--generate").strip().splitlines()[-1]
    command("ray", "up", "-y", "--no-config-cache", str(CLUSTER))
    tunnel = subprocess.Popen(["ray", "dashboard", "--no-config-cache", str(CLUSTER)], stdin=subprocess.DEVNULL)
    seconds_to_nodes = wait_for("three nodes", lambda: len(living_nodes(token)) == 3, 300)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    refused = command("ray", "job", "list", "--address", "http://127.0.0.1:8265", check=False)
    os.environ["RAY_AUTH_MODE"] = "token"
    submit = ["ray", "job", "submit", "--address", "http://127.0.0.1:8265", "--working-dir", str(PROJECT), "--"]
    job = command(*submit, *os.environ["STUDY_COMMAND"].split())
    state = {
        "nodes": [node["node_ip"] for node in living_nodes(token)],
        "files": on_host(HOSTS[2], "ls -a ~/fmnist").split(),
        "project": on_host(HOSTS[2], IN_ENVIRONMENT.format("import fmnist; print(fmnist.__file__)")).strip(),
        "cudnn": on_host(HOSTS[2], IN_ENVIRONMENT.format(CUDNN)).strip(),
        "listens": on_host(HOSTS[0], "ss -Hltn 'sport = :8265'").split(),
    }
    tunnel.terminate()
    command("ray", "down", "-y", str(CLUSTER))
    head_after_down = processes(HOSTS[0])
    workers_gone = wait_for("no worker left", lambda: not any(processes(host) for host in HOSTS[1:]), 180)
    found(
        **state,
        changed=changed,
        seconds_to_nodes=seconds_to_nodes,
        refused_without_token=refused,
        job=job,
        head_after_down=head_after_down,
        seconds_until_workers_left=workers_gone,
    )


main()
