"""Hidden states: do two models see the same texts alike, beyond what any two models would?

Per block a kernel over fixed places in the texts (which place looks like which), compared by unbiased CKA
(Székely & Rizzo 2014; Nguyen et al. 2021), the biased form being near 1 for noise (methods §1.8). On real text
independent models agree since they learn one language; on nonsense they have nothing to agree on but their weights
(methods §4.3 P9), so the reading is taken there, and the prompts are shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Aspect,
    Checkpoint,
    Matrix,
    Measurement,
    Reason,
    Scalar,
    Series,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    activations,
    alignment,
    hookimpl,
    prompts,
)

FEWEST_PLACES, FEWEST_IN_PROMPTS = 64, 16
"""Fewer places leave too little of a kernel; prompts with fewer are left out."""
LARGEST_SIDE = 64
"""Blocks of a side that stand in a heat map."""


@dataclass(frozen=True, kw_only=True)
class ActivationOverlap(SketchProbe):
    """Unbiased CKA of hidden states on nonsense, per block, with the input embeddings' part taken out."""

    id: ClassVar[str] = "activation-overlap"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Hidden states"
    measures: ClassVar[str] = (
        "Agreement, per block, of which places in texts of random letters look alike to the suspect and to the "
        "candidate: unbiased CKA after both input embeddings' kernels are projected out, averaged over the first half "
        "of the suspect's blocks. The same on the probe prompts is shown, but independent models of one language agree "
        "there too. What a value is worth only a population of unrelated models can say, since nothing is exact here. "
        "Permutation, rotation, renaming and another tokenizer do not defeat it; long further training wears it down, "
        "and a student of the candidate, or a model with its embeddings pasted in, reads like a descendant."
    )
    needs: ClassVar[str] = "an architecture that transformers can run, tokenizer.json, at most max_parameters"
    aspect: ClassVar[Aspect | None] = Aspect.BEHAVIOUR
    expected: ClassVar[str] = (
        "Derived: 0.7 to 1 after fine-tuning, about 0.4 after training again for as long as the candidate was. "
        "Unrelated: mostly below 0.2; up to 0.5 for two models of one recipe, and 0.3 to 0.9 for students of the "
        "candidate and for models with its embeddings pasted in."
    )
    isolated: ClassVar[bool] = True
    time_limit: ClassVar[float] = 3600.0
    limits: ClassVar[frozenset[str]] = frozenset({"max_parameters", "block_bytes"})

    prompts: str = ""
    """One prompt per line or a JSON list; empty for the default set. Shown beside the reading, never in it."""
    positions: int = 256
    """Places at which hidden states are read, at most, in the nonsense and again in the prompts."""
    layers: int = 12
    """Blocks read, evenly spaced, at most."""
    tokens: int = 128
    """Tokens kept of each text."""
    max_parameters: int = 300_000_000
    """That a token passes through, on a processor; ten times as many on an accelerator. Time is in proportion, so that
    larger models are run only when asked for (`--thorough`)."""
    block_bytes: int = 16 << 30
    """Of the largest block in float32, with all experts. Memory is in proportion."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto` for whichever there is."""
    permutations: int = 100
    """Draws of the permutation null that is shown beside the value."""
    seed: int = 0
    """Decides the nonsense and the permutations."""

    def sketcher(self, checkpoint: Checkpoint) -> Runner:
        """Prepares the run; abstains at once without a tokenizer."""
        tokenizer = checkpoint.tokenizer_json()
        if tokenizer is None:
            raise Abstain(Reason.MISSING_FILES, "no tokenizer.json")
        return Runner(probe=self, checkpoint=checkpoint, tokenizer=tokenizer)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean over the first half of the suspect's blocks of the best agreement with any block of the candidate."""
        ours, theirs = _Side.of(suspect), _Side.of(candidate)
        nonsense = _agreement(ours.nonsense, theirs.nonsense)
        on_prompts = _on_prompts(ours, theirs)
        value = nonsense.early()
        return Measurement(
            value=value,
            quantity="mean best projected CKA on nonsense over the first half of the suspect's blocks, −1 to 1",
            summary=(
                f"On {len(nonsense.places)} places in texts of random letters the suspect's hidden states agree with "
                f"the candidate's to {value:.2f} (1 is identical, 0 is nothing in common) beyond what their input "
                "embeddings explain."
            ),
            layers=tuple(float(v) for v in nonsense.projected.max(axis=1)),
            facts={
                "width": min(ours.width, theirs.width),
                "places": len(nonsense.places),
                "all_blocks": float(nonsense.projected.max(axis=1).mean()),
                "plain_cka_on_prompts": float(on_prompts.plain.max(axis=1).mean()) if on_prompts else None,
                **self._null(nonsense, value),
                "prompts": prompts.named(ours.prompts_sha256),
                "prompts_sha256": ours.prompts_sha256,
            },
            elsewhere={"prompts, embeddings taken out": on_prompts.early()} if on_prompts else {},
            tables=(_table(ours.blocks, theirs.blocks, nonsense, on_prompts),),
            series=_series(ours.blocks, nonsense, on_prompts),
            matrices=_matrices(ours.blocks, theirs.blocks, nonsense, on_prompts),
        )

    def _null(self, nonsense: alignment.StateAgreement, value: float) -> dict[str, Scalar]:
        """Where the value lies among its draws with texts exchanged, every word staying in its place of the text."""
        try:
            orders = prompts.word_orders(prompts.nonsense(self.seed), nonsense.places)
        except ValueError as error:
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, f"the sketch's places do not fit ({error})") from None
        early = slice(0, (len(nonsense.left) + 1) // 2)
        matched = nonsense.left[early], nonsense.right[nonsense.projected.argmax(axis=1)][early]
        null = activations.permuted_agreement(*matched, orders, draws=self.permutations, seed=self.seed)
        return {
            "permutation_z": (value - float(null.mean())) / max(float(null.std()), 1e-9),
            "permutation_share": (1 + int((null >= value).sum())) / (1 + len(null)),
            "permutation_meaning": (
                "draws at least as high, texts exchanged within each word position: whether words correspond at all; "
                "unrelated models may show that too"
            ),
        }


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Wants no rows in the pass: fills and runs the model when everything has been read."""

    probe: ActivationOverlap
    checkpoint: Checkpoint
    tokenizer: str

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of the pass."""
        return False

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """Per kind of text: places (n, 2) as (text, offset); packed kernels (1 + k, n (n − 1) / 2), input first.

        `blocks` (k,) numbers the blocks read, from 1.
        """
        probe = self.probe
        shown = prompts.prompts_from(probe.prompts)
        bounds = activations.Bounds(
            parameters=probe.max_parameters, block_bytes=probe.block_bytes, device=probe.device
        )
        model = activations.Running.of(self.checkpoint, self.tokenizer, bounds, probe.tokens)
        blocks = [block + 1 for block in alignment.evenly_spaced(model.depth, probe.layers)]
        arrays: dict[str, NDArray[np.generic]] = {"blocks": np.array(blocks, np.int32)}
        for kind, texts in (("nonsense", prompts.nonsense(probe.seed)), ("prompts", shown)):
            places, states = model.read(texts, prompts.places(texts, probe.positions), [0, *blocks])
            if len(places) >= (FEWEST_PLACES if kind == "nonsense" else FEWEST_IN_PROMPTS):
                arrays[f"{kind}_places"] = places
                arrays[f"{kind}_kernels"] = np.stack(
                    [alignment.pack(activations.root_kernel(z)) for z in states]
                )
            elif kind == "nonsense":
                raise Abstain(
                    Reason.NOT_FINITE, f"finite hidden states were read at only {len(places)} places"
                )
        width = self.checkpoint.architecture.width
        seen = prompts.digest(shown)
        return probe.sketch(arrays, {"width": width, "prompts_sha256": seen, "device": model.device})


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked."""

    blocks: list[int]
    nonsense: alignment.StateKernels
    prompts: alignment.StateKernels | None
    prompts_sha256: str
    width: int

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's parts, or an abstention where they do not fit each other."""
        try:
            blocks = [int(block) for block in sketch.arrays["blocks"]]
            there = "prompts_places" in sketch.arrays
            return cls(
                blocks=blocks,
                nonsense=alignment.StateKernels.of(sketch.arrays, "nonsense", len(blocks)),
                prompts=alignment.StateKernels.of(sketch.arrays, "prompts", len(blocks)) if there else None,
                prompts_sha256=str(sketch.facts["prompts_sha256"])[:64],
                width=int(sketch.facts["width"] or 0),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, f"the sketch's parts do not fit ({error})") from None


def _agreement(ours: alignment.StateKernels, theirs: alignment.StateKernels) -> alignment.StateAgreement:
    """Over the places that both tokenizers reach; abstains where they are too few."""
    shared = len(ours.shared_with(theirs))
    if shared < FEWEST_IN_PROMPTS:
        raise Abstain(Reason.NOT_COMPARABLE, f"only {shared} places in the texts were read in both")
    return alignment.StateAgreement.of(ours, theirs)


def _on_prompts(ours: _Side, theirs: _Side) -> alignment.StateAgreement | None:
    """The same on the prompts; None where one side has none, or where they are not the same prompts."""
    if ours.prompts is None or theirs.prompts is None or ours.prompts_sha256 != theirs.prompts_sha256:
        return None
    return _agreement(ours.prompts, theirs.prompts)


def _matrices(
    ours: list[int],
    theirs: list[int],
    nonsense: alignment.StateAgreement,
    on_prompts: alignment.StateAgreement | None,
) -> tuple[Matrix, ...]:
    """Every block with every block, on either kind of text, at most `LARGEST_SIDE` of each."""
    shown = {"Nonsense, embeddings taken out": nonsense}
    shown |= {"Prompts, embeddings taken out": on_prompts} if on_prompts else {}
    down, across = (alignment.evenly_spaced(len(side), LARGEST_SIDE) for side in (ours, theirs))
    return tuple(
        Matrix(
            title=title,
            row_label="block of the suspect",
            column_label="block of the candidate",
            rows=tuple(ours[row] for row in down),
            columns=tuple(theirs[column] for column in across),
            cells=tuple(tuple(float(one.projected[row, column]) for column in across) for row in down),
        )
        for title, one in shown.items()
    )


def _table(
    ours: list[int],
    theirs: list[int],
    nonsense: alignment.StateAgreement,
    on_prompts: alignment.StateAgreement | None,
) -> Table:
    """Each block of the suspect with the candidate's block that agrees best on nonsense."""
    best = nonsense.projected.argmax(axis=1)
    return Table(
        title="Blocks that agree best",
        columns=(
            "suspect block",
            "candidate block",
            "nonsense, projected",
            "nonsense, plain",
            "prompts, projected",
        ),
        rows=tuple(
            (
                block,
                theirs[best[row]],
                float(nonsense.projected[row, best[row]]),
                float(nonsense.plain[row, best[row]]),
                float(on_prompts.projected[row, best[row]]) if on_prompts else None,
            )
            for row, block in enumerate(ours)
        ),
    )


def _series(
    blocks: list[int], nonsense: alignment.StateAgreement, on_prompts: alignment.StateAgreement | None
) -> tuple[Series, ...]:
    """Best agreement along the suspect's depth."""
    curves = {"nonsense, embeddings taken out": nonsense.projected}
    if on_prompts:
        curves |= {"prompts, embeddings taken out": on_prompts.projected, "prompts, plain": on_prompts.plain}
    return tuple(
        Series(
            panel="Agreement of hidden states along the depth",
            name=name,
            x_label="block of the suspect",
            y_label="unbiased CKA with the best block of the candidate",
            x=tuple(float(block) for block in blocks),
            y=tuple(float(v) for v in matrix.max(axis=1)),
        )
        for name, matrix in curves.items()
    )


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [ActivationOverlap()]
