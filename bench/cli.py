"""The command line. A user's mistake ends in one message and an exit code, never in a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from bench import __version__, commands
from bench.commands import (
    baseline,
    compare,
    doctor,
    gate,
    history,
    plan,
    prices,
    report,
    run,
    score,
    simulate,
    targets,
    tco,
    workload,
)
from bench.errors import EXIT_INTERRUPTED, EXIT_USAGE, BenchError
from bench.redact import clean, refresh

app = typer.Typer(
    name="bench",
    help="The same model on different clouds: how fast, how reliable, how good, at what price, and how sure are we?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("gate")(gate.gate)
app.command("history")(history.history)
app.add_typer(baseline.app, name="baseline")
app.command("score")(score.score)
app.command("tco")(tco.tco)
app.command("targets")(targets.targets)
app.command("doctor")(doctor.doctor)
app.add_typer(workload.app, name="workload")
app.add_typer(prices.app, name="price")
app.command("simulate")(simulate.simulate)


def _version(value: bool) -> None:
    if value:
        print(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """Holds the options that belong to no verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code (bench/errors.py lists them)."""
    refresh()
    commands.invocation[:] = sys.argv[1:] if argv is None else argv
    try:
        code = app(args=run.with_bare_resume(commands.invocation), prog_name="bench", standalone_mode=False)
    except BenchError as error:
        print(clean(error.message), file=sys.stderr)
        if error.hint:
            print(clean(error.hint), file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("Interrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if hasattr(error, "format_message"):  # the parser's own errors: an unknown flag, a missing argument
            print(f"{error.format_message()}", file=sys.stderr)
            context = getattr(error, "ctx", None)
            print(f"See: {context.command_path if context else 'bench'} --help", file=sys.stderr)
            return EXIT_USAGE
        raise
    return code if isinstance(code, int) else 0
