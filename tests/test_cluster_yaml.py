"""cluster.yaml and its siblings: what Ray, EC2's own shapes and a mocked EC2 say of them."""

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest
import yaml
from botocore.session import Session
from botocore.validate import ParamValidator
from click import ClickException
from moto import mock_aws, settings
from packaging.requirements import Requirement
from ray.autoscaler._private import commands
from ray.autoscaler._private.aws import utils as aws_utils
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import NODE_KIND_HEAD, NODE_KIND_WORKER, TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND

from jobs.study import parser
from tests.cluster_lab.lab import run_in_lab, why_not
from tests.rayjob_schema import RAYJOB

PROJECT = Path(__file__).parent.parent
CONFIGURATIONS = [PROJECT / "cluster.yaml", PROJECT / "clusters" / "local.yaml"]
NODE_TYPES = ["head", "gpu-on-demand", "gpu-spot"]


def read(path: Path) -> dict[str, Any]:
    cluster: dict[str, Any] = yaml.safe_load(path.read_text())
    return cluster


@pytest.fixture
def aws() -> dict[str, Any]:
    return read(PROJECT / "cluster.yaml")


def commands_of(cluster: dict[str, Any]) -> str:
    names = ["setup_commands", "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"]
    return "\n".join(line for name in names for line in cluster.get(name, []))


class TestSchema:
    @pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
    def test_ray_accepts_it(self, path: Path) -> None:
        validate_config(prepare_config(read(path)))

    def test_ray_would_refuse_an_unknown_key(self, aws: dict[str, Any]) -> None:
        aws["idle_timeout"] = 5
        with pytest.raises(Exception, match="idle_timeout"):
            validate_config(prepare_config(aws))

    @pytest.mark.parametrize("node_type", NODE_TYPES)
    def test_ec2_knows_every_key_of_a_node(self, aws: dict[str, Any], node_type: str) -> None:
        node = aws["available_node_types"][node_type]["node_config"]
        assert complaints(node) == ""
        assert "Ebs" in complaints(node | {"BlockDeviceMappings": [{"Ebs": {"Size": 1}}]})

    @pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
    def test_a_setting_has_its_reason_beside_it(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        named = r"(InstanceType|ImageId|IamInstanceProfile|min_workers|idle_timeout_minutes):"
        bare = [line for line in lines if re.search(named, line)]
        reasons = [index for index, line in enumerate(lines) if "#" in line]
        for line in bare:
            index = lines.index(line)
            assert any(index - 2 <= reason <= index for reason in reasons), line


def declared_project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return project


def complaints(node: dict[str, Any]) -> str:
    """What botocore finds wrong in the parameters of RunInstances."""
    shape = Session().get_service_model("ec2").operation_model("RunInstances").input_shape
    report: str = ParamValidator().validate(node | {"MinCount": 1, "MaxCount": 1}, shape).generate_report()
    return report


class TestPromises:
    def test_nothing_but_the_head_costs_while_no_run_waits(self, aws: dict[str, Any]) -> None:
        workers = {name: kind for name, kind in aws["available_node_types"].items() if name != aws["head_node_type"]}
        assert {kind["min_workers"] for kind in workers.values()} == {0}
        assert sum(kind["max_workers"] for kind in workers.values()) == aws["max_workers"]
        assert aws["provider"]["cache_stopped_nodes"] is False

    def test_spot_for_shared_runs_and_on_demand_for_exclusive_ones(self, aws: dict[str, Any]) -> None:
        spot, on_demand = (aws["available_node_types"][name] for name in ("gpu-spot", "gpu-on-demand"))
        assert spot["node_config"].pop("InstanceMarketOptions") == {"MarketType": "spot"}
        assert spot["node_config"] == on_demand["node_config"]
        assert on_demand["resources"] == {"exclusive": 1}
        assert spot["resources"] == {}

    @pytest.mark.parametrize("node_type", NODE_TYPES)
    def test_disks_are_encrypted_and_go_with_the_node(self, aws: dict[str, Any], node_type: str) -> None:
        node = aws["available_node_types"][node_type]["node_config"]
        for disk in node["BlockDeviceMappings"]:
            assert disk["Ebs"]["Encrypted"] is True
            assert disk["Ebs"]["DeleteOnTermination"] is True
        assert node["MetadataOptions"] == {"HttpTokens": "required"}

    @pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
    def test_no_dashboard_is_open_and_every_start_asks_for_the_token(self, path: Path) -> None:
        cluster = read(path)
        starts = [line for line in commands_of(cluster).splitlines() if "ray start" in line]
        assert len(starts) == 2
        assert all("export RAY_AUTH_MODE=token;" in line for line in starts)
        assert "--dashboard-host=127.0.0.1" in starts[0]
        assert "~/.ray/auth_token" in cluster["file_mounts"]
        assert all("ulimit -n 65536" in line for line in starts)

    @pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
    def test_ray_and_tensorflow_are_pinned_to_the_versions_tested_here(self, path: Path) -> None:
        pins = dict(re.findall(r"'(\w+)(?:\[[\w,-]+\])?==([\d.]+)'", commands_of(read(path))))
        assert pins == {"ray": version("ray"), "tensorflow": version("tensorflow")}
        declared = {item.name: item for item in map(Requirement, declared_project()["dependencies"])}
        assert all(pins[name] in declared[name].specifier for name in pins)

    def test_the_extras_it_installs_exist(self) -> None:
        extras = set(declared_project()["optional-dependencies"])
        for path in CONFIGURATIONS:
            asked = re.findall(r"~/fmnist\[(\w+)\]", commands_of(read(path)))
            assert asked
            assert set(asked) <= extras


class TestRayJob:
    """clusters/rayjob.yaml against the part of the CRD's schema that it uses (rayjob_schema.py)."""

    @pytest.fixture
    def job(self) -> dict[str, Any]:
        return read(PROJECT / "clusters" / "rayjob.yaml")

    def test_it_fits_the_schema(self, job: dict[str, Any]) -> None:
        jsonschema.validate(job, RAYJOB)

    def test_a_slip_does_not(self, job: dict[str, Any]) -> None:
        job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["minReplica"] = 0
        with pytest.raises(jsonschema.ValidationError, match="minReplica"):
            jsonschema.validate(job, RAYJOB)

    def test_its_command_is_one_that_the_job_understands(self, job: dict[str, Any]) -> None:
        words = job["spec"]["entrypoint"].split()
        assert words[:2] == ["python", "jobs/study.py"]
        asked = parser().parse_args(words[2:])
        assert (asked.study, asked.gpus_per_run) == ("comparison", 0.25)
        assert asked.results.startswith("s3://")

    def test_it_costs_nothing_idle_and_asks_for_the_token(self, job: dict[str, Any]) -> None:
        cluster = job["spec"]["rayClusterSpec"]
        assert cluster["rayVersion"] == version("ray")
        assert cluster["authOptions"] == {"mode": "token"}
        assert [group["minReplicas"] for group in cluster["workerGroupSpecs"]] == [0]
        assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
        assert job["spec"]["shutdownAfterJobFinishes"] is True
        runtime = yaml.safe_load(job["spec"]["runtimeEnvYAML"])
        assert runtime["working_dir"].endswith(".zip")


class TestDocumentation:
    def test_every_command_of_the_guide_is_one_that_the_job_understands(self) -> None:
        guide = (PROJECT / "docs" / "cluster.md").read_text()
        commands_in_it = re.findall(r"^ +(?:\d+\. )?python jobs/study\.py ([^#\n`]+)", guide, flags=re.MULTILINE)
        assert len(commands_in_it) > 5
        for line in commands_in_it:
            parser().parse_args(line.split())

    def test_the_guide_names_every_configuration(self) -> None:
        guide = (PROJECT / "docs" / "cluster.md").read_text()
        assert all(name in guide for name in ("cluster.yaml", "clusters/local.yaml", "clusters/rayjob.yaml"))


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


def states(ec2: Any) -> list[tuple[str, str, str]]:
    """(Ray's node kind, market, state) of every instance."""
    reservations = ec2.describe_instances()["Reservations"]
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    return sorted(
        (
            {tag["Key"]: tag["Value"] for tag in instance["Tags"]}[TAG_RAY_NODE_KIND],
            instance.get("InstanceLifecycle", "on-demand"),
            instance["State"]["Name"],
        )
        for instance in instances
    )


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
        self, aws: dict[str, Any], mocked_aws: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        aws["file_mounts"] = {"~/fmnist": str(tmp_path)}
        config = self.bootstrapped(aws)
        monkeypatch.setattr(commands, "NodeUpdaterThread", FinishedUpdater)
        commands.get_or_create_head_node(
            config, "cluster.yaml", no_restart=False, restart_only=False, yes=True, override_cluster_name=None
        )
        assert states(mocked_aws) == [(NODE_KIND_HEAD, "on-demand", "running")]

        head, worker = keys_with_policy("head"), keys_with_policy("worker")
        # from here on EC2 asks what the credentials may do
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        launch(config, "gpu-spot", head)
        launch(config, "gpu-spot", head)
        launch(config, "gpu-on-demand", head)
        with pytest.raises(ClickException):  # Ray has said why: not authorized
            provider_of(config, worker).non_terminated_nodes({})
        provider = provider_of(config, head)
        assert len(provider.non_terminated_nodes({TAG_RAY_NODE_KIND: NODE_KIND_WORKER})) == 3
        provider.terminate_nodes(provider.non_terminated_nodes({}))
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
        assert states(mocked_aws) == [
            (NODE_KIND_HEAD, "on-demand", "terminated"),
            (NODE_KIND_WORKER, "on-demand", "terminated"),
            (NODE_KIND_WORKER, "spot", "terminated"),
            (NODE_KIND_WORKER, "spot", "terminated"),
        ]


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
    """`ray up cluster.yaml`, real but for EC2 and the network."""

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
