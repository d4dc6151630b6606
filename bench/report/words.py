"""The method, its limits and the words of a report, in plain language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.metrics import METHOD_VERSION
from bench.stats.types import Table

SPOILED = "taken while our own instrument was the bottleneck"


def method(table: Table, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """How the figures were made, for a reader who was not there."""
    load = manifest.get("load") or {}
    open_loop = (
        load.get("pattern") not in {None, "concurrent"} and (load.get("sweep") or {}).get("over") != "concurrency"
    )
    sending = (
        "Requests were sent at times planned in advance, whatever the replies did (open loop), so a slow target could not "
        "slow down what was asked of it. Latency counts from the planned time."
        if open_loop
        else "A new request was sent when a slot became free (closed loop). Latency counts from the first send."
    )
    compared = (
        "Targets are compared over the same prompts in the same blocks: each prompt went to every target at nearly the same "
        "time, in random order. A verdict needs a difference that survives Holm's correction for all comparisons made; "
        "“inconclusive” means that these data cannot tell, and “equivalent” that the difference lies inside the stated margin."
        if len(table.rows) > 1
        else "One target was measured, so there is nothing to compare it with."
    )
    return (
        f"{sending} The plan (prompts, order, times) was made, hashed and written to disk before the first request.",
        "Every arrival was stamped when its bytes reached this machine. The first token is the first content of any kind; "
        "pings, role markers and signatures are not content. The client libraries' own retries were off: every retry is ours, "
        "and a row.",
        "A failed request is infinitely slow in every quantile: it is never dropped and never counted as fast. A request that "
        "failed also counts as not right.",
        "Every figure has a 95 % interval. Requests of the same minute share the load of that minute, so intervals take blocks "
        "of neighbouring requests, not requests, as independent. An end that the data cannot bound is written ∞ or left open.",
        compared,
        "Cost is the reported token counts at the price book's dated rates. A price that no dated source states is unknown (–), "
        "never 0. Quality is judged from the very replies that were timed, by fixed rules against known answers.",
        f"All figures were computed anew from the stored rows, by version {METHOD_VERSION} of the method.",
    )  # fmt: skip


def limits(table: Table) -> tuple[str, ...]:
    """What these figures do not say."""
    said = [
        "This is what one client saw, over its own network, in the hours stated below. It is not the maximum that any hardware "
        "can do.",
        "Intervals cover chance, not change: a provider may be faster or slower tomorrow.",
        "Tokens are counted by each provider in its own way; compare costs and times of whole requests rather than of tokens.",
        "Where the list of notes says that targets differ in region, lane or version, the comparison is of targets as they were "
        "set up, not of providers as such.",
    ]
    if table.slices:
        said.append("Slices were looked at after the fact: they are hints for the next run, not results.")
    if table.simulated:
        said.append("This run was simulated. Its figures test the instrument and say nothing about any vendor.")
    return tuple(said)


TERMS: tuple[tuple[str, str], ...] = (
    ("target", "a model at an address: the provider, region and settings of one row"),
    ("workload, case, request, attempt", "a set of prompts; one prompt and its expectation; one planned send; one try"),
    ("TTFT", "time to first token: from the planned time or the send to the first content of any kind"),
    ("E2E", "time to the end of the response, retries and waits included"),
    ("TPOT", "time per output token: (last content − first content) ÷ (output tokens − 1)"),
    ("p50, p99", "the time within which 50 % or 99 % of the requests had come"),
    ("95 % interval", "a range that would hold the true value in 95 of 100 such runs"),
    ("block", "prompts sent near each other in time, to every target; intervals count blocks"),
    ("n, n_eff", "requests counted; how many independent requests they are worth"),
    ("scorer", "a fixed rule that gives a reply 0 to 100 %; its mean is over the replies that it judged, so failed requests and "
               "what it does not apply to are not in it"),
    ("bar", "a limit that the workload set before the run: met or missed where the whole interval says so, else open"),
    ("price entry", "the dated, sourced line of the price book that priced a target's requests"),
    ("open loop, closed loop", "sends at due times, whatever happens; a new send waits for a free slot"),
    ("refused, filtered, truncated", "the model declined; a filter stopped it; it ran out of tokens"),
    ("throttled, overloaded, server", "a rate limit was met; they had no capacity; a fault of theirs"),
    ("timeout, transport", "no end came in time; the connection broke"),
    ("spoiled", f"{SPOILED}: stored, marked, left out of the figures"),
    ("faster, slower, cheaper, costlier, better, worse", "proven, after correction; “(small)” when within the margin"),
    ("inconclusive", "these data cannot tell"),
    ("SIMULATED", "look-alike clouds on this machine answered, no vendor"),
    ("PARTIAL", "the run did not come to its end"),
)  # fmt: skip
