"""The description of a pod in the bank: the only members that a restored pod can have.

None gives power over the node, over other namespaces or over secrets: such members are neither stored nor restored.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from karbor_like.plugins.kubernetes.reading import Mounted, Pod, Values, object_in, objects_in
from karbor_like.plugins.toolkit import schemas
from karbor_like.plugins.toolkit.details import shorten
from karbor_like.plugins.toolkit.schemas import FLAG, TEXT, TEXT_OR_NULL, array

_NAME: Final = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\\Z"}
_LABEL: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{0,63}\\Z"}
_PLAIN_KEY: Final = {"type": "string", "pattern": "^(app\\.kubernetes\\.io/)?[A-Za-z0-9._-]{1,63}\\Z"}
_VALUE: Final = {"type": "string", "maxLength": 65536}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_UUID: Final = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\Z"}


def _texts(values: schemas.Schema) -> schemas.Schema:
    return {"type": "object", "maxProperties": 100, "propertyNames": _PLAIN_KEY, "additionalProperties": values}


def _optional(*required: str, **properties: schemas.Schema) -> schemas.Schema:
    """Return the schema of an object with no other properties than these, of which some are required."""
    return {**schemas.record(**properties), "required": [*required]}


#: What restricts a container. What gives it more rights has no place here.
_RESTRICTIONS: Final[Mapping[str, schemas.Schema]] = {
    "runAsUser": _NUMBER,
    "runAsGroup": _NUMBER,
    "runAsNonRoot": {"const": True},
    "seccompProfile": schemas.record(type={"const": "RuntimeDefault"}),
}
_POD_RESTRICTIONS: Final = _optional(**_RESTRICTIONS, fsGroup=_NUMBER)
_CONTAINER_RESTRICTIONS: Final = _optional(
    **_RESTRICTIONS,
    allowPrivilegeEscalation={"const": False},
    readOnlyRootFilesystem={"const": True},
    capabilities=schemas.record(drop=array(_LABEL, 100)),
)
_CONTAINER: Final = _optional(
    "name",
    "image",
    name=_NAME,
    image=TEXT,
    command=array(_VALUE),
    args=array(_VALUE),
    workingDir=TEXT,
    imagePullPolicy=_LABEL,
    ports=array(_optional("containerPort", name=_NAME, containerPort=_NUMBER, protocol=_LABEL), 100),
    resources=_optional(limits=_texts(_LABEL), requests=_texts(_LABEL)),
    volumeMounts=array(_optional("name", "mountPath", name=_NAME, mountPath=TEXT, subPath=TEXT, readOnly=FLAG), 100),
    securityContext=_CONTAINER_RESTRICTIONS,
)
POD: Final = _optional(
    *("namespace", "name", "labels", "annotations", "containers", "initContainers", "volumes", "scratch"),
    namespace=_NAME,
    name=_NAME,
    labels=_texts(_LABEL),
    annotations=_texts(_VALUE),
    restartPolicy={"enum": ["Always", "OnFailure", "Never"]},
    terminationGracePeriodSeconds=_NUMBER,
    securityContext=_POD_RESTRICTIONS,
    containers={**array(_CONTAINER, 100), "minItems": 1},
    initContainers=array(_CONTAINER, 100),
    volumes=array(
        schemas.record(name=_NAME, volume_id=_UUID, fs_type=TEXT_OR_NULL, read_only=FLAG, claim=TEXT_OR_NULL), 100
    ),
    scratch=array(_optional("name", name=_NAME, medium=_LABEL, sizeLimit=_LABEL), 100),
)
#: Names of containers -> their environment variables.
ENVIRONMENT: Final = {
    "type": "object",
    "maxProperties": 200,
    "propertyNames": _NAME,
    "additionalProperties": array(schemas.record(name=TEXT, value=_VALUE)),
}

#: Members of a container that the description has, and those whose loss needs no remark.
_KEPT: Final = ("name", "image", "command", "args", "workingDir", "imagePullPolicy")
_CONTAINER_KNOWN: Final = {
    *(*_KEPT, "ports", "resources", "volumeMounts", "securityContext", "env"),
    *("terminationMessagePath", "terminationMessagePolicy"),
}
_POD_KNOWN: Final = {
    *("containers", "initContainers", "volumes", "restartPolicy", "terminationGracePeriodSeconds", "securityContext"),
    *("nodeName", "dnsPolicy", "schedulerName", "tolerations", "priority", "preemptionPolicy", "enableServiceLinks"),
    *("serviceAccount", "automountServiceAccountToken"),
}
#: Labels by which a controller would take the restored pod for one of its own.
_OF_CONTROLLERS: Final = frozenset({"pod-template-hash", "controller-revision-hash", "job-name", "controller-uid"})
_MOUNT: Final = ("name", "mountPath", "subPath", "readOnly")
_TOKENS: Final = "/var/run/secrets/kubernetes.io/"


def describe(pod: Pod, mounted: Sequence[Mounted]) -> tuple[dict[str, Any], list[str]]:
    """Return the description of a pod, and remarks on what it lacks.

    :param mounted: the Cinder volumes of the pod
    """
    spec, metadata = object_in(pod.values, "spec"), pod.metadata
    volumes = [vars(each) for each in mounted]
    scratch = [
        {"name": each.get("name"), **_picked(object_in(each, "emptyDir"), ("medium", "sizeLimit"))}
        for each in objects_in(spec, "volumes")
        if "emptyDir" in each
    ]
    present = {str(each["name"]) for each in (*volumes, *scratch)}
    containers = {
        kind: [_container(each, present) for each in objects_in(spec, kind)]
        for kind in ("containers", "initContainers")
    }
    described = {
        "namespace": pod.name.partition(":")[0],
        "name": metadata.get("name"),
        "labels": _plain(object_in(metadata, "labels")),
        "annotations": _plain(object_in(metadata, "annotations")),
        **_picked(spec, ("restartPolicy", "terminationGracePeriodSeconds")),
        "securityContext": _restrictions(object_in(spec, "securityContext"), _POD_RESTRICTIONS),
        **containers,
        "volumes": volumes,
        "scratch": scratch,
    }
    return described, [*_lost(spec, present), *_controllers(metadata)]


def environment(pod: Pod) -> dict[str, list[dict[str, str]]]:
    """Return the environment variables with a value of its own, by the names of the containers."""
    spec = object_in(pod.values, "spec")
    found = {
        str(each.get("name")): [
            # Kubernetes does not show the value of an empty one.
            {"name": str(one.get("name")), "value": str(one.get("value") or "")}
            for one in objects_in(each, "env")
            if "valueFrom" not in one
        ]
        for each in (*objects_in(spec, "containers"), *objects_in(spec, "initContainers"))
    }
    return {name: values for name, values in found.items() if values}


def manifest(
    described: Values, variables: Values, name: str, annotations: Mapping[str, str], volumes: Sequence[Values]
) -> dict[str, Any]:
    """Return the manifest of a restored pod, which has no token of a service account.

    :param described: the checked description
    :param variables: the checked environment variables
    :param annotations: in addition to those of the description
    :param volumes: the Cinder volumes, with their new ids in ``volume_id``
    """

    def container(each: Values) -> dict[str, Any]:
        env = variables.get(each["name"])
        return {**each, **({"env": env} if env else {})}

    inline = [
        {
            "name": each["name"],
            "cinder": {
                "volumeID": each["volume_id"],
                "readOnly": each["read_only"],
                **({"fsType": each["fs_type"]} if each["fs_type"] else {}),
            },
        }
        for each in volumes
    ]
    empty = [
        {"name": each["name"], "emptyDir": _picked(each, ("medium", "sizeLimit"))} for each in described["scratch"]
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": described["labels"],
            "annotations": {**described["annotations"], **annotations},
        },
        "spec": {
            **_picked(described, ("restartPolicy", "terminationGracePeriodSeconds", "securityContext")),
            "automountServiceAccountToken": False,
            "containers": [container(each) for each in described["containers"]],
            "initContainers": [container(each) for each in described["initContainers"]],
            "volumes": [*inline, *empty],
        },
    }


def _container(values: Values, volumes: Collection[str]) -> dict[str, Any]:
    mounts = [each for each in objects_in(values, "volumeMounts") if str(each.get("name")) in volumes]
    resources = _picked(object_in(values, "resources"), ("limits", "requests"))
    described = {
        **_picked(values, _KEPT),
        "ports": [_picked(each, ("name", "containerPort", "protocol")) for each in objects_in(values, "ports")],
        "resources": resources,
        "volumeMounts": [_picked(each, _MOUNT) for each in mounts],
        "securityContext": _restrictions(object_in(values, "securityContext"), _CONTAINER_RESTRICTIONS),
    }
    return _picked(described, described)


def _restrictions(values: Values, schema: schemas.Schema) -> dict[str, Any]:
    """Return the members of a security context that restrict."""
    given = {**values}
    if "capabilities" in given:
        given["capabilities"] = _picked(object_in(given, "capabilities"), ("drop",))
    allowed = schema["properties"]
    return {
        name: value
        for name, value in given.items()
        if name in allowed and value not in (None, {}) and not schemas.error(value, allowed[name])
    }


def _lost(spec: Values, volumes: Collection[str]) -> list[str]:
    """Return remarks on the members of a pod that are not stored."""
    remarks = []
    names = [name for name, value in spec.items() if name not in _POD_KNOWN and value and _is_special(name, value)]
    names += _more_rights(object_in(spec, "securityContext"), _POD_RESTRICTIONS)
    if names:
        remarks.append(f"these members of the pod are not in the checkpoint: {shorten(names)}")
    for each in (*objects_in(spec, "containers"), *objects_in(spec, "initContainers")):
        names = [name for name, value in each.items() if name not in _CONTAINER_KNOWN and value]
        names += _more_rights(object_in(each, "securityContext"), _CONTAINER_RESTRICTIONS)
        names += [f"env {one.get('name')}" for one in objects_in(each, "env") if "valueFrom" in one]
        mounts = [one for one in objects_in(each, "volumeMounts") if one.get("name") in volumes]
        names += [f"{name} of {one.get('mountPath')}" for one in mounts for name in one if name not in _MOUNT]
        names += [f"hostPort {one['hostPort']}" for one in objects_in(each, "ports") if one.get("hostPort")]
        if names:
            remarks.append(f"these members of container {each.get('name')} are not in the checkpoint: {shorten(names)}")
    tokens = {
        mount.get("name")
        for each in (*objects_in(spec, "containers"), *objects_in(spec, "initContainers"))
        for mount in objects_in(each, "volumeMounts")
        if str(mount.get("mountPath")).startswith(_TOKENS)
    }
    lost = [str(v.get("name")) for v in objects_in(spec, "volumes") if v.get("name") not in {*volumes, *tokens}]
    if lost:
        remarks.append(f"these volumes of the pod are not in the checkpoint, nor their mounts: {shorten(lost)}")
    return remarks


def _is_special(name: str, value: Any) -> bool:
    return (name, value) != ("serviceAccountName", "default")


def _more_rights(values: Values, schema: schemas.Schema) -> list[str]:
    kept = _restrictions(values, schema)
    lost = [name for name, value in values.items() if value and name not in kept]
    return [f"securityContext.{name}" for name in lost] + (
        ["securityContext.capabilities.add"] if object_in(values, "capabilities").get("add") else []
    )


def _controllers(metadata: Values) -> list[str]:
    owners = [f"{each.get('kind')} {each.get('name')}" for each in objects_in(metadata, "ownerReferences")]
    return [f"the pod belongs to {shorten(owners)}: a restored one belongs to no controller"] if owners else []


def _plain(values: Values) -> dict[str, str]:
    """Return the labels or annotations that no controller and no plugin of the cluster acts on."""
    return {
        key: str(value)
        for key, value in values.items()
        if key not in _OF_CONTROLLERS and not schemas.error(key, _PLAIN_KEY)
    }


def _picked(values: Values, names: Iterable[str]) -> dict[str, Any]:
    """Return the members of an object that are not empty."""
    return {name: values[name] for name in names if values.get(name) not in (None, "", [], {})}
