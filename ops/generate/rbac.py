#!/usr/bin/env python3
"""Makes state/objects/data/rbac.jsonl: the default roles and bindings, one object a line.

Sources: the recorded default objects (tests/oracle/cases/auth/bootstrap-*.json). What no recording holds follows from those that
do (`edit` is what `admin` gathers beside its own rules; bindings from the table of all of them), but for the rules of a few
controllers, which stand below: facts of Kubernetes' default policy.
Run it from the root of the repository: python3 ops/generate/rbac.py
"""
import json
from pathlib import Path

CASES = Path("tests/oracle/cases/auth")
GROUP = "rbac.authorization.k8s.io"
AGGREGATE = GROUP + "/aggregate-to-"
READ = "get list watch"
EVENTS = {"verbs": ["create", "patch", "update"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]}
KINDS = ["ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"]


def rule(verbs, group, *resources, names=None):
    made = {"verbs": sorted(verbs.split()), "apiGroups": [group], "resources": list(resources)}
    return {**made, "resourceNames": names} if names else made


UNRECORDED = {
    "device-taint-eviction-controller": [
        rule(READ + " delete", "", "pods"), rule("patch update", "", "pods/status"),
        rule(READ, "resource.k8s.io", "resourceclaims"), rule(READ, "resource.k8s.io", "resourceslices"),
        rule(READ, "resource.k8s.io", "deviceclasses"), rule(READ, "resource.k8s.io", "devicetaintrules"), EVENTS,
    ],
    "legacy-service-account-token-cleaner": [
        rule("get", "", "configmaps", names=["kube-apiserver-legacy-service-account-token-tracking"]),
        rule("patch delete", "", "secrets"),
    ],
    "resource-claim-controller": [
        rule(READ, "", "pods"), rule("update", "", "pods/finalizers"),
        rule(READ + " create delete", "resource.k8s.io", "resourceclaims"),
        rule("patch update", "resource.k8s.io", "resourceclaims", "resourceclaims/status"),
        rule("patch update", "", "pods/status"), EVENTS, rule("patch update", "resource.k8s.io", "resourceclaims/binding"),
    ],
    "selinux-warning-controller": [
        EVENTS, rule(READ, "", "persistentvolumes"), rule(READ, "", "persistentvolumeclaims"), rule(READ, "", "pods"),
        rule(READ, "storage.k8s.io", "csidrivers"),
    ],
    "service-cidrs-controller": [
        rule(READ + " patch update", "networking.k8s.io", "servicecidrs"),
        rule("patch update", "networking.k8s.io", "servicecidrs/finalizers"),
        rule("patch update", "networking.k8s.io", "servicecidrs/status"), rule(READ, "networking.k8s.io", "ipaddresses"), EVENTS,
    ],
    "validatingadmissionpolicy-status-controller": [
        rule(READ, "admissionregistration.k8s.io", "validatingadmissionpolicies"),
        rule("get patch update", "admissionregistration.k8s.io", "validatingadmissionpolicies/status"), EVENTS,
    ],
    "volumeattributesclass-protection-controller": [
        rule(READ, "", "persistentvolumeclaims"), rule(READ, "", "persistentvolumes"),
        rule(READ + " update", "storage.k8s.io", "volumeattributesclasses"), EVENTS,
    ],
}


def recorded():
    objects = {}
    for file in sorted(CASES.glob("bootstrap-*.json")):
        for step in json.loads(file.read_text())["steps"]:
            body = step["response"]["body"]
            kind = body.get("kind", "").removesuffix("List")
            if kind in KINDS:
                for item in body.get("items", [body]):
                    objects[kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]] = item
    return objects


def subjects(cells):
    users, groups, accounts = ([name for name in cell.split(", ") if name] for cell in cells)
    for account in accounts:
        namespace, name = account.split("/")
        yield {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    for kind, names in (("Group", groups), ("User", users)):
        for name in names:
            yield {"kind": kind, "apiGroup": GROUP, "name": name}


def bindings(case):
    for row in json.loads((CASES / case).read_text())["steps"][0]["response"]["body"]["rows"]:
        name, role, _, *cells = row["cells"]
        kind, role = role.split("/")
        yield {"metadata": {"name": name}, "subjects": list(subjects(cells)),
               "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}}


def main():
    objects = recorded()
    for name, rules in UNRECORDED.items():
        name = "system:controller:" + name
        objects["ClusterRole", "", name] = {"metadata": {"name": name}, "rules": rules}

    role = {name: objects["ClusterRole", "", name]["rules"] for name in ("admin", "view", "system:aggregate-to-admin")}
    edit = [r for r in role["admin"] if r not in role["system:aggregate-to-admin"] and r not in role["view"]]
    objects["ClusterRole", "", "system:aggregate-to-edit"] = {"metadata": {"labels": {AGGREGATE + "edit": "true"}}, "rules": edit}
    objects["ClusterRole", "", "edit"] = {
        "metadata": {"labels": {AGGREGATE + "admin": "true"}},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {AGGREGATE + "edit": "true"}}]},
    }
    for binding in bindings("bootstrap-cluster-role-binding-names.json"):
        objects.setdefault(("ClusterRoleBinding", "", binding["metadata"]["name"]), binding)
    # Of the RoleBindings, only the one in kube-public is not recorded whole; the table has it first.
    public = next(bindings("bootstrap-role-binding-names.json"))
    objects["RoleBinding", "kube-public", public["metadata"]["name"]] = public

    lines = []
    for (kind, namespace, name), item in sorted(objects.items(), key=lambda pair: (KINDS.index(pair[0][0]), pair[0])):
        line = {"kind": kind, "name": name}
        if namespace:
            line["namespace"] = namespace
        labels = {k: v for k, v in (item["metadata"].get("labels") or {}).items() if k != "kubernetes.io/bootstrapping"}
        if labels:
            line["labels"] = labels
        for field in ("aggregationRule", "rules", "subjects", "roleRef"):
            gathered = field == "rules" and "aggregationRule" in item
            if field in item and not gathered:
                line[field] = item[field]
        lines.append(json.dumps(line, separators=(",", ":")) + "\n")
    Path("state/objects/data/rbac.jsonl").write_text("".join(lines))


main()
