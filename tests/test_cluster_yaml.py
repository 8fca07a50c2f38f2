"""cluster.yaml, its siblings and their guide: what Ray, EC2's own shapes and the command line say of them."""

import json
import os
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from botocore import xform_name
from botocore.session import Session
from botocore.validate import ParamValidator
from ray._private.runtime_env.packaging import get_excludes_from_ignore_files
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.dashboard.modules.job.cli import submit

from jobs.study import parser
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


class TestUpload:
    """What `--working-dir .` sends, by Ray's own reading of .gitignore and .rayignore."""

    @staticmethod
    def sent(path: Path) -> bool:
        ignored = get_excludes_from_ignore_files(PROJECT, include_gitignore=True)
        return not any(ignores(path) for ignores in ignored)

    def test_a_job_has_every_module(self) -> None:
        modules = [path for folder in ("fmnist", "jobs") for path in (PROJECT / folder).rglob("*.py")]
        assert not [path for path in modules if not self.sent(path)]

    @pytest.mark.parametrize("name", [".venv", "docs/results.md", "published", "report", "results/runs", "tests"])
    def test_what_a_job_does_not_need_stays(self, name: str) -> None:
        assert not self.sent(PROJECT / name / "file")


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

    def test_the_image_is_made_from_the_ray_that_the_manifest_names(self) -> None:
        assert f"FROM rayproject/ray:{version('ray')}-py311-gpu\n" in (PROJECT / "clusters" / "Dockerfile").read_text()

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

    def test_every_submission_of_the_guide_tells_ray_the_commit(self, tmp_path: Path) -> None:
        guide = re.sub(r"\\\n +", "", (PROJECT / "docs" / "cluster.md").read_text())
        asked = [line.strip() for line in guide.splitlines() if re.match(r" +(COMMIT=|ray job submit)", line)]
        ray = tmp_path / "ray"  # writes down its arguments
        ray.write_text("""#!/bin/sh\nprintf '%s\\0' "$@" >> "$SEEN"; echo >> "$SEEN"\n""")
        ray.chmod(0o755)
        told = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SEEN": str(tmp_path / "seen"), "BUCKET": "bucket"}
        subprocess.run(["bash", "-eu", "-c", "\n".join(asked)], env=os.environ | told, cwd=PROJECT, check=True)
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True)
        submissions = (tmp_path / "seen").read_text().splitlines()
        assert len(submissions) == 3
        for line in submissions:
            _, _, *words = line.rstrip("\0").split("\0")
            submission = submit.make_context("submit", words).params
            variables = json.loads(submission["runtime_env_json"])["env_vars"]
            assert variables["FMNIST_COMMIT"].removesuffix("-dirty") == head.stdout.strip()
            assert submission["entrypoint"][:2] == ("python", "jobs/study.py")

    def test_iam_knows_every_command_of_the_guide_and_spots_role_is_made(self) -> None:
        guide = (PROJECT / "docs" / "cluster.md").read_text()
        iam = Session().get_service_model("iam")
        operations = {xform_name(name, "-"): name for name in iam.operation_names}
        commands_in_it = re.findall(r"^ +aws iam ([\w-]+) (.*)$", guide, flags=re.MULTILINE)
        for name, options in commands_in_it:
            members = {xform_name(member, "-") for member in iam.operation_model(operations[name]).input_shape.members}
            assert set(re.findall(r"--([\w-]+)", options)) <= members, name
        assert ("create-service-linked-role", "--aws-service-name spot.amazonaws.com") in commands_in_it

    def test_the_guide_names_every_configuration(self) -> None:
        guide = (PROJECT / "docs" / "cluster.md").read_text()
        assert all(name in guide for name in ("cluster.yaml", "clusters/local.yaml", "clusters/rayjob.yaml"))
