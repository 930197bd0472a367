"""The command line: what a person touches.

`app` is the frame (errors, interrupts, output); every other module holds a group of commands. A command
imports what it needs when it runs, so that `frameperfect --help` answers at once.
"""

from __future__ import annotations


def main() -> None:
    """Run the command in `sys.argv`; ends the process with its exit code."""
    import sys

    from frameperfect.cli.app import run

    sys.exit(run(sys.argv[1:]))
