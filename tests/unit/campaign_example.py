"""A made-up campaign on disk: its plan, its log, and the runs of its blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.campaigns import campaign as campaigns
from bench.campaigns.campaign import Campaign, Fate
from tests.unit.stats_example import CLOUDS
from tests.unit.stored_example import DAY_NS, store

TWO = CLOUDS[:2]


def week(results: Path) -> Campaign:
    """Six blocks: 1, 2 and 4 are done, 3 was missed, 5 was cut, and 6 is to come."""
    campaign = planned(results)
    for n in (1, 2, 4):
        ran(results, campaign, n)
    ran(results, campaign, 5, "cut", reason="interrupted")
    campaigns.append(campaign, campaign.blocks[2], Fate("missed", "nothing was running"))
    return campaign


def planned(results: Path, blocks: int = 6) -> Campaign:
    facts = {
        "name": "week", "bench_version": "1", "published": "2026-11-21T00:00:00Z", "simulated": False, "grace_ns": 0,
        "max_usd": None, "options": {}, "targets": [cloud.id for cloud in TWO],
    }  # fmt: skip
    return campaigns.publish(facts, campaigns.draw(blocks, 0, blocks * DAY_NS, 1), campaigns.folder_of("week", results))


def ran(results: Path, campaign: Campaign, n: int, fate: str = "done", reason: str = "") -> None:
    """Block n ran, with a load of its own: all of its requests are slower or faster together."""
    factor = float(np.exp(np.random.default_rng(n).normal(0, 0.3)))
    clouds = tuple(replace(cloud, ttft_ms=cloud.ttft_ms * factor, tpot_ms=cloud.tpot_ms * factor) for cloud in TWO)
    run_id = f"week-b{n}"
    named = {"campaign": {"name": "week", "block": n}, "complete": fate == "done"}
    store(results, run_id, day=n, clouds=clouds, prompts=16, seed=n, facts=named)
    campaigns.append(campaign, campaign.blocks[n - 1], Fate(fate, reason, run_id))
