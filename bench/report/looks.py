"""How targets are told apart: colour, dash and marker together, so that none of the three is needed alone.

The colours differ for the usual kinds of colour blindness (after Okabe and Ito, darkened or lightened until each stands out
from its background by at least 3 to 1).
"""

from __future__ import annotations

LIGHT = ("#0072b2", "#d55e00", "#00795a", "#a8488a", "#8a6500", "#333333", "#2587b8", "#6a51a3")
DARK = ("#5aa9e6", "#ff8c42", "#35c99b", "#e796cb", "#e6b93c", "#e8e8e8", "#9be1f5", "#b7a1f0")
REST_LIGHT, REST_DARK = "#949494", "#7d7d7d"
"""Of those that stay in the background."""
DASHES = ("", "7 3", "2 2", "9 3 2 3", "12 4", "4 4", "1 3", "9 3 2 3 2 3")
MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z", "M-3.6-3.6h7.2v7.2h-7.2Z", "M0-5L4.6 3.4H-4.6Z", "M0-5L4.6 0L0 5L-4.6 0Z",
    "M0 5L4.6-3.4H-4.6Z", "M-1.4-4.6h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2v-2.8h3.2Z",
    "M0-5L4.8-1.5L3-4.1M0-5L4.8-1.5L2.9 4.1H-2.9L-4.8-1.5Z", "M-4.6-3h9.2v6h-9.2Z",
)  # fmt: skip
"""Paths around the origin, about nine units wide."""


def css(colours: tuple[str, ...], rest: str) -> str:
    """Rules that give each look its colour, as `--c`."""
    rules = [f".k{i}{{--c:{colour}}}" for i, colour in enumerate(colours)]
    return "".join([*rules, f".kr{{--c:{rest}}}"])
