"""What is recorded: the types that travel through the house, and every stored column with its unit and meaning.

All `_ns` values are ints of one host's monotonic clock. In memory they are absolute; on disk they count from the run's
anchor. `None` means not known, and is stored as null; it is never replaced by 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1

Outcome = Literal[
    "ok", "refused", "filtered", "truncated", "timeout", "throttled", "overloaded", "auth", "bad_request", "server",
    "transport", "bug",
]  # fmt: skip
OUTCOMES: tuple[Outcome, ...] = (
    "ok", "refused", "filtered", "truncated", "timeout", "throttled", "overloaded", "auth", "bad_request", "server",
    "transport", "bug",
)  # fmt: skip

StopReason = Literal["stop", "length", "tool", "stop_sequence", "filtered", "refused", "context", "malformed"]

WireFailure = Literal["dns", "connect", "tls", "proxy", "timeout", "reset", "closed", "protocol", "cancelled"]


STANDARD_SPEED = "standard-speed"
"""A word of `served_lane`: the reply named the standard speed, whatever speed was asked for."""


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt with its expectation.

    `messages` are in the OpenAI form (`role`, `content`); `expected` holds what the scorers read (`gold`, `gold_passages`,
    `answerable`, ...); `cluster` groups cases that share a source and are therefore not independent; `answers` are
    replies of known kind (`right`, `wrong`, ...) that the look-alike clouds give. A turn of a session names its `session`
    and its number from 1; `messages` then end in the turns so far, as the item remembers them. `response_format` is what this
    case alone asks for, in the form of `Params.response_format`; None leaves the workload's.
    """

    id: str
    messages: tuple[Mapping[str, Any], ...]
    expected: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = ""
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    source: str = ""
    session: str = ""
    turn: int = 0
    response_format: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """Generation settings in the words of the OpenAI API; `None` means "not sent"."""

    max_tokens: int = 1024
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = True
    effort: str | None = None
    thinking_budget_tokens: int | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    cache_breakpoints: tuple[str, ...] = ()
    cache_ttl: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One planned send. `due_ns` counts from the start of the load; `None` in a closed loop.

    `stage` is the stretch of load that it belongs to (None in warm-up), `level` the value that a sweep gave it. In a session,
    turns after the first wait `think_ns` after the reply before; `history` holds the replies so far where they are live.
    """

    seq: int
    block_id: int
    case_id: str
    target_id: str
    repeat: int
    phase: Literal["warmup", "measure"]
    due_ns: int | None
    stage: int | None = None
    level: float | None = None
    session_id: int | None = None
    turn: int | None = None
    think_ns: int | None = None
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """Facts of the connection that carried an exchange. Durations in ns; `None` on a connection that was reused."""

    reused: bool
    address: str | None = None
    dns_ns: int | None = None
    connect_ns: int | None = None
    tls_ns: int | None = None
    tls_version: str | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back, as bytes with their arrival times.

    `sent_ns` is when our last request byte was handed to the socket. `pieces` are the body bytes in order, those of each read
    with its arrival time: what came in one read shares its stamp, and the gaps inside are unknown.
    `failure` says in which way the wire failed; what had arrived by then is kept. `sending_ns` is how long after `sent_ns` the
    last send call came back: when it is long, the bytes may have left later than `sent_ns` says.
    """

    sent_ns: int
    headers_ns: int | None
    end_ns: int
    status: int | None
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[tuple[int, bytes], ...]
    connection: Connection
    failure: WireFailure | None = None
    failure_detail: str = ""
    sending_ns: int = 0

    def header(self, name: str) -> str | None:
        """The first header of that name (lower case), or None."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    @property
    def body(self) -> bytes:
        return b"".join([data for _, data in self.pieces])


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts, normalised. `input_tokens` is uncached input only; `output_tokens` includes `reasoning_tokens`."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    source: Literal["provider", "estimate"] | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What an exchange said, decoded after it ended.

    `content_ns` are the arrival times of the content events in order: text, reasoning and tool arguments; role-only deltas,
    pings and signatures are not content. `complete` is whether the wire's terminal event was seen. `error_body` holds an
    error that came inside a 200 response, as the JSON bytes the provider's `fault` reads. `stop_detail` is what the provider
    said of its stop: the category of a refusal.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    content_ns: tuple[int, ...] = ()
    first_text_ns: int | None = None
    usage: Usage = Usage()
    stop_reason: StopReason | None = None
    native_stop_reason: str | None = None
    complete: bool = False
    error_body: bytes | None = None
    served_model: str | None = None
    served_lane: str | None = None
    message_id: str | None = None
    stop_detail: str = ""
    fingerprint: str | None = None
    inference_geo: str | None = None

    @property
    def first_token_ns(self) -> int | None:
        return self.content_ns[0] if self.content_ns else None

    @property
    def last_token_ns(self) -> int | None:
        return self.content_ns[-1] if self.content_ns else None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attempt was not `ok`, told from raw status, code and type."""

    outcome: Outcome
    code: str | None = None
    message: str = ""
    retry_after_s: float | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try on the wire: the exchange, what it said, how it is classed, and how long was waited before the next try."""

    n: int
    exchange: Exchange
    reply: Reply
    fault: Fault | None
    wait_ns: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """A scorer's verdict on one reply: `value` in 0..1, or None with the reason why it cannot judge."""

    scorer: str
    version: str
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A stored column: `kind` is an Arrow type in short form, `unit` is empty where there is none."""

    name: str
    kind: str
    unit: str
    meaning: str


def _columns(table: str) -> tuple[Column, ...]:
    rows = []
    for line in table.strip().splitlines():
        name, kind, unit, meaning = (part.strip() for part in line.split("|", 3))
        rows.append(Column(name, kind, unit, meaning))
    return tuple(rows)


IDENTITY = _columns("""
run_id        | string |   | the run's id, also the name of its folder
seq           | int64  |   | number of the request in the plan, from 0
target        | string |   | id of the target, as in targets.yaml
""")

SCHEDULE = IDENTITY + _columns("""
block_id      | int32  |   | block of the plan: prompts that are sent near each other in time, to every target
case_id       | string |   | id of the workload's case
repeat        | int32  |   | how many times this case was sent to this target before
phase         | string |   | warmup or measure
due_ns        | int64  | ns from start of load | when the request should go; null in a closed loop and for later turns of a session; in a sweep it counts from the start of the level
stage         | int32  |   | number of the stage of the load, from 0; null in warm-up
level         | float64 |  | rate (per second) or concurrency of the sweep's level; null outside sweeps
session_id    | int32  |   | number of the session in the plan, from 0; null outside sessions
turn          | int32  |   | turn of the session, from 1; null outside sessions
think_ns      | int64  | ns | planned pause between the end of the session's last reply and this turn; null for first turns
""")

REQUESTS = _columns("""
run_id            | string |   | the run's id, also the name of its folder
block_id          | int32  |   | block of the plan; intervals treat blocks, not requests, as independent
seq               | int64  |   | number of the request in the plan, from 0
case_id           | string |   | id of the workload's case
target            | string |   | id of the target, as in targets.yaml
model             | string |   | logical model; targets of one model are compared
provider          | string |   | the door: who answers
region            | string |   | region asked for
dialect           | string |   | wire language spoken
served_model      | string |   | model named in the reply
served_lane       | string |   | service tier or capacity lane named in the reply
repeat            | int32  |   | how many times this case was sent to this target before
phase             | string |   | warmup or measure; figures use measure only
stage             | int32  |   | number of the stage of the load, from 0; null in warm-up
level             | float64 |  | rate (per second) or concurrency of the sweep's level; null outside sweeps
session_id        | int32  |   | number of the session in the plan, from 0; null outside sessions
turn              | int32  |   | turn of the session, from 1; null outside sessions
simulated         | bool   |   | true when a look-alike cloud answered
spoiled           | bool   |   | true when our own instrument was the bottleneck while this row was taken; figures leave it out
due_ns            | int64  | ns from anchor | when the plan wanted the request to go: for later turns of a session, the end of the last reply + think time; null in a closed loop
sent_ns           | int64  | ns from anchor | when the first attempt's last byte was handed to the socket
headers_ns        | int64  | ns from anchor | arrival of the response headers (final attempt)
first_byte_ns     | int64  | ns from anchor | arrival of the first body byte (final attempt)
first_token_ns    | int64  | ns from anchor | arrival of the first content of any kind: text, reasoning or tool call (final attempt)
first_text_ns     | int64  | ns from anchor | arrival of the first visible text (final attempt)
last_token_ns     | int64  | ns from anchor | arrival of the last content (final attempt)
end_ns            | int64  | ns from anchor | end of the response, or of waiting for it (final attempt)
ttft_ms           | float64 | ms | first_token_ns − sent of the final attempt; null without streaming
ttft_text_ms      | float64 | ms | first_text_ns − sent of the final attempt; null without streaming
ttfb_ms           | float64 | ms | first_byte_ns − sent of the final attempt
e2e_ms            | float64 | ms | end_ns − sent of the final attempt
tpot_ms           | float64 | ms | (last_token_ns − first_token_ns) ÷ (output_tokens − 1); null below 2 tokens or when one read carried all
icl_max_ms        | float64 | ms | longest gap between arrivals of content; gaps inside one read are unknown and left out
content_events    | int32  |   | content events of the final attempt
same_read_events  | int32  |   | those of them that came in one read with the one before: the gap between the two is unknown
lateness_ms       | float64 | ms | first sent − due: our own delay, not theirs
e2e_due_ms        | float64 | ms | end_ns − due_ns; includes our lateness, retries and waits
ttft_due_ms       | float64 | ms | first_token_ns − due_ns; includes our lateness, retries and waits
outcome           | string |   | of the final attempt: ok, refused, filtered, truncated, timeout, throttled, overloaded, auth, bad_request, server, transport, bug
http_status       | int32  |   | status of the final attempt; null when no response came
fault_code        | string |   | the provider's own error code or type, or the kind of wire failure
attempts          | int32  |   | tries on the wire
first_attempt_outcome | string | | outcome of the first try
retry_wait_ms     | float64 | ms | time waited between tries
e2e_all_ms        | float64 | ms | end of the final attempt − sent of the first: what the caller waited
stop_reason       | string |   | stop, length, tool, stop_sequence, filtered, refused, context, malformed; null when none came
provider_request_id | string | | the provider's id of the final attempt, for their logs
conn_reused       | bool   |   | whether the connection was already open
loop_lag_ms       | float64 | ms | largest lag of our event loop seen while the request was in flight
worker            | int32  |   | process that sent it
input_tokens      | int64  | tokens | uncached input, as billed
cache_read_tokens | int64  | tokens | input read from the prompt cache
cache_write_5m_tokens | int64 | tokens | input written to the prompt cache for five minutes
cache_write_1h_tokens | int64 | tokens | input written to the prompt cache for an hour
output_tokens     | int64  | tokens | output, reasoning included
reasoning_tokens  | int64  | tokens | the part of output that was reasoning
usage_source      | string |   | provider or estimate; null when no count is known
cost_usd          | decimal(38,12) | USD | cost of the final attempt at the price book's rate; null when the price or the usage is unknown
cost_input_usd    | decimal(38,12) | USD | the part of cost_usd that uncached input made; the five parts sum to cost_usd
cost_cache_read_usd | decimal(38,12) | USD | the part that input read from the prompt cache made
cost_cache_write_5m_usd | decimal(38,12) | USD | the part that input written to the cache for five minutes made
cost_cache_write_1h_usd | decimal(38,12) | USD | the part that input written to the cache for an hour made
cost_output_usd   | decimal(38,12) | USD | the part that output made, reasoning included
cost_reasoning_usd | decimal(38,12) | USD | the part of cost_output_usd that was reasoning; null when its tokens are not reported
cost_retries_usd  | decimal(38,12) | USD | cost of the attempts before the final one, not in cost_usd; null when one that may have been billed has no known cost
unpriced_attempts | int32  |   | attempts, the final one included, that may have been billed and have no known cost
price_book        | string |   | the price book entry used, with its date
client_stack      | string |   | versions of the SDK that built the request and of our wire
region_proof      | string |   | consistent, contradicted or unknown: whether the reply agrees with the region, model and door asked for
""")

ATTEMPTS = IDENTITY + _columns("""
attempt           | int32  |   | number of the try, from 1
sent_ns           | int64  | ns from anchor | when its last byte was handed to the socket
headers_ns        | int64  | ns from anchor | arrival of its response headers
end_ns            | int64  | ns from anchor | end of its response, or of waiting for it
outcome           | string |   | as in requests
http_status       | int32  |   | as in requests
fault_code        | string |   | as in requests
fault_message     | string |   | the provider's error text, cut at 500 characters
retry_after_s     | float64 | s | what the provider asked us to wait
wait_ms           | float64 | ms | what we waited after this try
provider_request_id | string | | the provider's id of this try
headers           | string |   | response headers of the allow-list, as JSON
conn_reused       | bool   |   | whether the connection was already open
address           | string |   | peer address
dns_ms            | float64 | ms | name resolution, on a new connection
connect_ms        | float64 | ms | TCP connect, on a new connection
tls_ms            | float64 | ms | TLS handshake, on a new connection
tls_version       | string |   | TLS version; null in plain HTTP
proxy             | string |   | proxy the connection went through, without credentials
bytes_received    | int64  | bytes | body bytes
message_id        | string |   | id of the message in the reply
fingerprint       | string |   | system fingerprint in the reply
profile_scope     | string |   | inference profile in the Bedrock model id: us, eu, apac, jp, au, us-gov, global or in-region
inference_geo     | string |   | geography that the reply says it was made in
identity          | string |   | who answered, by the reply's own marks: consistent, unknown, or in words how it contradicts the label
limit_requests    | int64  | requests | the provider's limit of requests, for its own window
remaining_requests | int64 | requests | what was left of it after this try
reset_requests_s  | float64 | s | until it is filled again, from the response's own date
limit_tokens      | int64  | tokens | limit of tokens, input and output together
remaining_tokens  | int64  | tokens | what was left of it
reset_tokens_s    | float64 | s | until it is filled again
limit_input_tokens | int64 | tokens | limit of input tokens
remaining_input_tokens | int64 | tokens | what was left of it
reset_input_tokens_s | float64 | s | until it is filled again
limit_output_tokens | int64 | tokens | limit of output tokens
remaining_output_tokens | int64 | tokens | what was left of it
reset_output_tokens_s | float64 | s | until it is filled again
utilisation_share | float64 |  | share of a provisioned deployment in use, as its replies tell it
served_lane       | string |   | service tier or capacity lane named in this try's reply
input_tokens      | int64  | tokens | as in requests, of this try; null when it did not say
cache_read_tokens | int64  | tokens | as in requests
cache_write_5m_tokens | int64 | tokens | as in requests
cache_write_1h_tokens | int64 | tokens | as in requests
output_tokens     | int64  | tokens | as in requests
reasoning_tokens  | int64  | tokens | as in requests
cost_usd          | decimal(38,12) | USD | cost of this try; null when the price or the usage is unknown
may_be_billed     | bool   |   | false when no model can have run: the try never left, or was turned away with an error
price_book        | string |   | the price book entry used, with its date
""")

CHUNKS = IDENTITY + _columns("""
attempt           | int32  |   | number of the try, from 1
arrived_ns        | list<int64> | ns from anchor | arrival of each piece of the body: what one read brought
sizes             | list<int32> | bytes | size of each piece
content_ns        | list<int64> | ns from anchor | arrival of each content event
""")

REPLIES = IDENTITY + _columns("""
case_id           | string |   | id of the workload's case
text              | string |   | visible text (policy full), its SHA-256 (hashed), or null (none)
reasoning         | string |   | reasoning text, by the same policy
tool_calls        | string |   | tool calls as JSON, by the same policy
stop_reason       | string |   | as in requests
native_stop_reason | string |  | the stop reason in the provider's own words
message_id        | string |   | id of the message in the reply
""")

SCORES = IDENTITY + _columns("""
case_id           | string |   | id of the workload's case
scorer            | string |   | name of the scorer in the workload
scorer_type       | string |   | type of the scorer
scorer_version    | string |   | version of the scorer's code
value             | float64 |  | 0 to 1; null when it cannot judge
reason            | string |   | why, in words
""")

SUMMARY = _columns("""
run_id            | string |   | the run's id
target            | string |   | id of the target
baseline          | string |   | for a ratio or a difference, the target it is measured against; else null
metric            | string |   | name of the figure
unit              | string |   | its unit
value             | float64 |  | the estimate; null when unknown
low               | float64 |  | lower end of the 95 % interval; null when unbounded or unknown
high              | float64 |  | upper end of the 95 % interval; null when unbounded or unknown
n                 | int64  |   | rows behind it
n_eff             | float64 |  | rows they are worth, given that rows of one block resemble each other
method            | string |   | how the interval was made
verdict           | string |   | faster, slower, equivalent, inconclusive, ...; null for a plain figure
warnings          | string |   | what the reader must know, joined by "; "
""")

TABLES: Mapping[str, tuple[Column, ...]] = {
    "schedule": SCHEDULE,
    "requests": REQUESTS,
    "attempts": ATTEMPTS,
    "chunks": CHUNKS,
    "replies": REPLIES,
    "scores": SCORES,
    "summary": SUMMARY,
}
