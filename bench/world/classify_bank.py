"""The hand-written messages of the classify workload, and the rules that say which label is right.

A message of the bank says which matters it holds, in the order in which it asks for them. Its label is not written down: it
follows from the matters by the rules that the prompt states, and the heading a message stands under only checks it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from bench.world.values import load_yaml

OTHER = "other"
FIRST_ASKED = "first-asked"
ONE_MATTER = "one-matter"
NEWEST_COUNTS = "newest-counts"
ENDED = "warranty-ended"
FILES = ("machines", "goods", "office", "software", "people", "other")
FORMS = ("line", "mail", "ticket")


@dataclass(frozen=True, slots=True)
class Written:
    """One message as written, with slots in braces.

    `about` are the matters it holds, in the order of asking. `near` is the label that a quick reader would take.
    `warranty` is "runs" or "ended" where the ticket's dates decide; the matter is then a repair that is wanted free of charge.
    """

    id: str
    form: str
    heading: str
    about: tuple[str, ...]
    near: str | None
    quote: bool
    warranty: str | None
    subject: str
    body: str

    @property
    def label(self) -> str:
        return decide(self.matters)[0]

    @property
    def matters(self) -> tuple[str, ...]:
        """What it is about, once the dates of the ticket are read: what is free no more is a repair that is paid for."""
        if self.warranty != "ended":
            return self.about
        return tuple("repair_order" if matter == "warranty_claim" else matter for matter in self.about)

    @property
    def rule(self) -> str:
        """The rule that decides, by its id."""
        rule = decide(self.matters)[1]
        if rule != ONE_MATTER:
            return rule
        return ENDED if self.warranty else NEWEST_COUNTS if self.quote else ONE_MATTER


def labels() -> list[str]:
    """All 25, in the order of the prompt."""
    return list(load_yaml("bank/classify.yaml")["labels"])


def decide(about: Sequence[str]) -> tuple[str, str]:
    """The label of a message with these matters, and the id of the last rule that put one aside."""
    left = [matter for matter in about if matter != OTHER] or [OTHER]
    decided = ONE_MATTER
    for rule in load_yaml("bank/classify.yaml")["rules"]:
        winners = [matter for matter in left if matter in rule["first"]]
        if not winners:
            continue
        put_aside = [m for m in left if m not in winners and (rule["over"] == "all" or m in rule["over"])]
        if put_aside:
            left = [matter for matter in left if matter not in put_aside]
            decided = rule["id"]
    return left[0], decided if len(left) == 1 else FIRST_ASKED


@cache
def written() -> tuple[Written, ...]:
    """Every message of the bank. Raises ValueError for one whose label by the rules is not that of its heading."""
    found: list[Written] = []
    known = set(labels())
    for name in FILES:
        text = (files("bench.world") / f"bank/classify/{name}.md").read_text(encoding="utf-8")
        for section in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
            heading, *entries = re.split(r"^@ ", section, flags=re.MULTILINE)
            for number, entry in enumerate(entries, 1):
                found.append(_entry(heading.strip(), number, entry, known))
    return tuple(found)


def _entry(heading: str, number: int, entry: str, known: set[str]) -> Written:
    head, _, text = entry.partition("\n")
    form, *marks = head.split()
    given = dict(mark.partition("=")[::2] for mark in marks)
    where = f"bank/classify: {heading} {number}"
    if form not in FORMS or set(given) - {"near", "about", "also", "quote", "warranty"}:
        raise ValueError(f"{where}: got {head!r}; want a form of {', '.join(FORMS)} and known marks")
    first = "warranty_claim" if "warranty" in given else heading
    about = given["about"].split(",") if "about" in given else [first, *filter(None, [given.get("also")])]
    unknown = ({heading, *about} | {given.get("near", OTHER)}) - known
    if unknown:
        raise ValueError(f"{where}: got {', '.join(sorted(unknown))}; want labels")
    subject, _, body = text.strip().partition("\n") if form == "mail" else ("", "", text.strip())
    made = Written(
        id=f"{heading.replace('_', '-')}-{number:02d}",
        form=form,
        heading=heading,
        about=tuple(about),
        near=given.get("near"),
        quote="quote" in given,
        warranty=given.get("warranty"),
        subject=subject,
        body=body.strip(),
    )
    if made.label != heading:
        raise ValueError(f"{where}: the rules say {made.label} ({made.rule}) of {', '.join(about)}")
    return made


@cache
def quotes() -> tuple[tuple[str, str], ...]:
    """Earlier messages that hang below a newer one: (label of what they were about, text). All their matters are closed."""
    text = (files("bench.world") / "bank/classify/quotes.md").read_text(encoding="utf-8")
    found: list[tuple[str, str]] = []
    for section in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        heading, *lines = section.strip().split("\n")
        found += [(heading, line) for line in lines]
    return tuple(found)
