"""The workload files at hand: finding them by name, and a private copy of one with another seed."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import CannotRun, ConfigError, Problem
from bench.workload import FileRef, MessageSpec, Workload, load_workload

FOLDER = Path("workloads")


@dataclass(frozen=True, slots=True)
class Copy:
    """A private copy on disk."""

    yaml: Path
    data: Path
    sha256: str
    items: int


def files(folder: Path = FOLDER) -> list[Path]:
    """The workload files of a folder, by name without the ending: a name stands before those that begin with it."""
    found = (path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    return sorted(found, key=lambda path: (path.stem, path.suffix))


def find(name: str | Path, folder: Path = FOLDER) -> Path:
    """A workload by its path, or by its name when `folder` holds it. Raises ConfigError with the names there are."""
    path = Path(name)
    if path.is_file():
        return path
    for suffix in (".yaml", ".yml"):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    known = ", ".join(found.stem for found in files(folder))
    want = f"a workload file, or one of {known}" if known else f"a workload file; {folder}/ holds none"
    raise ConfigError([Problem("command line", "NAME", str(name), want)], "See what there is: bench workload list")


def render(path: Path, seed: int, out: Path) -> Copy:
    """Writes a copy of a generated workload that no model has seen: data, prompts and the YAML that pins them.

    Raises ConfigError when it is not generated, or the seed is the published one; CannotRun when a file is there already.
    """
    from bench import world

    workload = load_workload(path)
    dataset = workload.spec.dataset
    if dataset.type != "generator" or dataset.generator is None:
        want = "generator: only what is made from a seed can be made anew"
        raise ConfigError([Problem(str(path), "dataset.type", dataset.type, want)])
    if seed == dataset.seed:
        raise ConfigError([Problem("command line", "--seed", str(seed), "another seed than the published one")])
    try:
        items = world.generate(dataset.generator, seed, dataset.params)
    except ValueError as error:
        raise ConfigError([Problem(str(path), "dataset", str(error), "settings that the generator takes")]) from error
    data = world.items_bytes(items)
    name = f"{workload.name}-private"
    target, items_file = out / f"{name}.yaml", out / "data" / f"{name}.jsonl"
    there = [str(file) for file in (target, items_file) if file.exists()]
    if there:
        raise CannotRun(f"{', '.join(there)}: there already", "give another folder with -o DIR, or delete the old copy")
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        items_file.parent.mkdir(parents=True, exist_ok=True)
        for file in _prompts(workload):
            copied = out / file
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.parent / file, copied)
        items_file.write_bytes(data)
        changes = {"seed": seed, "split": "private", "path": f"data/{name}.jsonl", "sha256": sha256}
        target.write_text(_changed(path, changes), encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"{out}: cannot write: {error.strerror or error}", "give another folder with -o DIR") from error
    copy = load_workload(target)
    return Copy(target, items_file, sha256, len(copy.cases))


def _prompts(workload: Workload) -> list[str]:
    """Files that the YAML names beside its data."""
    named = [m.content for m in workload.spec.messages or () if isinstance(m, MessageSpec)]
    found = [content.file for content in named if isinstance(content, FileRef)]
    if isinstance(workload.spec.tools, FileRef):
        found.append(workload.spec.tools.file)
    return found


def _changed(path: Path, changes: dict[str, Any]) -> str:
    """The YAML with these keys of `dataset`; its comments, order and other lines stay, but for the editor's schema line."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.width = 4096
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = "".join(
        line
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if "yaml-language-server" not in line
    )
    tree = yaml.load(text)
    tree["dataset"].update(changes)
    out = StringIO()
    yaml.dump(tree, out)
    return out.getvalue()
