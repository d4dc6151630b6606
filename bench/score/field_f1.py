"""How much of a record did the reply get right? Fields are compared by type, lists by key or as multisets.

The case expects a record (`target`) and, beside it, the types of its fields (`types`), by path:

    {"number": "code", "total": "money", "lines[]": "by part", "lines[].part": "code", "lines[].quantity": "number"}

A field without a type is typed by its gold value. `by FIELD` pairs the items of a list whose FIELD is the same; without it
items are paired by how much of them agrees. The order of a list says nothing.

A field that the gold has is found, missed (null, absent or empty) or wrong; one that the gold has as null and the
reply fills is invented. Precision is found ÷ (found + wrong + invented), recall is found ÷ (found + wrong + missed). Items of a
list without a partner are missed or invented with all their fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, ClassVar

from bench.record import Case, Reply, Score
from bench.score.structured import BadJson, parse
from bench.score.typed import RULES, WHOLE, same, type_of

MEASURES = ("f1", "exact", "absent")
MOST_PAIRED = 500
"""Items of a said list that are looked at; what lies beyond counts as invented."""
MOST_NAMED = 6
"""Fields that a reason names."""

Verdict = tuple[str, str]
"""(path, found | missed | wrong | invented | empty)."""


@dataclass(slots=True)
class FieldF1:
    """The micro-F1 of a record's fields; or, by `measure`, whether all are right, or the share of absent fields left empty.

    `f1`      F1 over the fields of the record, 1 when it has none and the reply fills none
    `exact`   1 when nothing is missed, wrong or invented, else 0
    `absent`  of the fields that the gold has as null, the share that the reply leaves empty; None when it has none

    A reply that is not JSON scores 0. `fenced` lets the JSON stand in a code fence. `day_first` settles `2/3/2026`.
    """

    name: str
    target: str = "gold"
    types: str = "types"
    measure: str = "f1"
    fenced: bool = False
    day_first: bool | None = None
    version: str = field(default="1", init=False)

    OPTIONS: ClassVar[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
        "measure": (f"one of {', '.join(MEASURES)}", lambda v: v in MEASURES)
    }

    def score(self, case: Case, reply: Reply) -> Score:
        gold, types = case.expected.get(self.target), case.expected.get(self.types) or {}
        if not isinstance(gold, Mapping):
            return Score(self.name, self.version, None, f"expected.{self.target}: want a record, e.g. {{'total': 12}}")
        wrong = check_types(types)
        if wrong:
            return Score(self.name, self.version, None, f"expected.{self.types}: {wrong}")
        if self.measure == "absent" and not any(v == "empty" for _, v in _verdicts(gold, None, "", types, None)):
            return Score(self.name, self.version, None, "the record has no absent field")
        try:
            verdicts = self._judged(gold, types, reply.text)
        except BadJson as error:
            return Score(self.name, self.version, 0.0, str(error))
        return Score(self.name, self.version, _value(self.measure, verdicts), _reason(verdicts))

    def _judged(self, gold: Mapping[str, Any], types: Mapping[str, str], text: str) -> Sequence[Verdict]:
        """The verdicts on a reply; all measures of one record share them. Raises BadJson."""
        try:
            plain = json.dumps((gold, types))
        except TypeError:  # a record of more than JSON, such as a date of YAML
            return _verdicts_of(gold, types, text, self.fenced, self.day_first)
        return _verdicts_once(plain, text, self.fenced, self.day_first)


@lru_cache(maxsize=64)
def _verdicts_once(plain: str, text: str, fenced: bool, day_first: bool | None) -> tuple[Verdict, ...]:
    gold, types = json.loads(plain)
    return _verdicts_of(gold, types, text, fenced, day_first)


def _verdicts_of(
    gold: Mapping[str, Any], types: Mapping[str, str], text: str, fenced: bool, day_first: bool | None
) -> tuple[Verdict, ...]:
    said = parse(text, fenced=fenced, exact=True)
    if not isinstance(said, Mapping):
        raise BadJson(f"the reply is a JSON {type(said).__name__}, not an object")
    return tuple(_verdicts(gold, said, "", types, day_first))


def check_types(types: object) -> str:
    """What is wrong with the types of a record; empty when nothing is."""
    if not isinstance(types, Mapping):
        return "want an object of paths and types, e.g. {'total': 'money'}"
    for path, kind in types.items():
        if kind not in RULES and not (path.endswith("[]") and isinstance(kind, str) and kind.startswith("by ")):
            return f"{path}: got {kind!r}; want one of {', '.join(RULES)}, or for a list 'by FIELD'"
    return ""


def compare(
    gold: Mapping[str, Any], said: Any, types: Mapping[str, str], day_first: bool | None = None
) -> list[Verdict]:
    """The verdict on every field of a record."""
    return list(_verdicts(gold, said, "", types, day_first))


def _value(measure: str, verdicts: Sequence[Verdict]) -> float:
    count = {name: sum(v == name for _, v in verdicts) for name in ("found", "missed", "wrong", "invented", "empty")}
    faults = count["missed"] + count["wrong"] + count["invented"]
    if measure == "exact":
        return float(faults == 0)
    if measure == "absent":
        absent = count["empty"] + count["invented"]
        return count["empty"] / absent if absent else 1.0
    whole = 2 * count["found"] + 2 * count["wrong"] + count["missed"] + count["invented"]
    return 2 * count["found"] / whole if whole else 1.0


def _reason(verdicts: Sequence[Verdict]) -> str:
    found = sum(v == "found" for _, v in verdicts)
    faults = [f"{path} {verdict}" for path, verdict in verdicts if verdict not in ("found", "empty")]
    more = f" and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
    named = f": {', '.join(faults[:MOST_NAMED])}{more}" if faults else ""
    return f"{found} fields found, {len(faults)} not{named}"


def _empty(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, (list, Mapping)) and not value)


def _verdicts(gold: Any, said: Any, path: str, types: Mapping[str, str], day_first: bool | None) -> Iterator[Verdict]:
    kind = types.get(_general(path), "")
    if isinstance(gold, Mapping) and kind not in WHOLE:
        fields = said if isinstance(said, Mapping) else {}
        for name in gold:
            yield from _verdicts(gold[name], fields.get(name), _joined(path, name), types, day_first)
        for name in fields:
            if name not in gold:
                yield from _alone(fields[name], _joined(path, name), types, "invented")
        if not isinstance(said, Mapping) and not _empty(said):
            yield path, "invented"
    elif isinstance(gold, list):
        yield from _of_list(gold, said, path, types, day_first)
    elif _empty(gold):
        if _empty(said):
            yield path, "empty"
        else:
            yield from _alone(said, path, types, "invented")
    elif _empty(said):
        yield path, "missed"
    else:
        yield path, "found" if same(kind or type_of(gold), gold, said, day_first) else "wrong"


@lru_cache(maxsize=8192)
def _general(path: str) -> str:
    """`lines[3].part` is typed as `lines[].part`."""
    return re.sub(r"\[\d+\]", "[]", path)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _alone(value: Any, path: str, types: Mapping[str, str], verdict: str) -> Iterator[Verdict]:
    """One verdict for every field that is filled in a value without a counterpart."""
    if isinstance(value, Mapping) and types.get(_general(path)) not in WHOLE:
        for name, inner in value.items():
            yield from _alone(inner, _joined(path, name), types, verdict)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _alone(inner, f"{path}[{n}]", types, verdict)
    elif not _empty(value):
        yield path, verdict


def _of_list(
    gold: Sequence[Any], said: Any, path: str, types: Mapping[str, str], day_first: bool | None
) -> Iterator[Verdict]:
    items = said if isinstance(said, list) else [] if _empty(said) else [said]
    rule = types.get(_general(path) + "[]", "")
    key = rule.removeprefix("by ") if rule.startswith("by ") else ""
    pairs: list[tuple[float, int, int, list[Verdict]]] = []
    for n, wanted in enumerate(gold):
        for m, offered in enumerate(items[:MOST_PAIRED]):
            if key and not _same_key(wanted, offered, key, f"{path}[{n}]", types, day_first):
                continue
            verdicts = list(_verdicts(wanted, offered, f"{path}[{n}]", types, day_first))
            if any(v == "found" for _, v in verdicts):
                pairs.append((-_value("f1", verdicts), n, m, verdicts))
    left, free = dict(enumerate(gold)), dict(enumerate(items))
    taken: dict[int, list[Verdict]] = {}
    for _, n, m, verdicts in sorted(pairs, key=lambda pair: pair[:3]):  # a pair that agrees in all comes first
        if n in left and m in free:
            del left[n], free[m]
            taken[n] = verdicts
    yield from chain.from_iterable(taken[n] for n in sorted(taken))
    for n, wanted in left.items():
        yield from _alone(wanted, f"{path}[{n}]", types, "missed")
    for m, offered in free.items():
        yield from _alone(offered, f"{path}[{m}]", types, "invented")


def _same_key(gold: Any, said: Any, key: str, path: str, types: Mapping[str, str], day_first: bool | None) -> bool:
    if not (isinstance(gold, Mapping) and isinstance(said, Mapping)):
        return False
    wanted, offered = gold.get(key), said.get(key)
    if _empty(wanted) or _empty(offered):
        return _empty(wanted) and _empty(offered)
    return same(types.get(_general(f"{path}.{key}")) or type_of(wanted), wanted, offered, day_first)
