"""The program `kubectl-vpplb`, which kubectl runs as `kubectl vpplb`."""

import sys

from vpplb.cli.collector import VERB_COLLECTOR, tune_collector


def main() -> None:
    tune_collector(VERB_COLLECTOR)  # before the imports, half of what a verb makes
    if sys.argv[1:2] == ["__complete"]:
        from vpplb.cli.kubectl.completion import print_completions

        print_completions(sys.argv[2:])
        return
    from vpplb.cli.kubectl.group import cli
    from vpplb.cli.verbs.door import REFERENCE

    cli(prog_name=REFERENCE)
