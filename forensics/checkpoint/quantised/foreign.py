"""Quantised forms that are recognised by their parts and not decoded: each is listed with its name, never dropped."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.stored import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """One such form: what its main part and the parts beside it are called."""

    title: str
    ending: str
    beside: tuple[str, ...]
    """All of them must be there."""
    others: tuple[str, ...] = ()
    packed: int = 1


FORMS = (
    Foreign(
        title="EXL2", ending=".q_weight", beside=(".q_scale",), packed=8,
        others=(".q_groups", ".q_group_map", ".q_invperm", ".q_perm", ".q_scale_max"),
    ),
    Foreign(title="EXL3", ending=".trellis", beside=(".suh", ".svh"), others=(".mcg", ".mul1"), packed=4),
    Foreign(title="GPTQ in Marlin's order", ending=".B", beside=(".s",), others=(".workspace",), packed=8),
    Foreign(title="AQLM", ending=".codes", beside=(".codebooks",), others=(".scales",), packed=8),
    Foreign(title="HQQ", ending=".W_q", beside=(), others=(".meta", ".scale", ".zero"), packed=2),
    Foreign(title="QuIP#", ending=".Qidxs", beside=(".SU", ".SV"), others=(".Wscale", ".codebook_id"), packed=8),
    Foreign(
        title="sparse compressed-tensors", ending=".compressed", beside=(".bitmask",),
        others=(".shape", ".row_offsets"),
    ),
    Foreign(title="torchao", ending="_qdata", beside=("_scale",), others=("_zero_point",)),
    Foreign(title="quanto", ending="._data", beside=("._scale",), others=("._shift",)),
    Foreign(title="EETQ", ending=".weight", beside=(".weight_scales",)),
)  # fmt: skip


def form_of(part: Part, inventory: Inventory) -> Foreign | None:
    """The form whose main part this is."""
    for form in FORMS:
        if part.name.endswith(form.ending):
            prefix = part.name[: len(part.name) - len(form.ending)]
            if all(prefix + key in inventory.named for key in form.beside):
                return form
    return None


def gather(part: Part, inventory: Inventory) -> Group | None:
    """The group of a main part of any of these forms."""
    form = form_of(part, inventory)
    if form is None:
        return None
    name = "" if part.name.endswith((".compressed", "_qdata", "._data")) else ".weight"
    return inventory.group(part, form.ending, name, (*form.beside, *form.others), packed=form.packed)


def build(group: Group, inventory: Inventory) -> Stored:
    """Always a Refusal with the form's name."""
    form = form_of(group.main, inventory)
    raise Refusal(f"stored as {form.title if form else 'something'}, which is not decoded")
