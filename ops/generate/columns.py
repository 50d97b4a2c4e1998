#!/usr/bin/env python3
"""Makes state/objects/data/columns.jsonl: the columns of each resource's Table, one resource a line.

Sources: the Tables among the recorded answers (tests/oracle/cases), and state/objects/data/openapi.gz (made by schema.py) for
the descriptions that no recording holds. Run it from the root of the repository: python3 ops/generate/columns.py
"""
import gzip
import json
from pathlib import Path

CASES = Path("tests/oracle/cases")
DATA = Path("state/objects/data")

# Kinds without a recorded Table: the column's name, its type, and its description or the field that it describes.
UNRECORDED = {
    "controllerrevisions.apps": [
        ("Controller", "string", "Controller of the object"),
        ("Revision", "string", ("apps.v1.ControllerRevision", "revision")),
    ],
    "csinodes.storage.k8s.io": [
        ("Drivers", "integer", "Drivers indicates the number of CSI drivers registered on the node"),
    ],
    "volumeattachments.storage.k8s.io": [
        ("Attacher", "string", ("storage.v1.VolumeAttachmentSpec", "attacher")),
        ("PV", "string", ("storage.v1.VolumeAttachmentSource", "persistentVolumeName")),
        ("Node", "string", ("storage.v1.VolumeAttachmentSpec", "nodeName")),
        ("Attached", "boolean", ("storage.v1.VolumeAttachmentStatus", "attached")),
    ],
    "volumeattributesclasses.storage.k8s.io": [
        ("DriverName", "string", ("storage.v1.VolumeAttributesClass", "driverName")),
    ],
    "resourceclaims.resource.k8s.io": [
        ("State", "string", "A summary of the current state (allocated, pending, reserved, etc.)."),
    ],
    "resourceclaimtemplates.resource.k8s.io": [],
    "mutatingadmissionpolicies.admissionregistration.k8s.io": [
        ("Mutations", "integer", "Mutations indicates the number of mutations rules defined in this configuration"),
        ("ParamKind", "string", "ParamKind specifies the kind of resources used to parameterize this policy"),
    ],
}
# A recorded Table whose descriptions are masked: the fields they describe.
MASKED = {
    "csidrivers.storage.k8s.io": {
        "AttachRequired": "attachRequired", "PodInfoOnMount": "podInfoOnMount", "StorageCapacity": "storageCapacity",
        "TokenRequests": "tokenRequests", "RequiresRepublish": "requiresRepublish", "Modes": "volumeLifecycleModes",
    },
}


def resource_of(path):
    parts = [part for part in path.split("?")[0].split("/") if part]
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    return rest[0] + ("." + group if group else "")


def recorded():
    tables = {}
    for file in sorted(CASES.glob("*/*.json")):
        for step in json.loads(file.read_text())["steps"]:
            body = step["response"].get("body")
            if not isinstance(body, dict) or body.get("kind") != "Table" or not isinstance(body["columnDefinitions"], list):
                continue
            resource, columns = resource_of(step["path"]), body["columnDefinitions"]
            if "{{" in resource:
                continue  # a custom resource
            known = tables.get(resource)
            if known is None or any(c["description"] == "<any>" for c in known):
                tables[resource] = columns
    return tables


def main():
    schemas = {}
    with gzip.open(DATA / "openapi.gz", "rt") as file:
        for line in file:
            name, schema = line.split("\t", 1)
            schemas[name] = json.loads(schema)

    def describe(definition, field):
        return schemas["io.k8s.api." + definition]["properties"][field]["description"].split("\n\nPossible enum values:")[0]

    tables = recorded()
    pods = {column["name"]: column for column in tables["pods"]}
    name, age = pods["Name"], pods["Age"]
    for resource, fields in MASKED.items():
        for column in tables[resource]:
            field = fields.get(column["name"])
            column["description"] = describe("storage.v1.CSIDriverSpec", field) if field else pods[column["name"]]["description"]
    for resource, columns in UNRECORDED.items():
        own = [
            {"name": n, "type": t, "priority": 0, "description": d if isinstance(d, str) else describe(*d)}
            for n, t, d in columns
        ]
        tables[resource] = [name, *own, age]

    lines = []
    for resource in sorted(tables):
        columns = []
        for column in tables[resource]:
            line = {"name": column["name"]}
            if column["type"] != "string":
                line["type"] = column["type"]
            common = column["name"] in ("Name", "Age") and column["description"] == pods[column["name"]]["description"]
            if not common:
                line["description"] = column["description"]
            if column["priority"]:
                line["priority"] = column["priority"]
            columns.append(line)
        if [column["name"] for column in columns] != ["Name", "Created At"]:
            lines.append({"resource": resource, "columns": columns})
    default = [
        {"name": "Name", "description": name["description"]},
        {"name": "Created At", "type": "date", "description": age["description"]},
    ]
    lines.append({"resource": "", "columns": default})
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    (DATA / "columns.jsonl").write_text(text)


main()
