"""The frame that all commands hang in: one-line errors, clean interrupts, plain output when piped.

Exit codes: 0 done, 1 a check said no (a movie that does not replay, a machine that fails) or a fault of
ours, 2 bad input or a missing component, 130 interrupted, 141 the reader of a pipe went away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from frameperfect import __version__
from frameperfect.errors import FrameperfectError
from frameperfect.interrupts import sent_again

if TYPE_CHECKING:
    from rich.console import Console

# typer carries click inside or beside it, by version; its public BadParameter leads to the root of both.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


invocation: list[str] = []
"""The arguments of the command line that runs, for what it leaves behind."""


class Interrupted(Exception):
    """Ctrl-C; the message says what was kept."""


class Refused(FrameperfectError):
    """The command line asks for something that can't be done."""


class Failed(Exception):
    """The command ran, and its verdict is no: exit code 1."""


class _Commands(TyperGroup):
    """Turns interrupts into `Interrupted` before the library makes a bare exit of them."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError):
            raise Interrupted("interrupted") from None
        except BrokenPipeError:
            raise _PipeClosed from None


class _PipeClosed(Exception):
    """The reader of our output has gone (`frameperfect games | head`)."""


app = typer.Typer(
    cls=_Commands,
    name="frameperfect",
    help="Play real games frame by frame: train agents on them, and prove every run by a movie.",
    epilog="Example: [bold]frameperfect train Airstriker-Genesis --minutes 5[/bold]",
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        print(f"frameperfect {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _frame(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def example(*lines: str) -> str:
    """The epilog of a command's help: its examples."""
    return "Example: " + "\n\n".join(f"[bold]frameperfect {line}[/bold]" for line in lines)


def console(stderr: bool = False) -> Console:
    """Where a command writes: coloured in a terminal; plain, and never cut at 80 columns, in a pipe."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=200)
    return console


def say(text: str, style: str | None = None) -> None:
    """Print a sentence: wrapped between words in a terminal, one line in a pipe."""
    out = console()
    out.print(text, style=style, soft_wrap=not out.is_terminal, markup=False)


def title(text: str) -> None:
    """Begin a new part of a command's output."""
    out = console()
    if out.is_terminal:
        out.rule(text)
    else:
        print(f"\n{text}", flush=True)


def may_replace(path: Path, force: bool, what: str = "exists already") -> None:
    """Whether the user gives up what is in `path`: by --force, or by saying so in a terminal.

    Raises:
        Refused: no.
    """
    if force or not path.exists():
        return
    if sys.stdin.isatty() and sys.stdout.isatty() and typer.confirm(f"{path} {what}; replace it?"):
        return
    raise Refused(f"{path} {what}; name another --out, or add --force to replace it")


def load_commands() -> None:
    """Import the modules whose commands hang themselves in here."""
    from frameperfect.cli import (  # noqa: F401
        bench,
        board,
        compare,
        compare_runs,
        demo,
        demonstrations,
        doctor,
        evaluate,
        film,
        games,
        keys,
        movies,
        race,
        ram,
        report,
        runs,
        search,
        sweep,
        train,
        watch,
        window,
    )


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors become one line on stderr."""
    load_commands()
    # --debug counts wherever it stands, as it is added to the end of a line that failed.
    arguments, debug = [a for a in arguments if a != "--debug"], "--debug" in arguments
    invocation[:] = arguments
    command = typer.main.get_command(app)
    try:
        # What a command raises comes out here; an Exit becomes the value.
        with sent_again():
            code = command.main(args=arguments, prog_name="frameperfect", standalone_mode=False)
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except _PipeClosed:
        return _pipe_closed()
    except BrokenPipeError:
        return _pipe_closed()
    except Interrupted as interrupted:
        return _complain(str(interrupted), 130, prefix="")
    except (typer.Abort, KeyboardInterrupt):
        return _complain("interrupted", 130, prefix="")
    except Failed as verdict:
        return _complain(str(verdict), 1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, USAGE_ERROR):
            return _complain(_usage(error), 2)
        if isinstance(error, FrameperfectError):
            return _complain(str(error), 2)
        if isinstance(error, OSError):
            return _complain(_os_error(error), 2)
        if isinstance(error, MemoryError):
            return _complain("out of memory; ask for fewer environments or a smaller batch", 2)
        hint = "" if debug else "; run it again with --debug for the traceback, and please report it"
        return _complain(f"a fault of frameperfect: {type(error).__name__}: {error}{hint}", 1)


def _complain(message: str, code: int, prefix: str = "error: ") -> int:
    line = " ".join(message.split())
    with contextlib.suppress(OSError):  # with nobody left to tell, the exit code still does
        print(f"{prefix}{line}", file=sys.stderr)
    return code


def _pipe_closed() -> int:
    # Python flushes stdout once more at exit: give it a place to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _usage(error: Any) -> str:
    message = str(error.format_message()).strip().rstrip(".")
    message = message[:1].lower() + message[1:]
    if possible := getattr(error, "possibilities", None):
        message = (
            f"{error.message[:1].lower()}{error.message[1:]}. Did you mean {' or '.join(sorted(possible))}?"
        )
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "frameperfect"
    return f"{message}{' See' if message.endswith('?') else '; see'} `{command} --help`"


# What went wrong with a file, and the mend.
_OS_ERRORS = {
    errno.ENOENT: "there is no such file; check the path",
    errno.EISDIR: "is a folder, and a file is needed; name one",
    errno.ENOTDIR: "a part of the path is no folder; check it",
    errno.EACCES: "permission denied; change its rights or name another place",
    errno.EPERM: "permission denied; change its rights or name another place",
    errno.EROFS: "the file system is read-only; name another place",
    errno.EEXIST: "exists already; name another",
    errno.ENOSPC: "the disk is full; free some space or name another place",
    errno.EDQUOT: "the disk quota is used up; free some space or name another place",
    errno.EFBIG: "the file would be larger than is allowed here (ulimit -f)",
    errno.ENAMETOOLONG: "the name is too long; shorten it",
    errno.EMFILE: "too many open files; raise `ulimit -n`",
}


def _os_error(error: OSError) -> str:
    what = _OS_ERRORS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    where = " and ".join(os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{where}: {what}" if where else what
