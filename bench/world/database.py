"""The world of a seed as one SQLite file: its records, documents, passages and the ledger of what they state.

Written row by row in a fixed order from the world alone, so the SQL dump of two builds is the same text; the bytes of the
file also depend on the SQLite library that writes it.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from bench.world import names
from bench.world.backoffice import back_office
from bench.world.corpus import World

Row = Mapping[str, str | int | None]


def tables(world: World) -> dict[str, list[Row]]:
    """Every table with its rows. Days are ISO dates; a flag is 0 or 1.

    What registers print stands in `asset` to `duty`; the whole of the company's records, the printed ones among them, in
    the tables whose names begin with `office_`.
    """
    records = world.records
    documents: list[Row] = [
        {
            "doc_id": document.source.doc_id,
            "title": document.source.title,
            "kind": document.source.kind,
            "edition": document.source.edition,
            "effective_from": document.source.effective_from.isoformat(),
            "supersedes": document.source.supersedes,
            "scope": document.source.scope,
            "author": document.source.author,
            "text": document.text,
        }
        for document in world.documents.values()
    ]
    passages: list[Row] = [
        {"passage_id": p.passage_id, "doc_id": p.doc_id, "start": p.start, "text": p.text} for p in world.passages
    ]
    found: dict[str, list[Row]] = {
        "site": _rows(names.SITES),
        "employee": _rows(records.employees),
        "officer": [{"role": role, "name": name} for role, name in sorted(records.people.items())],
        "asset": _rows(records.assets),
        "contract": _rows(records.contracts),
        "part": _rows(records.parts),
        "return": _rows(records.returns),
        "invoice": _rows(records.invoices),
        "loan": _rows(records.loans),
        "duty": _rows(records.duties),
        "document": sorted(documents, key=lambda row: str(row["doc_id"])),
        "passage": sorted(passages, key=lambda row: str(row["passage_id"])),
        "facts": list(world.ledger.rows()),
    }
    return found | {f"office_{name}": list(rows) for name, rows in back_office(world.seed).tables.items()}


def _rows(things: Iterable[Any]) -> list[Row]:
    return [{name: _plain(value) for name, value in dataclasses.asdict(thing).items()} for thing in things]


def _plain(value: Any) -> str | int | None:
    if isinstance(value, bool):
        return int(value)
    return value.isoformat() if isinstance(value, date) else value


def fill(connection: sqlite3.Connection, world: World) -> None:
    """Create the tables in an empty database and insert every row."""
    with connection:
        for name, rows in tables(world).items():
            columns = list(rows[0])
            listed = ", ".join(f'"{column}"' for column in columns)
            connection.execute(f'CREATE TABLE "{name}" ({listed})')
            marks = ", ".join("?" * len(columns))
            insert = f'INSERT INTO "{name}" ({listed}) VALUES ({marks})'  # noqa: S608 (our own names; values are bound)
            connection.executemany(insert, [tuple(row[column] for column in columns) for row in rows])


def write(path: Path, world: World) -> None:
    """The world as a new SQLite file. Raises FileExistsError rather than write over a file."""
    path.touch(exist_ok=False)
    connection = sqlite3.connect(path)
    try:
        fill(connection, world)
    finally:
        connection.close()
