"""The verbs, one file each. They print; they decide nothing."""

from __future__ import annotations

from collections.abc import Sequence

invocation: list[str] = []
"""The arguments of the command that runs, for the record."""

BARE = "-"
"""What `--resume` of `bench run` holds when it stands alone: no run is called so."""


def with_bare_resume(arguments: Sequence[str]) -> list[str]:
    """`--resume` without a value goes on with a campaign: the parser knows no option whose value may be left out."""
    following = [*arguments[1:], "--"]
    return [
        f"--resume={BARE}" if word == "--resume" and after.startswith("-") and arguments[0] == "run" else word
        for word, after in zip(arguments, following, strict=False)
    ]
