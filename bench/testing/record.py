"""`python -m bench.testing.record TARGET -o FILE.golden`: one reply of a door, as it lay on the wire, cleaned, as a golden.

What the golden expects is what the dialect reads in the cleaned bytes today: read it before you keep it.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import dialects
from bench.conductor.preflight import Options, Ready, prepare
from bench.conductor.simulation import simulated
from bench.dialects import body as read
from bench.errors import BenchError, CannotRun
from bench.record import Attempt
from bench.targets import Target
from bench.testing.ask import ask, most_usd
from bench.testing.golden import STEP_NS, Golden, dump_golden
from bench.testing.redact import left_over, redact_body, redact_headers
from bench.workload import load_workload

SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
PROMPT = "Count from one to five in words, then stop."
MAX_USD = Decimal("0.05")


def secrets_of_environment(environ: Sequence[tuple[str, str]]) -> list[str]:
    """Values of every variable whose name says that it holds a secret."""
    return [value for name, value in environ if value and any(word in name.upper() for word in SECRET_NAMES)]


def golden_of(attempt: Attempt, target: Target, kind: str, secrets: Sequence[str]) -> Golden:
    """A reply as a golden, cleaned. CannotRun when nothing whole came, or when something would show that must not."""
    exchange = attempt.exchange
    if exchange.failure is not None or exchange.status is None:
        raise CannotRun(
            f"{target.id}: nothing to record: {exchange.failure or 'no response'} {exchange.failure_detail}"
        )
    if attempt.fault is not None:
        fault = attempt.fault
        raise CannotRun(
            f"{target.id}: the reply is an error: {exchange.status} {fault.outcome} {fault.code}: {fault.message}"
        )
    content_type = exchange.header("content-type") or "application/octet-stream"
    named = [name for name in (target.project, target.resource, target.workspace, target.deployment) if name]
    hidden = [*secrets, *named]
    plain = b"".join([data for _, data in read.plain_pieces(exchange)])
    body = redact_body(plain, content_type, hidden)
    shown = left_over(body, hidden)
    if shown:
        raise CannotRun(f"{target.id}: not written: the cleaned bytes still hold {', '.join(shown)}")
    now = datetime.now(UTC)
    host = urlsplit(target.base_url).hostname if target.base_url else "the door's own address"
    streamed = "event-stream" in content_type or "eventstream" in content_type
    golden = Golden(
        name=f"{target.provider}/{target.id}",
        source=f"recorded through bench's own wire from {target.provider}, {target.dialect}, "
        f"{'a look-alike' if kind == 'look-alike' else host}, model {target.model_id}",
        date=f"{now:%Y-%m-%d}",
        kind=kind,
        door=target.provider,
        covers=("stream",) if streamed else ("plain",),
        content_type=content_type,
        status=exchange.status,
        headers=tuple((k, v) for k, v in redact_headers(exchange.headers, hidden).items() if k != "content-type"),
        ends_with=None,
        expect={},
        body=body,
    )
    # The body is stored without its content encoding.
    golden = dataclasses.replace(golden, headers=tuple(h for h in golden.headers if h[0] != "content-encoding"))
    return dataclasses.replace(
        golden, expect=expectation(golden, target), ends_with=_ends_with(golden, target, streamed)
    )


def expectation(golden: Golden, target: Target) -> dict[str, Any]:
    """What the dialect reads in the golden, in a golden's words."""
    reply = dialects.get(target.dialect).decode(golden.event_by_event())
    said: dict[str, Any] = {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.tool_calls],
        "usage": {
            key: value
            for key, value in dataclasses.asdict(reply.usage).items()
            if value is not None and key != "source"
        },
        "stop_reason": reply.stop_reason,
        "native_stop_reason": reply.native_stop_reason,
        "complete": reply.complete,
        "served_model": reply.served_model,
        "served_lane": reply.served_lane,
        "message_id": reply.message_id,
        "content_events": [at // STEP_NS for at in reply.content_ns],
        "first_text_event": None if reply.first_text_ns is None else reply.first_text_ns // STEP_NS,
    }
    return {key: value for key, value in said.items() if value not in ("", [], {}, None)}


def _ends_with(golden: Golden, target: Target, streamed: bool) -> int | None:
    """The first event after which the dialect calls the reply complete."""
    if not streamed:
        return None
    decode = dialects.get(target.dialect).decode
    return next((n for n, end in enumerate(golden.ends(), 1) if decode(golden.cut(end)).complete), None)


def record(arguments: argparse.Namespace) -> Golden:
    """Asks the target once and gives its reply as a golden."""
    environment = list(os.environ.items())
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        options = Options(
            workload=_workload(folder, arguments),
            targets=arguments.targets,
            only=(arguments.target,),
            simulate=arguments.simulate,
        )
        job = prepare(options, datetime.now(UTC).date())
        case = load_workload(options.workload).cases[0]
        if arguments.simulate:
            with simulated(job, folder) as ready:
                attempt, one = _asked(ready[0], case), ready[0]
                environment += os.environ.items()
            kind = "look-alike"
        else:
            one = job.ready[0]
            most = most_usd(one.target, one.params, case)
            if most is None or most > arguments.max_usd:
                what = "an unknown sum" if most is None else f"up to {most:f} USD"
                raise CannotRun(f"{one.target.id}: the request may cost {what}; the limit is {arguments.max_usd} USD")
            attempt = _asked(one, case)
            kind = arguments.kind
    return golden_of(attempt, one.target, kind, secrets_of_environment(environment))


def _asked(ready: Ready, case: Any) -> Attempt:
    return asyncio.run(ask(ready.target, ready.params, case))


def _workload(folder: Path, arguments: argparse.Namespace) -> Path:
    path = folder / "record.yaml"
    workload = {
        "version": 1,
        "name": "record",
        "title": "One reply",
        "dataset": {"type": "inline", "items": [{"id": "one", "question": arguments.prompt}]},
        "messages": [{"role": "user", "content": "{{ question }}"}],
        "generation": {"max_tokens": arguments.max_tokens, "stream": not arguments.plain},
        "load": {"pattern": "concurrent", "stages": [{"concurrency": 1, "requests": 1}], "warmup": {"requests": 0}},
    }
    path.write_text(json.dumps(workload), encoding="utf-8")
    return path


def _usd(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"got {text}; want dollars, e.g. 0.05") from None


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="record-wire", description="Record one reply of a target as a golden.")
    parser.add_argument("target", help="id of a row of targets.yaml")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file to write, e.g. text.golden")
    parser.add_argument("--targets", type=Path, default=Path("targets.yaml"))
    parser.add_argument("--simulate", action="store_true", help="ask a look-alike; nothing real is within reach")
    parser.add_argument("--plain", action="store_true", help="ask for the whole reply instead of a stream")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--max-usd", type=_usd, default=MAX_USD, help="refuse a request that may cost more")
    parser.add_argument("--kind", choices=("live", "third-party", "look-alike"), default="live", help="who answers")
    given = parser.parse_args(argv)
    try:
        golden = record(given)
    except BenchError as error:
        print(error.message, file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return error.exit_code
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(dump_golden(golden))
    print(f"written: {given.out} ({len(golden.body)} bytes, {len(golden.ends())} events); read it before you keep it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
