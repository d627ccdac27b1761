"""Near-initial rows: whether embedding rows that training hardly reached still carry the same random draw.

Reserved, unused and padding tokens get next to no gradient: the coordinates of such a row are those that were drawn.
Each side chooses its candidates alone (the shortest rows, then those that look like independent draws). The value is
the pooled cosine of rows of the same token after the shared rows' mean is removed: 1 for a copy or a shared seed, 0
for independent draws. Exact by flips of channel signs (RMSNorm on both sides) or permutations of channels, jointly over
rows. Defeated by re-ordered channels, new embeddings, and overwritten unused rows. Source: methods §4.3 P6.
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
    Exact,
    Group,
    Measurement,
    Reason,
    Sketch,
    SketchProbe,
    TensorSpec,
    alignment,
    hookimpl,
    token_hash,
)

ROWS_LEAST = 8
"""Fewer shared rows say nothing: their mean takes too much of them away."""
CANDIDATES_MOST = 4096
WIDTH_LEAST, WIDTH_MOST = 16, 1 << 15
NULL = "the initialisations were drawn independently and training treats all residual channels alike"

Floats = NDArray[np.float32]


class Shortest:
    """Keeps the shortest embedding rows seen so far."""

    def __init__(self, probe: NearInitRows, checkpoint: Checkpoint) -> None:
        self.probe, self.checkpoint = probe, checkpoint
        spec = checkpoint.find("embed_tokens")
        if spec is None or not WIDTH_LEAST <= spec.columns <= WIDTH_MOST:
            raise Abstain(Reason.MISSING_TENSORS, "no token embeddings of a usable width")
        self.spec = spec
        self.ids = np.zeros(0, np.int64)
        self.lengths = np.zeros(0, np.float32)
        self.rows = np.zeros((0, spec.columns), np.float32)

    def wants(self, spec: TensorSpec) -> bool:
        """The token embeddings."""
        return spec == self.spec

    def see(self, spec: TensorSpec, rows: Floats, start: int) -> None:  # noqa: ARG002 - of one tensor only
        """Keeps what of a block is shorter than the longest row kept."""
        with np.errstate(all="ignore"):
            lengths = np.einsum("rc,rc->r", rows, rows)
        most = min(self.probe.candidates, CANDIDATES_MOST)
        limit = self.lengths.max() if len(self.lengths) >= most else np.float32(np.inf)
        chosen = np.flatnonzero((lengths > 0.0) & (lengths < limit))
        if len(chosen) > most:
            chosen = chosen[np.argsort(lengths[chosen], kind="stable")[:most]]
        if not len(chosen):
            return
        ids = np.concatenate([self.ids, chosen + start])
        all_lengths = np.concatenate([self.lengths, lengths[chosen]])
        order = np.lexsort((ids, all_lengths))[:most]
        self.rows = np.concatenate([self.rows, rows[chosen]])[order]
        self.ids, self.lengths = ids[order], all_lengths[order]

    def finish(self) -> Sketch:
        """Keys (n,), and whether they name tokens; rows (n, columns) in float16 of root mean square one."""
        fine = alignment.distinct(self.rows)
        ids, rows = self.ids[fine], self.rows[fine]
        if len(ids) >= ROWS_LEAST:
            looks = alignment.near_initial(rows)
            ids, rows = ids[looks], rows[looks]
        if len(ids) < ROWS_LEAST:
            raise Abstain(
                Reason.NOT_INFORMATIVE, "no group of embedding rows still looks like initialisation"
            )
        columns = _columns(self.probe, rows.shape[1])
        scaled = rows[:, columns] / np.sqrt(np.mean(rows.astype(np.float64) ** 2, axis=1, keepdims=True))
        kept = np.isfinite(scaled.astype(np.float16)).all(axis=1)
        keys, named = self._keys(ids[kept])
        return self.probe.sketch(
            {"keys": keys, "named": named, "rows": scaled[kept].astype(np.float16)},
            {"width": int(rows.shape[1]), "norm": self.checkpoint.architecture.norm},
        )

    def _keys(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """A token's hash where the tokenizer names the id, the id itself where it does not."""
        tokenizer = self.checkpoint.tokenizer
        wanted = set(ids.tolist())
        names = {i: t for t, i in tokenizer.tokens.items() if i in wanted} if tokenizer else {}
        special = {i: t.encode("utf-8", "replace") for t, i in tokenizer.special.items()} if tokenizer else {}
        texts = [names.get(i) or special.get(i) or b"" for i in ids.tolist()]
        keys = [token_hash(text) if text else i for text, i in zip(texts, ids.tolist(), strict=True)]
        return np.array(keys, np.uint64), np.array([bool(text) for text in texts], np.bool_)


def _columns(probe: NearInitRows, width: int) -> NDArray[np.intp]:
    """The channels kept: all, or a seeded sample that is the same for every model of this width."""
    rng = np.random.Generator(np.random.PCG64(probe.seed))
    return np.sort(rng.permutation(width)[: probe.columns]).astype(np.intp)


@dataclass(frozen=True, kw_only=True)
class NearInitRows(SketchProbe):
    """Compares rows that still carry their initialisation."""

    id: ClassVar[str] = "near-init-rows"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Embedding rows that training hardly reached"
    measures: ClassVar[str] = (
        "Whether embedding rows of unused tokens carry the same random draw, exact by sign flips or permutations of "
        "channels; a shared seed reads as a copy; re-ordered channels or new embeddings defeat it."
    )
    needs: ClassVar[str] = "token embeddings with unused tokens, in both, of equal width"
    aspect: ClassVar[Aspect | None] = Aspect.INITIALISATION
    blind_to: ClassVar[tuple[str, ...]] = ("permute-residual", "flip-residual", "rotate-residual")
    expected: ClassVar[str] = "derived or of one seed: 0.7 to 1; unrelated: within 0.1 of 0"
    candidates: int = 256
    columns: int = 512
    draws: int = 9999
    seed: int = 0

    def first_look(self) -> NearInitRows | None:
        """Takes no part: it must see all embeddings."""
        return None

    def sketcher(self, checkpoint: Checkpoint) -> Shortest:
        """Keeps up to `candidates` of the shortest rows."""
        return Shortest(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Pooled cosine of shared rows, and the exact test of its numerator."""
        sides = [_arrays(side, self.columns) for side in (suspect, candidate)]
        if suspect.facts.get("width") != candidate.facts.get("width"):
            raise Abstain(
                Reason.NOT_COMPARABLE, "the widths differ, so channels cannot be paired by position"
            )
        first, second = _shared(sides)
        if len(first) < ROWS_LEAST:
            detail = f"{len(first)} tokens look untrained in both, {ROWS_LEAST} needed"
            raise Abstain(Reason.NO_SHARED_TOKENS, detail)
        norms = float(np.linalg.norm(first) * np.linalg.norm(second))
        if not norms > 1e-12:
            raise Abstain(Reason.NOT_INFORMATIVE, "the shared rows are all alike")
        value = float(np.clip(np.sum(first * second) / norms, -1.0, 1.0))
        flips = all(side.facts.get("norm") == "rms" for side in (suspect, candidate))
        test, exact = self._tested(first, second, flips=flips)
        return Measurement(
            value=value,
            quantity="pooled cosine of embedding rows that look untrained, −1 to 1",
            summary=(
                f"{len(first)} embedding rows that look untrained in both agree at {value:.2f}: "
                + (
                    "a copy or a shared seed"
                    if test.p <= 1e-3 and value > 0.0
                    else "independent draws lie near 0"
                )
                + f"; p is at most {test.p:.1g} if nothing is shared."
            ),
            group=Group.EMBEDDING,
            exact=exact,
            facts={
                "width": int(str(suspect.facts["width"])),
                "rows": len(first),
                "suspect_rows": len(sides[0][0]),
                "candidate_rows": len(sides[1][0]),
                "z": test.z,
            },
        )

    def _tested(
        self, first: NDArray[np.float64], second: NDArray[np.float64], *, flips: bool
    ) -> tuple[alignment.SymmetryTest, Exact]:
        """The test of the sum of products, jointly over rows, and how the record tells it."""
        rng = np.random.Generator(np.random.PCG64(self.seed))
        if flips:
            test = alignment.sign_flip_test(np.sum(first * second, axis=0), draws=self.draws, rng=rng)
            method = test.method("joint flips of channel signs", "signs of channels (or bundles of them)")
        else:
            test = alignment.joint_permutation_test(first, second, draws=self.draws, rng=rng)
            method = test.method("joint permutations of channels", "swaps of two channels")
        return test, Exact(p=test.p, null_hypothesis=NULL, method=method)


Arrays = tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.float64]]


def _arrays(side: Sketch, columns: int) -> Arrays:
    """Keys, whether they name tokens, and rows; abstains where they do not fit together."""
    keys, named, rows = (side.arrays.get(name) for name in ("keys", "named", "rows"))
    width = side.facts.get("width")
    if keys is None or named is None or rows is None or not isinstance(width, int):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without rows")
    fits = (
        keys.ndim == named.ndim == 1 and rows.ndim == 2 and len(keys) == len(named) == len(rows)
        and keys.dtype == np.uint64 and named.dtype == np.bool_ and rows.dtype == np.float16
        and len(keys) <= CANDIDATES_MOST and rows.shape[1] == min(width, columns)
    )  # fmt: skip
    if not fits or not np.isfinite(rows).all():
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch whose arrays do not fit")
    return keys.astype(np.uint64), named.astype(np.bool_), rows.astype(np.float64)


def _shared(sides: list[Arrays]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of tokens that both have, named ones by hash and others by id, each side's mean row removed."""
    found: list[list[NDArray[np.float64]]] = [[], []]
    for which in (True, False):
        (k_1, r_1), (k_2, r_2) = ((k[n == which], r[n == which]) for k, n, r in sides)
        left, right = alignment.shared_positions(k_1, k_2)
        found[0].append(r_1[left])
        found[1].append(r_2[right])
    first, second = (np.concatenate(rows) for rows in found)
    if not len(first):
        return first, second
    return first - first.mean(axis=0), second - second.mean(axis=0)


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [NearInitRows()]
