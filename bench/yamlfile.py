"""Reading YAML that people write: plain data with the line of every key, and every mistake at once.

    loaded = load("targets.yaml")            Loaded(data, lines, path); ConfigError for a missing file or broken YAML
    model = check(TargetsFile, loaded)       an instance of the pydantic model, or ConfigError with every problem
    model, problems = validate(TargetsFile, loaded)      the same without raising, to add problems of one's own
    loaded.problem(("targets", 0, "id"), '"a"', "an id of its own")      a problem of one's own, with file and line

`Duration` is a field type: text with a unit in the file, int nanoseconds in the model.
"""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError, WithJsonSchema
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.timestamp import TimeStamp

from bench.errors import ConfigError, Problem

KeyPath = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_VALID = 'valid YAML, e.g. key: "value"'

MAX_NODES = 1_000_000
"""Values in one file, aliases counted as often as they are used: a file of a few lines can name billions of them."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A YAML file as plain data. `lines` gives the line, from 1, of every key and list item; `path` is for messages."""

    data: Any
    lines: Mapping[KeyPath, int]
    path: str

    def line(self, path: Sequence[str | int]) -> int:
        """The line of that key, or of the nearest parent that is in the file."""
        for length in range(len(path), -1, -1):
            found = self.lines.get(tuple(path[:length]))
            if found is not None:
                return found
        return 1

    def problem(self, path: Sequence[str | int], got: str, want: str) -> Problem:
        return Problem(f"{self.path}:{self.line(path)}", dotted(path), got, want)


def load(path: str | Path) -> Loaded:
    """The file's data. ConfigError when it cannot be read, is not valid YAML, or names a key twice."""
    name = str(path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError([Problem(name, "", "", f"cannot be read: {_why_not(Path(path), error)}")]) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(f"{name}:{line}", "", f"the byte 0x{raw[error.start]:02x}", "UTF-8 text")]) from None
    return loads(text, name)


def _why_not(path: Path, error: OSError) -> str:
    """The system's word, and the file that was probably meant."""
    why = error.strerror or str(error)
    folder = path if path.is_dir() else path.parent
    there = sorted(found.name for found in folder.glob("*.y*ml"))
    if path.is_dir():
        return f"{why}; want a file{f' in it, e.g. {path / there[0]}' if there else ''}"
    meant = closest(path.name, there) or next((one for one in there if Path(one).stem == path.name), None)
    return f"{why}; perhaps {folder / meant}" if meant else why


def loads(text: str, name: str) -> Loaded:
    """As `load`, for text that is already at hand; `name` is what messages call the file."""
    yaml = YAML(typ="rt")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an anchor that is used again is legal and harmless
            tree = yaml.load(StringIO(text))
    except DuplicateKeyError as error:
        key = re.search(r'duplicate key "(.*?)"', str(error.problem), re.DOTALL)
        named = f'the key "{key[1]}" twice' if key else "a key twice"
        raise _broken(name, _mark_line(error), named, "each key once in a mapping") from None
    except MarkedYAMLError as error:
        reason = " ".join(str(error.problem or error.context or "broken YAML").split())
        want = "spaces, not tabs, for indentation" if r"'\t'" in reason else _VALID
        raise _broken(name, _mark_line(error), f"broken YAML ({reason})", want) from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _broken(
            name,
            line,
            f"the character U+{ord(error.character) if isinstance(error.character, str) else error.character:04X}",
            "printable text",
        ) from None
    except RecursionError:
        raise _broken(name, 1, "values nested too deeply", "a flatter file") from None
    except Exception as error:  # the parser meets text of any kind: whatever it trips over is the file's fault
        raise _broken(name, 1, f"a value that cannot be read ({type(error).__name__})", _VALID) from None
    plain = _Plain(name)
    data = plain.convert(tree, ())
    if plain.problems:
        raise ConfigError(plain.problems)
    return Loaded(data, plain.lines, name)


def check(model: type[Model], loaded: Loaded) -> Model:
    """The data as that model. ConfigError carries every problem found, each with file, line and key."""
    instance, problems = validate(model, loaded)
    if instance is None:
        raise ConfigError(problems)
    return instance


def validate(model: type[Model], loaded: Loaded) -> tuple[Model | None, list[Problem]]:
    """The data as that model and no problems, or None and every problem, in the order of the file."""
    try:
        return model.model_validate(loaded.data), []
    except ValidationError as error:
        found = error.errors(include_url=False)
    schema = model.model_json_schema()
    merged: dict[tuple[KeyPath, str], list[str]] = {}
    for entry in found:
        path = data_path(loaded.data, entry["loc"], entry["type"])
        got, want = _wording(entry, path, schema)
        wants = merged.setdefault((path, got), [])
        if want not in wants:  # a field of several types fails once for each of them
            wants.append(want)
    problems = [
        loaded.problem(path, got, " or ".join(wants) + _example(schema, path, got))
        for (path, got), wants in merged.items()
    ]
    return None, sorted(problems, key=lambda problem: int(problem.where.rpartition(":")[2]))


def dotted(path: Sequence[str | int]) -> str:
    """`("targets", 0, "id")` as `targets[0].id`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def shown(value: Any) -> str:
    """A value as a message may print it: short, and never one that looks like a secret."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        if looks_like_secret(value):
            return HIDDEN
        return json.dumps(value if len(value) <= 60 else value[:57] + "...", ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


# durations ---------------------------------------------------------------------------------------------------------

UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_duration_ns(value: Any) -> int:
    """`90s`, `5m`, `250ms`, `1.5h` as whole nanoseconds. ValueError says what was wanted."""
    want = f"a number with one of the units {', '.join(UNITS_NS)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"a duration with a unit: {value}s for seconds or {value}ms for milliseconds")
    if not isinstance(value, str):
        raise ValueError(want)
    match = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([a-zA-Zµ]*)\s*", value)
    if not match:
        raise ValueError(want)
    number, unit = match[1], match[2].replace("µ", "u")
    if not unit:
        raise ValueError(f"a duration with a unit: {number}s for seconds or {number}ms for milliseconds")
    if unit not in UNITS_NS:
        meant = unit.lower()[: 2 if unit.lower()[:2] in UNITS_NS else 1]
        hint = f"; perhaps {number}{meant}" if meant in UNITS_NS else ""
        raise ValueError(want + hint)
    ns = Decimal(number) * UNITS_NS[unit]
    if ns != int(ns):
        raise ValueError("whole nanoseconds")
    if ns >= 2**63:
        raise ValueError("less than 292 years")
    return int(ns)


Duration = Annotated[
    int, BeforeValidator(parse_duration_ns), WithJsonSchema({"type": "string", "examples": ["90s", "250ms", "1.5h"]})
]
"""A model's field for a duration: `90s` in the file, int nanoseconds in the model."""


# secrets -----------------------------------------------------------------------------------------------------------

HIDDEN = "a value that looks like a secret (not shown)"

_SECRET_START = re.compile(
    r"sk-[A-Za-z0-9]|(?:AKIA|ASIA)[0-9A-Z]{12}|ya29\.|AIza[0-9A-Za-z_-]{20}|eyJ[A-Za-z0-9_-]{10,}\.|gh[pousr]_|xox[abp]-"
    r"|ABSK|Bearer\s|Basic\s|-----BEGIN"
)
_SECRET_NAME = re.compile(r"(?:^|[_-])(?:key|apikey|secret|token|password|passwd|authorization|cookie)$", re.IGNORECASE)
_NOT_SECRET_NAMES = frozenset({"prompt_cache_key"})  # a routing hint of the OpenAI API, not a credential


def looks_like_secret(text: str) -> bool:
    """Whether text has the form of a credential: a known prefix, or a long run of random letters and digits."""
    if _SECRET_START.match(text.strip()):
        return True
    if "://" in text:
        address = text.split("://", 1)[1]
        if "@" in address.split("/", 1)[0] and ":" in address.split("@", 1)[0]:
            return True
        return any(looks_like_secret(part) for part in re.split(r"[/?&=#]", address) if part)
    for word in re.split(r"[^A-Za-z0-9+/=_-]+", text):
        runs = re.split(r"[-_/+=]+", word)
        if any(len(run) >= 32 and _mixed(run, cases=False) for run in runs):
            return True
        # base64 has separators, but far fewer than words put together by people
        if len(word) >= 40 and _mixed(word, cases=True) and len(word) / len(runs) >= 12:
            return True
    return False


def secrets(loaded: Loaded) -> list[Problem]:
    """A problem for every value that looks like a secret, or stands literally under a name such as `api_key`."""
    problems: list[Problem] = []

    def visit(value: Any, path: KeyPath) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                visit(inner, (*path, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                visit(inner, (*path, index))
        elif value not in (None, "") and not isinstance(value, bool):
            name = next((part for part in reversed(path) if isinstance(part, str)), "")
            named = bool(_SECRET_NAME.search(name)) and name.lower() not in _NOT_SECRET_NAMES
            looks = looks_like_secret(str(value))
            if named or looks:
                got = HIDDEN if looks else "a literal value under this name (not shown)"
                problems.append(loaded.problem(path, got, "references only, e.g. auth: {env: ANTHROPIC_API_KEY}"))

    visit(loaded.data, ())
    return problems


def _mixed(text: str, *, cases: bool) -> bool:
    digit, lower, upper = (re.search(kind, text) is not None for kind in ("[0-9]", "[a-z]", "[A-Z]"))
    return digit and ((lower and upper) if cases else (lower or upper))


# inside ------------------------------------------------------------------------------------------------------------


class _Plain:
    """Turns the parser's own types into plain data, noting the line of every key on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0
        self.parents: list[int] = []

    def convert(self, node: Any, path: KeyPath) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ConfigError([Problem(self.name, "", f"more than {MAX_NODES:,} values", "a smaller file")])
        if isinstance(node, TaggedScalar) or (
            isinstance(node, CommentedMap | CommentedSeq) and node.tag.value is not None
        ):
            self._problem(path, f"the tag {node.tag.value}", "plain YAML without tags")
            return None
        if isinstance(node, CommentedMap | CommentedSeq):
            return self._collection(node, path)
        return _scalar(node)

    def _collection(self, node: CommentedMap | CommentedSeq, path: KeyPath) -> Any:
        if id(node) in self.parents:
            self._problem(path, "a value that contains itself", "a plain value")
            return None
        self.lines.setdefault(path, node.lc.line + 1)
        self.parents.append(id(node))
        positions = node.lc.data or {}
        out: Any
        if isinstance(node, CommentedSeq):
            out = []
            for index, item in enumerate(node):
                self._note(path, index, positions)
                out.append(self.convert(item, (*path, index)))
        else:
            out = {}
            for key, item in node.items():
                if not isinstance(key, str):
                    self._note(path, str(key), {str(key): positions.get(key)})
                    self._problem(
                        (*path, str(key)), f"the key {shown(_scalar(key))}", f'text as key, e.g. "{key}": ...'
                    )
                    continue
                self._note(path, key, positions)
                out[str(key)] = self.convert(item, (*path, str(key)))
        self.parents.pop()
        return out

    def _note(self, path: KeyPath, key: str | int, positions: Mapping[Any, Any]) -> None:
        position = positions.get(key)  # None for a key that came through a merge (<<)
        if position is not None:
            self.lines[(*path, key)] = position[0] + 1

    def _problem(self, path: KeyPath, got: str, want: str) -> None:
        self.problems.append(Loaded(None, self.lines, self.name).problem(path, got, want))


def _scalar(node: Any) -> Any:
    """Strip the parser's subclasses, which remember how a number or a text was written."""
    if isinstance(node, TimeStamp):
        return node.isoformat(sep=" ")
    for kind in (str, int, float):
        if isinstance(node, kind) and not isinstance(node, bool):
            return kind(node)
    if type(node).__name__ == "ScalarBoolean":
        return bool(node)
    return node


def _mark_line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return int(mark.line) + 1 if mark is not None else 1


def _broken(name: str, line: int, got: str, want: str) -> ConfigError:
    return ConfigError([Problem(f"{name}:{line}", "", got, want)])


def data_path(data: Any, loc: Sequence[str | int], kind: str) -> KeyPath:
    """pydantic's location as a path in the file: names of union branches and validators drop out."""
    path: list[str | int] = []
    node = data
    for position, key in enumerate(loc):
        if _holds(node, key):
            node = node[key]
        elif not (kind == "missing" and position == len(loc) - 1):
            continue
        path.append(key)
    return tuple(path)


def _holds(node: Any, key: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(key, int) and key < len(node)
    return isinstance(node, Mapping) and key in node


_PLAIN = {
    "a valid integer": "a whole number", "a valid number": "a number", "a valid decimal": "a number", "a valid string": "text",
    "a valid boolean": "true or false", "a valid list": "a list", "a valid tuple": "a list", "a valid dictionary": "a mapping",
    "dictionary": "mapping",
}  # fmt: skip
"""pydantic's words, and what a reader of YAML says."""


def _wording(error: Any, path: KeyPath, schema: Mapping[str, Any]) -> tuple[str, str]:
    """What was found and what is wanted, in words."""
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return "nothing", _described(schema, path) or "a value: this key is required"
    if kind == "extra_forbidden":
        known = known_keys(schema, path[:-1])
        meant = closest(str(path[-1]), known)
        return "an unknown key", meant if meant else f"one of {', '.join(known)}" if known else "no such key"
    if kind == "string_pattern_mismatch":
        return shown(value), _described(schema, path) or f"text of the form {error['ctx']['pattern']}"
    if kind in ("literal_error", "enum"):
        expected = error["ctx"]["expected"].replace("'", "")
        if path == ("version",) and expected.isdigit() and isinstance(value, int) and value > int(expected):
            return shown(value), f"{expected}, the newest that this bench reads: pip install --upgrade bench"
        meant = closest(value, re.split(r", | or ", expected)) if isinstance(value, str) else None
        return shown(value), expected + (f"; perhaps {meant}" if meant else "")
    message = re.sub(r"^(Value error, |Assertion failed, |Input should be |Input should )", "", error["msg"])
    message = re.sub(r", (unable to|got a number with) .*", "", message)
    for theirs, ours in _PLAIN.items():
        message = message.replace(theirs, ours)
    if kind.startswith(("model_type", "dataclass_type")):
        message = "a mapping"
    return shown(value), message


def _example(schema: Mapping[str, Any], path: KeyPath, got: str) -> str:
    """`, e.g. ...` from the model's examples, else from its default."""
    if got == "an unknown key" or path == ("version",):
        return ""
    for node in _schemas(schema, path):
        example = next(iter(node.get("examples", [])), node.get("default"))
        if example is not None and example not in ({}, [], ""):
            return f", e.g. {example if isinstance(example, str) else json.dumps(example)}"
    return ""


def _described(schema: Mapping[str, Any], path: KeyPath) -> str | None:
    return next((str(node["description"]) for node in _schemas(schema, path) if "description" in node), None)


def known_keys(schema: Mapping[str, Any], path: KeyPath) -> list[str]:
    return list(dict.fromkeys(key for node in _schemas(schema, path) for key in node.get("properties", {})))


def _schemas(root: Mapping[str, Any], path: KeyPath) -> list[Mapping[str, Any]]:
    """Every JSON Schema that may describe the value at that path (several for a union)."""
    nodes = _branches(root, root)
    for key in path:
        inner: list[Mapping[str, Any]] = []
        for node in nodes:
            if isinstance(key, int):
                found = node.get("items")
            else:
                found = node.get("properties", {}).get(key, node.get("additionalProperties"))
            if isinstance(found, Mapping):
                inner += _branches(found, root)
        nodes = inner
    return nodes


def _branches(node: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    out = [node]
    if "$ref" in node:
        out += _branches(root["$defs"][node["$ref"].rpartition("/")[2]], root)
    for union in ("anyOf", "oneOf", "allOf"):
        for branch in node.get(union, []):
            out += _branches(branch, root)
    return out
