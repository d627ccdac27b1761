"""The names that a PyTorch pickle may use, and what each stands for. Whatever is not here is refused by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forensics.errors import CheckpointError

Kind = Literal[
    "tensor", "typed tensor", "wrapper", "subclass", "unusable", "dict", "tuple", "inert", "storage", "dtype"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Global:
    """A name on the list."""

    name: str
    kind: Kind
    about: str = ""
    """A dtype as safetensors spells it (storage, dtype); a reason (unusable)."""


ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2,
    "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "F4_X2": 1,
    "C32": 4, "C64": 8, "C128": 16, "QI8": 1, "QU8": 1, "QI32": 4,
}  # fmt: skip
"""Bytes of an element; names as in safetensors, else PyTorch's own in capitals. `F4_X2` is two numbers in a byte."""

STORAGES = {
    "Double": "F64", "Float": "F32", "Half": "F16", "BFloat16": "BF16", "Long": "I64", "Int": "I32", "Short": "I16",
    "Char": "I8", "Byte": "U8", "Bool": "BOOL", "ComplexFloat": "C64", "ComplexDouble": "C128", "QInt8": "QI8",
    "QUInt8": "QU8", "QInt32": "QI32", "Untyped": "U8",
}  # fmt: skip
DTYPES = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16", "half": "F16",
    "bfloat16": "BF16", "int64": "I64", "long": "I64", "int32": "I32", "int": "I32", "int16": "I16", "short": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float4_e2m1fn_x2": "F4_X2",
    "complex32": "C32", "complex64": "C64", "complex128": "C128", "qint8": "QI8", "quint8": "QU8", "qint32": "QI32",
}  # fmt: skip
UNUSABLE = {
    "_rebuild_qtensor": "a quantised tensor of PyTorch's own",
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_sparse_csr_tensor": "a sparse tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_wrapper_subclass": "a tensor of another class",
    "_rebuild_meta_tensor_no_storage": "a tensor without bytes",
    "_rebuild_xla_tensor": "a tensor of another device",
    "_rebuild_device_tensor_from_numpy": "a tensor of another device",
    "_rebuild_device_tensor_from_cpu_tensor": "a tensor of another device",
}
INERT = (
    "torch.device", "torch.serialization._get_layout", "torch.per_tensor_affine", "torch.per_channel_affine",
    "torch.per_tensor_symmetric", "torch.per_channel_symmetric", "torch.per_channel_affine_float_qparams",
    "torch.strided", "torch.sparse_coo", "torch.sparse_csr", "torch.Tensor", "torch.nn.parameter.Parameter",
    "collections.Counter", "_codecs.encode",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__")
      for name in ("dict", "list", "tuple", "set", "frozenset", "int", "float", "bool", "str", "complex")),
)  # fmt: skip
"""What stands in optimisers' and schedulers' states, and about tensors that are refused anyway."""


def _listed() -> dict[tuple[str, str], Global]:
    kinds: dict[str, tuple[Kind, str]] = {
        "torch._utils._rebuild_tensor": ("tensor", ""),
        "torch._utils._rebuild_tensor_v2": ("tensor", ""),
        "torch._utils._rebuild_tensor_v3": ("typed tensor", ""),
        "torch._utils._rebuild_parameter": ("wrapper", ""),
        "torch._utils._rebuild_parameter_with_state": ("wrapper", ""),
        "torch._tensor._rebuild_from_type_v2": ("subclass", ""),
        "collections.OrderedDict": ("dict", ""),
        "collections.defaultdict": ("dict", ""),
        "torch.Size": ("tuple", ""),
        **{f"torch._utils.{name}": ("unusable", reason) for name, reason in UNUSABLE.items()},
        **dict.fromkeys(INERT, ("inert", "")),
        **{f"torch.{name}": ("dtype", dtype) for name, dtype in DTYPES.items()},
    }
    for name, dtype in STORAGES.items():
        for module in ("torch", "torch.cuda", "torch.storage"):
            kinds[f"{module}.{name}Storage"] = ("storage", dtype)
    records = (Global(name=name, kind=kind, about=about) for name, (kind, about) in kinds.items())
    return {(record.name.rpartition(".")[0], record.name.rpartition(".")[2]): record for record in records}


ALLOWED = _listed()


def allowed(module: str, name: str) -> Global:
    """The record for a global on the list; CheckpointError PICKLE_GLOBAL with the name for any other."""
    found = ALLOWED.get((module, name))
    if found is None:
        full = f"{module[:100]}.{name[:100]}"
        raise CheckpointError(
            f"a pickle names {ascii(full)[1:-1][:200]}, which is no part of a tensor; nothing of it was run",
            "use a safetensors copy of the model, or one from a source you trust",
            code="PICKLE_GLOBAL",
        )
    return found
