#!/usr/bin/env python3
"""Builds the demo's image, cox.local/web:1, as an OCI archive: a static busybox and a web server that answers with its pod's name.

Usage: build.py BUSYBOX ARCHIVE

The same busybox gives the same archive, byte for byte: owners, times and orders are fixed.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile

NAME = "cox.local/web:1"
# Busybox as the image's first process would ignore SIGTERM, so a shell stands before it and passes the end on.
WEB = """#!/bin/sh
mkdir -p /tmp/www
hostname >/tmp/www/index.html
trap 'kill $!; exit 0' TERM INT
httpd -f -p "${PORT:-3000}" -h /tmp/www &
wait
"""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def add(archive, name, data=None, *, mode=0o755, link=None):
    """Adds a folder, a file (data) or a symbolic link, owned by root and without a time."""
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    if link is not None:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    elif data is None:
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data) if data is not None else None)


def layer(busybox):
    """The image's one layer, not compressed."""
    with open(busybox, "rb") as file:
        program = file.read()
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for needed in ("sh", "tar", "httpd", "wget", "hostname"):
        if needed not in applets:
            sys.exit(f"error: {busybox} has no {needed}; install busybox-static")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            add(archive, folder, mode=mode)
        add(archive, "bin/busybox", program)
        for applet in sorted(set(applets) - {"busybox"}):
            add(archive, f"bin/{applet}", link="busybox", mode=0o777)
        add(archive, "bin/web", WEB.encode())
        add(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)
        add(archive, "etc/group", b"root:x:0:\n", mode=0o644)
    return out.getvalue()


def main(busybox, target):
    plain = layer(busybox)
    packed = gzip.compress(plain, mtime=0)
    blobs = {}

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(value, media_type):
        return blob(json.dumps(value, sort_keys=True).encode(), media_type)

    machine = platform.machine()
    config = document(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/web"], "ExposedPorts": {"3000/tcp": {}}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "busybox and a web server"}],
        },
        "application/vnd.oci.image.config.v1+json",
    )
    manifest = document(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")],
        },
        "application/vnd.oci.image.manifest.v1+json",
    )
    # Both annotations name the image: the first is the OCI's, which only has room for a tag, the second containerd's.
    manifest["annotations"] = {"org.opencontainers.image.ref.name": NAME, "io.containerd.image.name": NAME}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}

    beside = target + ".new"
    with tarfile.open(beside, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}', mode=0o644)
        add(archive, "index.json", json.dumps(index, sort_keys=True).encode(), mode=0o644)
        add(archive, "blobs")
        add(archive, "blobs/sha256")
        for digest in sorted(blobs):
            add(archive, f"blobs/sha256/{digest}", blobs[digest], mode=0o644)
    os.replace(beside, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
