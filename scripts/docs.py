"""Writes what is generated again: docs/columns.md, doors.md, portability.md, the JSON Schemas, the packed price book and registry. With --check, only says whether they are current."""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from bench import registry
from bench.commands.matrix import page as portability_page
from bench.portability import matrix
from bench.price import book
from bench.price.terms import json_schema as prices_schema
from bench.providers import PROVIDERS
from bench.record import TABLES
from bench.targets import json_schema as targets_schema
from bench.testing.verified import page as doors_page
from bench.workload import json_schema as workload_schema

ROOT = Path(__file__).parent.parent
REGISTRY = ROOT / "bench/registry" / registry.PACKED

HEADS = {
    "schedule": "The plan, written and hashed before the first byte is sent; in a sweep that looks for its own end, level by level.",
    "requests": "One row per request. Figures use rows with phase = measure and spoiled = false.",
    "attempts": "One row per try on the wire. A request that was tried three times has three.",
    "chunks": "One row per try: when each piece of the body arrived.",
    "replies": "What was said, as far as the policy keeps it.",
    "scores": "One row per request and scorer, for replies that came.",
    "summary": "Every figure of the table with its interval.",
}


def columns_page() -> str:
    out = [
        "# Columns",
        "",
        "Printed from `bench/record.py` by `scripts/docs.py`; a test keeps the two equal. Every table is Parquet in the run's folder.",
        "Times are nanoseconds of one monotonic clock since the run's anchor; the manifest holds the anchor's wall time. Null means not known.",
        "",
        "A run that was continued (`--resume`) has several segments, listed in the manifest. All `_ns` count from the first one's anchor: a",
        "later segment begins at its `offset_ns`, by the wall clock, and never before the end of the one before it. A row belongs to the last",
        "segment whose `offset_ns` is not above its `sent_ns`; no duration crosses a pause, and figures over time leave pauses out.",
    ]
    for name, columns in TABLES.items():
        out += [
            "",
            f"## {name}.parquet",
            "",
            HEADS[name],
            "",
            "| column | type | unit | meaning |",
            "|---|---|---|---|",
        ]
        out += [f"| `{c.name}` | {c.kind} | {c.unit} | {c.meaning} |" for c in columns]
    return "\n".join(out) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    ROOT / "docs/columns.md": columns_page,
    ROOT / "docs/doors.md": doors_page,
    ROOT / "docs/portability.md": lambda: portability_page(matrix(doors=tuple(PROVIDERS))),
    ROOT / "workloads/schema/workload.v1.json": lambda: json.dumps(workload_schema(), indent=1, sort_keys=True) + "\n",
    ROOT / "workloads/schema/targets.v1.json": lambda: json.dumps(targets_schema(), indent=1, sort_keys=True) + "\n",
    ROOT / "workloads/schema/prices.v1.json": lambda: json.dumps(prices_schema(), indent=1, sort_keys=True) + "\n",
    ROOT / "bench/price/data" / book.PACKED: book.packed,
    REGISTRY: registry.packed,
}
"""What makes each page."""


@cache
def pages() -> dict[Path, str]:
    return {path: made() for path, made in PAGES.items()}


def main() -> int:
    if "--check" not in sys.argv and (not REGISTRY.exists() or REGISTRY.read_text() != registry.packed()):
        REGISTRY.write_text(registry.packed())  # first: other pages are made from what it says
        print(f"written: {REGISTRY.relative_to(ROOT)}")
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path])
            print(f"written: {path.relative_to(ROOT)}")
        return 0
    for path in stale:
        print(f"not current: {path.relative_to(ROOT)}; run scripts/docs.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
