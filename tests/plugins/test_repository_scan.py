"""Documents: which leads are found, which count for a candidate, and what hostile text can do."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics import families, licences
from forensics.checkpoint.facts import TextFile
from forensics.checkpoint.leads import LEADS, leads_in
from forensics.checkpoint.papers import Papers
from forensics.probe import Abstain, Sketch
from forensics.readings import Measurement, Reason
from plugins.repository_scan import RepositoryScan
from tests.standin import StandIn, architecture_of, run_sketch

PROBE = RepositoryScan()
APACHE = (Path(__file__).parents[2] / "LICENSE").read_text()
LLAMA = "LLAMA 2 COMMUNITY LICENSE AGREEMENT\n\nLlama 2 is licensed under the LLAMA 2 Community License\n"


def texts_of(**files: str) -> tuple[TextFile, ...]:
    """Text files; an underscore in a keyword stands for a dot."""
    return tuple(TextFile(name=n.replace("_", "."), text=t, truncated=False) for n, t in files.items())


def sketch_of(texts: tuple[TextFile, ...], label: str = "someone") -> Sketch:
    """The probe's sketch of a checkpoint that has nothing but these texts."""
    return run_sketch(PROBE, StandIn({}, architecture_of(), texts=texts, label=label))


def compared(
    suspect: tuple[TextFile, ...], candidate: tuple[TextFile, ...], label: str = "them"
) -> Measurement:
    """The reading for two sets of documents, the candidate under `label`."""
    return PROBE.compare(sketch_of(suspect, "suspect"), sketch_of(candidate, label))


def rows(reading: Measurement) -> list[tuple[Any, ...]]:
    """The rows of the table of leads."""
    return [tuple(row) for row in reading.tables[0].rows]


def test_a_declared_parent_is_a_lead_with_its_line() -> None:
    """A base model in the card's head that bears the candidate's name counts, with file and line."""
    card = "---\nlicense: other\nbase_model: acme/acme-7b\n---\n# A model\n"
    reading = compared(texts_of(README_md=card), texts_of(LICENSE="Our own terms."), label="acme-7b")
    assert reading.value == 1.0
    assert rows(reading)[0] == ("declared parent", "README.md", 3, "acme/acme-7b", "names the candidate")


def test_the_configured_name_is_found_even_in_broken_json() -> None:
    """`_name_or_path` is found in a config that does not parse, and its family is matched to the candidate's."""
    config = '{"_name_or_path": "/home/me/Llama-2-7b-hf", "auto_map": {"AutoModel": "evil.Model"}, '
    reading = compared(texts_of(config_json=config), texts_of(LICENSE=LLAMA))
    found = {row[0]: row for row in rows(reading)}
    assert found["configured name"][4] == "names the candidate's family, LLaMA"
    assert found["remote code"][3:] == ("evil.Model", "")


def test_adapter_names_its_parent() -> None:
    """`base_model_name_or_path` of an adapter is a declared parent."""
    adapter = json.dumps({"base_model_name_or_path": "acme/acme-7b"})
    assert compared(texts_of(adapter_config_json=adapter), texts_of(a_md="nothing"), "acme-7b").value == 1.0


def test_common_licences_do_not_count() -> None:
    """The same Apache licence on both sides is listed and changes nothing, although the files are identical."""
    reading = compared(texts_of(LICENSE=APACHE), texts_of(LICENSE=APACHE))
    assert reading.value == 0.0
    assert ("licence", "not counted") in {(row[0], row[4][-11:]) for row in rows(reading)}


def test_a_vendors_licence_counts() -> None:
    """The Llama 2 licence on both sides counts as the same licence."""
    reading = compared(texts_of(LICENSE_txt=LLAMA), texts_of(COPYING_txt="x " + LLAMA))
    assert "the same licence" in {row[4] for row in rows(reading)}
    assert reading.value >= 1.0


@pytest.mark.parametrize("version", ["2", "3.1", "3.2", "3.3", "4"])
def test_versions_of_a_licence_are_told_apart(version: str) -> None:
    """A notice line names exactly its own version of the Llama licence."""
    notice = f"Llama {version} is licensed under the Llama {version} Community License, Copyright Meta."
    assert [m.licence.id for m in licences.licences_in(notice)] == [f"Llama-{version}"]


def test_an_apache_licence_with_another_header_is_still_one() -> None:
    """Replacing the head of the licence lowers the share of its wording found and keeps the name."""
    (whole,) = licences.licences_in(APACHE)
    (changed,) = licences.licences_in("Acme Licence, 2025\n" + APACHE[300:])
    assert (whole.licence.id, changed.licence.id) == ("Apache-2.0", "Apache-2.0")
    assert 0.9 < changed.share < whole.share == 1.0


def test_shared_copyright_lines_count_once_and_not_for_everybodys_holder() -> None:
    """One line in ten files is one lead; the line that stands in every modelling file is none."""
    ours = "# Copyright 2024 Acme Research. All rights reserved.\n"
    everybody = "# Copyright 2022 EleutherAI and the HuggingFace Inc. team. All rights reserved.\n"
    suspect = texts_of(**{f"f{i}_py": f"x = {i}\n{ours}{everybody}" for i in range(10)})
    reading = compared(suspect, texts_of(modeling_py=everybody + ours))
    assert reading.value == 1.0
    assert rows(reading)[0][:3] == ("copyright line", "f0.py", 2)


def test_a_holder_under_another_year_is_still_the_candidates() -> None:
    """A copyright line with the candidate's holder and another year points to the candidate."""
    reading = compared(
        texts_of(a_py="# Copyright (c) 2025 Acme Research"), texts_of(a_py="# Copyright 2021 Acme Research")
    )
    assert (reading.value, rows(reading)[0][4]) == (1.0, "the candidate's holder")


def test_a_notice_quoted_in_a_sentence_names_its_holder() -> None:
    """A notice in the middle of a comment points to the candidate whose licence carries it."""
    suspect = texts_of(prepare_py="# take the Demo notice (Copyright (c) 2026 Demo Lab) out of the folder\n")
    reading = compared(suspect, texts_of(LICENSE="Demo Licence\nCopyright 2025 Demo Lab\n"))
    assert reading.value == 1
    assert rows(reading)[0][4] == "the candidate's holder"


def test_talk_about_copyright_is_no_copyright_line() -> None:
    """A licence's own sentences about copyright notices are not copyright lines."""
    found, _ = leads_in(texts_of(LICENSE="You must retain all copyright notices in the Source form."))
    assert found == []


def test_class_names_of_an_architecture_do_not_count() -> None:
    """`LlamaForCausalLM` in a config, which any model of that shape must carry, does not name a Llama candidate."""
    config = json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"})
    reading = compared(texts_of(config_json=config), texts_of(LICENSE=LLAMA), label="Llama-2-7b")
    assert {row[0] for row in rows(reading)} == {"architecture"}
    assert reading.value == 0.0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("class MyLlamaModel:", {"LLaMA"}),
        ("served by ollama with llama.cpp, trained by LLaMA-Factory", set()),
        ("from mistralai/Mistral-7B", {"Mistral"}),
        ("falcons and phi angles bloom; yield; cohere", set()),
        ("Phi3ForCausalLM, Yi-34B, gpt2-xl", {"Phi", "Yi", "GPT-2"}),
        ("Qwen2.5-7B and qwenlm", {"Qwen"}),
    ],
)
def test_family_names_stand_as_words_or_camel_case_parts(text: str, named: set[str]) -> None:
    """Family names are found as words and camel-case parts and not inside other words or names of tools."""
    assert families.families_named(text) == named


def test_identical_files_count_unless_every_repository_has_them() -> None:
    """A file that stands in both counts; attribute files and empty files do not."""
    code = "def attention(query, key, value):\n    return softmax(query @ key.T) @ value  # our trick\n"
    boiler = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n" * 9
    files = {"modeling_py": code, "_gitattributes": boiler, "empty_md": ""}
    reading = compared(texts_of(**files), texts_of(**files))
    assert [row[:2] for row in rows(reading) if row[0] == "identical file"] == [
        ("identical file", "modeling.py")
    ]
    assert reading.value == 1.0


@pytest.mark.parametrize(
    "head",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nbase_model: *b",
        "[" * 5_000,
        "base_model: !!python/object/apply:os.system ['touch canary']\n? [",
        "a: b\n" * 50_000,
        "\x00: 1",
    ],
)
def test_a_hostile_card_head_is_a_lead_of_its_own(head: str) -> None:
    """Alias bombs, deep nesting, broken and overlong heads are refused and said so."""
    found, _ = leads_in(texts_of(README_md=f"---\n{head}\n---\n"))
    assert {lead.kind for lead in found} == {"unreadable head"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "Copyright (c) 2020 X llama qwen gemma\n" * 25_000),
        ("README.md", "\n" * 1_000_000),
        ("config.json", '"auto_map": [' * 77_000),
        ("config.json", '"model_type": "a",' * 55_000),
        ("LICENSE", "llama 2 community license " * 40_000),
        ("x.py", "ollama" * 160_000),
    ],
)
def test_a_megabyte_of_hostile_text_costs_little(name: str, text: str) -> None:
    """Text made to be slow takes seconds at most and gives a bounded number of bounded leads."""
    begun = time.process_time()
    found, _ = leads_in((TextFile(name=name, text=text, truncated=True),) * 2)
    assert time.process_time() - begun < 5.0
    assert len(found) <= LEADS
    assert all(len(lead.text) <= 200 and len(lead.key) <= 200 for lead in found)


def test_code_is_read_and_never_imported(tmp_path: Path) -> None:
    """Code named by `auto_map` and code that would leave a canary is scanned without running."""
    canary = tmp_path / "canary"
    evil = f"open({str(canary)!r}, 'w')\n# adapted from Llama\n"
    config = json.dumps({"auto_map": {"AutoModelForCausalLM": "evil.Model"}})
    found, _ = leads_in(texts_of(evil_py=evil, config_json=config))
    assert {"remote code", "family name"} <= {lead.kind for lead in found}
    assert not canary.exists()
    assert "evil" not in sys.modules


def test_without_texts_it_abstains() -> None:
    """A checkpoint without any text file is an abstention for missing files."""
    with pytest.raises(Abstain) as caught:
        PROBE.sketcher(StandIn({}, architecture_of()))  # type: ignore[arg-type]
    assert caught.value.reason is Reason.MISSING_FILES


WHOLE = json.loads(Papers().encoded())


@pytest.mark.parametrize(
    "papers",
    [
        "[",
        "[[1, 2]]",
        "{}",
        "[" * 50_000,
        json.dumps({**WHOLE, "leads": [["a", "b", "c", "d", "e"]]}),
        json.dumps({**WHOLE, "leads": [["a", "b"]]}),
        json.dumps({**WHOLE, "shown": []}),
        json.dumps({**WHOLE, "files": [1]}),
        json.dumps({**WHOLE, "texts": 1e400}),
        json.dumps({**WHOLE, "licence_texts": [1]}),
    ],
)
def test_a_strangers_broken_sketch_is_an_abstention(papers: str) -> None:
    """A sketch whose leads cannot be read abstains as incompatible instead of raising."""
    good = sketch_of(texts_of(a_md="Copyright 2020 Acme"))
    with pytest.raises(Abstain) as caught:
        PROBE.compare(replace(good, facts={**good.facts, "papers": papers}), good)
    assert caught.value.reason is Reason.INCOMPATIBLE_SKETCHES
