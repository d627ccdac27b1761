"""Build the zoo: ``python -m benchmarks.zoo.build --out DIR``.

Every checkpoint is made from its recipe and seed alone, so a build that was interrupted goes on where it
stopped. What is known of a checkpoint lies in ``DIR/records``, outside the folder a probe will read, and all of
it together in ``DIR/manifest.json``.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import platform
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.zoo import training
from benchmarks.zoo.corpus import SLICES, slice_sha256, slice_text, tokenizer, tokens, unigram_entropy
from benchmarks.zoo.imitators import IMITATORS
from benchmarks.zoo.operations import Job, descend, imitate, train_base
from benchmarks.zoo.pairs import family_of, initialisation_of, labelled_pairs, recipe_of
from benchmarks.zoo.recipes import BASES, RECIPES, descendants, seeds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def write_checkpoint(
    model: PreTrainedModel, folder: Path, identifier: str, dtype: str, shard_bytes: int | None = None
) -> None:
    """Write a complete HF folder; it appears under its name only when it is whole."""
    import torch

    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    published = copy.deepcopy(model).to(getattr(torch, dtype))
    published.save_pretrained(part, max_shard_size=shard_bytes or "5GB")
    tokenizer(identifier).save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def build_one(name: str, zoo: Path) -> dict[str, Any]:
    """Make and save one checkpoint; what the manifest says of it."""
    recipe, seed = RECIPES[recipe_of(name)], seeds()[name]
    descendant = descendants().get(name)
    job = Job(zoo=zoo, tokenizer=recipe.tokenizer, seed=seed, slices=[])
    if descendant is not None:
        parent = _record(zoo, descendant.parents[0])
        job.tokenizer, job.slices = parent["tokenizer"], list(parent["slices"])
    parents = descendant.parents if descendant else ()
    if name in BASES:
        model, kind, treatment = train_base(recipe, seed, job), "base", "train"
    elif descendant is None:
        model, kind = imitate(name, job), IMITATORS[name].stratum
        treatment = f"imitate {IMITATORS[name].imitates}"
    else:
        model, kind, treatment = descend(name, job), descendant.kind, descendant.treatment
    dtype = "bfloat16" if "quantised" in kind or "renamed" in kind else recipe.dtype
    write_checkpoint(model, zoo / name, job.tokenizer, dtype, recipe.shard_bytes)
    return {
        "name": name, "family": family_of(name), "initialisation": initialisation_of(name),
        "base": family_of(name), "parents": list(parents), "kind": kind, "recipe": recipe_of(name),
        "treatment": treatment, "seed": seed, **_measures(model, job), "dtype": dtype,
        "tokenizer": job.tokenizer, "sha256": weight_digests(zoo / name), "slices": job.slices,
        "corpus_sha256": {of: slice_sha256(of) for of in sorted(set(job.slices))},
    }  # fmt: skip


def weight_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every weight file of a checkpoint, by name."""
    digests = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _measures(model: PreTrainedModel, job: Job) -> dict[str, Any]:
    """Size, and loss against unigram entropy on the slice learned from last."""
    config, last = model.config, job.slices[-1]
    return {
        "architecture": config.model_type,
        "width": config.hidden_size,
        "layers": config.num_hidden_layers,
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": round(training.held_out_loss(model, tokens(job.tokenizer, last)[1]), 4),
        "unigram_entropy": round(unigram_entropy(job.tokenizer, last), 4),
    }


def _record(zoo: Path, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((zoo / "records" / f"{name}.json").read_text())
    return record


def write_manifest(zoo: Path, wanted: list[str]) -> None:
    """All records and the labelled pairs among the checkpoints that exist."""
    records = [_record(zoo, name) for name in wanted if (zoo / "records" / f"{name}.json").exists()]
    there = {record["name"] for record in records}
    manifest = {
        "complete": len(there) == len(wanted),
        "python": platform.python_version(),
        "corpus": {of: {"sha256": slice_sha256(of), "characters": len(slice_text(of))} for of in SLICES},
        "checkpoints": records,
        "pairs": [p for p in labelled_pairs() if {p["suspect"], p["candidate"]} <= there],
    }
    (zoo / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def families_in_order() -> list[list[str]]:
    """Each base with its descendants, parents first; one family of every recipe before any twin."""
    turns: dict[str, int] = {}
    turn_of: dict[str, int] = {}
    for base, recipe in BASES.items():
        turn_of[base] = turns[recipe] = turns.get(recipe, -1) + 1
    families = [[base, *(d.name for d in descendants().values() if d.base == base)] for base in BASES]
    return sorted(families, key=lambda family: turn_of[family[0]])


def build_missing(names: list[str], zoo: Path) -> None:
    """Make those of `names` that have no record yet, in order."""
    training.prepare_process()
    for name in names:
        path = zoo / "records" / f"{name}.json"
        if path.exists():
            continue
        started = time.monotonic()
        record = build_one(name, zoo)
        path.write_text(json.dumps(record, indent=1) + "\n")
        losses = f"loss {record['loss']:.2f} (unigram {record['unigram_entropy']:.2f})"
        print(f"{name:22} {time.monotonic() - started:5.1f} s  {losses}", flush=True)


def main() -> None:
    """Build what is missing: families side by side, one thread each; then what imitates members of them."""
    parser = argparse.ArgumentParser(description="Build the lineage zoo.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "checkpoints")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    given = parser.parse_args()
    zoo: Path = given.out
    (zoo / "records").mkdir(parents=True, exist_ok=True)
    wanted = [*(name for family in families_in_order() for name in family), *IMITATORS]
    for phase in (families_in_order(), [[name] for name in IMITATORS]):
        with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(build_missing, names, zoo) for names in phase]):
                done.result()
                write_manifest(zoo, wanted)


if __name__ == "__main__":
    main()
