"""kill -9 at a hundred seeded random moments: what was recorded stays, is not sent again, and the plan is kept to its end."""

from tests.sim.kill import Campaign

KILLS = 100


def test_a_run_killed_at_a_hundred_random_moments_loses_at_most_the_last_second(place, clouds) -> None:
    running = clouds(anthropic={}, foundry={})
    campaign = Campaign(place.folder, seed=1)
    campaign.go(KILLS)
    running.stop()
    counts = campaign.check(place.folder / "truth.parquet")
    assert counts["kills"] >= KILLS
    assert counts["lost"] > 0  # kills did fall into the load
    assert counts["sent_again"] > 0
    assert counts["kept"] > 0  # and some came long enough after replies for the promise to be held to
    assert counts["after_the_load"] > 0  # and some into the writing of tables, or behind it
