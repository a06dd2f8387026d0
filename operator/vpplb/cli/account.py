"""`vpplb account`: a line for the file of accounts of `vpplb standalone`."""

import sys

import click

from vpplb.cli.terminal import print_line


def _check_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    from vpplb.files.account_file import check_name

    try:
        return check_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command(short_help="Make a line for the accounts of `vpplb standalone`.")
@click.argument("name", callback=_check_name)
def account_command(name: str) -> None:
    """Make a line for --http-accounts of `vpplb standalone`: NAME, and a hash of a password.

    The password is asked for twice, or is the first line of standard input where that is no
    terminal. Only its hash (scrypt) is written.

    \b
    Examples:   vpplb account alice >> /etc/vpplb/accounts
                pass show vpplb/alice | vpplb account alice >> /etc/vpplb/accounts
    """
    from vpplb.files.account_file import hash_password

    if sys.stdin.isatty():
        # Asked for on standard error: standard output may be the file of accounts.
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        print_line(f"{name}:{hash_password(password)}")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
