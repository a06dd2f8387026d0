"""Writes krew's manifest of the plugin: `python write_manifest.py DIST`.

It names each archive that `build.py` made into DIST, whatever machine that was on, and its SHA-256.
Needs nothing but Python, so that the job that publishes installs nothing.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

NAME = "kubectl-vpplb"
RELEASES = "https://github.com/vpplb/vpplb/releases/download"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="where the archives are, and the manifest goes")
    dist: Path = parser.parse_args().dist
    archives = sorted(dist.glob(f"{NAME}-*.tar.gz"))
    versions = {_read_name(archive)["version"] for archive in archives}
    if len(versions) != 1:
        sys.exit(f"{dist} must have archives of one version; it has {sorted(versions) or 'none'}")
    manifest = dist / "vpplb.yaml"
    described = _describe(versions.pop(), [_describe_platform(archive) for archive in archives])
    manifest.write_text(f"{json.dumps(described, indent=2)}\n")  # which is YAML, too
    sys.stdout.write(f"{manifest}\n")


def _read_name(archive: Path) -> re.Match[str]:
    """Read version, os and arch (a machine's, in Go's words) out of an archive's name."""
    found = re.fullmatch(
        rf"{NAME}-(?P<version>.+)-(?P<os>[a-z]+)-(?P<arch>[a-z0-9]+)\.tar\.gz", archive.name
    )
    if found is None:
        sys.exit(f"{archive} is no archive of the plugin: {NAME}-VERSION-OS-ARCH.tar.gz")
    return found


def _describe_platform(archive: Path) -> dict[str, object]:
    name = _read_name(archive)
    return {
        "selector": {"matchLabels": {"os": name["os"], "arch": name["arch"]}},
        "uri": f"{RELEASES}/v{name['version']}/{archive.name}",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "files": [{"from": f"{NAME}/*", "to": "."}],
        "bin": NAME,
    }


def _describe(version: str, platforms: list[dict[str, object]]) -> dict[str, object]:
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "vpplb"},
        "spec": {
            "version": f"v{version}",
            "homepage": "https://github.com/vpplb/vpplb",
            "shortDescription": "See and steer the load balancing of VPP",
            "description": (
                "Shows why a frontend of vpplb is down and what its nodes do, follows transitions,"
                " drains and weighs backends, and plans manifests before they are applied.\n"
            ),
            "caveats": (
                "For completion link kubectl_complete-vpplb from the plugin's folder to a folder"
                " on the PATH.\n"
            ),
            "platforms": platforms,
        },
    }


if __name__ == "__main__":
    main()
