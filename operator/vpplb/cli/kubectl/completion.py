"""Completion of `kubectl vpplb`, as kubectl asks for it: the program `kubectl_complete-vpplb`.

kubectl runs it with the words behind `kubectl vpplb`, the last of which is being typed, and reads
a proposal a line, its description behind a tab, and in the last line what the shell shall do with
them (cobra's directives). `kubectl-vpplb __complete` does the same where there is one program only.
"""

import sys
from collections.abc import Iterator, Sequence

from click.shell_completion import CompletionItem, ShellComplete

from vpplb.cli.kubectl.group import cli
from vpplb.cli.terminal import print_coloured
from vpplb.model.printable import make_printable

_AS_THEY_ARE, _NO_FILES = ":0", ":4"
"""Directives: complete names of files where nothing is proposed, or never."""


def main() -> None:
    print_completions(sys.argv[1:])


def print_completions(words: Sequence[str]) -> None:
    """Print what the last of `words` could become."""
    *before, incomplete = words or [""]
    found = ShellComplete(cli, {}, "kubectl vpplb", "").get_completions(before, incomplete)
    print_coloured("\n".join(_write_items(found)))


def _write_items(items: Sequence[CompletionItem]) -> Iterator[str]:
    plain = [one for one in items if one.type == "plain"]
    for one in plain:
        said = f"\t{make_printable(one.help)}" if one.help else ""
        yield make_printable(one.value) + said
    yield _NO_FILES if len(plain) == len(items) else _AS_THEY_ARE
