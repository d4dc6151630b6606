"""Adds the digests of new entries of the price book to its ledger. A changed or missing entry is refused: nothing is written."""

import sys
from pathlib import Path

from bench.price.book import digest, load_book

LEDGER = Path(__file__).parent.parent / "bench/price/data/ledger.txt"
LENGTH = 32


def main() -> int:
    lines = LEDGER.read_text(encoding="utf-8").splitlines() if LEDGER.exists() else []
    recorded = dict(reversed(line.split(" ", 1)) for line in lines)
    now = {entry.id: digest(entry)[:LENGTH] for entry in load_book().entries}
    changed = [name for name, seal in recorded.items() if now.get(name) != seal]
    for name in changed:
        print(
            f"{'changed' if name in now else 'gone'}: {name}; put it back, close it with valid_to, append the new price"
        )
    if changed:
        return 1
    new = [f"{seal} {name}" for name, seal in now.items() if name not in recorded]
    if new:
        LEDGER.write_text("\n".join([*lines, *new]) + "\n", encoding="utf-8")
    print(f"{len(new)} new of {len(now)} entries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
