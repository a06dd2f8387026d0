"""The image as users get it: made by the Dockerfile with buildah, of Debian's packages.

Needs root, buildah, skopeo and mmdebstrap. What buildah keeps is in the user's cache, apart from
the machine's own images; the base that it builds in is made once.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.binaries import Missing

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "packaging" / "image"
BASE = "localhost/vpplb-base:bookworm"
ARCHIVE = "vpplb.oci.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArchive:
    """An OCI archive of an image, unpacked into the folder `layout`."""

    path: Path
    layout: Path

    @property
    def digest(self) -> str:
        """The digest by which registries will know it, that of the list of its platforms."""
        digest: str = self._json(self.layout / "index.json")["manifests"][0]["digest"]
        return digest

    def platforms(self) -> Mapping[str, str]:
        """Return the digest of each platform's manifest, by its architecture."""
        listed = self.read(self.digest)["manifests"]
        return {one["platform"]["architecture"]: one["digest"] for one in listed}

    def manifests(self) -> Mapping[str, Any]:
        """Return the manifest of each platform, by its architecture."""
        return {arch: self.read(digest) for arch, digest in self.platforms().items()}

    def read(self, digest: str) -> Any:
        """Return a JSON document of the archive, after its digest was compared."""
        return self._json(self._blob(digest))

    def unpack(self, arch: str, into: Path) -> None:
        """Unpack the files of a platform."""
        for layer in self.manifests()[arch]["layers"]:
            with tarfile.open(self._blob(layer["digest"])) as archive:
                archive.extractall(into, filter="fully_trusted")  # it is ours, with its modes

    def _blob(self, digest: str) -> Path:
        return self.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _json(self, path: Path) -> Any:
        content = path.read_bytes()
        if path.parent.name == "sha256":
            assert hashlib.sha256(content).hexdigest() == path.name
        return json.loads(content)


def build_image(folder: Path, *arguments: str, **settings: str) -> ImageArchive:
    """Make the image of this tree as `folder/ARCHIVE`; `settings` are the script's variables.

    Missing where the machine cannot. `arguments` go to `buildah build`.
    """
    archive = folder / ARCHIVE
    environment = buildah_environment()
    if run_tool("buildah", "images", "--quiet", BASE, env=environment, check=False) == "":
        run_tool(str(SCRIPTS / "make-base"), BASE, env=environment)
    settings = {"BASE": BASE, **settings}
    run_tool(str(SCRIPTS / "build"), str(archive), *arguments, env={**environment, **settings})
    layout = folder / "layout"
    with tarfile.open(archive) as opened:
        opened.extractall(layout, filter="data")
    return ImageArchive(path=archive, layout=layout)


def buildah_environment() -> dict[str, str]:
    """Return an environment in which buildah and skopeo keep all they have in the user's cache."""
    for tool in ("buildah", "skopeo", "mmdebstrap"):
        if shutil.which(tool) is None:
            raise Missing(f"it takes {tool}")
    if os.geteuid() != 0:
        raise Missing("it takes root")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpplb" / "image"
    cache.mkdir(parents=True, exist_ok=True)
    settings = cache / "storage.conf"
    settings.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{cache}/graph"\nrunroot = "{cache}/run"\n'
    )
    return {**os.environ, "CONTAINERS_STORAGE_CONF": str(settings), "TMPDIR": str(cache)}


def run_tool(
    *command: str, env: Mapping[str, str], cwd: Path | None = None, check: bool = True
) -> str:
    """Run a program and return what it printed; AssertionError with its last words if it fails."""
    done = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout.strip()
