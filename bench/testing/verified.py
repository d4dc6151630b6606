"""What each door was verified against, from the data that the suite runs on. No door claims more than its row."""

from __future__ import annotations

from typing import Any

from bench import providers
from bench.testing.conformance import CHECKS, WIRE_CHECKS
from bench.testing.golden import GOLDENS, load_golden, read_yaml

NEVER = "never yet"


def rows() -> list[dict[str, str]]:
    """One row for each shipped door: `door`, `sdk`, `look_alike`, `third_party` and `live`, a date or `never yet`."""
    live: dict[str, str] = {}
    for path in GOLDENS.glob("wires/*/*.golden"):
        golden = load_golden(path)
        if golden.kind == "live" and golden.door:
            live[golden.door] = max(golden.date, live.get(golden.door, ""))
    out = []
    for door in providers.PROVIDERS:
        said = _data(door).get("verified") or {}
        out.append(
            {
                "door": door,
                "sdk": said.get("sdk") or "–",
                "look_alike": "yes" if said.get("look_alike") else "–",
                "third_party": said.get("third_party") or "–",
                "live": live.get(door, NEVER),
            }
        )
    return out


def table() -> str:
    """The rows as a table in Markdown."""
    head = "| door | requests equal the SDK's bytes | look-alike, whole runs | third-party server | live |\n"
    head += "|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{row['door']}` | {row['sdk']} | {row['look_alike']} | {row['third_party']} | {row['live']} |\n"
        for row in rows()
    )


def page() -> str:
    """docs/doors.md."""
    out = [
        "# Doors",
        "",
        "Printed from `bench/testing/goldens` by `scripts/docs.py`; a test keeps the two equal.",
        "",
        "## Verified against what",
        "",
        "No door claims more than its row. A date under live is that of the newest golden that the cloud itself spoke.",
        "",
        table().rstrip(),
        "",
        "## What every door must do",
        "",
        "`scripts/conformance` runs these checks on every installed door; `docs/plugins.md` tells how to run them on yours.",
        "",
        "| check | what it asks |",
        "|---|---|",
        *(f"| {check} | {meaning} |" for check, meaning in CHECKS.items()),
        "",
        "## What a wire cannot have",
        "",
        "| wire | check | why |",
        "|---|---|---|",
    ]
    for about in sorted(GOLDENS.glob("wires/*/wire.yaml")):
        why = read_yaml(about).get("not_applicable") or {}
        out += [f"| `{about.parent.name}` | {check} | {why[check]} |" for check in CHECKS if check in why]
    out += [
        "",
        "## Goldens",
        "",
        "| golden | how it was come by | date | serves |",
        "|---|---|---|---|",
    ]
    for path in sorted(GOLDENS.glob("wires/*/*.golden")):
        golden = load_golden(path)
        serves = ", ".join(check for check in golden.covers if check in {*WIRE_CHECKS, "truncated"})
        out.append(f"| `{golden.name}` | {golden.kind} | {golden.date} | {serves} |")
    return "\n".join(out) + "\n"


def _data(door: str) -> dict[str, Any]:
    path = GOLDENS / "doors" / f"{door}.yaml"
    data: dict[str, Any] = read_yaml(path) if path.is_file() else {}
    return data
