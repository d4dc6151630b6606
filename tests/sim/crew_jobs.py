"""What workers of the tests do: functions at the top of a module, so that a fresh process finds them."""

import asyncio
import os
import signal
import sys
from decimal import Decimal
from typing import Any

from bench.engine.worker import WorkerSeat
from bench.errors import CannotRun
from bench.wire.clock import now_ns


async def tell_about_itself(work: Any, seat: WorkerSeat) -> dict[str, Any]:
    with seat.listening(lambda _: None):
        await seat.loaded()
        start_ns = await seat.start()
    return {
        "work": work,
        "share": (seat.share.worker, seat.share.workers),
        "command": sys.orig_argv,
        "key": os.environ.get("KEY_OF_THE_TEST"),
        "start_ns": start_ns,
        "now_ns": now_ns(),
    }


async def cannot(work: Any, seat: WorkerSeat) -> None:
    raise CannotRun("there is no disk", "buy one")


async def blunder(work: Any, seat: WorkerSeat) -> None:
    raise ZeroDivisionError(work)


async def die(work: Any, seat: WorkerSeat) -> None:
    if seat.share.worker == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    await tell_about_itself(work, seat)


async def leave(work: Any, seat: WorkerSeat) -> None:
    print("no licence", file=sys.stderr, flush=True)
    os._exit(7)


async def ignore_the_keyboard(work: Any, seat: WorkerSeat) -> str:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.01)
    return "still here"


async def wait_for_the_end(work: str, seat: WorkerSeat) -> str | None:
    """Waits until told to stop, or until the conductor is gone; leaves the reason in the file named by `work`."""
    with seat.listening(lambda _: None):
        await seat.loaded()
        await seat.control.stopping.wait()
    with open(f"{work}-{seat.share.worker}", "w") as file:
        file.write(str(seat.control.reason))
    return seat.control.reason


async def spend(work: tuple[str, str, str], seat: WorkerSeat) -> tuple[int, int]:
    """Holds and settles until the limit refuses: returns how many went and the most that were in flight at once."""
    limit, most, cost = map(Decimal, work)
    purse, held, sent = seat.purse(limit), 0, 0
    with seat.listening(lambda _: None):
        await seat.loaded()
        while purse.hold(most):
            sent, held = sent + 1, held + 1
            if held == 3:
                purse.settle(most, cost)
                held -= 1
    return sent, held
