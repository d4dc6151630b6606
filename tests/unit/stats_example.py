"""Made-up runs for the tests of stats and report: seeded, with the columns of record.REQUESTS and known shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from bench import record
from bench.metrics import derive_row


def frame(table: str, rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame with every column of the table; what a row leaves out is null."""
    columns = [column.name for column in record.TABLES[table]]
    unknown = {name for row in rows for name in row} - set(columns)
    assert not unknown, unknown
    return pd.DataFrame([{name: row.get(name) for name in columns} for row in rows], columns=columns)


def request(target: str, seq: int, **changes: Any) -> dict[str, Any]:
    """One ok request of a closed loop: 100 ms to the first token, 20 ms per token, 11 tokens, 300 ms in all."""
    sent = seq * 1_000_000_000
    row = {
        "run_id": "r1", "block_id": seq // 4, "seq": seq, "case_id": f"case-{seq}", "target": target, "model": "m",
        "provider": target, "region": "eu", "dialect": "messages", "served_model": "m-1", "repeat": 0,
        "phase": "measure", "simulated": False, "spoiled": False, "sent_ns": sent, "headers_ns": sent + 90_000_000,
        "first_byte_ns": sent + 95_000_000, "first_token_ns": sent + 100_000_000, "first_text_ns": sent + 100_000_000,
        "last_token_ns": sent + 300_000_000, "end_ns": sent + 300_000_000, "outcome": "ok", "http_status": 200,
        "attempts": 1, "first_attempt_outcome": "ok", "ttft_ms": 100.0, "ttft_text_ms": 100.0, "ttfb_ms": 95.0,
        "e2e_ms": 300.0, "tpot_ms": 20.0, "icl_max_ms": 20.0, "e2e_all_ms": 300.0, "retry_wait_ms": 0.0,
        "output_tokens": 11, "input_tokens": 100, "usage_source": "provider", "cost_usd": Decimal("0.001"),
        "price_book": "list 2026-01-01", "region_proof": "consistent", "client_stack": "sdk 1 + wire 1", "worker": 0,
    }  # fmt: skip
    return row | changes


def score(target: str, seq: int, value: float | None, scorer: str = "answer") -> dict[str, Any]:
    return {
        "run_id": "r1", "seq": seq, "target": target, "case_id": f"case-{seq}", "scorer": scorer,
        "scorer_type": "facts", "scorer_version": "1", "value": value, "reason": "",
    }  # fmt: skip


def requests(rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    return frame("requests", rows)


def scores(rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    return frame("scores", rows)


NO_ATTEMPTS = frame("attempts", [])
NO_SCORES = frame("scores", [])
COMPLETE: Mapping[str, Any] = {"complete": True}


@dataclass(frozen=True)
class Cloud:
    """A target of the example run: medians in ms, and what goes wrong."""

    id: str
    provider: str
    dialect: str
    region: str
    served_model: str
    ttft_ms: float
    tpot_ms: float
    wrong: float = 0.1
    usd_per_output_token: str | None = "0.000015"
    failures: Mapping[int, str] = field(default_factory=dict)
    tail: float = 0.02


CLOUDS = (
    Cloud("anthropic", "anthropic", "messages", "global", "claude-sonnet-4-5-20250929", 610, 17.5),
    Cloud("bedrock", "bedrock", "converse", "us-east-1", "claude-sonnet-4-5", 760, 18.1, failures={17: "throttled"}),
    Cloud("vertex", "vertex", "messages", "us-east5", "claude-sonnet-4-5@20250929", 480, 15.0),
    Cloud("foundry", "foundry", "messages", "eastus2", "claude-sonnet-4-5", 612, 17.4),
    Cloud("openai-compatible", "openai-compatible", "chat", "local", "claude-sonnet-4-5", 640, 26.0, wrong=0.2,
          usd_per_output_token=None, failures={3: "timeout", 40: "server", 41: "server", 77: "transport"}),
)  # fmt: skip


def example(
    clouds: tuple[Cloud, ...] = CLOUDS, prompts: int = 96, per_block: int = 4, seed: int = 7
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """requests, attempts, scores and manifest of a run: every cloud gets every prompt, block by block."""
    rng = np.random.default_rng(seed)
    blocks = prompts // per_block
    prompt_length = rng.lognormal(0, 0.25, prompts)
    hard = rng.random(prompts)
    shared_spell = rng.normal(0, 0.05, blocks)
    rows: list[dict[str, Any]] = []
    judged: list[dict[str, Any]] = []
    for cloud in clouds:
        own_spell = rng.normal(0, 0.06, blocks)
        for seq in range(prompts):
            spell = np.exp(shared_spell[seq // per_block] + own_spell[seq // per_block])
            slow = 3.0 if rng.random() < cloud.tail else 1.0
            tokens = max(2, round(200 * prompt_length[seq] * rng.lognormal(0, 0.02)))
            ttft = cloud.ttft_ms * spell * slow * rng.lognormal(0, 0.12)
            tpot = cloud.tpot_ms * spell * rng.lognormal(0, 0.04)
            due = seq * 500_000_000
            sent = due + int(rng.exponential(200_000))
            first = sent + int(ttft * 1e6)
            last = first + int(tpot * (tokens - 1) * 1e6)
            outcome = cloud.failures.get(seq, "ok")
            ok = outcome == "ok"
            content = (first, last) if ok else ()
            end = last + 2_000_000 if ok else sent + 900_000_000
            price = cloud.usd_per_output_token
            durations = derive_row(
                sent, sent, due, first - 5_000_000, first - 1_000_000, content, first if ok else None, end,
                tokens if ok else None, True)  # fmt: skip
            rows.append(request(
                cloud.id, seq, model="claude-sonnet-4-5", provider=cloud.provider, dialect=cloud.dialect,
                region=cloud.region, served_model=cloud.served_model if ok else None, simulated=True, due_ns=due,
                sent_ns=sent, first_token_ns=first if ok else None, first_text_ns=first if ok else None,
                last_token_ns=last if ok else None, end_ns=end, outcome=outcome, first_attempt_outcome=outcome,
                output_tokens=tokens if ok else None, block_id=seq // per_block, loop_lag_ms=0.4, retry_wait_ms=0.0,
                price_book="list 2026-11-01" if price else None,
                cost_usd=Decimal(price) * tokens + Decimal("0.009") if price and ok else None,
                client_stack=f"{cloud.provider} sdk + bench wire", **durations))  # fmt: skip
            if ok:
                right = hard[seq] > cloud.wrong and rng.random() > 0.01
                judged.append(score(cloud.id, seq, 1.0 if right else 0.0))
    manifest = {
        "run_id": "20261121-231205-rag", "run_folder": "results/date=2026-11-21/run=20261121-231205-rag",
        "command": "bench run workloads/rag.yaml --simulate --quick", "simulated": True, "complete": True,
        "exit_status": 0, "seed": seed, "workload": {"name": "rag", "title": "Policy questions from six passages"},
        "scorers": [{"name": "answer", "required": True}],
        "clusters": {f"case-{seq}": f"doc-{seq // 2}" for seq in range(prompts)},
        "calibration": {"rate_per_s": 10.0, "ttft_error_p50_ms": 0.021, "ttft_error_p99_ms": 0.11},
        "targets": [
            {"id": cloud.id, "model": "claude-sonnet-4-5", "provider": cloud.provider, "region": cloud.region,
             "params": {}, "service_tier": None, "api_version": None}
            for cloud in clouds
        ],
    }  # fmt: skip
    return requests(rows), NO_ATTEMPTS, scores(judged), manifest
