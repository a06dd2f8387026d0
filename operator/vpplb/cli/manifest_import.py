"""`vpplb import`: the configuration of another load balancer as manifests."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from vpplb.cli.options import ADDRESS, allowance_flags
from vpplb.cli.terminal import count_of, print_block, print_line

if TYPE_CHECKING:
    from vpplb.files.manifests import LoadedManifests
    from vpplb.migration.drafts import ImportedSet, ManifestDraft
    from vpplb.model.vip import IPAddress
    from vpplb.resources.allowances import AddressAllowances

CARRIED, UNPARSEABLE, LOST = 0, 1, 2


@click.command(name="import", short_help="Make manifests of another's configuration.")
@click.argument(
    "file", metavar="FILE", type=click.Path(path_type=Path, exists=True, allow_dash=True)
)
@click.option(
    "--format",
    "given",
    default=None,
    type=click.Choice(["maglev", "haproxy", "keepalived"]),
    help="What FILE is.  [default: what it looks like]",
)
@click.option("--namespace", default="", help="Namespace of the objects.  [default: none is given]")
@click.option(
    "--node",
    default="local",
    show_default=True,
    help="Name of the Dataplane, which has the settings of VPP: in a cluster the node's name.",
)
@click.option(
    "--vip",
    "vips",
    multiple=True,
    type=ADDRESS,
    help="Address of the VIPs for what HAProxy binds to every address; may be given several times.",
)
@allowance_flags
def import_command(
    file: Path,
    given: str | None,
    namespace: str,
    node: str,
    vips: "tuple[IPAddress, ...]",
    allowed: "AddressAllowances",
) -> None:
    """Make manifests of FILE: a maglev.yaml, a haproxy.cfg or a keepalived.conf.

    Manifests go to standard output, each with the line that it comes from. Standard error has a
    line, FILE:line, for all that could not be carried, with the reason, and for what else is worth
    knowing; the last one has the options for `vpplb standalone`, where FILE has such. Nothing is
    changed and nobody is asked: names of hosts are not looked up.

    \b
    Exit status:  0  the manifests mean what FILE does
                  1  FILE cannot be read
                  2  something is not carried; what can be is printed all the same
    \b
    Examples:     vpplb import /etc/vpp-maglev/maglev.yaml > manifests/all.yaml
                  vpplb import haproxy.cfg --vip 192.0.2.10 > manifests/all.yaml
                  vpplb plan manifests/ --vpp-api-socket /run/vpp/api.sock
    """
    from vpplb.cli.check import find_across
    from vpplb.files.file_content import STDIN, UnreadableFile, read_content
    from vpplb.migration.drafts import UnparseableConfig, load_drafts
    from vpplb.migration.formats import ConfigFormat, import_config

    name = "<stdin>" if file == STDIN else str(file)
    try:
        text = read_content(file).decode()
        imported = import_config(text, ConfigFormat(given) if given else None, node, vips)
    except UnreadableFile as error:
        _fail_reading(f"{name}: {error}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        _fail_reading(f"{name}:{line}: is not UTF-8")
    except UnparseableConfig as error:
        _fail_reading(f"{name}:{error.line}: {error.message}")
    loaded = load_drafts(imported, name, namespace, allowed)
    across, warnings = find_across(loaded)
    refused = [*loaded.findings, *across]
    print_block(_write_manifests(imported, name, namespace))
    findings = [(one.line, f"{name}:{one}") for one in imported.findings]
    findings += [(one.line, str(one)) for one in (*refused, *warnings)]
    for _, said in sorted(findings, key=lambda finding: finding[0]):
        print_line(said, err=True)
    lost = len(refused) + sum(one.lost for one in imported.findings)
    print_line(_summarize_import(imported, loaded, lost), err=True)
    if imported.options:
        print_line(f"options for vpplb standalone: {_write_options(imported)}", err=True)
    sys.exit(LOST if lost else CARRIED)


def _fail_reading(said: str) -> NoReturn:
    print_line(said, err=True)
    sys.exit(UNPARSEABLE)


def _write_manifests(imported: "ImportedSet", file: str, namespace: str) -> str:
    return "".join(
        part for draft in imported.drafts for part in _write_draft(draft, file, namespace)
    ).removesuffix("\n")


def _write_draft(draft: "ManifestDraft", file: str, namespace: str) -> Iterator[str]:
    import yaml

    from vpplb.model.printable import make_printable

    yield f"---\n# {make_printable(file)}:{draft.line}\n"
    yield yaml.safe_dump(draft.make_manifest(namespace), sort_keys=False, allow_unicode=False)


def _summarize_import(imported: "ImportedSet", loaded: "LoadedManifests", lost: int) -> str:
    verdict = f"{count_of(lost, 'finding')} to look at" if lost else "all is carried"
    return f"{count_of(len(loaded.objects), 'object')}: {verdict}"


def _write_options(imported: "ImportedSet") -> str:
    import shlex

    return " ".join(f"{flag} {shlex.quote(value)}" for flag, value in imported.options.items())
