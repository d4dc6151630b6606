"""`python -m bench.simulate --config FILE.json`: look-alike clouds until SIGTERM, Ctrl-C, or the end of a piped stdin.

Prints one JSON line, {"ports": {...}, "pid": ...}, when every look-alike listens. `--selftest` measures this machine
instead.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import stat
import sys
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.errors import BenchError, CannotRun, ConfigError, Problem
from bench.simulate.answers import load_answers
from bench.simulate.config import Config, parse_config
from bench.simulate.doors import DOORS
from bench.simulate.lane import Lane
from bench.simulate.server import Connection, House, listen, tls_context
from bench.simulate.stamped import Listener
from bench.simulate.timer import Timer
from bench.simulate.truth import Truth

YOUNG_COLLECTION_S = 0.25
PARENT_CHECK_S = 1.0


async def serve(config: Config, parent: int | None) -> None:
    """Serves until told to stop, then writes the truth."""
    loop = asyncio.get_running_loop()
    answers = load_answers(config.answers) if config.answers else {}
    house = House(Timer(loop), Truth(config.truth))
    servers: list[Listener] = []
    rpc_servers: list[Any] = []
    ports: dict[str, int] = {}
    for n, target in enumerate(config.targets):
        lane = Lane(target, DOORS[target.door](), config.seed, answers)
        port = config.port + n if config.port else None
        try:
            if target.door == "vertex-grpc":
                from bench.simulate.rpc import Server  # it loads grpc, which is not always there

                rpc_servers.append(Server(lane, house))
                ports[target.id] = await rpc_servers[-1].start(port)
                continue
            context = tls_context(target)
            sock = listen(port)
        except OSError as error:
            raise CannotRun(
                f"{target.id}: cannot listen: {error}", "choose another first port, or check the TLS files"
            ) from error
        ports[target.id] = sock.getsockname()[1]
        servers.append(Listener(loop, sock, partial(Connection, lane, house, context)))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if _is_pipe(sys.stdin.fileno() if sys.stdin else -1):
        loop.add_reader(sys.stdin.fileno(), _read_stdin, loop, stopped)
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(0.0005)
    sys.stdout.write(orjson.dumps({"ports": ports, "pid": os.getpid()}).decode() + "\n")
    sys.stdout.flush()
    keeper = asyncio.create_task(_keep_house(parent, stopped))
    await stopped.wait()
    keeper.cancel()
    for server in servers:
        server.close()
    for rpc_server in rpc_servers:
        await rpc_server.stop()
    for connection in list(house.connections):
        connection.give_up()
        connection.transport.abort()
    house.timer.close()
    house.truth.close()


async def _keep_house(parent: int | None, stopped: asyncio.Event) -> None:
    """Collects young garbage (the collector is off), and notices when the process that started us is gone."""
    checked_s = 0.0
    while True:
        await asyncio.sleep(YOUNG_COLLECTION_S)
        gc.collect(0)
        checked_s += YOUNG_COLLECTION_S
        if checked_s >= PARENT_CHECK_S:
            checked_s = 0.0
            if parent is not None and os.getppid() != parent:
                stopped.set()


def _is_pipe(fd: int) -> bool:
    """Only a pipe or a socket tells by its end that our parent has gone; a terminal and /dev/null do not."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _read_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    fd = sys.stdin.fileno()
    if not os.read(fd, 4096):
        loop.remove_reader(fd)
        stopped.set()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description="Look-alike clouds on loopback.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, help="JSON file with seed, targets, answers, truth, port")
    what.add_argument(
        "--selftest",
        action="store_true",
        help="drive a load against look-alikes and print events/s, CPU share and lateness",
    )
    parser.add_argument("--parent", type=int, help="end when this process is no longer our parent")
    options = parser.parse_args(arguments)
    try:
        if options.selftest:
            from bench.simulate.selftest import selftest

            print(selftest())
            return 0
        try:
            data = orjson.loads(options.config.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise ConfigError([Problem(str(options.config), "", str(error), "a readable JSON file")]) from error
        uvloop.run(serve(parse_config(data, str(options.config)), options.parent))
    except BenchError as error:
        print(error.message, *([error.hint] if error.hint else []), sep="\n", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
