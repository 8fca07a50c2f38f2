"""cluster.yaml on AWS: a mocked EC2, what the roles may do, and `ray up` on hosts that the mock hands out."""

import copy
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.client import BaseClient
from click import ClickException
from moto import mock_aws, settings
from ray.autoscaler._private import commands
from ray.autoscaler._private.aws import utils as aws_utils
from ray.autoscaler.tags import NODE_KIND_HEAD, NODE_KIND_WORKER, TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND

from tests.aws_policy import Wanted, allows, arn, rights_for
from tests.cluster_lab.lab import run_in_lab, why_not

PROJECT = Path(__file__).parent.parent
NODE_TYPES = ["head", "gpu-on-demand", "gpu-spot"]


@pytest.fixture
def aws() -> dict[str, Any]:
    cluster: dict[str, Any] = yaml.safe_load((PROJECT / "cluster.yaml").read_text())
    return cluster


@pytest.fixture
def mocked_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An account as docs/cluster.md has one make it: the two roles, each with its policy, and a bucket."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        forget_clients()
        iam = boto3.client("iam")
        for name in ("head", "worker"):
            iam.create_role(RoleName=f"fmnist-{name}", AssumeRolePolicyDocument=policy("trust"))
            iam.put_role_policy(RoleName=f"fmnist-{name}", PolicyName="fmnist", PolicyDocument=policy(name))
            iam.create_instance_profile(InstanceProfileName=f"fmnist-{name}")
            iam.add_role_to_instance_profile(InstanceProfileName=f"fmnist-{name}", RoleName=f"fmnist-{name}")
        yield boto3.client("ec2")
    forget_clients()


def forget_clients() -> None:
    aws_utils.resource_cache.cache_clear()
    aws_utils.client_cache.cache_clear()


def policy(name: str) -> str:
    text = (PROJECT / "clusters" / "aws" / f"{name}.json").read_text().replace("BUCKET", "fmnist-results")
    return json.dumps(json.loads(text))


def keys_with_policy(name: str) -> dict[str, str]:
    """Credentials that may do what one of the two roles may: moto asks which actions, not on what."""
    document = json.loads(policy(name))
    for statement in document["Statement"]:
        statement["Resource"] = "*"
    iam = boto3.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def instances_of(ec2: Any) -> list[dict[str, Any]]:
    reservations = ec2.describe_instances()["Reservations"]
    return [instance for reservation in reservations for instance in reservation["Instances"]]


def tags_of(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}


def states(ec2: Any) -> list[tuple[str, str, str]]:
    """(Ray's node kind, market, state) of every instance."""
    return sorted(
        (
            tags_of(instance)[TAG_RAY_NODE_KIND],
            instance.get("InstanceLifecycle", "on-demand"),
            instance["State"]["Name"],
        )
        for instance in instances_of(ec2)
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Every call that is made to AWS from now on: (operation, parameters)."""
    made, make = list[tuple[str, dict[str, Any]]](), BaseClient._make_api_call

    def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        made.append((operation, copy.deepcopy(parameters)))
        return make(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    return made


class FinishedUpdater:
    """Stands where Ray would set up the head by SSH: a mocked instance has no shell."""

    exitcode = 0

    def __init__(self, **_: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def join(self) -> None:
        pass


class TestMockedEC2:
    def bootstrapped(self, aws: dict[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = commands._bootstrap_config(aws, no_config_cache=True)
        return config

    def test_bootstrap_finds_resources_and_makes_key_and_group(self, aws: dict[str, Any], mocked_aws: Any) -> None:
        config = self.bootstrapped(aws)
        kinds = config["available_node_types"]
        assert kinds["head"]["resources"]["CPU"] == 0
        for name in ("gpu-spot", "gpu-on-demand"):
            assert kinds[name]["resources"]["GPU"] == 1
            assert kinds[name]["resources"]["CPU"] == 4
        assert Path(config["auth"]["ssh_private_key"]).stat().st_mode & 0o077 == 0
        (group,) = mocked_aws.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["fmnist"]}])[
            "SecurityGroups"
        ]
        open_ports = {(rule.get("FromPort"), rule.get("ToPort")) for rule in group["IpPermissions"] if rule["IpRanges"]}
        assert open_ports == {(22, 22)}, "to the world nothing is open but SSH"

    def test_a_group_made_beforehand_is_left_alone(self, aws: dict[str, Any], mocked_aws: Any) -> None:
        vpc = mocked_aws.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = mocked_aws.create_security_group(GroupName="fmnist", Description="mine", VpcId=vpc)["GroupId"]
        mine = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.100.7/32"}]}
        mocked_aws.authorize_security_group_ingress(GroupId=made, IpPermissions=[mine])
        config = self.bootstrapped(aws)
        assert {tuple(kind["node_config"]["SecurityGroupIds"]) for kind in config["available_node_types"].values()} == {
            (made,)
        }
        (rule,) = mocked_aws.describe_security_groups(GroupIds=[made])["SecurityGroups"][0]["IpPermissions"]
        assert rule["IpRanges"] == mine["IpRanges"]

    def test_head_worker_and_teardown(
        self,
        aws: dict[str, Any],
        mocked_aws: Any,
        calls: list[tuple[str, dict[str, Any]]],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        aws["file_mounts"] = {"~/fmnist": str(tmp_path)}
        config = self.bootstrapped(aws)
        monkeypatch.setattr(commands, "NodeUpdaterThread", FinishedUpdater)
        commands.get_or_create_head_node(
            config, "cluster.yaml", no_restart=False, restart_only=False, yes=True, override_cluster_name=None
        )
        assert states(mocked_aws) == [(NODE_KIND_HEAD, "on-demand", "running")]

        head, worker = keys_with_policy("head"), keys_with_policy("worker")
        calls.clear()
        # from here on EC2 asks what the credentials may do
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        launch(config, "gpu-spot", head)
        launch(config, "gpu-spot", head)
        launch(config, "gpu-on-demand", head)
        provider = provider_of(config, head)
        assert len(provider.non_terminated_nodes({TAG_RAY_NODE_KIND: NODE_KIND_WORKER})) == 3
        provider.terminate_nodes(provider.non_terminated_nodes({}))
        calls_of_the_head = calls.copy()
        with pytest.raises(ClickException):  # Ray has said why: not authorized
            provider_of(config, worker).non_terminated_nodes({})
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
        assert states(mocked_aws) == [
            (NODE_KIND_HEAD, "on-demand", "terminated"),
            (NODE_KIND_WORKER, "on-demand", "terminated"),
            (NODE_KIND_WORKER, "spot", "terminated"),
            (NODE_KIND_WORKER, "spot", "terminated"),
        ]
        tags = {instance["InstanceId"]: tags_of(instance) for instance in instances_of(mocked_aws)}
        wanted = [right for call in calls_of_the_head for right in rights_for(*call, tags)]
        assert {call for call, _ in calls_of_the_head} >= {"RunInstances", "TerminateInstances", "DescribeInstances"}
        policies = {name: json.loads(policy(name)) for name in ("head", "worker")}
        assert [right for right in wanted if not allows(policies["head"], right)] == []
        assert [right for right in wanted if allows(policies["worker"], right)] == []


class TestPolicies:
    """What the roles may not do, by the conditions and resources of their policies (aws_policy.py reads them)."""

    def test_a_head_touches_no_other_cluster(self) -> None:
        head, instance = json.loads(policy("head")), arn("ec2", "instance/i-1")
        for name, may in (("fmnist", True), ("another", False)):
            tagged = {"aws:ResourceTag/ray-cluster-name": name}
            assert allows(head, Wanted("ec2:TerminateInstances", instance, tagged)) is may
            assert allows(head, Wanted("ec2:CreateTags", instance, tagged)) is may
            started = Wanted("ec2:RunInstances", arn("ec2", "instance/*"), {"aws:RequestTag/ray-cluster-name": name})
            assert allows(head, started) is may
        for action in ("ec2:TerminateInstances", "ec2:CreateTags", "ec2:RunInstances"):
            assert not allows(head, Wanted(action, instance))

    def test_a_head_gives_its_workers_no_other_role(self) -> None:
        head, to_ec2 = json.loads(policy("head")), {"iam:PassedToService": "ec2.amazonaws.com"}
        assert allows(head, Wanted("iam:PassRole", arn("iam", "role/fmnist-worker"), to_ec2))
        for role in ("fmnist-head", "administrator"):
            assert not allows(head, Wanted("iam:PassRole", arn("iam", f"role/{role}"), to_ec2))
        to_lambda = {"iam:PassedToService": "lambda.amazonaws.com"}
        assert not allows(head, Wanted("iam:PassRole", arn("iam", "role/fmnist-worker"), to_lambda))

    @pytest.mark.parametrize("name", ["head", "worker"])
    def test_a_node_reads_and_writes_its_bucket_alone(self, name: str) -> None:
        rights = json.loads(policy(name))
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"):
            assert allows(rights, Wanted(action, "arn:aws:s3:::fmnist-results/runs/a.parquet"))
            assert not allows(rights, Wanted(action, "arn:aws:s3:::fmnist-results-of-another/runs/a.parquet"))
        assert allows(rights, Wanted("s3:ListBucket", "arn:aws:s3:::fmnist-results"))
        assert not allows(rights, Wanted("s3:DeleteBucket", "arn:aws:s3:::fmnist-results"))

    def test_ec2_alone_takes_the_roles(self) -> None:
        (statement,) = json.loads(policy("trust"))["Statement"]
        assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}


def provider_of(config: dict[str, Any], credentials: dict[str, str]) -> Any:
    return commands._get_node_provider(
        config["provider"] | {"aws_credentials": credentials}, config["cluster_name"], use_cache=False
    )


def launch(config: dict[str, Any], node_type: str, credentials: dict[str, str]) -> None:
    """Launch a worker as the head's autoscaler does, with the head's rights alone."""
    tags = {TAG_RAY_NODE_KIND: NODE_KIND_WORKER, TAG_RAY_LAUNCH_CONFIG: "hash"}
    node_config = config["available_node_types"][node_type]["node_config"]
    provider_of(config, credentials).create_node(node_config, tags, 1)


@pytest.fixture(scope="module")
def lab_on_aws(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an operator found who brought cluster.yaml up on hosts that moto's EC2 gives out."""
    folder = tmp_path_factory.mktemp("aws")
    aws = {"AWS_ENDPOINT_URL": "http://10.77.0.254:5000", "AWS_DEFAULT_REGION": "us-west-2"}
    return run_in_lab(folder, "aws_cluster.py", hosts=3, first=4, environment=aws, timeout=850)


@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
class TestRayUp:
    """`ray up cluster.yaml`: moto is EC2, its instances are hosts; stand_ins.py has what their setup does not reach."""

    def test_all_but_the_network_and_the_waiting_is_the_files(self, lab_on_aws: dict[str, Any]) -> None:
        nodes = [f"available_node_types.{name}.node_config" for name in NODE_TYPES]
        assert set(lab_on_aws["changed"]) == {
            *[f"{node}.{key}" for node in nodes for key in ("KeyName", "SubnetIds")],
            "auth.ssh_private_key",
            "auth.ssh_user",
            "head_start_ray_commands",  # the memory of a host
            "idle_timeout_minutes",
            "provider.availability_zone",
            "provider.use_internal_ips",
            "worker_start_ray_commands",
        }

    def test_the_head_was_set_up_by_the_files_lines(self, lab_on_aws: dict[str, Any]) -> None:
        assert [line.split()[-1] for line in lab_on_aws["asked_of_debian"]] == ["-qq", "python3-venv"]

    def test_the_commit_reaches_the_workers(self, lab_on_aws: dict[str, Any]) -> None:
        assert lab_on_aws["commit"] == "abc-dirty"

    def test_only_the_head_is_there_until_a_run_waits(self, lab_on_aws: dict[str, Any]) -> None:
        assert lab_on_aws["after_up"] == {"10.77.0.4": "on-demand"}

    def test_demand_brings_spot_for_shared_and_on_demand_for_exclusive_work(self, lab_on_aws: dict[str, Any]) -> None:
        assert "succeeded" in lab_on_aws["job"]
        assert sorted(lab_on_aws["markets"]) == ["on-demand", "on-demand", "spot"]
        assert lab_on_aws["exclusive_market"] == "on-demand"

    def test_idle_workers_end_by_themselves_and_ray_down_ends_the_head(self, lab_on_aws: dict[str, Any]) -> None:
        assert lab_on_aws["running_when_idle"] == ["10.77.0.4"]
        assert lab_on_aws["running_after_down"] == 0
        assert lab_on_aws["terminated"] == 3
