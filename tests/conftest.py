"""A developer's shell cannot change a result: every test runs without keys, proxies and base addresses in its environment."""

import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

SCRUBBED = re.compile(
    r"^(ANTHROPIC|OPENAI|AWS|AZURE|GOOGLE|GEMINI|CLOUD_ML|GCLOUD|CLOUDSDK|VERTEX|FOUNDRY|BENCH|OTEL)_"
    r"|^(HTTPS?|ALL|NO)_PROXY$|^SSL_CERT_|^REQUESTS_CA_BUNDLE$|^CURL_CA_BUNDLE$|^(NO_COLOR|FORCE_COLOR|COLUMNS)$",
    re.IGNORECASE,
)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of folders that are not there yet, all in one: pytest's own numbering reads the whole folder for each of thousands."""
    parent = tmp_path_factory.mktemp("homes")
    return (parent / str(number) for number in count())


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, homes: Iterator[Path]) -> None:
    for name in list(os.environ):
        if SCRUBBED.search(name):
            monkeypatch.delenv(name)
    home = next(homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """tests/live costs money: it is collected only when it is named."""
    live = Path(__file__).parent / "live"
    named = any(Path(str(argument).partition("::")[0]).resolve().is_relative_to(live) for argument in config.args)
    return True if collection_path.is_relative_to(live) and not named else None
