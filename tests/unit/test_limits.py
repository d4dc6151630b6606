"""Rate limits against a plan: the same answers as a token bucket that is filled and emptied step by step."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import quota
from bench.engine.limits import Ask, Rule, asks, first_refusal, mean_cost

S = 1_000_000_000


def at(*seconds: float, **cost: int) -> list[Ask]:
    return [Ask(round(s * S), {"rpm": 1, "itpm": 0, "otpm": 0, **cost}, {}) for s in seconds]


@pytest.mark.parametrize(
    ("plan", "limits", "burst_s", "index", "refused"),
    [
        # 60 a minute is one a second; a burst of 1 s holds one
        (at(0, 1, 2, 3), {"rpm": 60}, 1, None, 0),
        (
            at(0, 0.5, 1, 2),
            {"rpm": 60},
            1,
            1,
            1,
        ),  # half paid back when the second comes; it costs nothing, so the third goes
        (at(0, 0, 0, 0), {"rpm": 60}, 3, 3, 1),  # three at once
        (at(0, 0, 0, 1), {"rpm": 60}, 3, None, 0),
        (at(*[0.9 * k for k in range(12)]), {"rpm": 60}, 2, 11, 1),  # 0.1 behind at each: one whole after 11 gaps
        (at(0, 12, 24), {"rpm": 5}, 10, None, 0),  # 0.83 requests in 10 s: the burst has room for one
        (at(0, 11.9), {"rpm": 5}, 10, 1, 1),
        (at(0, 30, 60, itpm=500), {"itpm": 1000}, 30, None, 0),
        (at(0, 29, 60, itpm=500), {"itpm": 1000}, 30, 1, 1),
        (at(0, itpm=2000), {"itpm": 1000}, 60, 0, 1),  # more than a minute's worth never goes
        (at(0, 0, otpm=10), {"rpm": 60, "otpm": 60}, 10, 1, 1),  # the tighter one decides
        ([], {"rpm": 1}, 10, None, 0),
        (at(0, 0, 0), {}, 1, None, 0),
    ],
)
def test_a_plan_is_taken_or_refused_by_arithmetic(plan, limits, burst_s, index, refused) -> None:
    found = first_refusal(plan, limits, burst_s)
    assert (None, 0) if found is None else (found.index, found.refused) == (index, refused)
    assert (found.index if found else None) == index


def test_what_is_held_for_a_reply_comes_back_when_it_ends() -> None:
    # 600 a minute, 100 at once; 80 held, 60 of them given back after 2 s
    held = [Ask(s * S, {"rpm": 1, "itpm": 0, "otpm": 80}, {"otpm": 60}, 2 * S) for s in (0, 3, 6)]
    assert first_refusal(held, {"otpm": 600}, 10) is None
    early = [Ask(s * S, {"rpm": 1, "itpm": 0, "otpm": 80}, {"otpm": 60}, 2 * S) for s in (0, 1)]
    found = first_refusal(early, {"otpm": 600}, 10)  # 70 still owed at 1 s, and 80 more asked
    assert found is not None
    assert (found.index, found.dimension, found.at_ns) == (1, "otpm", S)


def bucket(plan: list[Ask], limits: dict[str, int], burst_s: int) -> list[int]:
    """The refused requests, by buckets of tokens that are filled from event to event, in exact fractions."""
    room = {}
    for name, limit in limits.items():
        dearest = max(ask.cost[name] for ask in plan)
        room[name] = max(Fraction(limit * burst_s, 60), Fraction(min(dearest, limit)))
    level = dict(room)
    events = [(ask.at_ns, 1, index) for index, ask in enumerate(plan)]
    events += [
        (ask.at_ns + ask.refund_after_ns, 0, index) for index, ask in enumerate(plan) if any(ask.refund.values())
    ]
    taken: set[int] = set()
    refused = []
    now = 0
    pending = sorted(events)
    while pending:
        when, kind, index = pending.pop(0)
        for name, limit in limits.items():
            level[name] = min(room[name], level[name] + Fraction(when - now, S) * limit / 60)
        now = when
        ask = plan[index]
        if kind == 0:
            if index in taken:
                for name in limits:
                    level[name] = min(room[name], level[name] + ask.refund.get(name, 0))
        elif all(level[name] >= ask.cost[name] for name in limits):
            taken.add(index)
            for name in limits:
                level[name] -= ask.cost[name]
        else:
            refused.append(index)
    return refused


events = st.lists(
    st.tuples(st.integers(0, 20 * S), st.integers(0, 400), st.integers(0, 400), st.integers(0, 300)),
    min_size=1,
    max_size=40,
)
some_limits = st.dictionaries(st.sampled_from(["rpm", "itpm", "otpm"]), st.integers(1, 5000), min_size=1)


@given(events=events, limits=some_limits, burst_s=st.integers(1, 60), settle_ns=st.integers(1, 5 * S))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_the_simulation_equals_a_token_bucket(events, limits, burst_s, settle_ns) -> None:
    plan = [
        Ask(at_ns, {"rpm": 1, "itpm": tokens, "otpm": held}, {"otpm": min(held, back)}, settle_ns)
        for at_ns, tokens, held, back in sorted(events)
    ]
    expected = bucket(plan, limits, burst_s)
    found = first_refusal(plan, limits, burst_s)
    if found is None:
        assert expected == []
    else:
        assert (found.index, found.refused) == (expected[0], len(expected))


@pytest.mark.parametrize(
    ("rule", "costs", "refunds"),
    [
        # input 100 and 50 (30 of it shared), replies of 20 where 64 are allowed
        (Rule(), [(100, 20), (50, 20)], [{}, {}]),
        (Rule(counts_cached_input=False), [(100, 20), (20, 20)], [{}, {}]),
        (Rule(reserves=True, counts_cached_input=False), [(100, 64), (50, 64)], [{"itpm": 0, "otpm": 44}, {"itpm": 30, "otpm": 44}]),
        (Rule(reserves=True), [(100, 64), (50, 64)], [{"itpm": 0, "otpm": 44}, {"itpm": 0, "otpm": 44}]),
    ],
)  # fmt: skip
def test_what_a_request_costs_depends_on_who_is_asked(rule, costs, refunds) -> None:
    made = asks([0, 1], [100, 50], rule, max_tokens=64, output_tokens=20, cached_tokens=30, reply_ns=S)
    assert [(a.cost["itpm"], a.cost["otpm"]) for a in made] == costs
    assert [dict(a.refund) for a in made] == refunds
    assert mean_cost(made)["otpm"] == 20  # in the end everybody charges what was written


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("bench run w.yaml", "bench run w.yaml --request-rate 2.5"),
        ("bench run w.yaml --request-rate 9 --only a", "bench run w.yaml --only a --request-rate 2.5"),
        ("bench run --request-rate=9 w.yaml", "bench run w.yaml --request-rate 2.5"),
        ("bench run 'my file.yaml'", "bench run 'my file.yaml' --request-rate 2.5"),
    ],
)
def test_the_command_is_the_same_at_another_rate(given: str, expected: str) -> None:
    assert quota.command(given, 2.5) == expected
