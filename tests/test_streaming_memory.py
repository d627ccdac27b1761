"""Memory of the reading pass: row blocks, not tensors, whatever the size of embeddings, stacks and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from forensics.checkpoint.tokenizer import token_hash

LAYERS, HEAD_DIM = 2, 128
PASS = """
import json, sys
from pathlib import Path
from forensics.checkpoint import streaming
from forensics.probe import SketchProbe
from forensics.reading import read
from forensics.registry import Registry

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

if int(sys.argv[2]):
    streaming.AHEAD_BYTES = int(sys.argv[2])
registry = Registry.load(only_bundled=True)
offered = registry.chosen((), {}).values()
probes = [o.probe for o in offered if isinstance(o.probe, SketchProbe) and not o.probe.isolated]
before = peak()
done = read(registry.open(sys.argv[1], "subject"), probes)
absent = {name: sketch.absent.detail for name, sketch in done.sketches.items() if sketch.absent}
print(json.dumps({"before": before, "peak": peak(), "absent": absent, "unexamined": len(done.subject.unexamined)}))
"""


def bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Bits of the values cut to bf16."""
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def sparse(folder: Path, *, rows: int, width: int, experts: int, neurons: int, turned: bool) -> int:
    """A mixture whose large tensors are holes in one sparse file, but for anchors' embeddings and 1 row in 8.

    Stacks lie (experts, out, in) as Qwen keeps them, or `turned` (experts, in, out) as Llama 4 does. Returns the
    file's size.
    """
    folder.mkdir()
    mlp, up = ("feed_forward", (width, 2 * neurons)) if turned else ("mlp", (2 * neurons, width))
    extents: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, width)}
    for layer in range(LAYERS):
        block = f"model.layers.{layer}"
        extents[f"{block}.input_layernorm.weight"] = (width,)
        extents[f"{block}.post_attention_layernorm.weight"] = (width,)
        extents |= {f"{block}.self_attn.{m}_proj.weight": (width, width) for m in "qkvo"}
        extents[f"{block}.{mlp}.{'router' if turned else 'gate'}.weight"] = (experts, width)
        shared = {"gate": (64, width), "up": (64, width), "down": (width, 64)} if turned else {}
        extents |= {f"{block}.{mlp}.shared_expert.{m}_proj.weight": size for m, size in shared.items()}
        extents[f"{block}.{mlp}.experts.gate_up_proj"] = (experts, *up)
        extents[f"{block}.{mlp}.experts.down_proj"] = (
            experts,
            *((neurons, width) if turned else (width, neurons)),
        )
    extents["model.norm.weight"] = (width,)
    header, at = {}, 0
    for name, extent in extents.items():
        size = 2 * int(np.prod(extent, dtype=np.int64))
        header[name] = {"dtype": "BF16", "shape": extent, "data_offsets": [at, at := at + size]}
    raw = json.dumps(header).encode()
    tokens = {f"tok{i:x}": i for i in range(rows)}
    smallest = sorted(tokens, key=lambda token: token_hash(token.encode()))[:600]
    random = np.random.default_rng(0)
    bank = bfloat16(0.02 * random.standard_normal(1 << 18, dtype=np.float32))
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + at)
        for name, extent in extents.items():
            begin, columns = 8 + len(raw) + header[name]["data_offsets"][0], extent[-1]
            count = int(np.prod(extent, dtype=np.int64)) // columns
            anchors = sorted(tokens[token] for token in smallest)
            for row in anchors if count == rows else range(0, count, 8):
                first = random.integers(len(bank) - columns)
                drawn = bank[first : first + columns].tobytes()
                os.pwrite(file.fileno(), drawn, begin + 2 * columns * row)
    config = {
        "model_type": "llama4_text" if turned else "qwen3_moe", "hidden_size": width, "head_dim": HEAD_DIM,
        "num_attention_heads": width // HEAD_DIM, "num_key_value_heads": width // HEAD_DIM, "num_hidden_layers": LAYERS,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    model = {"type": "BPE", "vocab": tokens, "merges": []}
    (folder / "tokenizer.json").write_text(
        json.dumps(
            {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "ByteLevel"}, "model": model}
        )
    )
    return (folder / "model.safetensors").stat().st_size


def measured(folder: Path, ahead: int) -> dict[str, int]:
    """What the pass with every bundled sketcher took in a process of its own, all of which must have had their say."""
    command = [sys.executable, "-c", PASS, str(folder), str(ahead)]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | one)
    told = json.loads(done.stdout)
    assert not {"attention-circuits", "neuron-match", "norm-gains"} & set(told["absent"]), told
    assert not told["unexamined"]
    return dict(told)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("turned", [False, True])
def test_stacks_and_embeddings_are_never_held_whole(tmp_path: Path, turned: bool) -> None:
    """A pass over 260 MB with room for 16 MB ahead takes less than the largest tensor has in float32."""
    size = sparse(tmp_path / "m", rows=40_000, width=512, experts=64, neurons=512, turned=turned)
    told = measured(tmp_path / "m", 16 << 20)
    assert size > 240e6
    assert told["peak"] - told["before"] < 100e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("turned", [False, True])
def test_the_largest_checkpoints_stay_within_a_gigabyte_and_a_half(tmp_path: Path, turned: bool) -> None:
    """150 000 embeddings of width 8192 and stacks of 128 experts, 6.9 GB in one sparse file."""
    size = sparse(tmp_path / "m", rows=150_000, width=8192, experts=128, neurons=256, turned=turned)
    told = measured(tmp_path / "m", 0)
    assert size > 6.5e9
    assert told["peak"] < 1.5e9
