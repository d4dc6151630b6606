"""Every door that ships is run from its YAML row to its table, against its look-alike: what README claims of it."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench import providers

ROOT = Path(__file__).parent.parent.parent
OPEN_MODELS = """\
version: 1
targets:
  - {id: oss-bedrock, model: gpt-oss-120b, provider: openai-bedrock, region: us-east-1}
  - {id: oss-vertex, model: gpt-oss-120b, provider: openai-vertex, region: us-central1}
  - {id: oss-vertex-responses, model: gpt-oss-120b, provider: openai-vertex, region: us-central1, dialect: responses}
"""
FILES = {
    "claude": (ROOT / "targets-claude.yaml").read_text(),
    "gpt": (ROOT / "targets-gpt.yaml").read_text(),
    "gemini": (ROOT / "targets-gemini.yaml").read_text(),
    "open models": OPEN_MODELS,
}
RUN = {name: [row["provider"] for row in YAML(typ="safe").load(text)["targets"]] for name, text in FILES.items()}


def test_no_door_is_left_out() -> None:
    assert {door for doors in RUN.values() for door in doors} == set(providers.PROVIDERS)


@pytest.mark.parametrize("name", FILES)
def test_every_row_of_a_model_answers_in_one_table(place, name: str) -> None:
    (place.folder / "targets.yaml").write_text(FILES[name])
    done = place.run("--simulate", requests=4)
    assert done.code == 0, done.err
    rows = [row for row in done.rows() if row["phase"] == "measure"]
    assert sorted({row["target"]: row["provider"] for row in rows}.values()) == sorted(RUN[name])
    answered = {row["target"] for row in rows if row["outcome"] == "ok"}
    assert answered == {row["target"] for row in rows}
    for row in rows:
        if row["outcome"] == "ok":
            assert row["ttft_ms"] > 0
            assert row["output_tokens"] > 0
            assert row["region_proof"] != "contradicted"
    assert all(target in done.out for target in answered)
