"""The table "verified against what" claims what tests show, and shows what it may claim."""

from pathlib import Path

import pytest

from bench import providers
from bench.testing.golden import GOLDENS, Golden
from bench.testing.verified import NEVER, rows, table
from tests.sim.conftest import DOORS

TESTS = Path(__file__).parent.parent


def test_every_door_has_a_row_and_no_door_another() -> None:
    assert [row["door"] for row in rows()] == list(providers.PROVIDERS)
    assert table().count("\n") == len(providers.PROVIDERS) + 2


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["door"])
def test_a_row_claims_what_tests_show_and_no_less(row: dict[str, str]) -> None:
    door = row["door"]
    compared = {path.name for path in (TESTS / "unit").glob("test_provider_*.py") if f'"{door}"' in path.read_text()}
    assert (row["sdk"] != "–") <= bool(compared), "no test compares this door's requests with an SDK's"
    assert (row["look_alike"] == "yes") == (door in DOORS), "tests/sim/conftest.py lists the doors of whole runs"
    third = (TESTS / "sim/test_third_party.py").read_text()
    assert (row["third_party"] != "–") == (f'"{door}"' in third), "tests/sim/test_third_party.py names the doors"


def test_live_is_never_claimed_without_a_golden_that_the_cloud_spoke(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.testing import verified

    real = verified.load_golden

    def spoken(path: Path) -> Golden:
        import dataclasses

        golden = real(path)
        if path == GOLDENS / "wires/messages/text.golden":
            golden = dataclasses.replace(golden, kind="live", door="anthropic", date="2027-01-02")
        return golden

    monkeypatch.setattr(verified, "load_golden", spoken)
    found = {row["door"]: row["live"] for row in rows()}
    assert found.pop("anthropic") == "2027-01-02"
    assert set(found.values()) == {NEVER}
