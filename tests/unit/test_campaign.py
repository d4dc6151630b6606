"""Campaigns: starts that are drawn and published, blocks that run, are missed or cut, and a log that survives."""

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench.campaigns import campaign as campaigns
from bench.campaigns import campaigning
from bench.campaigns.campaign import DAY_NS, Campaign, Fate, draw, opened, read_log
from bench.cli import main
from bench.commands import with_bare_resume
from bench.conductor.preflight import Options
from bench.errors import CannotRun, ConfigError
from tests.unit.test_planning import TARGETS, WORKLOAD

HOUR_NS = 3600 * 10**9
MINUTE_NS = 60 * 10**9
BEGIN_NS = int(datetime(2026, 3, 4, 15, 22, tzinfo=UTC).timestamp()) * 10**9


# the draw ------------------------------------------------------------------------------------------------------------


def test_every_stratum_holds_one_start() -> None:
    blocks = draw(48, BEGIN_NS, 7 * DAY_NS, 1)
    assert [block.n for block in blocks] == list(range(1, 49))
    assert all(block.from_ns <= block.start_ns < block.to_ns for block in blocks)
    # the strata follow each other without a gap, from the beginning of the period to its end
    assert blocks[0].from_ns == BEGIN_NS
    assert blocks[-1].to_ns == BEGIN_NS + 7 * DAY_NS
    assert all(one.to_ns == two.from_ns for one, two in itertools.pairwise(blocks))


@pytest.mark.parametrize(("blocks", "counts"), [(48, [6, *[7] * 6]), (49, [7] * 7), (96, [*[13] * 2, *[14] * 5])])
def test_days_share_the_blocks_evenly(blocks: int, counts: list[int]) -> None:
    # 48 = 6 * 7 + 6, 96 = 5 * 14 + 2 * 13
    days = Counter((block.start_ns - BEGIN_NS) // DAY_NS for block in draw(blocks, BEGIN_NS, 7 * DAY_NS, 1))
    assert sorted(days.values()) == sorted(counts)


@pytest.mark.parametrize("seed", range(20))
def test_a_week_of_48_blocks_covers_each_four_hour_band_and_the_weekend(seed: int) -> None:
    starts = [datetime.fromtimestamp(block.start_ns / 1e9, UTC) for block in draw(48, BEGIN_NS, 7 * DAY_NS, seed)]
    assert {start.hour // 4 for start in starts} == set(range(6))
    assert {start.weekday() >= 5 for start in starts} == {True, False}


def test_starts_are_uniform_in_their_strata() -> None:
    places = [
        (block.start_ns - block.from_ns) / (block.to_ns - block.from_ns)
        for seed in range(100)
        for block in draw(20, BEGIN_NS, DAY_NS, seed)
    ]
    # 2,000 uniform numbers: mean 0.5 with a standard error of 0.2887 / sqrt(2000) = 0.0065; four of those
    assert sum(places) / len(places) == pytest.approx(0.5, abs=0.026)
    assert min(places) < 0.01
    assert max(places) > 0.99


def test_the_draw_is_that_of_its_seed_and_every_block_has_another_plan() -> None:
    assert draw(12, BEGIN_NS, DAY_NS, 1) == draw(12, BEGIN_NS, DAY_NS, 1)
    assert draw(12, BEGIN_NS, DAY_NS, 1) != draw(12, BEGIN_NS, DAY_NS, 2)
    assert len({block.seed for block in draw(500, BEGIN_NS, 7 * DAY_NS, 1)}) == 500


def test_fewer_blocks_than_days_still_lie_in_strata_of_their_own() -> None:
    blocks = draw(3, BEGIN_NS, 7 * DAY_NS, 1)
    assert [block.to_ns - block.from_ns for block in blocks] == [7 * DAY_NS // 3] * 3


def test_a_period_shorter_than_its_blocks_is_drawn_without_an_error() -> None:
    rng = random.Random(1)
    for _ in range(50):
        draw(rng.randint(1, 40), BEGIN_NS, rng.randint(1, 50), 1)


@pytest.mark.parametrize(
    ("text", "ns"), [("7d", 7 * DAY_NS), ("36h", 36 * HOUR_NS), ("1.5d", 36 * HOUR_NS), ("3s", 3 * 10**9)]
)
def test_periods_are_read(text: str, ns: int) -> None:
    assert campaigns.period_ns(text, "--over") == ns


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "9999d", "7w"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--over"):
        campaigns.period_ns(text, "--over")


# carrying it out -----------------------------------------------------------------------------------------------------


@dataclass
class Calendar:
    """Time that passes only when it is waited for, or when a block takes some."""

    now: int = BEGIN_NS
    oversleeps_ns: int = 0
    interrupts_at_ns: int | None = None
    waits: list[int] = field(default_factory=list)

    def now_ns(self) -> int:
        return self.now

    def wait(self, until_ns: int, tick: Callable[[int], None]) -> None:
        tick(until_ns - self.now)
        if self.interrupts_at_ns is not None and until_ns > self.interrupts_at_ns:
            self.now = self.interrupts_at_ns
            raise KeyboardInterrupt
        self.waits.append(until_ns)
        self.now = max(self.now, until_ns) + self.oversleeps_ns


@dataclass
class Ended:
    exit_code: int
    manifest: dict[str, Any]


@dataclass
class Place:
    calendar: Calendar
    said: list[str] = field(default_factory=list)
    asked: list[Options] = field(default_factory=list)
    takes_ns: int = MINUTE_NS
    ends: Callable[[Options], Ended] = lambda options: Ended(0, {"complete": True, "spent_usd": "0.50", "invalid": []})

    def begin(self, blocks: int = 8, over_ns: int = DAY_NS, grace_ns: int = 15 * MINUTE_NS, **more: Any) -> Campaign:
        options = Options(workload=Path("small.yaml"), simulate=True, command="bench run small.yaml --simulate", **more)
        return campaigning.begin(options, "week", blocks, over_ns, grace_ns, self.calendar.now)

    def run(self, campaign: Campaign, **more: Any) -> int:
        def block(options: Options) -> Ended:
            self.asked.append(options)
            self.calendar.now += self.takes_ns
            return self.ends(options)

        return campaigning.carry_out(campaign, self.calendar, block, self.said.append, lambda text: None, **more)

    def states(self, campaign: Campaign) -> list[str]:
        log = read_log(campaign)
        return [log.of(block).state for block in campaign.blocks]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (tmp_path / "targets.yaml").write_text(TARGETS)
    (tmp_path / "small.yaml").write_text(WORKLOAD)
    monkeypatch.chdir(tmp_path)
    return Place(Calendar())


def test_every_block_runs_at_its_time_with_its_own_seed_and_name(place: Place) -> None:
    campaign = place.begin()
    assert place.run(campaign) == 0
    assert place.calendar.waits == [block.start_ns for block in campaign.blocks]
    assert place.states(campaign) == ["done"] * 8
    assert [options.seed for options in place.asked] == [block.seed for block in campaign.blocks]
    assert [options.run_id for options in place.asked] == [f"simulated-week-b{n}" for n in range(1, 9)]
    told = place.asked[2].campaign
    assert told is not None
    assert told["block"] == 3
    assert told["blocks"] == 8
    assert told["digest"] == campaign.facts["digest"]
    assert told["due_unix_ns"] == campaign.blocks[2].start_ns
    assert told["late_ms"] == 0
    assert place.asked[0].command == f"bench run small.yaml --simulate --seed {campaign.blocks[0].seed}"
    assert read_log(campaign).spent_usd == Decimal("4.00")
    assert "is over: 8 of 8 blocks done, $4.00 spent" in place.said[-1]


def test_the_plan_is_on_disk_with_its_digest_before_the_first_request(place: Place) -> None:
    campaign = place.begin()
    facts = json.loads((campaign.folder / "campaign.json").read_text())
    assert campaigns.digest(facts) == facts["digest"] == campaign.facts["digest"]
    assert [block["start_ns"] for block in facts["blocks"]] == [
        block.start_ns for block in draw(8, BEGIN_NS, DAY_NS, 1)
    ]
    assert place.asked == []


def test_a_plan_that_was_changed_is_refused(place: Place) -> None:
    campaign = place.begin()
    path = campaign.folder / "campaign.json"
    path.write_text(path.read_text().replace('"n": 1,', '"n": 1 ,'))
    assert opened("week", Path("results")).blocks == campaign.blocks  # spaces say nothing
    facts = json.loads(path.read_text())
    facts["blocks"][0]["start_ns"] += 1
    path.write_text(json.dumps(facts))
    with pytest.raises(CannotRun, match="changed since it was published"):
        opened("week", Path("results"))


def test_a_name_is_given_once(place: Place) -> None:
    place.begin()
    with pytest.raises(CannotRun, match="that campaign exists"):
        place.begin()


def test_ctrl_c_while_waiting_ends_with_the_command_that_goes_on(place: Place) -> None:
    campaign = place.begin()
    place.calendar.interrupts_at_ns = campaign.blocks[3].start_ns - 1
    assert place.run(campaign) == 130
    assert place.states(campaign) == ["done"] * 3 + ["to come"] * 5
    assert "bench run --campaign week --resume" in place.said[-1]
    place.calendar.interrupts_at_ns = None
    assert place.run(opened("week", Path("results"))) == 0
    assert place.states(campaign) == ["done"] * 8
    assert len(place.asked) == 8


def test_what_was_due_while_nothing_ran_is_missed_with_the_reason_and_never_made_up_for(place: Place) -> None:
    campaign = place.begin()
    place.calendar.now = campaign.blocks[2].start_ns + 16 * MINUTE_NS
    assert place.run(campaign) == 0
    assert place.states(campaign) == ["missed"] * 3 + ["done"] * 5
    assert len(place.asked) == 5
    assert "nothing was running the campaign when it was due" in read_log(campaign).of(campaign.blocks[0]).reason
    assert place.said[-1].startswith("Not as planned: 3 missed blocks")


def test_a_block_within_its_grace_runs_and_says_how_late(place: Place) -> None:
    campaign = place.begin()
    place.calendar.now = campaign.blocks[0].start_ns + 14 * MINUTE_NS
    place.run(campaign, due_only=True)
    assert place.states(campaign)[0] == "done"
    assert place.asked[0].campaign is not None
    assert place.asked[0].campaign["late_ms"] == 14 * 60_000
    assert any("14 min late" in line for line in place.said)


def test_a_machine_that_slept_through_a_block_says_so(place: Place) -> None:
    campaign = place.begin()
    place.calendar.oversleeps_ns = 16 * MINUTE_NS
    place.run(campaign)
    assert place.states(campaign) == ["missed"] * 8
    assert "the machine slept, or its clock was set" in read_log(campaign).of(campaign.blocks[0]).reason
    assert place.asked == []


def test_a_block_that_runs_over_makes_the_next_one_late_or_missed(place: Place) -> None:
    campaign = place.begin()
    place.takes_ns = campaign.blocks[1].start_ns - campaign.blocks[0].start_ns + 20 * MINUTE_NS
    place.run(campaign, due_only=False)
    log = read_log(campaign)
    assert log.of(campaign.blocks[1]).state == "missed"
    assert "the block before it ran until" in log.of(campaign.blocks[1]).reason


def test_a_campaign_in_which_nothing_ran_could_not_run(place: Place) -> None:
    campaign = place.begin()
    place.calendar.now += 2 * DAY_NS
    assert place.run(campaign) == 3


def test_due_runs_what_is_due_and_ends(place: Place) -> None:
    campaign = place.begin()
    assert place.run(campaign, due_only=True) == 0
    assert place.asked == []
    assert f"block 1 begins {campaigns.utc(campaign.blocks[0].start_ns)}" in place.said[-1]
    place.calendar.now = campaign.blocks[0].start_ns + 1
    assert place.run(campaign, due_only=True) == 0
    assert place.states(campaign) == ["done"] + ["to come"] * 7
    assert place.calendar.waits == []


def test_the_limit_holds_for_the_whole_campaign(place: Place) -> None:
    campaign = place.begin(max_usd=Decimal("1.20"))
    assert place.run(campaign) == 5
    # 0.50 each: 1.20, 0.70 and 0.20 were left; the third one went past what was left
    assert [options.max_usd for options in place.asked] == [Decimal("1.20"), Decimal("0.70"), Decimal("0.20")]
    assert place.states(campaign) == ["done"] * 3 + ["to come"] * 5
    assert place.run(campaign, limit_usd=Decimal("2.20")) == 5
    assert [options.max_usd for options in place.asked][3:] == [Decimal("0.70"), Decimal("0.20")]


def test_a_block_that_its_limit_cut_ends_the_campaign(place: Place) -> None:
    campaign = place.begin(max_usd=Decimal("1.20"))
    place.ends = lambda options: Ended(5, {"complete": False, "stopped": "the limit of $1.20", "spent_usd": "1.19"})
    assert place.run(campaign) == 5
    fate = read_log(campaign).of(campaign.blocks[0])
    assert (fate.state, fate.reason, fate.spent_usd) == ("cut", "the limit of $1.20", Decimal("1.19"))
    assert "--max-usd X" in place.said[-1]


def test_an_interrupted_block_is_cut_and_not_run_again(place: Place) -> None:
    campaign = place.begin()
    place.ends = lambda options: Ended(130, {"complete": False, "stopped": "interrupted", "spent_usd": "0.10"})
    assert place.run(campaign) == 130
    place.ends = Place(Calendar()).ends
    assert place.run(campaign) == 0
    assert place.states(campaign) == ["cut"] + ["done"] * 7


def test_a_block_that_cannot_run_is_recorded_and_the_next_one_is_waited_for(place: Place) -> None:
    campaign = place.begin()

    def fails(options: Options) -> Ended:
        if options.campaign is not None and options.campaign["block"] == 2:
            raise CannotRun("too few targets can run:\n none")
        return Ended(0, {"complete": True, "spent_usd": "0"})

    place.ends = fails
    assert place.run(campaign) == 0
    assert place.states(campaign) == ["done", "failed"] + ["done"] * 6
    assert read_log(campaign).of(campaign.blocks[1]).reason == "too few targets can run: none"


@pytest.mark.parametrize("role", ["workload", "targets"])
def test_a_file_that_was_edited_meanwhile_stops_the_blocks(place: Place, role: str) -> None:
    campaign = place.begin()
    path = Path("small.yaml" if role == "workload" else "targets.yaml")
    path.write_text(path.read_text() + "\n")
    place.run(campaign)
    assert place.states(campaign) == ["failed"] * 8
    assert f"the {role} changed since the campaign was published" in read_log(campaign).of(campaign.blocks[0]).reason
    assert place.asked == []


def test_a_program_that_died_in_a_block_finds_it_again(place: Place) -> None:
    campaign = place.begin()
    for n, complete in ((1, True), (2, False)):
        block = campaign.blocks[n - 1]
        folder = Path("results/date=2026-03-04") / f"run={campaign.run_id(block)}"
        folder.mkdir(parents=True)
        manifest = {"complete": complete, "spent_usd": "0.25", "stopped": None if complete else "crashed"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        campaigns.append(campaign, block, Fate("begun", run_id=campaign.run_id(block), late_ms=0))
    campaigns.append(campaign, campaign.blocks[2], Fate("begun", run_id=campaign.run_id(campaign.blocks[2])))
    place.calendar.now = campaign.blocks[2].start_ns + 1
    place.run(campaign)
    assert place.states(campaign) == ["done", "cut", "failed"] + ["done"] * 5
    # two halves that were found, and five that ran
    assert read_log(campaign).spent_usd == Decimal("0.50") + 5 * Decimal("0.50")


def test_a_torn_last_line_of_the_log_says_nothing(place: Place) -> None:
    campaign = place.begin()
    campaigns.append(campaign, campaign.blocks[0], Fate("missed", "x"))
    with (campaign.folder / "log.jsonl").open("ab") as file:
        file.write(b'{"block":2,"state":"do')
    assert place.states(campaign) == ["missed"] + ["to come"] * 7
    campaigns.append(campaign, campaign.blocks[1], Fate("missed", "y"))
    campaigns.append(campaign, campaign.blocks[2], Fate("missed", "z"))
    assert place.states(campaign)[:3] == ["missed", "missed", "missed"]


def test_two_processes_do_not_carry_out_the_same_campaign(place: Place) -> None:
    campaign = place.begin()
    with campaigns.conducting(campaign), pytest.raises(CannotRun, match="another process"):
        place.run(campaign)


def test_labels_and_limits_of_a_run_reach_every_block(place: Place) -> None:
    campaign = place.begin(labels=(("ticket", "OPS-12"),), only=("a",), requests=7, limits="probe")
    place.run(campaign)
    kept = replace(place.asked[0], run_id=None, seed=1, campaign=None, command="")
    assert kept == Options(workload=Path("small.yaml"), simulate=True, labels=(("ticket", "OPS-12"),), only=("a",), requests=7, limits="probe")  # fmt: skip


# words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "block"),
    [
        ("bench run a.yaml --blocks 48 --over 7d --campaign week --simulate", "bench run a.yaml --simulate"),
        ("bench run a.yaml --blocks=4 --over=1h --seed 3 --max-usd 5 --out there", "bench run a.yaml --out there"),
        ("bench run a.yaml --due --grace 5m --label 'a=b c'", "bench run a.yaml --label 'a=b c'"),
    ],
)
def test_a_blocks_own_command_is_the_campaigns_without_the_campaign(command: str, block: str) -> None:
    assert campaigning.block_command(command) == block


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600 * 5 + 720, "5 h 12 min"), (86_400 * 2 + 3 * 3600, "2 d 3 h")],
)  # fmt: skip
def test_times_in_words(seconds: int, words: str) -> None:
    assert campaigning.in_words(seconds * 10**9) == words


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        (["run", "--campaign", "x", "--resume"], ["run", "--campaign", "x", "--resume=-"]),
        (["run", "--resume", "--campaign", "x"], ["run", "--resume=-", "--campaign", "x"]),
        (["run", "w.yaml", "--resume", "latest"], ["run", "w.yaml", "--resume", "latest"]),
        (["compare", "--resume"], ["compare", "--resume"]),
        ([], []),
    ],
)
def test_resume_may_stand_alone(given: list[str], parsed: list[str]) -> None:
    assert with_bare_resume(given) == parsed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--campaign", "week"], "--resume to go on with it"),
        (["--campaign", "week", "--resume"], "no campaign 'week'"),
        (["--resume"], "--campaign NAME --resume"),
        (["--campaign", "week", "--resume", "other"], "no run"),
        (["--campaign", "week", "--resume", "--blocks", "3"], "the plan of week is published"),
        (["small.yaml", "--blocks", "3"], "--blocks and --over together"),
        (["small.yaml", "--campaign", "week"], "--blocks and --over together"),
        (["small.yaml", "--campaign", "week", "--resume"], "week says what is run"),
        (["small.yaml", "--blocks", "3", "--over", "1h", "--run-id", "x"], "--campaign NAME"),
        (["small.yaml", "--blocks", "3", "--over", "soon", "--simulate"], "--over"),
        (["small.yaml", "--blocks", "3", "--over", "1h", "--campaign", "a/b", "--simulate"], "--campaign"),
        ([], "WORKLOAD"),
    ],
)
def test_a_campaign_that_makes_no_sense_is_refused_in_words(
    place: Place, capsys, arguments: list[str], said: str
) -> None:
    assert main(["run", *arguments]) in (2, 3)
    assert said in capsys.readouterr().err
    assert not Path("results").exists()


def test_progress_says_what_was_missed_and_what_is_needed(place: Place, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    campaign = place.begin()
    campaigns.append(campaign, campaign.blocks[0], Fate("missed", "nothing was running"))
    assert main(["plan", "--campaign", "week"]) == 0
    out = capsys.readouterr().out
    assert "SIMULATED. Campaign week: 0 of 8 blocks done, 1 missed" in out
    assert "missed: nothing was running" in out
    assert f"Block 2 is due {campaigns.utc(campaign.blocks[1].start_ns)}." in out
    assert f"sha256 {campaign.facts['digest']}" in out.replace("\n    ", " ")
    assert max(map(len, out.splitlines())) <= 100
    assert "nothing to reckon from yet" in out
    assert main(["plan", "small.yaml", "--campaign", "week"]) == 2
