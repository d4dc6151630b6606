"""What `bench workload check` says of a load."""

import pytest

from bench.cli import main

HEAD = """\
version: 1
name: w
dataset: {type: inline, items: [{id: a, question: x, turns: [one, two, three]}, {id: b, question: y, turns: [one]}]}
messages: [%s]
load: %s
"""
ASK = '{role: user, content: "{{ question }}"}'


@pytest.mark.parametrize(
    ("messages", "load", "said"),
    [
        (
            ASK,
            "{pattern: poisson, stages: [{rate: 4, duration: 2m, ramp: true}, {rate: 4, duration: 5m}]}",
            # 2 min at 2 on average, 5 min at 4; 4 s replies
            [
                "0 → 4/s  240  2m",
                "4/s  1,200  5m",
                "in all 1,440 prompts, 7m",
                "about 16 for each target",
                "invalid at 256",
            ],
        ),
        (
            ASK,
            "{pattern: burst, burst: {size: 20, every: 10s}, stages: [{duration: 95s}], max_in_flight: 15}",
            ["20 at once every 10s", "200", "1m 40s", "invalid at 15"],
        ),
        (
            ASK,
            "{pattern: sweep, sweep: {over: rate, values: [1, 2], duration: 90s}, warmup: {requests: 3}}",
            ["a sweep over rate", "1/s  90  1m 30s", "in all 360 prompts, 4m 30s, 3 to warm up first"],
        ),
        (
            ASK,
            "{pattern: sweep, sweep: {over: rate, until: saturation, points: 4, duration: 10s}}",
            ["until saturation", "in all at most 150 prompts"],  # 10 + 20 + 40 + 80
        ),
        (
            ASK,
            "{pattern: concurrent, stages: [{concurrency: 8, duration: 1m, ramp: true}, {concurrency: 8, requests: 100}]}",
            [
                "closed loop",
                "0 → 8  as many as fit  1m",
                "8  100  by the replies",
                "at most 8 for all targets together",
            ],
        ),
        (
            "{insert: session}",
            "{pattern: constant, unit: session, stages: [{rate: 0.5, sessions: 30}]}",
            ["sessions with live history", "30 sessions, about 60 requests, 1m"],  # two turns on average
        ),
    ],
)
def test_the_load_is_printed_as_it_will_be(tmp_path, capsys, messages: str, load: str, said: list[str]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(HEAD % (messages, load))
    assert main(["workload", "check", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in said:
        assert " ".join(words.split()) in out


def test_the_plot_follows_the_offered_rate(tmp_path, capsys) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(HEAD % (ASK, "{pattern: constant, stages: [{rate: 8, duration: 60s, ramp: true}]}"))
    assert main(["workload", "check", str(path)]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("offered")]
    heights = [" ▁▂▃▄▅▆▇█".index(c) for c in line.removeprefix("offered  ").split("  up to")[0]]
    assert len(heights) == 60
    thirds = [sum(heights[at : at + 20]) for at in (0, 20, 40)]
    assert thirds == sorted(set(thirds))
    assert line.endswith("/s in 1s")
