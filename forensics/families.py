"""Names of model families that documents of a checkpoint may give away: for finding leads, never evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

NAMES: tuple[tuple[str, str, str], ...] = (
    ("Aquila", "aquila", r"(?:-?\d|chat|for|code)"),
    ("Baichuan", "baichuan", ""),
    ("BLOOM", "bloom", r"(?:z\b|-\d|for|config|model)"),
    ("ChatGLM", "chatglm", ""),
    ("ChatGLM", "glm", r"-?\d"),
    ("Command", "cohere", r"(?:\d?for|labs|config|model|/|\.com)"),
    ("Command", "command-", r"(?:r\b|a\b)"),
    ("DBRX", "dbrx", ""),
    ("DeepSeek", "deepseek", ""),
    ("ERNIE", "ernie", r"[-_]?\d"),
    ("EXAONE", "exaone", ""),
    ("Falcon", "falcon", r"(?:[-_]?\d|-h\d|-mamba|for|config|model)"),
    ("Gemma", "gemma", ""),
    ("GPT-2", "gpt", r"[-_]?2(?!\d|\.\d)"),
    ("GPT-J", "gpt", r"[-_]?j(?![a-z])"),
    ("GPT-NeoX", "gpt", r"[-_]?neox"),
    ("gpt-oss", "gpt", r"[-_]oss"),
    ("Granite", "granite", r"(?:-\d|for|moe)"),
    ("Grok", "grok", r"-?\d"),
    ("Hunyuan", "hunyuan", ""),
    ("InternLM", "internlm", ""),
    ("Jamba", "jamba", ""),
    ("Kimi", "kimi", ""),
    ("Kimi", "moonshot", r"(?:ai)?"),
    ("LLaMA", "llama", r"(?!\.cpp|[-_ ]?cpp|[-_ ]?factory|[-_ ]?index)"),
    ("Mamba", "mamba", r"(?:[-_]?\d|-ssm|for|config|model)"),
    ("MiniMax", "minimax", r"(?:ai|-[mt])"),
    ("Mistral", "mistral", r"(?:ai)?"),
    ("Mixtral", "mixtral", ""),
    ("MPT", "mpt", r"(?:-\d|for)"),
    ("Nemotron", "nemotron", ""),
    ("OLMo", "olmo", ""),
    ("OPT", "facebook/opt", ""),
    ("OPT", "optforcausallm", ""),
    ("Orca", "orca", r"[-_]?\d"),
    ("PanGu", "pangu", ""),
    ("Phi", "phi", r"(?:[-_]?\d|forcausal|config|model)"),
    ("Pythia", "pythia", ""),
    ("Qwen", "qwen", ""),
    ("Qwen", "tongyi", r"[-_ ]?qianwen"),
    ("RWKV", "rwkv", ""),
    ("Seed-OSS", "seed", r"[-_]oss"),
    ("Skywork", "skywork", ""),
    ("SmolLM", "smollm", ""),
    ("Solar", "solar", r"-(?:\d|open|pro)"),
    ("StableLM", "stablelm", ""),
    ("StarCoder", "starcoder", ""),
    ("TinyLlama", "tinyllama", ""),
    ("Vicuna", "vicuna", ""),
    ("WizardLM", "wizard", r"(?:lm|coder|math)"),
    ("XVERSE", "xverse", ""),
    ("Yi", "yi", r"-(?:\d|coder|vl)"),
    ("Yi", "01-ai", ""),
    ("Zephyr", "zephyr", r"-(?:\d|orpo)"),
)
"""(family, literal in lower case, pattern that must follow it)."""

TRIED = 2_000
"""Occurrences of a literal that are looked at in one text."""

SHORTEST_NAME = 5
"""Characters of a model's own name, which has a digit, hyphen or slash as well, before it is looked for."""


def families_in(text: str) -> Iterator[tuple[str, int]]:
    """(family, offset in the UTF-8 bytes of `text`) of every family name that stands as a word or camel-case part."""
    raw = text.encode("utf-8", "replace")
    lowered = raw.lower()
    for family, literal, following in NAMES:
        yield from ((family, at) for at in _occurrences(raw, lowered, literal.encode(), _pattern(following)))


def _occurrences(raw: bytes, lowered: bytes, literal: bytes, following: re.Pattern[bytes]) -> Iterator[int]:
    """Offsets where `literal` begins and ends at a word or camel-case boundary and is followed as wanted."""
    at = lowered.find(literal)
    for _ in range(TRIED):
        if at < 0:
            return
        matched = following.match(lowered, at + len(literal))
        if matched and _begins(raw, at) and _ends(raw, matched.end()):
            yield at
        at = lowered.find(literal, at + len(literal))


def _begins(raw: bytes, at: int) -> bool:
    """Whether a word or a camel-case part begins here."""
    before, first = raw[at - 1 : at] if at else b"", raw[at : at + 1]
    return not before.isalpha() or (before.islower() and first.isupper())


def _ends(raw: bytes, end: int) -> bool:
    """Whether a word or a camel-case part ends before `end`."""
    return not (raw[end - 1 : end].isalpha() and raw[end : end + 1].islower())


@cache
def _pattern(following: str) -> re.Pattern[bytes]:
    return re.compile(following.encode())


def families_named(text: str) -> frozenset[str]:
    """The families named in a short text."""
    return frozenset(family for family, _ in families_in(text))


def telling_names(text: str) -> frozenset[str]:
    """A model's name as given and its last part, in small letters, if telling enough to be looked for."""
    whole = text.casefold().strip().rstrip("/")
    return frozenset(
        name
        for name in (whole, whole.rsplit("/", 1)[-1])
        if len(name) >= SHORTEST_NAME and re.search(r"[\d/-]", name)
    )
