"""`python -m bench.world calderholt.rag --seed 20260101 --items 360 -o FILE` writes the items of a generator as JSON lines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.world import GENERATORS, digest, generate, items_bytes
from bench.world.corpus import world
from bench.world.database import write
from bench.world.rag import describe


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.world", description="Write the items of a generator.")
    parser.add_argument("generator", choices=sorted(GENERATORS))
    parser.add_argument("--seed", type=int, default=20260101, help="another seed gives other names, numbers and orders")
    parser.add_argument("--items", type=int, default=360, help="how many items")
    parser.add_argument("--text", action="store_true", help="write the items for readers instead of as JSON lines")
    parser.add_argument("-o", "--output", type=Path, help="file to write; standard output when absent")
    parser.add_argument(
        "--world", type=Path, help="also write the seed's world, with its fact ledger, as an SQLite file"
    )
    given = parser.parse_args(arguments)
    try:
        items = generate(given.generator, given.seed, {"items": given.items})
        if given.world:
            write(given.world, world(given.seed))
    except (ValueError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    data = "\n\n".join(map(describe, items)).encode() + b"\n" if given.text else items_bytes(items)
    if given.output:
        given.output.write_bytes(data)
        print(f"{given.output}: {len(items)} items, sha256 {digest(items)}", file=sys.stderr)
    else:
        sys.stdout.buffer.write(data)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
