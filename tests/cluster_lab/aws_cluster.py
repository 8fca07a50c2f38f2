"""The operator of cluster.yaml: `ray up` against an EC2 played by moto, whose instances are the laboratory's hosts.

moto hands out the addresses of the subnet from .4 on, which is where the hosts are; it asks what credentials may do.
"""

import copy
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import yaml
from operator_tools import LAB, PROJECT, changes, command, found, living_nodes, on_host, wait_for

ENDPOINT = "http://10.77.0.254:5000"
HEAD = "10.77.0.4"
CLUSTER = LAB / "cluster.yaml"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def start_moto() -> subprocess.Popen[bytes]:
    """Start the EC2 on the operator's address."""
    log = (LAB / "moto.log").open("wb")
    words = [sys.executable, "-m", "moto.server", "-H", "10.77.0.254", "-p", "5000"]
    server = subprocess.Popen(words, stdout=log, stderr=log)
    wait_for("moto", lambda: answers(ENDPOINT + "/moto-api/data.json"), 120)
    return server


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def credentials(user: str, policy: dict[str, Any]) -> dict[str, str]:
    """Make a user with a policy; returns the environment variables that make one it."""
    iam = boto3.client("iam")
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName=user, PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def make_account() -> tuple[str, dict[str, str], dict[str, str]]:
    """Roles and network as docs/cluster.md has them made; returns subnet, the operator's and the head's credentials."""
    iam, ec2 = boto3.client("iam"), boto3.client("ec2")
    folder = PROJECT / "clusters" / "aws"
    policies = {path.stem: path.read_text().replace("BUCKET", "fmnist-results") for path in folder.glob("*.json")}
    for name in ("head", "worker"):
        iam.create_role(RoleName=f"fmnist-{name}", AssumeRolePolicyDocument=policies["trust"])
        iam.put_role_policy(RoleName=f"fmnist-{name}", PolicyName="fmnist", PolicyDocument=policies[name])
        iam.create_instance_profile(InstanceProfileName=f"fmnist-{name}")
        iam.add_role_to_instance_profile(InstanceProfileName=f"fmnist-{name}", RoleName=f"fmnist-{name}")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/24")["Vpc"]["VpcId"]
    place = {"VpcId": vpc, "CidrBlock": "10.77.0.0/28", "AvailabilityZone": "us-west-2a"}
    subnet = ec2.create_subnet(**place)["Subnet"]["SubnetId"]
    ec2.import_key_pair(KeyName="lab", PublicKeyMaterial=(LAB / "id.pub").read_bytes())
    head = json.loads(policies["head"])
    for statement in head["Statement"]:
        statement["Resource"] = "*"  # moto asks which actions are allowed, not on what
    return subnet, credentials("operator", EVERYTHING), credentials("head", head)


def write_configuration(subnet: str) -> list[str]:
    """Take the project's file, with the lab's network, key and patience; returns what was changed."""
    file = yaml.safe_load((PROJECT / "cluster.yaml").read_text())
    cluster = copy.deepcopy(file)
    cluster["provider"] |= {"use_internal_ips": True, "availability_zone": "us-west-2a"}
    cluster["auth"] = {"ssh_user": "root", "ssh_private_key": str(LAB / "id")}
    cluster["idle_timeout_minutes"] = 0.1
    for kind in cluster["available_node_types"].values():
        kind["node_config"] |= {"SubnetIds": [subnet], "KeyName": "lab"}
    for starts in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        starts[-1] += " --object-store-memory=200000000"
    CLUSTER.write_text(yaml.safe_dump(cluster))
    return changes(file, cluster)


def instances(state: str) -> list[dict[str, Any]]:
    """EC2's instances that are in a state."""
    reservations = boto3.client("ec2").describe_instances()["Reservations"]
    every = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [instance for instance in every if instance["State"]["Name"] == state]


def running() -> dict[str, str]:
    """The market, spot or on-demand, of each running instance by its address."""
    return {item["PrivateIpAddress"]: item.get("InstanceLifecycle", "on-demand") for item in instances("running")}


def watch(seen: dict[str, str]) -> None:
    """Note every instance that runs, for as long as the script does."""
    while True:
        seen |= running()
        time.sleep(1)


def main() -> None:
    """Bring the cluster up, let a job ask for GPUs, wait until they are gone again, take the cluster down."""
    os.environ |= {"AWS_ENDPOINT_URL": ENDPOINT, "AWS_DEFAULT_REGION": "us-west-2"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "root", "AWS_SECRET_ACCESS_KEY": "root"}
    moto = start_moto()
    subnet, operator, head = make_account()
    os.environ |= operator
    boto3.setup_default_session()  # forget the credentials that made the account
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(ENDPOINT + "/moto-api/reset-auth", data=b"0", headers=plain, method="POST")
    urllib.request.urlopen(request, timeout=10).close()  # from here on it asks what credentials may do
    for name, value in head.items():
        on_host(HEAD, f"echo export {name}={value} >> ~/.bashrc")
    changed = write_configuration(subnet)
    token = command("ray", "get-auth-token", "--generate").strip().splitlines()[-1]
    begin = time.monotonic()
    command("ray", "up", "-y", "--no-config-cache", str(CLUSTER))
    after_up, seen = running(), dict[str, str]()
    threading.Thread(target=watch, args=(seen,), daemon=True).start()
    tunnel = subprocess.Popen(["ray", "dashboard", "--no-config-cache", str(CLUSTER)], stdin=subprocess.DEVNULL)
    wait_for("the head", lambda: len(living_nodes(token)) == 1, 120)
    os.environ["RAY_AUTH_MODE"] = "token"
    submit = ["ray", "job", "submit", "--address", "http://127.0.0.1:8265", "--working-dir", str(Path(__file__).parent)]
    runtime = json.dumps({"env_vars": {"FMNIST_COMMIT": "abc-dirty"}})
    job = command(*submit, "--runtime-env-json", runtime, "--", "python", "gpu_demand.py", check=False)
    if "ran on" not in job:
        raise SystemExit(on_host(HEAD, "tail -n 60 /tmp/ray/session_latest/logs/monitor.*"))
    asked_of_debian = on_host(HEAD, "cat ~/sudo.log").splitlines()
    idle = wait_for("the workers' end", lambda: len(instances("running")) == 1, 240)
    running_when_idle = running()
    facts = json.loads(job[job.index("ran on ") + 7 :].splitlines()[0])
    tunnel.terminate()
    command("ray", "down", "-y", str(CLUSTER))
    found(
        changed=changed,
        asked_of_debian=asked_of_debian,
        after_up=after_up,
        job=job,
        markets=list(seen.values()),
        exclusive_market=seen[facts["exclusive"]],
        commit=facts["commit"],
        running_when_idle=list(running_when_idle),
        seconds_until_idle_workers_ended=idle,
        running_after_down=len(instances("running")),
        terminated=len(instances("terminated")),
        seconds=time.monotonic() - begin,
    )
    moto.terminate()


main()
