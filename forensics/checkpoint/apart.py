"""What lies beside a checkpoint's language model: other modalities' towers, layers that predict further tokens.

Towers (vision, audio, speech, and what connects them) are no part of what is compared. They do not count in the
coverage, so that a multimodal checkpoint can be concluded on, but only while they hold at most half as many parameters
as were recognised of the language model (675 million beside 1.5 billion in Qwen2-VL-2B): whoever hides more than that
under `vision_tower.` pays for it with coverage, and whatever was left out is told. Layers for multi-token prediction
are parts of a language model that are not examined: they count, and lower the coverage by the one to five per cent
that they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from forensics.checkpoint.layout import PREFIX, WRAPPERS
from forensics.records import Unexamined

TOWERS = (
    "vision_tower", "vision_model", "vision_encoder", "visual", "vision", "visual_encoder", "vpm", "vit",
    "image_encoder", "image_newline", "img_processor", "vision_embed_tokens", "embed_vision", "audio", "audio_tower",
    "audio_encoder", "audio_model", "embed_audio", "apm", "speech_encoder", "multi_modal_projector", "mm_projector",
    "multimodal_projector", "vision_language_adapter", "modality_projection", "connector", "resampler", "aligner",
    "patch_merger", "view_seperator", "mlp1", "talker", "token2wav", "pre_mm_projector_norm", "vision_adapter",
    "audio_projection_layer", "vision_projection", "sam_model", "projector",
)  # fmt: skip
"""First words, behind wrappers, of what multimodal checkpoints keep beside their language model."""
TOWER = re.compile(rf"(?:(?:{'|'.join(WRAPPERS)})\.)*(?:{'|'.join(TOWERS)})(?=\.|$)")
FURTHER = re.compile(r"(?:.*\.)?mtp(?:_[a-z_]+)?(?=\.|$)")
"""Modules of their own for multi-token prediction (Qwen3-Next, MiMo, ERNIE)."""
MARK = re.compile(r"(?:layers|blk)\.([0-9]{1,4})\.(?:nextn|eh_proj|enorm|hnorm|shared_head)\.")
"""What only a layer for multi-token prediction has (DeepSeek-V3, GLM-4.5; `nextn` in GGUF)."""
LAYER = re.compile(r"(?:layers|blk)\.([0-9]{1,4})\.")
FURTHER_LIMIT = 8
"""More such layers than any model has would only hide ordinary ones."""
FURTHER_REASON = "multi-token prediction layer"


def tower(name: str) -> str:
    """The module beside the language model that a tensor belongs to, or an empty text."""
    found = TOWER.match(name)
    return found[0][:200] if found else ""


def spared(apart: int, recognised: int) -> bool:
    """Whether towers of `apart` parameters stay out of the coverage beside `recognised` ones of a language model."""
    return 2 * apart <= recognised


def further(name: str, layers: frozenset[int]) -> str:
    """The module for multi-token prediction that a tensor belongs to, or an empty text; `layers` as below."""
    bare = PREFIX.sub("", name)
    layer = LAYER.match(bare)
    if layer and int(layer[1]) in layers:
        return name[: len(name) - len(bare) + layer.end() - 1][:200]
    found = FURTHER.match(name)
    return found[0][:200] if found else ""


def further_layers(names: Iterable[str]) -> frozenset[int]:
    """Numbers of the layers behind the last ordinary one that bear the marks of multi-token prediction."""
    every: set[int] = set()
    marked: set[int] = set()
    for name in names:
        bare = PREFIX.sub("", name)
        layer, mark = LAYER.match(bare), MARK.match(bare)
        if layer:
            every.add(int(layer[1]))
        if mark:
            marked.add(int(mark[1]))
    ordinary = every - marked
    found = frozenset(n for n in marked if n > max(ordinary, default=n))
    return found if len(found) <= min(FURTHER_LIMIT, len(ordinary)) else frozenset()


class Aside:
    """Gathers what is left out module by module, so that its size shows instead of a thousand names."""

    def __init__(self) -> None:
        self.modules: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, module: str, reason: str, elements: int) -> None:
        """One more tensor of `module`."""
        tensors, total = self.modules.get((module, reason), (0, 0))
        self.modules[module, reason] = (tensors + 1, total + elements)

    def listed(self) -> list[Unexamined]:
        """One entry a module, in the order met."""
        return [
            Unexamined(name=f"{module}.*", reason=f"{reason}: {tensors} tensors, {total:,} parameters")
            for (module, reason), (tensors, total) in self.modules.items()
        ]
