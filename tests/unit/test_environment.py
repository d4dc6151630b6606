"""Variables that change a run without a word: what is recorded of them, and whom they are warned of."""

import pytest

from bench import environment

RECORDED = [
    # variable, value, what may be written down
    ("AWS_REGION", "eu-west-1", "eu-west-1"),
    ("ANTHROPIC_BASE_URL", "https://user:pw@gateway.example:8443/path?key=k", "https://gateway.example:8443"),
    ("https_proxy", "http://user:pw@proxy.example:3128", "http://proxy.example:3128"),
    ("HTTPS_PROXY", "user:pw@proxy.example:3128", "http://proxy.example:3128"),
    ("ALL_PROXY", "http://proxy.example:port", None),
    ("ANTHROPIC_CUSTOM_HEADERS", "X-Key: k", None),
    ("AWS_BEARER_TOKEN_BEDROCK", "t", None),
    ("ANTHROPIC_LOG", "x" * 300, None),
]


@pytest.mark.parametrize(("name", "value", "want"), RECORDED)
def test_names_are_recorded_and_values_only_where_they_are_harmless(name: str, value: str, want: str | None) -> None:
    assert environment.recorded({name: value, "UNRELATED": "x"}) == {name: want}
    assert environment.recorded({name: ""}) == {}


def test_a_variable_is_warned_of_where_it_concerns_a_target() -> None:
    given = {
        "ANTHROPIC_BASE_URL": "https://g.example/v1",
        "ANTHROPIC_CUSTOM_HEADERS": "X: k",
        "AWS_REGION": "us-east-1",
    }
    assert environment.warnings(frozenset({"openai"}), given) == []
    want = [
        "ANTHROPIC_BASE_URL=https://g.example is set in the environment: it sends requests to another address "
        "(for anthropic); unset it if that is not meant",
        "ANTHROPIC_CUSTOM_HEADERS (value not shown) is set in the environment: it adds headers to every request "
        "(for anthropic); unset it if that is not meant",
    ]
    assert environment.warnings(frozenset({"anthropic"}), given) == want
    # what an earlier run recorded says the same
    assert environment.warnings(frozenset({"anthropic"}), environment.recorded(given)) == want
