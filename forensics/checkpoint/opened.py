"""An opened checkpoint: canonical tensors, small things at hand, files hashed as they are read. Read-only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forensics.checkpoint.beside import TowerMatrix, corner, tower_matrices
from forensics.checkpoint.config import model_type
from forensics.checkpoint.facts import Anchors, TextFile, TokenizerFacts
from forensics.checkpoint.fill import module_expert, module_matrix, module_tensor
from forensics.checkpoint.folder import Listing
from forensics.checkpoint.layout import Layout, bundled_layouts
from forensics.checkpoint.place import read_small
from forensics.checkpoint.plan import Plan, Planned, plan_for
from forensics.checkpoint.repository import Repository
from forensics.checkpoint.statements import stated
from forensics.checkpoint.stored import Stored, WeightFile
from forensics.checkpoint.texts import read_texts
from forensics.checkpoint.tokenizer import SIZE_LIMIT, token_hash
from forensics.checkpoint.tokenizer_files import read_tokenizer
from forensics.records import Architecture, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forensics.probe import TensorSpec

VECTOR_LIMIT = 1 << 22
"""Elements of a 1-D tensor that is offered before the pass."""
VECTORS_LIMIT = 1 << 26
"""Elements of all of them together; the largest public model has a sixth of it."""
WIDTH_LIMIT = 1 << 15
"""Columns of embeddings of which anchors are taken; the largest public model has half of it."""
BLOCK_BYTES = 8 << 20
"""Stored bytes per row block."""


class Checkpoint:
    """One model's weights, config, tokenizer and texts, opened read-only.

    `tokenizer` is what the weights themselves bring along, used where there is no tokenizer file; `tensors`
    replaces what the files alone would make. Attributes are fixed after opening; vectors, anchors, tokenizer and
    texts are read when first asked for and kept.
    """

    def __init__(  # noqa: PLR0913 - what an opener found out, each by its name
        self,
        *,
        label: str,
        files: list[WeightFile],
        config: Mapping[str, Any],
        listing: Listing | None,
        problems: Iterable[Problem] = (),
        layouts: Iterable[Layout] | None = None,
        tokenizer: TokenizerFacts | None = None,
        tensors: Sequence[Stored] | None = None,
    ) -> None:
        self.label = label
        self.form: Literal["checkpoint", "merged"] = "checkpoint"
        """`merged` if most of its weights are another's, into which an adapter was merged."""
        self.files = files
        self.config = config
        self.listing = listing
        self.problems = list(problems)
        self.layouts = tuple(layouts) if layouts is not None else bundled_layouts()
        self.plan: Plan = plan_for(files, config, self.layouts, tensors)
        self.problems += [Problem(where=label, code=c, message=m) for c, m in self.plan.problems]
        self._where = {
            (s.spec.role, s.spec.layer, s.spec.expert): (p, s.spec)
            for p in self.plan.tensors
            for s in p.segments
        }
        self._vectors: dict[tuple[str, int | None], NDArray[np.float32] | None] = {}
        self._vector_elements = 0
        self._tokenizer = tokenizer
        self._tokenizer_read = False
        self._hashed: NDArray[np.uint64] | None = None
        """(hash, id) of every token with an embedding row."""
        self.touched: set[str] = set()
        """Stored precisions of whatever was asked for, for whoever replaces and reads this set."""
        self._texts: tuple[TextFile, ...] | None = None
        self.texts_omitted = 0
        """Text files beside the weights that were not read, once `texts` was asked for."""
        self.repository: Repository | None = None
        """The code repository named for it, as far as it was read."""

    @property
    def architecture(self) -> Architecture:
        """What the tensors' shapes say this is."""
        return self.plan.architecture

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Every canonical tensor, in file order."""
        return self.plan.specs

    def find(self, role: str, layer: int | None = None, expert: int | None = None) -> TensorSpec | None:
        """The canonical tensor of that role, or None."""
        found = self._where.get((role, layer, expert))
        return found[1] if found else None

    def rows(
        self, spec: TensorSpec, block_bytes: int = BLOCK_BYTES
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(first row, block) of one canonical tensor, outside the reading pass; no other rows are read."""
        planned, spec = self._where[spec.role, spec.layer, spec.expert]
        for segment in planned.segments:
            if segment.spec is spec:
                for first, block in self._decoded(planned, segment.start, segment.stop, block_bytes):
                    found = segment.within(first, len(block))
                    if found:
                        yield found[1], block[found[0]]

    def _decoded(
        self, planned: Planned, start: int, stop: int, block_bytes: int
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(row, block) of the units that hold rows `start` to `stop` of a stored tensor, gain offset applied."""
        file, codec, entry = self.files[planned.file], planned.codec, planned.entry
        assert codec is not None
        self.touched.add(planned.stored.precision)
        low, high = start // codec.unit_rows, -(-stop // codec.unit_rows)
        begin, end = entry.begin + low * codec.unit_bytes, entry.begin + high * codec.unit_bytes
        step = max(1, block_bytes // codec.unit_bytes) * codec.unit_bytes
        for offset, raw in file.chunks(begin, end, step):
            row = (offset - entry.begin) // codec.unit_bytes * codec.unit_rows
            for first, block in codec.decode(raw, row):
                yield first, block + np.float32(planned.gain_offset) if planned.gain_offset else block

    def matrix(self, spec: TensorSpec) -> NDArray[np.float32]:
        """A whole canonical tensor, shape (rows, columns); for small checkpoints only."""
        whole = np.empty((spec.rows, spec.columns), dtype=np.float32)
        for start, block in self.rows(spec):
            whole[start : start + len(block)] = block
        return whole

    def vector(self, role: str, layer: int | None = None) -> NDArray[np.float32] | None:
        """A 1-D canonical tensor, shape (n,), or None; norm gains are effective gains. May hold NaN."""
        key = (role, layer)
        if key not in self._vectors:
            spec = self.find(role, layer)
            small = spec is not None and spec.columns == 1 and spec.rows <= VECTOR_LIMIT
            small = small and self._vector_elements < VECTORS_LIMIT
            self._vectors[key] = self.matrix(spec)[:, 0] if spec is not None and small else None
            self._vector_elements += spec.rows if spec is not None and small else 0
        if self._vectors[key] is not None:
            self.touched.add(self._where[role, layer, None][1].dtype)
        return self._vectors[key]

    def vector_elements(self) -> int:
        """How many numbers were read as vectors so far."""
        return self._vector_elements

    def anchors(self, count: int) -> Anchors | None:
        """Embedding rows of the `count` tokens with the smallest hashes; None without tokenizer or embeddings."""
        spec, tokenizer = self.find("embed_tokens"), self.tokenizer
        if spec is None or tokenizer is None or not 2 <= spec.columns <= WIDTH_LIMIT:
            return None
        if self._hashed is None:
            known = [(token_hash(t), i) for t, i in tokenizer.tokens.items() if t and i < spec.rows]
            self._hashed = np.array(known, dtype=np.uint64).reshape(-1, 2)
        hashed = self._hashed
        if len(hashed) > count:  # the smallest first, then those in order
            hashed = hashed[np.argpartition(hashed[:, 0], count)[:count]]
        hashed = hashed[np.lexsort((hashed[:, 1], hashed[:, 0]))]
        if not len(hashed):
            return None
        rows = self.picked(spec, hashed[:, 1].astype(int).tolist())
        finite = np.isfinite(rows).all(axis=1)
        return Anchors(hashes=hashed[finite, 0], rows=np.ascontiguousarray(rows[finite]))

    def picked(self, spec: TensorSpec, wanted: list[int]) -> NDArray[np.float32]:
        """Single rows of a tensor, shape (len(wanted), columns); only the units that hold them are read, each once."""
        planned, _ = self._where[spec.role, spec.layer, spec.expert]
        (segment,) = (one for one in planned.segments if one.spec is spec)
        picked = np.empty((len(wanted), spec.columns), dtype=np.float32)
        unit = planned.codec.unit_rows if planned.codec else 1
        by_unit: dict[int, list[tuple[int, int]]] = {}
        for place, row in enumerate(wanted):
            by_unit.setdefault((segment.start + row) // unit, []).append((place, segment.start + row))
        for number in sorted(by_unit):
            for first, block in self._decoded(planned, number * unit, (number + 1) * unit, BLOCK_BYTES):
                for place, row in by_unit[number]:
                    if first <= row < first + len(block):
                        picked[place] = block[row - first]
        return picked

    def towers(self) -> tuple[TowerMatrix, ...]:
        """MLP matrices of what lies beside the language model, as far as their names tell."""
        return tower_matrices(self.plan.tensors)

    def tower_corner(self, matrix: TowerMatrix, side: int) -> NDArray[np.float32] | None:
        """The first rows and columns of one of them, read here and now; None where it cannot be read."""
        self.touched.add(matrix.stored.precision)
        return corner(self.files, matrix.stored, side)

    def precision(self) -> str:
        """The stored precisions touched so far, as a finding shows them."""
        return "+".join(sorted(self.touched))

    def _small(self, name: str, limit: int) -> bytes | None:
        return read_small(self.listing.place, name, limit) if self.listing else None

    def tokenizer_json(self) -> str | None:
        """The raw text of tokenizer.json, for a probe that runs it in a killable worker of its own."""
        raw = self._small("tokenizer.json", SIZE_LIMIT)
        return raw.decode("utf-8", "replace") if raw is not None else None

    @property
    def tokenizer(self) -> TokenizerFacts | None:
        """The tokenizer as data, of the first file that can be read (a problem for each that cannot), or None."""
        if not self._tokenizer_read:
            self._tokenizer_read = True
            if self.listing is not None:
                found, problems = read_tokenizer(self.listing.place, self.listing.names)
                self.problems += [Problem(where=self.label, code=c, message=m) for c, m in problems]
                self._tokenizer = found or self._tokenizer
        return self._tokenizer

    @property
    def texts(self) -> tuple[TextFile, ...]:
        """Card, licence, notice, code and config files, each cut at a budget; those of a repository follow them."""
        if self._texts is None:
            self._texts, self.texts_omitted = read_texts(self.listing) if self.listing else ((), 0)
        return (*self._texts, *(self.repository.texts if self.repository else ()))

    def attach(self, repository: Repository) -> None:
        """Takes the texts of the code repository that was named for this checkpoint."""
        self.repository = repository
        self.problems += [Problem(where=self.label, code=c, message=m) for c, m in repository.problems]

    @property
    def stated(self) -> Mapping[str, str]:
        """What the weight files say of their origin, as short text by key."""
        return stated(self.files)

    def fill(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Values for a module parameter of the *declared* architecture, whatever the file calls its tensors."""
        return module_tensor(self, model_type(self.config), name, shape)

    def fill_expert(self, name: str, shape: tuple[int, int, int], expert: int) -> NDArray[np.float32] | None:
        """The same of one expert of a stack (experts, …), shape `shape[1:]`."""
        return module_expert(self, model_type(self.config), name, shape, expert)

    def filled_by(self, name: str, shape: tuple[int, ...]) -> TensorSpec | None:
        """The canonical tensor whose rows are those of a module's matrix, for `rows` and `picked`; None for none."""
        return module_matrix(self, model_type(self.config), name, shape)

    def close(self) -> None:
        """Closes every file; the checkpoint cannot be read afterwards."""
        for file in self.files:
            file.close()


def digest_of(files: Iterable[tuple[str, str]], repository: str = "") -> str:
    """One digest over (name, sha256 hex) pairs: SHA-256 of the raw digests, sorted by name, a repository's last."""
    whole = hashlib.sha256()
    for _, sha256 in sorted(files):
        whole.update(bytes.fromhex(sha256))
    whole.update(bytes.fromhex(repository))
    return whole.hexdigest()
