"""`python -m bench.testing [DOOR ...] [--json]`: the matrix of doors and checks, then every reason. Exit 1 on a failure."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from bench.errors import EXIT_AGAINST, EXIT_OK, EXIT_USAGE
from bench.testing.conformance import CHECKS, Report, installed

WORDS = {"pass": "pass", "fail": "FAIL", "n/a": "n/a"}


def matrix(report: Report) -> str:
    """Checks down, doors across, no blank; below it what failed, and why a wire cannot have a case."""
    rows = list(dict.fromkeys((result.door, result.dialect) for result in report.results))
    cells = {(r.door, r.dialect, r.check): WORDS[r.state] for r in report.results}
    wide = max(map(len, CHECKS))
    out = [f"{n:>2}  {door} · {dialect}" for n, (door, dialect) in enumerate(rows, 1)]
    out += ["", " " * wide + "".join(f"{n:>6}" for n in range(1, len(rows) + 1))]
    for check in CHECKS:
        line = "".join(f"{cells.get((*row, check), 'FAIL'):>6}" for row in rows)
        out.append(f"{check:<{wide}}{line}")
    for state, head in (("fail", "Failed"), ("n/a", "Not applicable")):
        reasons: dict[tuple[str, str], list[str]] = {}
        for result in report.results:
            if result.state == state:
                reasons.setdefault((result.check, result.why), []).append(f"{result.door} · {result.dialect}")
        if reasons:
            out += ["", head]
            out += [f"  {check} ({', '.join(who)}): {why}" for (check, why), who in reasons.items()]
    return "\n".join(out)


def main(argv: Sequence[str]) -> int:
    names = [word for word in argv if not word.startswith("-")]
    unknown = [word for word in argv if word.startswith("-") and word != "--json"]
    if unknown:
        print(f"{unknown[0]}: got an unknown flag; want [DOOR ...] [--json]", file=sys.stderr)
        return EXIT_USAGE
    report = installed(names)
    if "--json" in argv:
        rows = [{key: getattr(r, key) for key in ("door", "dialect", "check", "state", "why")} for r in report.results]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        print(matrix(report))
        print(f"\n{str(report).splitlines()[0]}")
    return EXIT_OK if report.passed else EXIT_AGAINST


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
