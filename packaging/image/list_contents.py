"""Print the SBOM of an image's files: list_contents.py DIR.

CycloneDX, JSON. Components are the Debian packages of var/lib/dpkg/status.d and the Python
distributions. The same files give the same bytes: no random number, the time of the source.
"""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_string
from importlib.metadata import Distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

LICENSES = LicenseFactory()


def list_debian_packages(root: Path) -> Iterator[Component]:
    """List what status.d holds, each with the licences that its copyright file names.

    Copyright files of the newer form name each; the others refer to common-licenses or have it all.
    """
    for status in sorted((root / "var/lib/dpkg/status.d").iterdir()):
        fields = message_from_string(status.read_text())
        name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
        qualifiers = {"arch": arch, "distro": "debian-12"}
        copyright_text = (root / "usr/share/doc" / name / "copyright").read_text()
        named = set(
            re.findall(r"^License: *([\w.+-]+(?: (?:and|or) [\w.+-]+)*) *$", copyright_text, re.M)
        )
        named = named or set(re.findall(r"/usr/share/common-licenses/([\w.-]*\w)", copyright_text))
        named = named or {f"see /usr/share/doc/{name}/copyright"}
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("deb", "debian", name, version, qualifiers),
            bom_ref=f"deb:{name}",
            licenses=[LICENSES.make_with_name(one) for one in sorted(named)],
        )


def list_distributions(root: Path) -> Iterator[Component]:
    """List the Python distributions, each with the licence that its metadata names."""
    where = str(root / "usr/local/lib/python3.11/dist-packages")
    for found in sorted(distributions(path=[where]), key=lambda one: one.name.lower()):
        name = re.sub(r"[-_.]+", "-", found.name).lower()
        yield Component(
            name=name,
            version=found.version,
            type=ComponentType.APPLICATION if name == "vpplb" else ComponentType.LIBRARY,
            purl=PackageURL("pypi", None, name, found.version),
            bom_ref=f"pypi:{name}",
            licenses=_licenses_of(found),
            external_references=_references_of(found, root),
        )


def _licenses_of(found: Distribution) -> list[License]:
    expression = found.metadata.get("License-Expression")
    if expression:
        return [LICENSES.make_with_expression(expression)]
    text = found.metadata.get("License") or ""
    prefix = "License :: OSI Approved :: "
    classifiers = found.metadata.get_all("Classifier") or []
    named = [text] if text and "\n" not in text else []
    named += [one.removeprefix(prefix) for one in classifiers if one.startswith(prefix)]
    return [LICENSES.make_with_name(one) for one in named[:1]]


def _references_of(found: Distribution, root: Path) -> list[ExternalReference]:
    """Refer to the SBOMs that a wheel brings along of what is compiled into it."""
    files = [Path(found.locate_file(one)) for one in found.files or []]
    return [
        ExternalReference(
            type=ExternalReferenceType.BOM, url=XsUri(f"file:///{one.relative_to(root)}")
        )
        for one in files
        if one.parent.name == "sboms"
    ]


def main() -> None:
    root = Path(sys.argv[1])
    python = list(list_distributions(root))
    own = next(one for one in python if one.name == "vpplb")
    rest = [one for one in python if one is not own]
    bom = Bom(components=[*list_debian_packages(root), *rest])
    bom.metadata.component = own
    bom.register_dependency(own, bom.components)
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    names = "\n".join(sorted(str(one.purl) for one in bom.components))
    bom.serial_number = uuid5(NAMESPACE_URL, f"{own.purl}\n{names}")
    sys.stdout.write(JsonV1Dot6(bom).output_as_string(indent=1))


main()
