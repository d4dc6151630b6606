"""Every cell, comparison, alarm and note as JSON."""

from __future__ import annotations

import json

from bench.report.data import as_dict
from bench.report.document import Document


def render(document: Document) -> bytes:
    return json.dumps(as_dict(document.table), indent=1).encode()
