"""What would be examined of a checkpoint, told before any weight is read: for `forensics inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forensics.account import left_out, parameters_of
from forensics.archive import plain
from forensics.checkpoint.manifest import recorded_name

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint
    from forensics.probe import Sketch
    from forensics.sketches import SketchBook

SHOWN = 12
"""Lines of a kind in the text; the JSON has more."""
NAMED = 200
"""Things of a kind in the JSON."""


def inspected(checkpoint: Checkpoint) -> dict[str, Any]:
    """Format, architecture, roles, precisions, sizes, coverage and oddities, as plain JSON; hostile text is cut."""
    plan = checkpoint.plan
    parameters = parameters_of(checkpoint)
    recognised = sum(p.stored.elements for p in plan.tensors if p.segments)
    tokenizer = checkpoint.tokenizer  # before the problems: reading it may add one
    left = left_out(checkpoint, {})
    precisions: Counter[str] = Counter()
    for planned in plan.tensors:
        precisions[planned.stored.precision] += planned.stored.elements
    roles: dict[str, dict[str, Any]] = {}
    for spec in plan.specs:
        role = roles.setdefault(
            spec.role, {"tensors": 0, "parameters": 0, "shape": [spec.rows, spec.columns]}
        )
        role["tensors"] += 1
        role["parameters"] += spec.rows * spec.columns
    return {
        "label": checkpoint.label,
        "files": [
            {"name": recorded_name(f.name), "format": f.format, "size": f.size, "tensors": len(f.entries)}
            for f in checkpoint.files[:NAMED]
        ],
        "files_omitted": max(0, len(checkpoint.files) - NAMED),
        "formats": sorted({f.format for f in checkpoint.files}),
        "bytes": sum(f.size for f in checkpoint.files),
        "architecture": plain(plan.architecture),
        "parameters": parameters,
        "estimated": bool(checkpoint.listing and checkpoint.listing.absent),
        "recognised": recognised,
        "coverage": round(recognised / parameters, 6) if parameters else None,
        "precisions": dict(sorted(precisions.items())),
        "roles": dict(sorted(roles.items())),
        "tokenizer": None
        if tokenizer is None
        else {"model": tokenizer.model, "tokens": len(tokenizer.tokens), "source": tokenizer.source},
        "repository": plain(checkpoint.repository.seen) if checkpoint.repository else None,
        "unexamined": [plain(u) for u in left[:NAMED]],
        "unexamined_omitted": max(0, len(left) - NAMED),
        "oddities": [{"code": p.code, "message": p.message} for p in checkpoint.problems[:NAMED]],
    }


def sketch_inspected(book: SketchBook, label: str) -> dict[str, Any]:
    """What a sketch file holds, as plain JSON: of which checkpoint, and which probes' sketches."""
    subject = book.subject
    return {
        "label": label,
        "sketch_of": subject.digest,
        "architecture": plain(subject.architecture) if subject.architecture else None,
        "parameters": subject.parameters,
        "recognised": subject.recognised,
        "sketches": {probe: _sketch(sketch) for probe, sketch in sorted(book.sketches.items())},
        "fetched": {},
    }


def _sketch(sketch: Sketch) -> str:
    if sketch.absent:
        return sketch.absent.detail
    return f"version {sketch.version}, read from {sketch.precision or 'no weights'}"


def _sketch_text(found: Mapping[str, Any]) -> str:
    shape, sketches = found["architecture"], found["sketches"]
    lines = [
        *_row("sketch file", found["label"]),
        *_row("of", f"a checkpoint with digest {found['sketch_of']}"),
        *_row("architecture", _architecture(shape) if shape else "unknown"),
        *_row("parameters", _count(found["parameters"])),
        *_list("sketches", [f"{probe:20} {said}" for probe, said in sketches.items()], most=len(sketches)),
    ]
    return "\n".join(lines)


def inspection_text(found: Mapping[str, Any]) -> str:
    """The same for a reader; hostile text makes no lines of its own, and the caller makes the rest of it visible."""
    if "sketches" in found:
        return _sketch_text(found)
    lines = [
        *_row("checkpoint", f"{found['label']}{_commit(found)}"),
        *_row("files", _files(found)),
        *_row("architecture", _architecture(found["architecture"])),
        *_row("precision", ", ".join(f"{p} ({_count(n)})" for p, n in found["precisions"].items()) or "none"),
        *_row("recognised", _coverage(found)),
        *_row("tokenizer", _tokenizer(found["tokenizer"])),
        *_repository(found["repository"]),
        *_list("roles", [_role(name, r) for name, r in found["roles"].items()], most=len(found["roles"])),
        *_list("not examined", _unexamined(found["unexamined"]), found["unexamined_omitted"]),
        *_list("oddities", [f"{o['message']} ({o['code']})" for o in found["oddities"]]),
    ]
    return "\n".join(lines)


def _commit(found: Mapping[str, Any]) -> str:
    return f", at commit {found['commit']}" if found.get("commit") else ""


def _row(title: str, text: str) -> list[str]:
    return [f"{title:14}{text}".replace("\n", "\\n")]


def _list(title: str, items: Sequence[str], omitted: int = 0, most: int = SHOWN) -> list[str]:
    """Title before the first item, the rest below it; how many more there are."""
    shown = list(items[:most]) or ["none"]
    more = max(0, len(items) - most) + omitted
    if more:
        shown.append(f"and {more} more (--json lists them)")
    return [line for i, item in enumerate(shown) for line in _row(title if i == 0 else "", item)]


def _count(number: int) -> str:
    for unit, name in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= unit:
            return f"{number / unit:.2f} {name}"
    return str(number)


def _size(count: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def _files(found: Mapping[str, Any]) -> str:
    count = len(found["files"]) + found["files_omitted"]
    return f"{count} of {' and '.join(found['formats'])}, {_size(found['bytes'])}"


def _architecture(shape: Mapping[str, Any]) -> str:
    experts = f", {shape['experts']} experts" if shape["experts"] else ""
    heads = (
        f"{shape['heads']} heads ({shape['kv_heads']} of keys) of {shape['head_dim']}"
        if shape["heads"]
        else "heads unknown"
    )
    declared = f"declared {shape['declared']}" if shape["declared"] else "nothing declared"
    return (
        f"{declared}, read as {shape['layout']}: {shape['layers']} layers, width {shape['width']}, {heads}, "
        f"vocabulary {shape['vocabulary']}{experts}"
    )


def _coverage(found: Mapping[str, Any]) -> str:
    if not found["parameters"]:
        return "nothing"
    share = f"{found['coverage']:.1%}" if found["coverage"] in (0, 1) else f"{found['coverage']:.2%}"
    about = "about " if found["estimated"] else ""
    return f"{share} of {about}{_count(found['parameters'])} parameters"


def _tokenizer(tokenizer: Mapping[str, Any] | None) -> str:
    if tokenizer is None:
        return "none that can be read"
    return f"{tokenizer['model']}, {tokenizer['tokens']} tokens, from {tokenizer['source']}"


def _repository(seen: Mapping[str, Any] | None) -> list[str]:
    """Nothing where no repository was named."""
    if seen is None:
        return []
    return _row("repository", f"{seen['texts']} texts of {seen['files']} files, {_size(seen['size'])}")


def _role(name: str, role: Mapping[str, Any]) -> str:
    rows, columns = role["shape"]
    shape = f"{rows}" if columns == 1 else f"{rows} × {columns}"
    return f"{name:20} {role['tensors']:6} of {shape}"


def _unexamined(left: Sequence[Mapping[str, Any]]) -> list[str]:
    """Grouped by reason, so that a thousand tensors with one reason are one line."""
    by_reason: dict[str, list[str]] = {}
    for item in left:
        by_reason.setdefault(item["reason"], []).append(item["name"])
    return [
        f"{len(names)} × {reason}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        for reason, names in by_reason.items()
    ]
