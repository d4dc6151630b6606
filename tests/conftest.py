"""A developer's shell cannot change a result: every test runs without keys, proxies and base addresses in its environment."""

import os
import re

import pytest

SCRUBBED = re.compile(
    r"^(ANTHROPIC|OPENAI|AWS|AZURE|GOOGLE|GEMINI|CLOUD_ML|GCLOUD|CLOUDSDK|VERTEX|FOUNDRY|BENCH|OTEL)_"
    r"|^(HTTPS?|ALL|NO)_PROXY$|^SSL_CERT_|^REQUESTS_CA_BUNDLE$|^CURL_CA_BUNDLE$|^(NO_COLOR|FORCE_COLOR|COLUMNS)$",
    re.IGNORECASE,
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if SCRUBBED.search(name):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
