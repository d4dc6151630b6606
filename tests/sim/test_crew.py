"""The processes themselves: how they start, what they are told, how they end, and what they share."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bench.engine.seat import Board, Purse, SharedPurse
from bench.engine.worker import Channel
from bench.engine.workers import Crew
from bench.errors import CannotRun
from bench.wire.clock import now_ns
from tests.sim import crew_jobs

ROOT = Path(__file__).parent.parent.parent


def run(job: Any, work: Any, workers: int = 2, requests: int = 4) -> Crew:
    """Conducts a crew to its end, and returns it."""

    async def conduct() -> Crew:
        crew = Crew(board, lambda worker, reason: crew.tell("stop", reason))
        try:
            await crew.hire(job, work)
            while (wanted := await crew.gathered()) is not None:
                crew.go(now_ns() + 50_000_000 if wanted == ("ready",) else None)
        finally:
            await crew.dismiss()
        return crew

    board = Board(workers, requests)
    try:
        return uvloop.run(conduct())
    finally:
        board.close()


def test_workers_get_their_work_their_share_and_one_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_THE_TEST", "s3cret")
    crew = run(crew_jobs.tell_about_itself, {"some": "work"})
    told = [worker.part for worker in crew.workers]
    assert [t["share"] for t in told] == [(0, 2), (1, 2)]
    assert {t["work"]["some"] for t in told} == {"work"}
    assert len({t["start_ns"] for t in told}) == 1  # one clock for all processes of a host
    assert {t["key"] for t in told} == {"s3cret"}  # by the environment alone
    assert not any("s3cret" in word for t in told for word in t["command"])


def test_the_error_of_a_worker_comes_whole() -> None:
    errors = [worker.error for worker in run(crew_jobs.cannot, None).workers]
    assert [(type(e), e.message, e.hint) for e in errors] == [(CannotRun, "there is no disk", "buy one")] * 2


def test_what_a_worker_said_last_is_heard_when_it_was_gone_before_it_heard_us() -> None:
    """It leaves with our word unread, which resets the connection, and the word after that finds nobody."""

    async def conduct() -> list[object]:
        ours, theirs = socket.socketpair()
        channel, peer = await Channel.over(ours), await Channel.over(theirs)
        channel.send("stop", "unread")
        peer.send("failed", "no disk")
        await peer.close()
        channel.send("stop", "to nobody")
        await asyncio.sleep(0.01)
        heard = [await channel.receive(), await channel.receive()]
        await channel.close()
        return heard

    assert uvloop.run(conduct()) == [("failed", "no disk"), None]


def test_a_bug_in_a_worker_comes_with_its_traceback() -> None:
    error = run(crew_jobs.blunder, "by zero", workers=1).workers[0].error
    assert isinstance(error, RuntimeError)
    assert "ZeroDivisionError: by zero" in str(error)
    assert "crew_jobs.py" in str(error)


def test_a_killed_worker_is_lost_and_the_other_goes_on() -> None:
    first, second = run(crew_jobs.die, None).workers
    assert second.lost == "killed by signal 9"
    assert second.ended_ns > 0
    assert first.lost is None
    assert first.error is None
    assert first.ended


def test_a_worker_that_leaves_without_a_word_is_lost() -> None:
    board = Board(1, 1)

    async def conduct() -> tuple[str | None, str]:
        crew = Crew(board, lambda *_: None)
        try:
            await crew.hire(crew_jobs.leave, None)
            await crew.gathered()
            return crew.workers[0].lost, crew.workers[0].said()
        finally:
            await crew.dismiss()

    assert uvloop.run(conduct()) == ("ended with status 7", "no licence")
    board.close()


def test_workers_leave_the_keyboard_to_their_conductor() -> None:
    assert [worker.part for worker in run(crew_jobs.ignore_the_keyboard, None).workers] == ["still here"] * 2


def test_workers_stop_when_their_conductor_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from bench.engine.seat import Board\n"
        "from bench.engine.workers import Crew\n"
        "from tests.sim import crew_jobs\n"
        "async def conduct():\n"
        "    crew = Crew(Board(2, 1), lambda *_: None)\n"
        f"    await crew.hire(crew_jobs.wait_for_the_end, {str(tmp_path / 'end')!r})\n"
        "    await crew.gathered()\n"
        "    print('loaded', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(conduct())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loaded\n"
        os.kill(process.pid, signal.SIGKILL)

    async def both_ended() -> None:
        while len([p for p in tmp_path.glob("end-*") if p.read_text()]) < 2:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(both_ended(), 20))
    assert {p.read_text() for p in tmp_path.glob("end-*")} == {"the conductor is gone"}


def test_two_processes_never_pass_one_limit() -> None:
    """$1.00, at most $0.03 each, $0.01 in truth, two left unsettled in each process: 2 × 2 × 0.03 = 0.12 stay held."""
    parts = [worker.part for worker in run(crew_jobs.spend, ("1.00", "0.03", "0.01")).workers]
    sent, held = sum(p[0] for p in parts), sum(p[1] for p in parts)
    assert held <= 4
    spent = Decimal("0.01") * (sent - held) + Decimal("0.03") * held
    # the last refusal: what was left could not take one more, and nothing was given beyond the limit
    assert Decimal("1.00") - 2 * Decimal("0.03") < spent <= Decimal("1.00")


@pytest.mark.parametrize("shared", [False, True])
def test_a_purse_holds_what_is_in_flight_and_gives_back_what_was_not_used(shared: bool) -> None:
    board = Board(2, 0)
    limit, most = Decimal("0.10"), Decimal("0.04")
    purse = SharedPurse(limit, board, 1) if shared else Purse(limit)
    assert purse.hold(most)
    assert purse.hold(most)
    assert not purse.hold(most)  # 0.04 + 0.04 + 0.04 > 0.10
    purse.settle(most, Decimal("0.01"))
    assert purse.hold(most)  # 0.01 + 0.04 + 0.04 ≤ 0.10
    purse.settle(most, None)  # not known: as in one process, nothing is counted
    assert purse.hold(Decimal("0.05"))  # 0.01 + 0.04 + 0.05 = 0.10, exactly
    assert not purse.hold(Decimal("0.000000000001"))
    board.close()


def test_what_a_killed_worker_had_set_aside_stays_set_aside() -> None:
    board = Board(2, 0)
    dead, alive = (SharedPurse(Decimal("0.10"), board, worker) for worker in range(2))
    assert dead.hold(Decimal("0.06"))
    del dead
    assert not alive.hold(Decimal("0.05"))
    assert alive.hold(Decimal("0.04"))
    board.close()
