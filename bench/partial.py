"""A file of which parts are malformed, as far as the rest of it can be judged: every mistake in one go, and none that follows
from another.

    read = Partial.of(WorkloadSpec, loaded, {"version": 1, ...})     stand-ins for sections that the model cannot do without
    read.judge(checks(read.model))                                   problems of meaning, beside those of form
    cases = read.attempt(lambda: cases_of(read.model, loaded))       None where it fails, or needs what is malformed
    read.finish()                                                    ConfigError with all of it, in the order of the file

What is malformed is taken out of the model: reading it raises, and a check that reads it ends there and says nothing more.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import ConfigError, Problem
from bench.yamlfile import KeyPath, Loaded, closest, data_path, known_keys, validate

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")
Checks: TypeAlias = "Iterator[Problem | Checks]"


@dataclass(slots=True)
class Partial(Generic[Model]):
    """`model` holds what is well-formed; `unknown` are the fields that it lacks, by the object and their name."""

    model: Model
    loaded: Loaded
    problems: list[Problem]
    unknown: frozenset[tuple[int, str]] = frozenset()

    @classmethod
    def of(cls, model: type[Model], loaded: Loaded, stand_ins: Mapping[str, Any]) -> Partial[Model]:
        """What can be read of the file. ConfigError where nothing can."""
        whole, problems = validate(model, loaded)
        if whole is not None:
            return cls(whole, loaded, [])
        if not isinstance(loaded.data, Mapping):
            raise ConfigError(problems)
        pruned = _pruned(model, loaded.data, stand_ins)
        if pruned is None:
            raise ConfigError(problems)
        rest, gone = pruned
        return cls(rest, loaded, problems, frozenset(_taken_out(rest, gone)))

    def judge(self, checks: Checks) -> None:
        """Notes the problems that are found. A check that another one yields stands alone: it ends without ending that one."""

        def note() -> None:
            for found in checks:
                if isinstance(found, Problem):
                    self.problems.append(found)
                else:
                    self.judge(found)

        self.attempt(note)

    def attempt(self, make: Callable[[], Value]) -> Value | None:
        """What is made; None, with its problems noted, where that fails, or where it needs what is malformed."""
        try:
            return make()
        except ConfigError as error:
            self.problems += error.problems
        except AttributeError as error:
            if (id(error.obj), error.name) not in self.unknown:
                raise
        return None

    def finish(self) -> None:
        """Raises ConfigError if there is any problem: those of the file by line, then those of others that it names."""
        if not self.problems:
            return
        lines = re.compile(re.escape(self.loaded.path) + r":(\d+)")

        def line(problem: Problem) -> float:
            found = lines.fullmatch(problem.where)
            return int(found[1]) if found else float("inf")

        raise ConfigError(sorted(dict.fromkeys(self.problems), key=line))


def _pruned(
    model: type[Model], data: Mapping[str, Any], stand_ins: Mapping[str, Any]
) -> tuple[Model, list[KeyPath]] | None:
    """The data as the model without what is malformed, and the paths of that. A value that its parent cannot do without takes
    the parent with it, up to the sections of the file, which have stand-ins. None where that leads nowhere."""
    rest, schema = copy.deepcopy(dict(data)), model.model_json_schema()
    gone: list[KeyPath] = []
    while True:
        try:
            return model.model_validate(rest), gone
        except ValidationError as error:
            found = error.errors(include_url=False)
        paths = set()
        for entry in found:
            path = data_path(rest, entry["loc"], entry["type"])
            if entry["type"] == "missing":
                paths.add(path if len(path) == 1 else path[:-1])
            else:
                paths.add(path)
            if entry["type"] == "extra_forbidden" and (meant := closest(str(path[-1]), known_keys(schema, path[:-1]))):
                gone.append((*path[:-1], meant))  # it was probably meant to be there
        if () in paths or paths <= set(gone):
            return None
        for path in paths:
            while isinstance(path[-1], int):  # the items of a list keep their numbers: it goes as a whole
                path = path[:-1]
            parent: Any = rest
            for key in path[:-1]:
                parent = parent.get(key) if isinstance(parent, dict) else parent[key] if parent else None
            if isinstance(parent, dict):
                parent.pop(path[-1], None)
            gone.append(path)
            if len(path) == 1 and path[0] in stand_ins:
                rest[str(path[0])] = copy.deepcopy(stand_ins[str(path[0])])


def _taken_out(model: BaseModel, gone: Iterable[KeyPath]) -> Iterator[tuple[int, str]]:
    """Takes the fields at these paths out of the model, so that reading them raises AttributeError."""
    for path in gone:
        owner: Any = model
        for key in path[:-1]:
            owner = _inner(owner, key)
        if isinstance(owner, BaseModel) and (name := _field(owner, path[-1])):
            vars(owner).pop(name, None)
            yield id(owner), name


def _inner(owner: Any, key: str | int) -> Any:
    if isinstance(owner, BaseModel):
        return vars(owner).get(_field(owner, key) or "")
    if isinstance(owner, Mapping):
        return owner.get(key)
    return owner[key] if isinstance(owner, list) and isinstance(key, int) and key < len(owner) else None


def _field(owner: BaseModel, key: str | int) -> str | None:
    fields = type(owner).model_fields
    return next((name for name, about in fields.items() if key in (name, about.alias)), None)
