"""Who answered: what a reply says of its own origin, held against the target that was asked. Pure.

A label is not a proof: behind a gateway, a proxy or a wrong base address somebody else may answer. Ids of messages carry
their operator's mark, replies name their model, headers their tier and region. What speaks against the label makes the
attempt a fault (`contradicted`), never an ok row; what says nothing stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from bench.providers.headers import REQUEST_ID_HEADERS, first
from bench.record import Exchange, Fault, Reply
from bench.registry import bedrock_profile, models
from bench.targets import Target

Proof = Literal["consistent", "contradicted", "unknown"]
CODE = "identity_contradicted"


@dataclass(frozen=True, slots=True)
class Marks:
    """What replies of a door carry. `families` are the message ids it gives, empty where they have no mark.

    `vouches` is whether those ids are given by this operator alone, so that one of them is evidence for the label.
    `lines` are beginnings of the models that carry no such mark, so that the model being named as asked is evidence, too.
    `headers_of` says whose headers come with replies: the operator's own first, then those that may shine through; empty
    where headers are not judged. `request_ids` are its headers in order of preference; `bedrock_ids` says that model ids
    name an inference profile.
    """

    families: frozenset[str] = frozenset()
    vouches: bool = True
    lines: tuple[str, ...] = ()
    headers_of: tuple[str, ...] = ()
    request_ids: tuple[str, ...] = REQUEST_ID_HEADERS
    tier_header: str | None = None
    region_header: str | None = None
    bedrock_ids: bool = False


FAMILIES: Mapping[str, tuple[str, str]] = {
    # family -> (prefix of the id, whose it is); the longest prefix that fits decides
    "bedrock": ("msg_bdrk_", "Claude on Amazon Bedrock"),
    "vertex": ("msg_vrtx_", "Claude on Google Vertex AI"),
    "first-party": ("msg_", "Anthropic's own service"),
    "openai-chat": ("chatcmpl-", "an OpenAI-style chat API"),
    "openai-responses": ("resp_", "an OpenAI-style Responses API"),
}

SPILLED = "x-ms-spillover-from-deployment"
"""Azure names in it the provisioned deployment that was full: another, shared one answered."""

OPERATOR_HEADERS: Mapping[str, tuple[str, ...]] = {
    "OpenAI": ("openai-version", "openai-processing-ms"),
    "Azure": ("apim-request-id", "x-ms-region", "x-ms-deployment-name", SPILLED),
    "Amazon": ("x-amzn-requestid",),
    "Google": (),
}
"""Headers that only the servers of that operator write."""

_ANTHROPIC = frozenset({"first-party"})
_OPENAI = frozenset({"openai-chat", "openai-responses"})
_GPT = ("gpt-", "chatgpt-", "o")
_AMAZON = ("x-amzn-requestid", "request-id", "x-request-id")
_AZURE = ("apim-request-id", "x-request-id", "x-ms-request-id", "request-id")
_TIER = "x-amzn-bedrock-service-tier"

DOORS: Mapping[str, Marks] = {
    "anthropic": Marks(_ANTHROPIC),
    "claude-aws": Marks(_ANTHROPIC, request_ids=("request-id", "x-amzn-requestid")),
    "claude-gcp": Marks(_ANTHROPIC),
    "foundry": Marks(_ANTHROPIC, request_ids=("request-id", *_AZURE), region_header="x-ms-region"),
    "bedrock": Marks(frozenset({"bedrock"}), request_ids=_AMAZON, tier_header=_TIER, bedrock_ids=True),
    # which ids Bedrock's Messages API gives is not documented: its own mark or Anthropic's, never another cloud's
    "bedrock-mantle": Marks(
        frozenset({"bedrock", "first-party"}),
        False,
        request_ids=("request-id", *_AMAZON),
        tier_header=_TIER,
        bedrock_ids=True,
    ),
    "vertex": Marks(frozenset({"vertex"})),
    "vertex-grpc": Marks(frozenset({"vertex"}), lines=("gemini-",)),
    "gemini-vertex": Marks(lines=("gemini-",), request_ids=()),
    # ids of OpenAI's form are given by every server that speaks its API: they speak against others, and for nobody
    "openai": Marks(_OPENAI, False, _GPT, ("OpenAI",), ("x-request-id",)),
    # Azure runs OpenAI's servers, whose headers may shine through
    "azure-openai": Marks(_OPENAI, False, _GPT, ("Azure", "OpenAI"), _AZURE, region_header="x-ms-region"),
    "openai-bedrock": Marks(_OPENAI, False, _GPT, ("Amazon",), _AMAZON, _TIER, bedrock_ids=True),
    "openai-vertex": Marks(_OPENAI, False, _GPT, ("Google",)),
    "openai-compatible": Marks(frozenset(FAMILIES), False),
}
"""Anything may stand behind an OpenAI-compatible server, so no id or header speaks against it; another model does. A
door that is not here is judged by the model alone. Prefixes: providers' documentation and replies as of 2026-11; those of
Bedrock and Vertex are not promised by them."""

ANYONE = Marks(frozenset(FAMILIES), False)


@dataclass(frozen=True, slots=True)
class Identity:
    """What one exchange says of who answered. None: not said.

    `family` is whose message id it is. `spilled_from` is the provisioned deployment that an Azure reply overflowed from.
    `contradiction` says in words how the reply speaks against its label; `region_proof` is contradicted by that, too, and
    by a region or a geography other than asked, headers of another operator, and a spill-over.
    """

    family: str | None
    message_id: str | None
    request_id: str | None
    served_model: str | None
    served_lane: str | None
    spilled_from: str | None
    region: str | None
    inference_geo: str | None
    profile_scope: str | None
    fingerprint: str | None
    address: str | None
    tls_version: str | None
    region_proof: Proof
    contradiction: str | None

    @property
    def verdict(self) -> str:
        """The contradiction in words, else `consistent` or `unknown`."""
        return self.contradiction or ("unknown" if self.region_proof == "unknown" else "consistent")


_latest: tuple[Target, Exchange, Reply, Identity] | None = None
"""The same is asked of each attempt several times in a row: for its fault, its row, its proof."""


def identify(target: Target, exchange: Exchange, reply: Reply) -> Identity:
    """What this exchange tells, and whether it agrees with what the target asked for."""
    global _latest
    known = _latest
    if known is None or known[0] is not target or known[1] is not exchange or known[2] is not reply:
        known = _latest = target, exchange, reply, _identified(target, exchange, reply)
    return known[3]


def _identified(target: Target, exchange: Exchange, reply: Reply) -> Identity:
    marks = DOORS.get(target.provider, ANYONE)
    by_name = first(exchange.headers)
    family = family_of(reply.message_id)
    region = by_name.get(marks.region_header) if marks.region_header else None
    by_id = _by_id(family, marks)
    by_model = _by_model(target.model, target.model_id, target.deployment, reply.served_model)
    spilled_from = by_name.get(SPILLED) or None
    evidence = [by_id, _by_headers(by_name, marks)]
    if by_model == "consistent" and canonical(reply.served_model or "").startswith(marks.lines):
        evidence.append(by_model)
    against = [_by_region(target.region, region), _by_geo(target, reply.inference_geo), *evidence]
    contradiction = None
    if "contradicted" in (by_id, by_model):
        contradiction = _words(target, reply, family if by_id == "contradicted" else None, by_model == "contradicted")
    proof: Proof = "consistent" if "consistent" in evidence else "unknown"
    if contradiction is not None or "contradicted" in against or (spilled_from and marks.headers_of):
        proof = "contradicted"
    return Identity(
        family=family,
        message_id=reply.message_id,
        request_id=request_id(target.provider, by_name),
        served_model=reply.served_model,
        served_lane=_lane(reply.served_lane or _header(by_name, marks.tier_header), spilled_from),
        spilled_from=spilled_from,
        region=region,
        inference_geo=reply.inference_geo,
        profile_scope=bedrock_profile(target.model_id) if marks.bedrock_ids else None,
        fingerprint=reply.fingerprint,
        address=exchange.connection.address,
        tls_version=exchange.connection.tls_version,
        region_proof=proof,
        contradiction=contradiction,
    )


def contradicted(target: Target, exchange: Exchange, reply: Reply) -> Fault | None:
    """The fault of a reply that somebody else gave, or another model; None when nothing speaks against its label."""
    found = identify(target, exchange, reply).contradiction
    return None if found is None else Fault("server", CODE, found)


@lru_cache(maxsize=64)
def _id_headers(door: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*DOORS.get(door, ANYONE).request_ids, *REQUEST_ID_HEADERS)))


def family_of(message_id: str | None) -> str | None:
    """Whose message id this is, by its prefix; None for one without a mark."""
    fits = [(len(prefix), name) for name, (prefix, _) in FAMILIES.items() if (message_id or "").startswith(prefix)]
    return max(fits)[1] if fits else None


def request_id(door: str, by_name: Mapping[str, str]) -> str | None:
    """The id that this door's support asks for, else any that there is. Names in lower case."""
    return next((by_name[name] for name in _id_headers(door) if by_name.get(name)), None)


def _by_id(family: str | None, marks: Marks) -> Proof:
    if family is None or not marks.families:
        return "unknown" if family is None else "contradicted"
    if family not in marks.families:
        return "contradicted"
    return "consistent" if marks.vouches else "unknown"


def _by_headers(by_name: Mapping[str, str], marks: Marks) -> Proof:
    """Whether the operator's own headers came, and nobody else's."""
    if not marks.headers_of:
        return "unknown"
    seen = {who for who, names in OPERATOR_HEADERS.items() if any(name in by_name for name in names)}
    if not seen:
        return "unknown"
    return "consistent" if marks.headers_of[0] in seen and seen <= set(marks.headers_of) else "contradicted"


def _header(by_name: Mapping[str, str], name: str | None) -> str | None:
    return (by_name.get(name) or None) if name else None


def _lane(lane: str | None, spilled_from: str | None) -> str | None:
    """The tier that served; after a spill-over, a standard deployment answered instead of the provisioned one."""
    return "/".join(part for part in (lane, "spillover" if spilled_from else None) if part) or None


def _words(target: Target, reply: Reply, family: str | None, other_model: bool) -> str:
    found = []
    if family is not None:
        whose = FAMILIES[family][1]
        found.append(f"the message id {_shown(reply.message_id)} is one of {whose}, not of {target.provider}")
    if other_model:
        found.append(f"the model {_shown(reply.served_model)} answered, not {target.deployment or target.model_id}")
    return f"{target.id}: " + ", and ".join(found) + "; check its base_url, and what stands in between"


def _shown(text: str | None) -> str:
    """Enough of a provider's word to see what it is."""
    text = text or ""
    return text if len(text) <= 60 else text[:57] + "..."


# ------------------------------------------------------------------------------------------------ models


@lru_cache(maxsize=512)
def _by_model(model: str, model_id: str, deployment: str | None, served: str | None) -> Proof:
    """A name that both sides spell as a known line of models must be one model.

    Where the id asked for is dated, the date must be the same; an alias is met by any of its snapshots. Ids of deployments
    and profiles that hide the model are judged by the logical model.
    """
    if not served or not is_model(served):
        return "unknown"
    got = canonical(served)
    asked = [canonical(name) for name in (deployment, model_id) if name and is_model(name)]
    exact = [name for name in asked if undated(name) != name]
    names = exact or [*asked, *([canonical(model)] if is_model(model) else [])]
    if not names:
        return "unknown"
    if any(got in (name, undated(name)) or undated(got) == name for name in names):
        return "consistent"
    # a name that we do not know may be an alias of one that goes on where it ends
    alias = any(got.startswith(f"{name}-") and undated(name) not in models() for name in names)
    return "unknown" if alias else "contradicted"


_LINE = re.compile(r"(?:claude|gpt|chatgpt|gemini)-|o\d(?:-|$)")
_DATE = re.compile(r"-(?:20\d{6}|20\d\d-\d\d-\d\d)$|-00\d$")


@lru_cache(maxsize=512)
def is_model(name: str) -> bool:
    """Whether this spells a model of a known line, so that another name can speak against it."""
    return _LINE.match(canonical(name)) is not None


@lru_cache(maxsize=512)
def canonical(model: str) -> str:
    """`us.anthropic.claude-x-20250929-v1:0`, `claude-x@20250929` and `anthropic/claude-x-20250929` as one name."""
    name = model.lower().rpartition("/")[2].replace("@default", "").replace("@", "-")
    name = re.sub(r"^(?:[a-z-]+\.)?(?:anthropic|openai|google)\.", "", name)
    name = re.sub(r"-v\d+(?::\d+)?$|-\d:\d+$", "", name)
    return re.sub(r"-(?:latest|maas)$", "", name)


@lru_cache(maxsize=512)
def undated(canonical_name: str) -> str:
    """The alias that a dated snapshot belongs to: `gpt-5-2025-08-07` is one of `gpt-5`."""
    return _DATE.sub("", canonical_name)


# ------------------------------------------------------------------------------------------------ places


def _by_region(asked: str | None, header: str | None) -> Proof:
    if not asked or not header or asked.lower() in ("global", "us", "eu"):
        return "unknown"
    return "consistent" if _plain(header) == _plain(asked) else "contradicted"


def _by_geo(target: Target, served: str | None) -> Proof:
    """`inference_geo` where the target asks for one."""
    body = target.params.get("extra_body")
    asked = body.get("inference_geo") if isinstance(body, Mapping) else None
    if not isinstance(asked, str) or not served:
        return "unknown"
    return "consistent" if asked == served else "contradicted"


def _plain(place: str) -> str:
    return re.sub(r"[^a-z0-9]", "", place.lower())
