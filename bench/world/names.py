"""Sites, tiers and the hand lists of `names.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.world.values import load_yaml


@dataclass(frozen=True, slots=True)
class Site:
    code: str
    town: str
    country: str
    what: str


SITES = (
    Site("AAR", "Aarhus", "Denmark", "headquarters"),
    Site("ANR", "Antwerp", "Belgium", "service base"),
    Site("DTM", "Dortmund", "Germany", "plant"),
    Site("GNT", "Ghent", "Belgium", "parts hub"),
    Site("KSL", "Kassel", "Germany", "service base"),
    Site("LEE", "Leeds", "United Kingdom", "sales and service"),
    Site("LIL", "Lille", "France", "service base"),
    Site("LYS", "Lyon", "France", "engineering"),
    Site("ODE", "Odense", "Denmark", "plant"),
    Site("POZ", "Poznań", "Poland", "software and test"),
    Site("SWI", "Swindon", "United Kingdom", "parts hub"),
    Site("WRO", "Wrocław", "Poland", "shared services"),
)
COUNTRIES = tuple(sorted({site.country for site in SITES}))
ANNEX_SITES = ("AAR", "DTM", "GNT", "LYS", "POZ")
PLAIN_SITES = tuple(site for site in SITES if site.code not in ANNEX_SITES)
BY_CODE: Mapping[str, Site] = {site.code: site for site in SITES}
TIERS = ("Essential", "Plus", "Prime", "Round-the-Clock")


def hand_list(name: str) -> list[str]:
    """A copy of one of the lists of `names.yaml`."""
    return list(load_yaml("names.yaml")[name])
