"""From a workload file to its cases: the items of a data set, filtered, cut and rendered."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import ConfigError, Problem
from bench.load import SessionSpec
from bench.record import Case
from bench.reorder import reordered
from bench.workload.schema import DatasetSpec, FileRef, InsertSpec, WorkloadSpec
from bench.yamlfile import Loaded

MOST_PROBLEMS = 20
"""That are told of the items of one data set."""
_ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What an expression over an item comes to where a field holds something else than it takes."""


@dataclass(frozen=True, slots=True)
class Template:
    """One of the messages: what stands before it in the file, and what makes it of an item.

    `body` is a compiled template, or content in parts; `insert` names what the item itself brings. One of them is set.
    """

    path: str
    role: str = ""
    body: Any = None
    insert: str | None = None


def templates_of(spec: WorkloadSpec, loaded: Loaded) -> tuple[list[Template], list[Problem]]:
    """The messages that can be made, and what is wrong with the others."""
    from jinja2 import TemplateError

    env = _jinja()
    templates: list[Template] = []
    problems: list[Problem] = []
    in_sessions = spec.messages is None and spec.load.unit == "session"
    for at, message in enumerate(spec.messages or [InsertSpec(insert="session" if in_sessions else "messages")]):
        if isinstance(message, InsertSpec):
            templates.append(Template("dataset", insert=message.insert))
            continue
        path, content = f"messages.{at}.content", message.content
        try:
            body = _read(loaded, content.file, path) if isinstance(content, FileRef) else content
            templates.append(Template(path, message.role, env.from_string(body) if isinstance(body, str) else body))
        except ConfigError as error:
            problems += error.problems
        except TemplateError as error:
            problems.append(problem_at(loaded, path, str(error), "a Jinja2 template over the item's fields"))
    return templates, problems


def items_of(spec: WorkloadSpec, loaded: Loaded) -> list[dict[str, Any]]:
    """The items of the data set that are kept, in order. Raises ConfigError for what cannot be read or used."""
    from jinja2 import TemplateError

    items, chosen = _items(spec, loaded), spec.dataset.filter
    try:
        if chosen:
            keep = _jinja().compile_expression(chosen, undefined_to_none=True)
            items = [item for item in items if keep(item)]
    except (TemplateError, *_ODD) as error:
        want = "an expression over the item's fields, e.g. metadata.tier == 'hard'"
        raise ConfigError([problem_at(loaded, "dataset.filter", str(error), want)]) from None
    if spec.dataset.limit is not None:
        items = items[: spec.dataset.limit]
    if not items:
        raise ConfigError([problem_at(loaded, "dataset", "no items", "at least one item after filter and limit")])
    return items


def cases_of(
    spec: WorkloadSpec, loaded: Loaded, templates: Sequence[Template], items: Sequence[Mapping[str, Any]]
) -> tuple[Case, ...]:
    """The cases, in the order of the data set. Raises ConfigError for all that cannot be rendered or used."""
    cases: list[Case] = []
    problems: dict[tuple[str, str], Problem] = {}
    for number, item in enumerate(items):
        try:
            cases += _cases(spec, loaded, templates, item, number)
        except ConfigError as error:
            for one in error.problems:  # of a template that no item suits, the first item tells
                problems.setdefault((one.where, one.path if one.path != "dataset" else one.got), one)
    if problems:
        raise ConfigError(list(problems.values())[:MOST_PROBLEMS])
    if spec.dataset.reorder is None or spec.load.unit == "session":
        return tuple(cases)
    return _reordered(cases, spec.dataset, loaded)


def tools_of(spec: WorkloadSpec, loaded: Loaded) -> tuple[Mapping[str, Any], ...]:
    """The tools that every case may call, from the file or from the one it names."""
    if spec.tools is None:
        return ()
    if not isinstance(spec.tools, FileRef):
        return tuple(spec.tools)
    want = "a JSON file with a list of tools"
    try:
        tools = json.loads(_read(loaded, spec.tools.file, "tools.file"))
    except ValueError as error:
        raise ConfigError([problem_at(loaded, "tools.file", f"{spec.tools.file} ({error})", want)]) from None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise ConfigError([problem_at(loaded, "tools.file", f"{spec.tools.file}, which holds something else", want)])
    return tuple(tools)


def sessions_of(cases: Sequence[Case]) -> tuple[range, ...]:
    """The turns of each session, in order, as indices of `cases`, which hold a session's turns side by side."""
    begins = [index for index, case in enumerate(cases) if case.turn == 1]
    return tuple(range(begin, end) for begin, end in zip(begins, [*begins[1:], len(cases)], strict=False))


def problem_at(loaded: Loaded, path: str, got: str, want: str) -> Problem:
    """What is wrong at a key, written with dots (`load.stages.0`), with its file and line."""
    return loaded.problem(tuple(int(part) if part.isdigit() else part for part in path.split(".")), got, want)


def _read(loaded: Loaded, name: str, path: str) -> str:
    file = Path(loaded.path).parent / name
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([problem_at(loaded, path, name, f"a file that can be read ({error.strerror})")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([_not_text(file, error)]) from None


def _not_text(file: Path, error: UnicodeDecodeError) -> Problem:
    line = error.object[: error.start].count(b"\n") + 1
    return Problem(f"{file}:{line}", "", f"the byte 0x{error.object[error.start]:02x}", "UTF-8 text")


def _jinja() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


def _cases(
    spec: WorkloadSpec, loaded: Loaded, templates: Sequence[Template], item: Mapping[str, Any], number: int
) -> Iterator[Case]:
    """The case of an item, or those of its turns. Raises ConfigError with all that is wrong with it."""
    from jinja2 import TemplateError

    name, problems = item.get("id", number), []
    messages: list[Mapping[str, Any]] = []
    for template in templates:
        try:
            messages += _messages(template, item)
        except (TemplateError, *_ODD) as error:
            want = "templates that use only fields the items have"
            if template.insert is not None:
                want = "a list of messages, e.g. [{role: user, content: ...}]"
            problems.append(problem_at(loaded, template.path, f"{error} in item {name}", want))
    tags = item.get("metadata") or {}
    if not isinstance(tags, dict):
        problems.append(problem_at(loaded, "dataset", f"item {name} with the metadata {tags!r:.60}", "a mapping"))
    form = item.get("response_format")
    if form is not None and not (isinstance(form, dict) and isinstance(form.get("type"), str)):
        got = f"item {name} with the response_format {form!r:.60}"
        want = "one like {type: json_schema, json_schema: {name: ..., schema: ...}}"
        problems.append(problem_at(loaded, "dataset", got, want))
    if problems:
        raise ConfigError(problems)
    cluster_by = spec.scoring.aggregate.cluster_by if spec.scoring and spec.scoring.aggregate else None
    case = Case(
        id=str(name),
        messages=tuple(messages),
        expected=item.get("expected") or {"target": item.get("target")},
        tags=dict(tags),
        cluster=str(tags.get("cluster") or (tags.get(cluster_by) if cluster_by else "") or name),
        answers=item.get("answers") or {},
        source=f"{spec.dataset.path or spec.dataset.generator or 'inline'}#{name}",
        response_format=form,
    )
    if spec.load.unit == "session":
        yield from _turns(case, item, loaded, recorded=(spec.load.session or SessionSpec()).history == "recorded")
    else:
        yield case


def _messages(template: Template, item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if template.insert == "session":
        return []  # the turns follow
    if template.insert is not None:
        brought = item.get(template.insert) or []
        if not isinstance(brought, list) or not all(isinstance(one, dict) and "role" in one for one in brought):
            raise ValueError(f"{template.insert} {brought!r:.40}")
        return list(brought)
    content = template.body if isinstance(template.body, list) else template.body.render(item).strip()
    return [{"role": template.role, "content": content}]


def _reordered(cases: Sequence[Case], dataset: DatasetSpec, loaded: Loaded) -> tuple[Case, ...]:
    assert dataset.reorder is not None
    try:
        return tuple(reordered(cases, dataset.reorder, dataset.seed))
    except ValueError as error:
        want = f"the line {dataset.reorder.under!r} in its prompt, and two or more lines with '- ' below it"
        raise ConfigError([problem_at(loaded, "dataset.reorder.under", f"item {error} without a list", want)]) from None


def _turns(session: Case, item: Mapping[str, Any], loaded: Loaded, *, recorded: bool) -> Iterator[Case]:
    """A case for every scripted user turn of an item, each with the turns before it.

    What the item expects is judged on the last reply, unless a turn says what it expects itself.
    """
    turns = item.get("turns")
    want = "turns: [{user: ..., assistant: ...}, ...], or the user's words alone"
    if not isinstance(turns, list) or not turns:
        raise ConfigError([problem_at(loaded, "dataset", f"item {session.id} without turns", want)])
    said: list[Mapping[str, Any]] = []
    for number, turn in enumerate(turns, 1):
        turn = {"user": turn} if isinstance(turn, str) else turn
        if not isinstance(turn, dict) or not isinstance(turn.get("user"), str):
            raise ConfigError([problem_at(loaded, "dataset", f"turn {number} of item {session.id}", want)])
        last = number == len(turns)
        if recorded and not last and not isinstance(turn.get("assistant"), str):
            got = f"turn {number} of item {session.id} without the assistant's words"
            raise ConfigError([problem_at(loaded, "dataset", got, "them, or load.session.history: live")])
        said.append({"role": "user", "content": turn["user"]})
        yield replace(
            session,
            id=f"{session.id}/{number}",
            messages=(*session.messages, *said),
            expected=turn.get("expected") or (session.expected if last else {}),
            answers=turn.get("answers") or (session.answers if last else {}),
            session=session.id,
            turn=number,
        )
        said.append({"role": "assistant", "content": turn.get("assistant") or ""})


def _items(spec: WorkloadSpec, loaded: Loaded) -> list[dict[str, Any]]:
    from bench import world

    dataset = spec.dataset
    if dataset.type == "trace":
        raise ConfigError([problem_at(loaded, "dataset.type", "trace", "generator, file or inline")])
    if dataset.type == "generator" and dataset.generator not in world.generators():
        known = f"one of {', '.join(world.generators())}"
        raise ConfigError([problem_at(loaded, "dataset.generator", str(dataset.generator), known)])
    if dataset.type == "file" and dataset.format not in ("auto", "jsonl", "csv"):
        raise ConfigError([problem_at(loaded, "dataset.format", dataset.format, "jsonl or csv")])
    if dataset.type == "inline":
        items = [dict(item) for item in dataset.items or ()]
    elif dataset.type == "generator" and dataset.path is None:
        assert dataset.generator is not None
        assert dataset.seed is not None
        try:
            items = world.generate(dataset.generator, dataset.seed, dataset.params)
        except (TypeError, ValueError) as error:
            want = f"settings that {dataset.generator} takes"
            raise ConfigError([problem_at(loaded, "dataset.params", str(error), want)]) from None
    else:
        items = _from_file(dataset, loaded)
    if dataset.fields:
        items = [{**item, **{to: item.get(source) for to, source in dataset.fields.items()}} for item in items]
    if dataset.shuffle:
        import random

        random.Random(f"{dataset.seed}:shuffle").shuffle(items)
    seen: set[str] = set()
    twice = sorted({str(i["id"]) for i in items if "id" in i and (str(i["id"]) in seen or seen.add(str(i["id"])))})  # type: ignore[func-returns-value]
    if twice:
        raise ConfigError(
            [problem_at(loaded, "dataset", f"the id {twice[0]} more than once", "a unique id for every item")]
        )
    return items


def _from_file(dataset: DatasetSpec, loaded: Loaded) -> list[dict[str, Any]]:
    assert dataset.path is not None
    path = Path(loaded.path).parent / dataset.path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            [problem_at(loaded, "dataset.path", dataset.path, f"a file that can be read ({error.strerror})")]
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    if dataset.sha256 is not None and digest != dataset.sha256:
        raise ConfigError(
            [
                problem_at(
                    loaded,
                    "dataset.sha256",
                    f"{dataset.sha256[:12]}…, while the file is {digest[:12]}…",
                    "the file this workload was made with, or its new digest and a new version",
                )
            ]
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([_not_text(path, error)]) from None
    if dataset.format == "csv" or (dataset.format == "auto" and path.suffix == ".csv"):
        return _from_csv(text, path)
    items = []
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            problems.append(Problem(f"{path}:{number}", "", f"{line[:40]!r} ({error})", "one JSON object a line"))
            continue
        if not isinstance(item, dict):
            problems.append(Problem(f"{path}:{number}", "", repr(item)[:40], "one JSON object a line"))
            continue
        items.append(item)
    if problems:
        raise ConfigError(problems[:MOST_PROBLEMS])
    return items


def _from_csv(text: str, path: Path) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        return [dict(row) for row in rows]
    except csv.Error as error:
        raise ConfigError([Problem(f"{path}:{rows.line_num}", "", str(error), "a CSV file with a head")]) from None
