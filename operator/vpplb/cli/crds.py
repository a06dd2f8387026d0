"""`vpplb crds`: write the CustomResourceDefinitions."""

from pathlib import Path

import click

from vpplb.cli.options import env_option


@click.command(name="crds", short_help="Write the CustomResourceDefinitions.")
@env_option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder to write one file a kind into.  [default: standard output, as one document each]",
)
def crds_command(output: Path | None) -> None:
    """Write the CustomResourceDefinitions of all kinds.

    \b
    Install them:   vpplb crds | kubectl apply --server-side -f -
    Into a folder:  vpplb crds --output crds
    """
    from vpplb.resources.crd import make_crds, to_yaml

    texts = {name: to_yaml(crd) for name, crd in make_crds().items()}
    if output is None:
        click.echo("---\n".join(texts.values()), nl=False)
        return
    output.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (output / name).write_text(text, encoding="utf-8")
        click.echo(output / name)
