"""Putting a finished table on standard output."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.stats.table import Table

WIDTH_WITHOUT_TERMINAL = 100


def print_table(table: Table, as_json: bool) -> None:
    if as_json:
        from bench.report.data import as_dict

        print(json.dumps(as_dict(table), indent=1))
        return
    from bench.report import terminal

    tty = sys.stdout.isatty()
    width = columns_of_terminal()
    colour = tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    print(terminal.render(table, width, colour))


def columns_of_terminal() -> int:
    """How wide a line may be; a fixed width where nobody watches."""
    watched = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size().columns if watched else WIDTH_WITHOUT_TERMINAL
