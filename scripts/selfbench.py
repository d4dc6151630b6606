"""How wrong is bench, and what does it cost? The whole program against look-alikes that wrote down when every token left.

The look-alike runs on one core, `bench run` on another: all of it, from the YAML to the table. Errors are differences between
what requests.parquet and chunks.parquet say and the server's own stamps, request by request. In the same minute, on the same
core and against the same server, a bare epoll client reads the same replies and drops them, in Python and (where there is a
compiler) in C: seconds of CPU differ between machines, and with what else runs on them; the ratio to that yardstick much less.

The look-alike is in Python, so where tokens come without a delay it is what limits all of them. A server in C (where there is a
compiler) writes the look-alike's own bytes faster than any client here reads them; it notes no times, so it shows cost alone.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from selfbench_cells import LOADS, LONG, WIRES, cells, wires_of
from selfbench_place import machine, prepared
from selfbench_startup import lines, startup
from selfbench_table import head, line, markdown, table

QUICK = ("200", "1000", "64 fast", "64 fast, C server")
QUICK_SHARED = ("200", "openai-compatible")
"""Where `--quick` tries several workers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each cell; the median is printed")
    parser.add_argument("--load", action="append", choices=LOADS, help="streams, or the name of a load")
    parser.add_argument("--wire", action="append", choices=WIRES)
    parser.add_argument("--workers", action="append", type=int, help="processes that send; 1 and 2, if not given")
    parser.add_argument(
        "--bare", action="append", choices=("python", "c"), help="the bare clients to hold it against; both"
    )
    parser.add_argument("--requests-share", type=float, default=1.0, help="share of each load's requests that is sent")
    parser.add_argument("--quick", action="store_true",
                        help="the main table in a few minutes: 200, 1,000 and 64 fast streams over every wire, half the "
                        "requests, held against C; two workers at 200 streams")  # fmt: skip
    parser.add_argument(
        "--startup", action="store_true", help="seconds from the start of bench run to its first byte, by door, alone"
    )
    parser.add_argument(
        "--minutes", type=float, help="begin no round of cells after so many; rounds go through all cells"
    )
    parser.add_argument("--markdown", action="store_true", help="the table for docs/selfbench.md, at the end")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    share, bare = options.requests_share, options.bare or ["python", "c"]
    if options.quick:
        share, bare = share / 2, options.bare or ["c"]
    asked = options.load or (QUICK if options.quick else [load for load in LOADS if load not in LONG])
    if not options.json:
        print(f"{machine()}; medians of up to {options.repeat}", flush=True)
    if options.startup:
        with tempfile.TemporaryDirectory() as folder:
            rows = startup(prepared(Path(folder)), options.repeat)
        print(json.dumps({"machine": machine(), "startup": rows}, indent=1) if options.json else "\n".join(lines(rows)))
        return
    rounds: list[dict[tuple[str, str, int], dict[str, float | None]]] = []
    began = os.times().elapsed
    with tempfile.TemporaryDirectory() as folder:
        place = prepared(Path(folder))
        if place.compiled_server is None and (left_out := [load for load in asked if LOADS[load].compiled]):
            print(f"No compiler (cc, gcc, clang): without {', '.join(left_out)}, and without C.", file=sys.stderr)
            asked = [load for load in asked if load not in left_out]
        kinds = [
            (load, wires, workers)
            for workers in options.workers or (1, 2)
            for load in asked
            for door in dict.fromkeys(door for door, _ in WIRES.values())
            if workers <= LOADS[load].streams and not (options.quick and workers > 1 and (load, door) != QUICK_SHARED)
            if (wires := wires_of(load, door, options.wire or list(WIRES)))
        ]
        for n in range(options.repeat):
            if rounds and options.minutes and os.times().elapsed - began > 60 * options.minutes:
                break
            rounds.append({})
            for load, wires, workers in kinds:
                found = cells(load, wires, workers, place, bare, share)
                rounds[-1] |= {(load, wire, workers): one for wire, one in found.items()}
            if sys.stderr.isatty():
                print(f"round {n + 1} of {options.repeat}", file=sys.stderr, flush=True)
    out = table(rounds)
    if options.json:
        print(json.dumps({"machine": machine(), "load_average": os.getloadavg(), "cells": out}, indent=1))
        return
    print(head())
    for row in out:
        print(line(row["load"], row["wire"], row["workers"], row))
    print(f"{os.times().elapsed - began:.0f} s, load average {os.getloadavg()[0]:.1f}")
    if options.markdown:
        print(markdown(out, len(rounds)))


if __name__ == "__main__":
    main()
