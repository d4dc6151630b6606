"""Arrow schemas of every stored table, made from the column lists in `bench.record`.

Strings are stored as plain strings. Parquet packs repeated ones into dictionary pages by itself, and a plain type
reads the same in pandas, DuckDB, Spark, Athena and BigQuery, where an Arrow dictionary would come back as a
categorical in some and not in others. `DISTINCT` names the columns whose values hardly repeat, where a dictionary would
only cost time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa

from bench.record import SCHEMA_VERSION, TABLES

KINDS: dict[str, Any] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "decimal(38,12)": pa.decimal128(38, 12),
    "list<int64>": pa.list_(pa.int64()),
    "list<int32>": pa.list_(pa.int32()),
}

DISTINCT = frozenset(
    {"text", "reasoning", "tool_calls", "headers", "message_id", "provider_request_id", "fault_message"}
)
"""String columns whose values hardly ever repeat."""


@cache
def schema(table: str) -> Any:
    """The Arrow schema of a table, with unit and meaning on every field and the schema version on the whole."""
    fields = [
        pa.field(c.name, KINDS[c.kind], metadata={"unit": c.unit, "meaning": c.meaning})
        for c in TABLES[table]
    ]  # fmt: skip
    return pa.schema(fields, metadata={"bench.table": table, "bench.schema_version": str(SCHEMA_VERSION)})


def encodings(table: str) -> dict[str, Any]:
    """How the columns are packed: dictionary for repeating strings, deltas for integers, which are mostly stamps.

    Measured on 1,000 requests of 128 arrivals: 1.15 MB for the stamps with deltas, 1.30 MB plain, 1.78 MB with
    Parquet's default dictionary. Byte-stream-split is 8 % smaller still, but older readers do not know it for
    integers.
    """
    columns = TABLES[table]
    delta = {c.name: "DELTA_BINARY_PACKED" for c in columns if c.kind in ("int32", "int64")}
    delta |= {f"{c.name}.list.element": "DELTA_BINARY_PACKED" for c in columns if c.kind.startswith("list<")}
    return {
        "use_dictionary": [c.name for c in columns if c.kind == "string" and c.name not in DISTINCT],
        "column_encoding": delta,
    }
