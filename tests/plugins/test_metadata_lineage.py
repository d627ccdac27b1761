"""Claims set against each other: which count, which contradict, and what hostile metadata can do."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from forensics.checkpoint.facts import TextFile, TokenizerFacts
from forensics.checkpoint.statements import HABITS, sentences, stated, statements_of, telling_setting
from forensics.probe import Abstain, Sketch
from forensics.readings import Measurement, Reason
from forensics.testing import check_probe
from plugins.metadata_lineage import MetadataLineage
from tests.standin import StandIn, architecture_of, run_sketch

PROBE = MetadataLineage()
GREETING = "You are Acme, a helpful assistant of Acme Labs."
TEMPLATE = (
    "{% if messages[0]['role'] != 'user' %}{{ raise_exception('Conversation roles must alternate user/assistant') }}"
    "{% endif %}{{ '" + GREETING + "' }}<|im_start|>"
)


def sketch_of(label: str, *, template: str | None = None, card: str = "", **rest: Any) -> Sketch:
    """The probe's sketch of a checkpoint that has only metadata."""
    texts = [TextFile(name="README.md", text=card, truncated=False)] if card else []
    tokenizer = TokenizerFacts(model="BPE", tokens={b"a": 0}, chat_template=template) if template else None
    standin = StandIn({}, architecture_of(), texts=texts, label=label, tokenizer=tokenizer, **rest)
    return run_sketch(PROBE, standin)


def told(reading: Measurement) -> dict[str, tuple[Any, ...]]:
    """(suspect, candidate, says, counted) by field."""
    return {str(row[0]): tuple(row[1:]) for row in reading.tables[0].rows}


def test_it_keeps_the_contract() -> None:
    """Tiny checkpoints with their configs, and all that can be wrong with them."""
    check_probe(PROBE)


def test_a_declared_parent_agrees_and_is_left_to_repository_scan() -> None:
    """A card that names the candidate agrees, is said in the summary, and is not counted a second time."""
    card = "---\nbase_model: acme/acme-7b\n---\n"
    reading = PROBE.compare(
        sketch_of("mine", card=card), sketch_of("acme-7b", config={"model_type": "llama"})
    )
    assert told(reading)["the suspect's parent"][2:] == ("agrees", False)
    assert reading.facts["suspect_declares_candidate"] is True
    assert "declares the candidate" in reading.summary
    assert reading.value == 0


def test_another_declared_parent_contradicts() -> None:
    """A header that names another base contradicts descent from the candidate; silence contradicts nothing."""
    stated = {"general.base_model.0.name": "Other 7B", "general.organization": "Acme"}
    reading = PROBE.compare(
        sketch_of("mine", stated=stated), sketch_of("acme-7b", stated={"general.author": "x"})
    )
    assert told(reading)["the suspect's parent"][2] == "contradicts"
    assert told(reading)["the candidate's parent"][2] == "silent"
    assert told(reading)["general.organization"][2] == "silent"
    assert reading.facts["contradictions"] == 1


def test_unusual_settings_count_and_usual_ones_do_not() -> None:
    """An odd rope_theta in both counts; the usual epsilon and the class name, equal in both, are only listed."""
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "rope_theta": 8_000_000,
        "rms_norm_eps": 1e-5,
    }
    reading = PROBE.compare(
        sketch_of("a", config=config), sketch_of("b", config={**config, "rope_theta": 8e6})
    )
    found = told(reading)
    assert reading.value == 1
    assert found["config: rope_theta"] == ("8000000", "8000000", "agrees", True)
    assert found["config: rms_norm_eps"][2:] == ("agrees", False)
    assert found["architectures"][2:] == ("agrees", False)


def test_different_settings_contradict() -> None:
    """Values that differ contradict, and a field on one side only is silent."""
    reading = PROBE.compare(
        sketch_of("a", config={"rope_theta": 8e6, "scale_emb": 12}),
        sketch_of("b", config={"rope_theta": 9e6}),
    )
    assert told(reading)["config: rope_theta"][2] == "contradicts"
    assert told(reading)["config: scale_emb"][2] == "silent"


def test_a_sentence_of_a_chat_template_counts_and_its_checks_do_not() -> None:
    """The same greeting in two different templates counts once; the check that many templates begin with does not."""
    ours, theirs = sketch_of("a", template=TEMPLATE), sketch_of("b", template="{{ x }}" + TEMPLATE)
    reading = PROBE.compare(ours, theirs)
    assert reading.value == 1
    counted = [row for row in reading.tables[0].rows if row[4]]
    assert [row[1] for row in counted] == [GREETING]


def test_an_older_library_speaks_against_descent() -> None:
    """A suspect saved by an older transformers than the candidate contradicts descent, a newer one agrees."""
    old, new = (sketch_of(v, config={"transformers_version": v}) for v in ("4.31.0", "4.40.1"))
    field = "transformers_version (a descendant's is not older)"
    assert told(PROBE.compare(old, new))[field][2] == "contradicts"
    assert told(PROBE.compare(new, old))[field][2] == "agrees"


def test_metadata_of_weight_files_is_read_and_bounded() -> None:
    """Only GGUF's keys on origin and texts of safetensors files are kept, short and few."""
    gguf = SimpleNamespace(
        format="gguf", metadata={"general.name": "A" * 9_999, "tokenizer.ggml.model": "x", "general.url": 3}
    )
    files = SimpleNamespace(
        format="safetensors",
        metadata={"format": "pt", "made by": "a\nb"} | {f"z{i}": "v" for i in range(999)},
    )
    found = stated([gguf, files])  # type: ignore[list-item]
    assert len(found["general.name"]) == 160
    assert found["safetensors: made by"] == "a b"
    assert not {"tokenizer.ggml.model", "general.url", "safetensors: format"} & set(found)
    assert len(found) == 64


@pytest.mark.parametrize(
    "template", ["{{" * 50_000, "'" * 100_000, '"\\' * 50_000, "{%" + "a'" * 50_000, "\x00\ud800" * 9_999]
)
def test_hostile_templates_cost_little(template: str) -> None:
    """Templates made to be slow are split in time, never rendered, and leave text that can be saved."""
    begun = time.process_time()
    sentences(template)
    assert time.process_time() - begun < 5.0
    sketch = sketch_of(
        "a", template=template, config={"model_type": "\ud800", "auto_map": {"a": ["b", {"c": "d"}]}}
    )
    str(sketch.facts["said"]).encode("utf-8")


def test_sentences_are_strings_in_tags_and_text_between_them() -> None:
    """An apostrophe in the text between tags begins no string, and names in tags are no text."""
    template = (
        "Don't you worry about anything {{ bos_token }}{%- set x = \"Ask 'me' whatever you like\\n\" -%}short"
    )
    assert sentences(template) == ["Don't you worry about anything", "Ask 'me' whatever you like"]


def test_every_habit_has_a_reason() -> None:
    """Each field of the table says why it tells something; a usual value never counts, an unusual one does."""
    for field, (reason, common) in HABITS.items():
        assert reason
        assert telling_setting(f"config: {field}", "123.456")
        for value in common:
            assert not telling_setting(f"config: {field}", f"{value:.10g}")


def test_without_a_statement_it_abstains() -> None:
    """A checkpoint that states nothing abstains for missing files."""
    empty: Any = StandIn({}, architecture_of())
    assert statements_of(empty) == {}
    with pytest.raises(Abstain) as caught:
        PROBE.sketcher(empty)
    assert caught.value.reason is Reason.MISSING_FILES


@pytest.mark.parametrize("said", ["[", "[1]", "3", '{"a": 3}', "[" * 50_000])
def test_a_strangers_broken_sketch_is_an_abstention(said: str) -> None:
    """A sketch whose statements cannot be read abstains as incompatible instead of raising."""
    good = sketch_of("a", config={"model_type": "llama"})
    with pytest.raises(Abstain) as caught:
        PROBE.compare(replace(good, facts={**good.facts, "said": said}), good)
    assert caught.value.reason is Reason.INCOMPATIBLE_SKETCHES


def test_statements_survive_json() -> None:
    """What a sketch says is JSON with texts by field."""
    said = json.loads(str(sketch_of("a", config={"model_type": "llama"}).facts["said"]))
    assert said == {"model_type": ["llama"]}
