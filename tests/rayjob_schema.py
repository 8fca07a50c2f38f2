"""The part of KubeRay's RayJob schema (ray.io/v1) that a manifest of ours may use, after KubeRay's API reference.

Stricter than the CRD where it helps: a key that is not here is an error, as it is to a strict `kubectl apply`.
"""

from typing import Any


def an_object(required: str = "", **properties: Any) -> dict[str, Any]:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def a_map(of: dict[str, Any]) -> dict[str, Any]:
    """An object with any keys."""
    return {"type": "object", "additionalProperties": of}


def an_array(of: dict[str, Any]) -> dict[str, Any]:
    """An array of equals."""
    return {"type": "array", "items": of}


STRING, BOOLEAN = {"type": "string"}, {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
QUANTITY = {"oneOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+(\.\d+)?(m|[kMGT]|[KMGT]i)?$"}]}
RESOURCES = an_object(limits=a_map(QUANTITY), requests=a_map(QUANTITY))
SECRET = an_object("secretKeyRef", secretKeyRef=an_object("name key", name=STRING, key=STRING))
ENVIRONMENT = an_array(an_object("name", name=STRING, value=STRING, valueFrom=SECRET))
TOLERATION = an_object(
    key=STRING,
    operator={"enum": ["Exists", "Equal"]},
    value=STRING,
    effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
)
CONTAINER = an_object(
    "name image",
    name=STRING,
    image=STRING,
    imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
    env=ENVIRONMENT,
    resources=RESOURCES,
    volumeMounts=an_array(an_object("name mountPath", name=STRING, mountPath=STRING, readOnly=BOOLEAN)),
)
POD_TEMPLATE = an_object(
    "spec",
    metadata=an_object(labels=a_map(STRING), annotations=a_map(STRING)),
    spec=an_object(
        "containers",
        serviceAccountName=STRING,
        containers=an_array(CONTAINER) | {"minItems": 1},
        nodeSelector=a_map(STRING),
        tolerations=an_array(TOLERATION),
        volumes=an_array({"type": "object", "required": ["name"]}),
        restartPolicy={"enum": ["Always", "OnFailure", "Never"]},
    ),
)
HEAD = an_object(
    "template rayStartParams",
    template=POD_TEMPLATE,
    rayStartParams=a_map(STRING),
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    enableIngress=BOOLEAN,
)
WORKERS = an_object(
    "groupName template maxReplicas minReplicas",
    groupName=STRING,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    idleTimeoutSeconds=COUNT,
    numOfHosts=COUNT,
    rayStartParams=a_map(STRING),
    template=POD_TEMPLATE,
)
CLUSTER = an_object(
    "headGroupSpec",
    rayVersion=STRING,
    authOptions=an_object("mode", mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling=BOOLEAN,
    autoscalerOptions=an_object(
        resources=RESOURCES,
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        env=ENVIRONMENT,
    ),
    headGroupSpec=HEAD,
    workerGroupSpecs=an_array(WORKERS),
)
RAYJOB = an_object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=an_object(name=STRING, generateName=STRING, namespace=STRING, labels=a_map(STRING)),
    spec=an_object(
        "entrypoint rayClusterSpec",
        entrypoint=STRING,
        entrypointNumCpus={"type": "number"},
        entrypointNumGpus={"type": "number"},
        runtimeEnvYAML=STRING,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        backoffLimit=COUNT,
        activeDeadlineSeconds={"type": "integer", "minimum": 1},
        shutdownAfterJobFinishes=BOOLEAN,
        ttlSecondsAfterFinished=COUNT,
        suspend=BOOLEAN,
        rayClusterSpec=CLUSTER,
    ),
)
