"""The map of the house: who may import whom. It cannot go stale, since it is run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "bench"

FLOORS = {
    0: {
        *("errors", "record", "targets", "workload", "load", "plan", "metrics", "registry", "plugins"),
        *("yamlfile", "partial", "redact", "environment", "reorder", "tokens", "heap"),
    },
    1: {"dialects", "wire"},
    2: {"providers"},
    3: {"engine", "score", "price", "stats", "store", "world"},
    4: {"conductor", "campaigns", "money", "claims", "doctor", "rescore", "suites", "tabulate"},
    5: {"report", "testing", "nightly"},
    6: {"portability", "api", "cli", "commands", "__main__", "__init__"},
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
NEIGHBOURS = {
    ("dialects", "wire"): "decoding uses the pure framing of the wire room",
    ("wire", "dialects"): None,
}
SDKS = {"anthropic", "openai", "boto3", "botocore", "google", "azure"}
LATE = {  # what only these rooms may import, and there only inside functions where `inside` says so
    "pandas": {"stats", "report", "store", "__init__"},
    "tenacity": {"engine"},
    "time": {"wire", "simulate"},
}
ALLOWED_UPWARD = {
    # A workload names its data sets and scorers; it looks the names up, inside a function, to refuse unknown ones early.
    ("workload", "score"),
    ("workload", "world"),
}


def modules() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """Every imported module of a file: dotted name, line, and whether the import stands inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(f)
    }
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for node in ast.walk(branch)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, id(node) in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; name the module in full"
            found += [(f"{node.module}.{alias.name}", node.lineno, id(node) in inside) for alias in node.names]
    return found


def test_every_room_stands_on_a_floor() -> None:
    assert {room_of(path) for path in modules()} == {*FLOOR_OF, "simulate"}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_its_own_floor_and_below(path: Path) -> None:
    room = room_of(path)
    for name, line, _ in imports(path):
        if not name.startswith("bench."):
            continue
        other = name.split(".")[1]
        if other == room or other.startswith("__") or other not in {*FLOOR_OF, "simulate"}:
            continue
        if room == "simulate":
            assert other == "errors", (
                f"{path}:{line}: simulate imports {other}; it stands outside and knows only errors"
            )
            continue
        if other == "simulate":
            assert FLOOR_OF[room] >= 4, f"{path}:{line}: {room} imports simulate; only the conductor and commands may"
            continue
        if (room, other) in ALLOWED_UPWARD:
            continue
        here, there = FLOOR_OF[room], FLOOR_OF[other]
        same_floor_family = here == there and here in (0, 4, 5, 6)
        neighbour = (room, other) in NEIGHBOURS and NEIGHBOURS[room, other]
        assert there < here or same_floor_family or neighbour, (
            f"{path}:{line}: {room} (floor {here}) imports {other} (floor {there}); a file imports from below, never from above or beside"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_an_sdk_is_imported_only_inside_a_function_of_a_provider(path: Path) -> None:
    for name, line, in_function in imports(path):
        if name.split(".")[0] in SDKS:
            assert room_of(path) == "providers", f"{path}:{line}: {name}; SDKs belong to bench/providers alone"
            assert in_function, f"{path}:{line}: {name} at module level; import it inside the function that needs it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_guarded_modules_stay_in_their_rooms(path: Path) -> None:
    for name, line, _ in imports(path):
        rooms = LATE.get(name.split(".")[0])
        assert rooms is None or room_of(path) in rooms, (
            f"{path}:{line}: {name}; only {', '.join(sorted(rooms or ()))} may import it"
        )
