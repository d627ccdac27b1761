"""Hidden states of a model at fixed places of the probe prompts, whatever its tokenizer.

Works on what `runnable` built; the tokenizer is run here, so this belongs into a worker that may be killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from forensics.probe import Abstain
from forensics.readings import Reason
from forensics.runnable import EXPECTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def encoded(tokenizer: str, texts: Sequence[str], longest: int) -> list[Any]:
    """Each text's encoding by a tokenizer.json, special tokens included, cut to `longest` tokens.

    The tokenizer is hostile: what its native code panics over is not even an `Exception`. Padding, which could be
    declared to any length, is switched off. Raises Abstain (unsupported).
    """
    from tokenizers import Tokenizer

    try:
        ready = Tokenizer.from_str(tokenizer)
        ready.no_padding()
        ready.enable_truncation(longest)
        return [ready.encode(text) for text in texts]
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise Abstain(Reason.UNSUPPORTED, f"the tokenizer cannot be run ({type(error).__name__})") from None


def reached(text: str, encoding: Any, offsets: Sequence[int]) -> dict[int, int]:
    """Token index for each character offset that is reached: the last token over it, if it sees no later word."""
    found = {}
    for offset in offsets:
        over = [i for i, (start, end) in enumerate(encoding.offsets) if start <= offset < end]
        if over and not text[offset + 1 : encoding.offsets[over[-1]][1]].strip():
            found[offset] = over[-1]
    return found


def hidden_states(
    decoder: Any, ids: Sequence[int], layers: Sequence[int], at: Sequence[int]
) -> list[NDArray[np.float32]]:
    """Residual stream behind each of `layers` at the tokens `at`, each (len(at), width).

    Layer 0 is what enters the first block, layer l what leaves block l; read between blocks, so before the final
    norm. Raises Abstain (unsupported) where the model has no list of blocks or cannot run the tokens.
    """
    import torch

    blocks = _blocks(decoder)
    seen: dict[int, Any] = {}

    def entering(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen[0] = args[0] if args else kwargs["hidden_states"]

    def leaving(layer: int) -> Any:
        def keep(_module: Any, _args: Any, output: Any) -> None:
            seen[layer] = output[0] if isinstance(output, tuple) else output

        return keep

    with ExitStack() as hooks, torch.inference_mode():
        hooks.callback(blocks[0].register_forward_pre_hook(entering, with_kwargs=True).remove)
        for layer in layers:
            if layer:
                hooks.callback(blocks[layer - 1].register_forward_hook(leaving(layer)).remove)
        try:
            decoder(input_ids=torch.tensor([list(ids)]), use_cache=False)
        except EXPECTED as error:
            raise Abstain(Reason.UNSUPPORTED, f"the model does not run ({type(error).__name__})") from None
    return [seen[layer][0, list(at)].float().numpy() for layer in layers]


def depth(decoder: Any) -> int:
    """Number of blocks."""
    return len(_blocks(decoder))


def _blocks(decoder: Any) -> Any:
    """The list of transformer blocks: the first module list as long as the config says."""
    import torch

    wanted = decoder.config.num_hidden_layers
    for module in decoder.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == wanted:
            return module
    raise Abstain(Reason.UNSUPPORTED, "the model has no list of blocks")
