"""What IAM is asked for when Ray calls EC2, and what a policy of clusters/aws answers: moto looks at actions only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

ACCOUNT = "123456789012"
STARTED_FROM = ("key-pair", "network-interface", "security-group", "subnet", "volume")


@dataclass(frozen=True)
class Wanted:
    """One right that a call needs: the action, on which resource, and what IAM knows of the request besides."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)


def allows(policy: Mapping[str, Any], wanted: Wanted) -> bool:
    """Whether a statement allows it. What is not allowed is denied, and a condition on a key that is not there fails.

    Knows the part of IAM's rules that the policies use, and AssertionError for anything else:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    for statement in policy["Statement"]:
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}, statement
        assert statement["Effect"] == "Allow", statement
        conditions = statement.get("Condition", {"StringEquals": {}})
        assert set(conditions) == {"StringEquals"}, statement
        if (
            any(fnmatchcase(wanted.action, action) for action in listed(statement["Action"]))
            and any(fnmatchcase(wanted.resource, resource) for resource in listed(statement["Resource"]))
            and all(wanted.context.get(key) == value for key, value in conditions["StringEquals"].items())
        ):
            return True
    return False


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def arn(service: str, resource: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{'' if service == 'iam' else 'us-west-2'}:{account}:{resource}"


def rights_for(call: str, parameters: Mapping[str, Any], tags: Mapping[str, Mapping[str, str]]) -> Iterator[Wanted]:
    """What a call to EC2 needs by EC2's table of actions; `tags` are those of each instance that is there.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    if call == "RunInstances":
        yield from rights_to_start(parameters)
    elif call in ("CreateTags", "TerminateInstances"):
        for instance in parameters["Resources" if call == "CreateTags" else "InstanceIds"]:
            known = {f"aws:ResourceTag/{key}": value for key, value in tags[instance].items()}
            yield Wanted(f"ec2:{call}", arn("ec2", f"instance/{instance}"), known)
    else:
        yield Wanted(f"ec2:{call}")


def rights_to_start(parameters: Mapping[str, Any]) -> Iterator[Wanted]:
    asked = {
        f"aws:RequestTag/{tag['Key']}": tag["Value"]
        for specification in parameters["TagSpecifications"]
        if specification["ResourceType"] == "instance"
        for tag in specification["Tags"]
    }
    yield Wanted("ec2:RunInstances", arn("ec2", "instance/*"), asked)
    yield Wanted("ec2:RunInstances", arn("ec2", "image/ami-1", account=""))
    for kind in (*STARTED_FROM, *(["spot-instances-request"] if "InstanceMarketOptions" in parameters else [])):
        yield Wanted("ec2:RunInstances", arn("ec2", f"{kind}/1"))
    for specification in parameters["TagSpecifications"]:
        kind = specification["ResourceType"]
        yield Wanted("ec2:CreateTags", arn("ec2", f"{kind}/1"), asked | {"ec2:CreateAction": "RunInstances"})
    if parameters["ImageId"].startswith("resolve:ssm:"):
        name = parameters["ImageId"].removeprefix("resolve:ssm:/")
        yield Wanted("ssm:GetParameters", arn("ssm", f"parameter/{name}", account=""))
    role = parameters["IamInstanceProfile"]["Name"]  # docs/cluster.md calls both alike
    yield Wanted("iam:PassRole", arn("iam", f"role/{role}"), {"iam:PassedToService": "ec2.amazonaws.com"})
