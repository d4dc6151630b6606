"""From a workload file to its cases: the items of a data set, filtered, cut and rendered."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import ConfigError, Problem
from bench.load import SessionSpec
from bench.record import Case
from bench.reorder import reordered
from bench.workload.schema import DatasetSpec, FileRef, InsertSpec, WorkloadSpec
from bench.yamlfile import Loaded


def cases_of(spec: WorkloadSpec, loaded: Loaded) -> tuple[Case, ...]:
    """The cases, in the order of the data set. Raises ConfigError for what cannot be read, rendered or used."""
    cases = tuple(_cases(spec, loaded))
    if spec.dataset.reorder is not None:
        cases = _reordered(cases, spec.dataset, loaded)
    if not cases:
        raise ConfigError([problem_at(loaded, "dataset", "no items", "at least one item after filter and limit")])
    return cases


def tools_of(spec: WorkloadSpec, loaded: Loaded) -> tuple[Mapping[str, Any], ...]:
    """The tools that every case may call, from the file or from the one it names."""
    if spec.tools is None:
        return ()
    if isinstance(spec.tools, FileRef):
        return tuple(json.loads(_read(loaded, spec.tools.file, "tools.file")))
    return tuple(spec.tools)


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


def _cases(spec: WorkloadSpec, loaded: Loaded) -> Iterator[Case]:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    env = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    items = _items(spec, loaded)
    try:
        if spec.dataset.filter:
            keep = env.compile_expression(spec.dataset.filter, undefined_to_none=True)
            items = [item for item in items if keep(**item)]
    except TemplateError as error:
        raise ConfigError(
            [
                problem_at(
                    loaded,
                    "dataset.filter",
                    str(error),
                    "an expression over the item's fields, e.g. metadata.tier == 'hard'",
                )
            ]
        ) from None
    if spec.dataset.limit is not None:
        items = items[: spec.dataset.limit]
    templates: list[Any] = []
    in_sessions = spec.load.unit == "session"
    for at, message in enumerate(spec.messages or [InsertSpec(insert="session" if in_sessions else "messages")]):
        if isinstance(message, InsertSpec):
            templates.append(message.insert)
            continue
        path = f"messages.{at}.content"
        content = message.content
        text = _read(loaded, content.file, path) if isinstance(content, FileRef) else content
        try:
            templates.append((message.role, env.from_string(text) if isinstance(text, str) else text))
        except TemplateError as error:
            raise ConfigError(
                [problem_at(loaded, path, str(error), "a Jinja2 template over the item's fields")]
            ) from None
    cluster_by = spec.scoring.aggregate.cluster_by if spec.scoring and spec.scoring.aggregate else None
    for number, item in enumerate(items):
        messages: list[Mapping[str, Any]] = []
        try:
            for template in templates:
                if template == "session":
                    continue  # the turns follow
                if isinstance(template, str):
                    messages.extend(item.get(template) or ())
                else:
                    role, body = template
                    messages.append(
                        {"role": role, "content": body if isinstance(body, list) else body.render(**item).strip()}
                    )
        except TemplateError as error:
            where = f"item {item.get('id', number)}"
            raise ConfigError(
                [problem_at(loaded, "messages", f"{error} in {where}", "templates that use only fields the items have")]
            ) from None
        tags = dict(item.get("metadata") or {})
        case = Case(
            id=str(item.get("id", number)),
            messages=tuple(messages),
            expected=item.get("expected") or {"target": item.get("target")},
            tags=tags,
            cluster=str(tags.get("cluster") or (tags.get(cluster_by) if cluster_by else "") or item.get("id", number)),
            answers=item.get("answers") or {},
            source=f"{spec.dataset.path or spec.dataset.generator or 'inline'}#{item.get('id', number)}",
            response_format=_response_format(item, number, loaded),
        )
        if in_sessions:
            yield from _turns(case, item, loaded, recorded=(spec.load.session or SessionSpec()).history == "recorded")
        else:
            yield case


def _reordered(cases: Sequence[Case], dataset: DatasetSpec, loaded: Loaded) -> tuple[Case, ...]:
    assert dataset.reorder is not None
    try:
        return tuple(reordered(cases, dataset.reorder, dataset.seed))
    except ValueError as error:
        want = f"the line {dataset.reorder.under!r} in its prompt, and two or more lines with '- ' below it"
        raise ConfigError([problem_at(loaded, "dataset.reorder.under", f"item {error} without a list", want)]) from None


def _response_format(item: Mapping[str, Any], number: int, loaded: Loaded) -> Mapping[str, Any] | None:
    form = item.get("response_format")
    if form is None or (isinstance(form, dict) and isinstance(form.get("type"), str)):
        return form
    got = f"item {item.get('id', number)} with the response_format {form!r:.60}"
    raise ConfigError(
        [problem_at(loaded, "dataset", got, "one like {type: json_schema, json_schema: {name: ..., schema: ...}}")]
    )


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
    dataset = spec.dataset
    if dataset.type == "inline":
        items = [dict(item) for item in dataset.items or ()]
    elif dataset.type == "generator" and dataset.path is None:
        from bench.world import generate

        assert dataset.generator is not None
        assert dataset.seed is not None
        items = generate(dataset.generator, dataset.seed, dataset.params)
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
    if dataset.format == "csv" or (dataset.format == "auto" and path.suffix == ".csv"):
        return [dict(row) for row in csv.DictReader(data.decode("utf-8-sig").splitlines())]
    items = []
    problems = []
    for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
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
        raise ConfigError(problems[:20])
    return items
