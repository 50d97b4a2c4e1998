#!/usr/bin/env python3
"""Makes state/objects/data/kinds.jsonl, the table of built-in kinds, from recorded discovery documents.

    python3 ops/generate/kinds.py tests/oracle/cases/discovery state/objects/data/kinds.jsonl

One kind a line, in the order in which Kubernetes lists groups, their versions and their resources.
"""

import base64
import hashlib
import json
import pathlib
import sys

# Answered, never kept: reviews, bindings, and the componentstatuses that no release fills any more.
UNSTORED = {"bindings", "componentstatuses"}
# Kinds that are views of another kind's stored objects: (group, version, plural) -> the stored (group, version).
STORED_AS = {
    ("events.k8s.io", "v1", "events"): ("", "v1"),
    ("autoscaling", "v1", "horizontalpodautoscalers"): ("autoscaling", "v2"),
}
# The server hashes a version of its own choice here.
HASHED_AS = {"customresourcedefinitions": "v1beta1"}
# Known, so that the table has their facts, but not served: nothing here acts on them yet.
UNSERVED = {"apiextensions.k8s.io", "apiregistration.k8s.io"}

# What the server warns of whenever a deprecated kind is used.
DEPRECATED = {
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}


def step(folder, case, name):
    steps = json.loads((folder / f"{case}.json").read_text())["steps"]
    return next(s for s in steps if s["id"] == name)


def groups(folder):
    """The aggregated documents' groups, core first, the others by priority."""
    core = step(folder, "core-aggregated", "v2")["response"]["body"]["items"]
    # Answers are kept sorted by name; the order itself is in the condition that the recording waited for.
    order = [u["equals"]["name"] for u in step(folder, "groups-in-order", "get")["wait"]["until"]]
    recorded = step(folder, "groups-in-order", "aggregated")["response"]["body"]["items"]
    rest = {g["metadata"]["name"]: g for g in recorded if g["metadata"]["name"] in order}
    return core + [rest[name] for name in order]


def storage_hash(group, version, kind):
    """What discovery calls storageVersionHash: 8 bytes of a SHA-256 over the stored kind."""
    digest = hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def line(group, version, resource):
    plural, kind = resource["resource"], resource["responseKind"]["kind"]
    stored = plural not in UNSTORED and "get" in resource["verbs"]
    as_group, as_version = STORED_AS.get((group, version, plural), (group, version))
    subresources = []
    for sub in resource.get("subresources", []):
        wire = sub["responseKind"]
        subresources.append({
            "name": sub["subresource"], "group": wire["group"], "version": wire["version"], "kind": wire["kind"],
            "verbs": sub["verbs"],
        })
    deprecation = DEPRECATED.get((group, version, plural))
    return {
        "group": group, "version": version, "kind": kind, "plural": plural, "singular": resource["singularResource"],
        "shortNames": resource.get("shortNames", []), "categories": resource.get("categories", []),
        "namespaced": resource["scope"] == "Namespaced", "verbs": resource["verbs"], "subresources": subresources,
        "stored": stored, "served": group not in UNSERVED,
        "storageGroup": as_group, "storageVersion": as_version,
        "storageHash": storage_hash(as_group, HASHED_AS.get(plural, as_version), kind) if stored else "",
        **({"deprecation": deprecation} if deprecation else {}),
    }


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    lines = []
    for group in groups(folder):
        for version in group["versions"]:
            for resource in version["resources"]:
                entry = line(group["metadata"].get("name", ""), version["version"], resource)
                lines.append(json.dumps(entry, separators=(",", ":")))
    out.write_text("\n".join(lines) + "\n")


main()
