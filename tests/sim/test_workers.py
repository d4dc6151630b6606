"""Several processes send one plan: the same requests, one table, and what happens when a process dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def keys(rows) -> set[tuple]:
    return {(r["seq"], r["target"], r["case_id"], r["repeat"], r["block_id"]) for r in rows}


def test_two_workers_send_what_one_sends(place, clouds) -> None:
    clouds(anthropic={}, bedrock={})
    one = place.run("--run-id", "one", requests=9)
    alone = one.manifest, keys(one.rows())
    two = place.run("--run-id", "two", "--workers", "2", requests=9)
    assert two.code == 0, two.err
    print(two.out, two.err, json.dumps(two.manifest["instrument"], indent=1))
    assert two.manifest["plan"]["digest"] == alone[0]["plan"]["digest"]
    assert keys(two.rows()) == alone[1]
