"""The command line. A user's mistake ends in one message and an exit code, never in a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

import typer

from bench import __version__, commands
from bench.errors import EXIT_CANNOT_RUN, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED, EXIT_USAGE, BenchError
from bench.redact import clean, refresh

VERBS = {
    "run": "run",
    "plan": "plan",
    "compare": "compare",
    "report": "report",
    "gate": "gate",
    "history": "history",
    "baseline": "app",
    "score": "score",
    "tco": "tco",
    "targets": "targets",
    "doctor": "doctor",
    "workload": "app",
    "price": "app",
    "simulate": "simulate",
}
"""Every verb, in the order of the help, with its function in its module of `bench.commands`, or its own verbs (`app`)."""
MODULES = {"price": "prices"}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of a file of a run each writer tells it by itself; what is left is what a command prints."""


def _version(value: bool) -> None:
    if value:
        print(f"bench {__version__}")
        raise typer.Exit


def _main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """Holds the options that belong to no verb."""


def program(verb: str | None = None) -> typer.Typer:
    """The command line with every verb, or with the one alone that is asked for: the others need not be loaded."""
    app = typer.Typer(
        name="bench",
        help="The same model on different clouds: how fast, how reliable, how good, at what price, and how sure are we?",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_main)
    for name in [verb] if verb in VERBS else VERBS:
        found = getattr(import_module(f"bench.commands.{MODULES.get(name, name)}"), VERBS[name])
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code (bench/errors.py lists them)."""
    try:
        code = _told(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        pass
    except SystemExit as error:  # the parser makes a code of a closed pipe that has another meaning here
        if not isinstance(error.__context__, BrokenPipeError):
            raise
    _drop(sys.__stdout__, sys.__stderr__)
    return EXIT_PIPE_CLOSED


def _told(argv: Sequence[str] | None) -> int:
    """The exit code of a command, once what it has to say is said."""
    refresh()
    # Threads of a matrix product spin while they wait, and take the processor from the threads that work on other columns.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    commands.invocation[:] = sys.argv[1:] if argv is None else argv
    try:
        app = program(next(iter(commands.invocation), None))
        told = app(args=commands.with_bare_resume(commands.invocation), prog_name="bench", standalone_mode=False)
        sys.stdout.flush()
        return told if isinstance(told, int) else 0
    except BenchError as error:
        print(clean(error.message), file=sys.stderr)
        if error.hint:
            print(clean(error.hint), file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("Interrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _drop(sys.__stdout__)
        print(f"cannot write: {error.strerror}\nfree space, or send the output elsewhere", file=sys.stderr)
        return EXIT_CANNOT_RUN
    except Exception as error:
        if hasattr(error, "format_message"):  # the parser's own errors: an unknown flag, a missing argument
            print(f"{error.format_message()}", file=sys.stderr)
            context = getattr(error, "ctx", None)
            print(f"See: {context.command_path if context else 'bench'} --help", file=sys.stderr)
            return EXIT_USAGE
        raise


def _drop(*streams: TextIO | None) -> None:
    """What is still to be written there, by the interpreter at its end too, goes nowhere: it can go no further."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
