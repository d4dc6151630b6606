"""The parts of the look-alike clouds that need no socket."""

import asyncio
import hashlib
import random
import statistics
import struct
import time
import zlib

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ConfigError
from bench.simulate.answers import Entry, choose, filler, load_answers, pieces, prompt_key
from bench.simulate.base import Ask, TargetConfig
from bench.simulate.config import CREDENTIALS, DOORS, KEYS, default_profile, parse_config
from bench.simulate.doors import DOORS as DOOR_CLASSES
from bench.simulate.doors.eventstream import frame, string_headers
from bench.simulate.doors.reading import base59, tokens_of, uuid_of
from bench.simulate.faults import FAULTS, FaultError, marked_fault, parse_fault
from bench.simulate.profile import Profile, Spread, parse_profile
from bench.simulate.script import plan
from bench.simulate.timer import Timer


def profile_of(data):
    problems = []
    profile = parse_profile(data, "here", problems)
    return profile, [f"{p.path}: {p.want}" for p in problems]


# --- text


@settings(derandomize=True, max_examples=200)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_pieces_joined_are_the_text_and_are_small(text):
    cut = pieces(text)
    assert "".join(cut) == text
    assert all(cut)
    assert all(len(piece.strip()) <= 5 for piece in cut)


def test_pieces_end_at_words_where_they_can():
    # up to 5 letters are one piece with the blank before; a longer word goes by fours
    assert pieces("The cat's  whiskers\n\nend") == ("The", " cat's", " ", " whis", "kers", "\n", "\nend")


def test_pieces_are_about_four_characters_of_prose():
    text = (
        "The committee met on a rainy Tuesday and decided to postpone the opening of the new library until spring. " * 5
    )
    assert 3.5 < len(text) / len(pieces(text)) < 5


def test_filler_has_exactly_the_length_asked_for():
    for count in (0, 1, 7, 64, 1000):
        assert len(filler(count)) == count


def test_the_key_of_a_prompt_is_the_hash_of_its_utf8():
    assert prompt_key("grün") == hashlib.sha256("grün".encode()).hexdigest()


def test_a_kind_that_an_entry_lacks_gives_way_to_the_nearest():
    entry = Entry("c", {"right": ["r1", "r2"], "wrong": ["w"]})
    assert choose(entry, "right", 0.0) == ("right", "r1")
    assert choose(entry, "right", 0.99) == ("right", "r2")
    assert choose(entry, "abstain", 0.0) == ("wrong", "w")
    assert choose(Entry("c", {"right": ["r"]}), "wrong", 0.5) == ("right", "r")
    assert choose(Entry("c", {}), "wrong", 0.5) == ("empty", "")


def test_bad_lines_of_the_answers_are_told_with_their_numbers(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"key": "k", "case_id": "c", "answers": {"right": ["x"]}}\n\n{"key": "k"}\n{"key"\n')
    with pytest.raises(ConfigError) as refused:
        load_answers(path)
    assert [p.where for p in refused.value.problems] == [f"{path}:3", f"{path}:4"]
    with pytest.raises(ConfigError):
        load_answers(tmp_path / "none.jsonl")


# --- faults


def test_faults_are_read_from_words_and_from_data():
    assert parse_fault("cut after=5") == parse_fault({"name": "cut", "after": 5})
    assert parse_fault("status code=429 retry-after-ms=1500").retry_after_ms == 1500.0
    assert marked_fault("Hello [[fault: stall after=3 ms=50]] you") == parse_fault("stall after=3 ms=50")
    assert marked_fault("Hello") is None
    for name in FAULTS:
        assert parse_fault(name).name == name


BAD_WORDS = ["", "moon", "cut after", "cut before=1", "cut after=-1", "cut after=x", "drip ms=inf", "status code=200"]


@pytest.mark.parametrize("words", BAD_WORDS)
def test_words_that_are_no_fault_are_refused(words):
    with pytest.raises(FaultError):
        parse_fault(words)


@settings(derandomize=True, max_examples=100)
@given(st.text(max_size=40))
def test_any_mark_is_a_fault_or_a_fault_error(words):
    try:
        marked_fault(f"[[fault: {words}]]")
    except FaultError:
        pass


# --- profiles


def test_lognormal_times_have_the_percentiles_they_were_given():
    profile, problems = profile_of({"ttft_ms": {"p50": 500, "p90": 900}})
    assert problems == []
    drawn = sorted(profile.ttft_ms.draw_ns(random.Random(1), 20_000))
    # a sample percentile of 20,000 draws: standard error about 0.7 % at p50 and 1 % at p90
    assert drawn[10_000] / 1e6 == pytest.approx(500, rel=0.03)
    assert drawn[18_000] / 1e6 == pytest.approx(900, rel=0.04)


def test_other_times():
    profile, problems = profile_of({"ttft_ms": {"uniform": [10, 20]}, "gap_ms": {"constant": 3}})
    assert problems == []
    drawn = profile.ttft_ms.draw_ns(random.Random(1), 1000)
    assert 10e6 <= min(drawn) < max(drawn) <= 20e6
    assert profile.gap_ms.draw_ns(random.Random(1), 2) == [3_000_000, 3_000_000]


def test_every_problem_of_a_profile_is_told_at_once():
    _, problems = profile_of(
        {
            "ttft_ms": {"p50": 900, "p90": 500},
            "gap_ms": 5,
            "accuracy": 0.9,
            "abstain_share": 0.2,
            "cut_share": 2,
            "tokens_per_event": 0,
            "markers": "yes",
            "stall": {"share": 0.1, "pause": 3},
            "faults": [{"name": "moon", "share": 0.1}, {"name": "cut"}],
            "colour": "red",
        }
    )
    paths = {p.partition(":")[0] for p in problems}
    assert paths == {
        "profile.ttft_ms",
        "profile.gap_ms",
        "profile.accuracy",
        "profile.cut_share",
        "profile.tokens_per_event",
        "profile.markers",
        "profile.stall.pause",
        "profile.faults[0]",
        "profile.faults[1]",
        "profile.colour",
    }


def test_shares_of_faults_may_not_pass_one():
    _, problems = profile_of({"cut_share": 0.6, "hang_share": 0.6})
    assert problems == ["profile.faults: shares of all faults that sum to at most 1"]


def test_the_shipped_profiles_are_sound_and_within_what_they_promise():
    medians, accuracies = [], []
    for door in DOORS:
        data = default_profile(door)
        profile, problems = profile_of(data)
        assert problems == []
        assert 450 <= data["ttft_ms"]["p50"] <= 900
        assert 9 <= data["gap_ms"]["p50"] <= 16
        assert not profile.markers
        medians.append(data["ttft_ms"]["p50"])
        accuracies.append(data["accuracy"])
    assert len(set(medians)) == len(medians)
    assert sorted(accuracies)[0] == 0.82
    assert all(0.88 <= a <= 0.94 for a in sorted(accuracies)[1:])
    default_profile("vertex")["accuracy"] = 0  # a copy, not the original
    assert default_profile("vertex")["accuracy"] == 0.94


def test_every_door_has_code_credentials_and_a_profile():
    assert set(DOORS) == set(KEYS) == set(CREDENTIALS) == set(DOOR_CLASSES)
    for name, make in DOOR_CLASSES.items():
        assert make().name == name


# --- the configuration


def test_problems_of_the_configuration_are_told_at_once():
    row = {"id": "a", "door": "anthropic", "model_id": "m"}
    with pytest.raises(ConfigError) as refused:
        parse_config(
            {
                "seed": 1.5,
                "port": 0,
                "answers": 7,
                "speed": 1,
                "targets": [
                    {**row, "credentials": {"password": "x"}},
                    {**row, "tls": {"cert": "c"}},
                    {"id": "b", "door": "bedrock", "model_id": "m", "credentials": {"region": "r", "access_key": "a"}},
                    {"id": "c", "door": "anthropic"},
                    row,
                    row,
                ],
            }
        )
    paths = [p.path for p in refused.value.problems]
    for path in (
        "seed", "port", "answers", "speed", "targets[0].credentials", "targets[1].tls", "targets[2].credentials",
        "targets[3].model_id", "targets",
    ):  # fmt: skip
        assert path in paths
    with pytest.raises(ConfigError):
        parse_config({"targets": []})
    with pytest.raises(ConfigError):
        parse_config([])


# --- ids and frames


def test_the_golden_frame_of_the_event_stream():
    # the published reference frame: three string headers and a payload of 54 bytes, 157 bytes in all
    headers = {
        ":event-type": "contentBlockDelta",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    payload = b'{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"ab"}'
    golden = (
        "0000009d00000057b9bbf89f0b3a6576656e742d74797065070011636f6e74656e74426c6f636b44656c74610d3a636f6e74656e742d74"
        "7970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e74426c"
        "6f636b496e646578223a302c2264656c7461223a7b2274657874223a224869227d2c2270223a226162227d8b38b268"
    )
    assert frame(string_headers(headers), payload).hex() == golden


@settings(derandomize=True, max_examples=50)
@given(st.binary(max_size=300))
def test_frames_carry_any_payload_with_both_checksums(payload):
    data = frame(b"", payload)
    total, header_length, prelude_crc = struct.unpack("!III", data[:12])
    assert (total, header_length) == (len(data), 0)
    assert prelude_crc == zlib.crc32(data[:8])
    assert struct.unpack("!I", data[-4:])[0] == zlib.crc32(data[:-4])
    assert data[12:-4] == payload


@settings(derandomize=True, max_examples=50)
@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_ids_have_their_form(bits):
    import uuid

    parsed = uuid.UUID(uuid_of(bits))
    assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)
    assert len(base59(bits, 22)) == 22
    assert base59(bits, 22).isalnum()


def test_input_tokens_are_a_quarter_of_the_characters_rounded_up():
    assert [tokens_of(n) for n in (0, 1, 4, 5, 400)] == [0, 1, 1, 2, 100]


# --- the plan


def planned(profile=None, *, ask=None, repeat=0, seed=1, answers=None, key="k", **more):
    target = TargetConfig("t", "anthropic", "m", profile or Profile(), {})
    ask = ask or Ask(prompt="p", stream=True, input_tokens=2000, max_tokens=None)
    more |= {"key": key, "repeat": repeat, "seed": seed, "answers": answers or {}, "wall_s": 0}
    return plan(DOOR_CLASSES["anthropic"](), target, ask, **more)


def test_turning_a_share_up_moves_nothing_else():
    plain = planned(Profile(ttft_ms=Spread("uniform", 1, 9), gap_ms=Spread("uniform", 1, 9)))
    for profile in (
        Profile(ttft_ms=Spread("uniform", 1, 9), gap_ms=Spread("uniform", 1, 9), abstain_share=0.5, accuracy=0.1),
        Profile(ttft_ms=Spread("uniform", 1, 9), gap_ms=Spread("uniform", 1, 9), cache_hit_share=0.5),
    ):
        again = planned(profile)
        assert (again.offsets_ns, again.message_id) == (plain.offsets_ns, plain.message_id)
    assert planned(repeat=1).request_id != planned(repeat=0).request_id != planned(seed=2).request_id


def test_kinds_come_in_their_shares():
    answers = {f"k{n}": Entry(f"c{n}", {"right": ["r"], "wrong": ["w"], "abstain": ["a"]}) for n in range(2000)}
    profile = Profile(accuracy=0.8, abstain_share=0.15)
    kinds = [planned(profile, answers=answers, key=key).kind for key in answers]
    # standard error of a share of 2,000: below 0.9 points
    assert statistics.fmean(k == "right" for k in kinds) == pytest.approx(0.8, abs=0.03)
    assert statistics.fmean(k == "abstain" for k in kinds) == pytest.approx(0.15, abs=0.03)
    assert {"right", "wrong", "abstain"} == set(kinds)


def right_at(name: str, accuracy: float, **more) -> set[str]:
    """Of 2,000 prompts, those that a target of this name and accuracy gets right."""
    answers = {f"k{n}": Entry(f"c{n}", {"right": ["r"], "wrong": ["w"]}) for n in range(2000)}
    target = TargetConfig(name, "anthropic", "m", Profile(accuracy=accuracy, **more), {})
    ask = Ask(prompt="p", stream=True, input_tokens=2000, max_tokens=None)
    door = DOOR_CLASSES["anthropic"]()
    scripts = {key: plan(door, target, ask, key=key, repeat=0, seed=1, answers=answers, wall_s=0) for key in answers}
    return {key for key, script in scripts.items() if script.kind == "right"}


def test_without_chance_of_its_own_a_target_fails_wherever_a_more_accurate_one_does():
    best, better, worse = (right_at(*one, own_share=0) for one in (("a", 0.95), ("b", 0.95), ("c", 0.89)))
    assert best == better > worse


def test_equal_targets_differ_on_few_prompts_and_as_many_either_way():
    # Two of accuracy 0.9 that share no difficulty differ on 2 x 0.9 x 0.1 = 18 % of prompts. Here both follow it on
    # 0.8 x 0.8 of them, so that 0.36 x 18 % = 6.5 % are left: 130 of 2,000, standard error 11.
    a, b = right_at("a", 0.9), right_at("b", 0.9)
    assert len(a ^ b) == pytest.approx(130, abs=35)
    assert len(a - b) == pytest.approx(len(b - a), abs=35)
    apart = right_at("a", 0.9, own_share=1) ^ right_at("b", 0.9, own_share=1)
    assert len(apart) == pytest.approx(360, abs=52)  # standard error 17


def test_a_difference_set_is_the_difference_found():
    # 6 points of 2,000 are 120; 64 % of the prompts are shared: 77 go one way, and of the other 36 % of prompts
    # 0.95 x 0.11 = 10.5 % one way and 0.05 x 0.89 = 4.5 % the other: 75 and 32. So 152 against 32, standard errors 12 and 6.
    better, worse = right_at("a", 0.95), right_at("b", 0.89)
    assert len(better - worse) == pytest.approx(152, abs=36)
    assert len(worse - better) == pytest.approx(32, abs=18)


def test_faults_come_in_their_shares_and_at_most_one_each():
    profile, _ = profile_of(
        {"throttle": {"share": 0.2, "retry_after_s": 3}, "overload_share": 0.1, "error_share": 0.05}
    )
    found = [str(planned(profile, key=f"k{n}").fault) for n in range(2000)]
    for name, share in (("status 429", 0.2), ("status 529", 0.1), ("status 500", 0.05), ("None", 0.65)):
        assert found.count(name) / 2000 == pytest.approx(share, abs=0.035)


def test_events_of_several_tokens_come_when_their_last_token_is_due():
    profile = Profile(
        ttft_ms=Spread("constant", 100, 0), gap_ms=Spread("constant", 10, 0), tokens_per_event=3, output_tokens=8
    )
    script = planned(profile)
    # tokens due at 100, 110, ..., 170: one alone, then 1-3, 4-6, and 7
    assert [n // 1_000_000 for n in script.offsets_ns] == [100, 130, 160, 170]
    assert script.end_ns == 180_000_000
    assert (script.output_tokens, script.text) == (8, "".join(filler(8)))


def test_a_slow_spell_stretches_all_times():
    profile = Profile(ttft_ms=Spread("constant", 100, 0), gap_ms=Spread("constant", 10, 0), output_tokens=3)
    assert [n // 1_000_000 for n in planned(profile, slowdown=2.0).offsets_ns] == [200, 220, 240]


def test_a_stall_moves_what_follows_by_one_pause():
    profile = Profile(
        ttft_ms=Spread("constant", 100, 0),
        gap_ms=Spread("constant", 10, 0),
        output_tokens=5,
        stall_share=1.0,
        stall_ms=Spread("constant", 1000, 0),
    )
    for n in range(20):
        script = planned(profile, key=f"k{n}")
        late = [
            due - plain * 1_000_000 for due, plain in zip(script.offsets_ns, (100, 110, 120, 130, 140), strict=True)
        ]
        assert late == sorted(late)
        assert set(late) <= {0, 1_000_000_000}
        assert script.end_ns == 1_150_000_000


def test_cached_tokens_are_read_or_written_never_both():
    ask = Ask(prompt="p", stream=True, input_tokens=3000, max_tokens=9, cacheable_tokens=2000)
    profile = Profile(cache_hit_share=0.5)
    seen = set()
    for n in range(50):
        script = planned(profile, ask=ask, key=f"k{n}")
        seen.add((script.input_tokens, script.cache_read_tokens, script.cache_write_tokens))
    assert seen == {(1000, 2000, 0), (1000, 0, 2000)}
    small = Ask(prompt="p", stream=True, input_tokens=900, max_tokens=9, cacheable_tokens=800)
    assert planned(profile, ask=small).cache_read_tokens == planned(profile, ask=small).cache_write_tokens == 0


# --- the timer


class Ticker:
    """Is due at each of these times; writes down when it was called."""

    def __init__(self, dues_ns, done):
        self.dues_ns, self.calls, self.done = dues_ns, [], done

    def step(self, due_ns):
        self.calls.append((due_ns, time.monotonic_ns()))
        if len(self.calls) < len(self.dues_ns):
            return self.dues_ns[len(self.calls)]
        self.done.set()
        return None


@pytest.mark.parametrize("use_timerfd", [True, False])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_steps_come_in_order_and_never_early(run, use_timerfd):
    async def go():
        timer = Timer(asyncio.get_running_loop(), use_timerfd=use_timerfd)
        start = time.monotonic_ns()
        tickers = []
        for n in range(5):
            done = asyncio.Event()
            dues = [start + (k * 3 + n) * 1_000_000 for k in range(6)]
            tickers.append(Ticker(dues, done))
        for ticker in reversed(tickers):
            timer.add(ticker.dues_ns[0], ticker)
        await asyncio.wait_for(asyncio.gather(*(t.done.wait() for t in tickers)), 5)
        timer.close()
        return tickers

    for ticker in run(go()):
        assert [due for due, _ in ticker.calls] == ticker.dues_ns
        assert all(called >= due for due, called in ticker.calls)


def test_a_step_may_add_items_that_are_due_before_its_own_next_step():
    async def go():
        timer = Timer(asyncio.get_running_loop())
        now_ns, done = time.monotonic_ns(), asyncio.Event()
        added = Ticker([now_ns - 5, now_ns - 4], asyncio.Event())
        outer = Ticker([now_ns, now_ns + 1, now_ns + 2], done)
        step = outer.step

        def adding(due_ns):
            if due_ns == now_ns:
                timer.add(added.dues_ns[0], added)
            return step(due_ns)

        outer.step = adding
        timer.add(now_ns, outer)
        await asyncio.wait_for(asyncio.gather(done.wait(), added.done.wait()), 5)
        timer.close()
        return outer, added

    for ticker in uvloop.run(go()):
        assert [due for due, _ in ticker.calls] == ticker.dues_ns
