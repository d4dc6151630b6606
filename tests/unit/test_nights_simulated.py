"""Does the gate keep its promise? A small part of `scripts/nights`, with the same code and seeds; docs/nightly.md has the whole."""

import pytest

from tests.scripted import load_script


@pytest.fixture(scope="module")
def nights():
    module = load_script("nights")
    module.FAMILIES, module.CHUNK = (2,), 100
    return module


def change(nights, name):
    return next(one for one in nights.CHANGES if one.name.startswith(name))


def test_quiet_nights_stay_quiet_where_the_usual_rule_cries(nights):
    """1,000 quiet nights of two targets, seven figures each."""
    red, suspect, naive = nights.quiet(100)[2]
    assert red <= 0.02
    assert suspect <= 0.08
    assert naive > 0.4


@pytest.mark.parametrize(
    ("name", "first", "second", "third"),
    [
        ("every duration +20 %", 0.60, 0.85, 0.95),
        ("failed 0.2 % to 2 %", 0.70, 0.90, 0.95),
        ("quality -6 points", 0.70, 0.90, 0.95),
    ],
)
def test_what_changed_is_found(nights, name, first, second, third):
    found = nights.found(change(nights, name), 100)[2]
    assert found[0] >= first
    assert found[1] >= second
    assert found[2] >= third
