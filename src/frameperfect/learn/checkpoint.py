"""Checkpoints: one safetensors file with everything that training needs to go on exactly.

Tensors hold the weights, the optimizer's moments, running statistics, random states and the environments'
states; the header's metadata holds the rest as JSON. Nothing is pickled, and nothing in a file is run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from frameperfect.atomic import replacing
from frameperfect.errors import CheckpointError, LearningError
from frameperfect.interrupts import held

Tensor: TypeAlias = "torch.Tensor"

FILE = "checkpoint.safetensors"
FORMAT = 1
PIECE = 1 << 23
"""Bytes that are hashed or written at once: a replay may be larger than memory."""

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write(run: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> Path:
    """Write the run's checkpoint; a kill or a full disk leaves the one before as it was.

    No tensor on the CPU is copied: one that is mapped from a file needs no memory, and neither does a slice.

    Raises:
        LearningError: it can't be written.
    """
    path = run / FILE
    tensors = {name: each.detach().cpu() for name, each in tensors.items()}
    text = json.dumps({"format": FORMAT, **facts})
    metadata = {"frameperfect": text, "digest": _digest(tensors, text)}
    try:
        run.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=True, alone=True) as part:
            _save(part, tensors, metadata)
    except OSError as failure:
        kept = "the checkpoint before is kept" if path.exists() else "there is none yet"
        raise LearningError(f"can't write {path}: {failure}; {kept}") from failure
    return path


def read(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts of the run's checkpoint.

    Raises:
        CheckpointError: there is none, it is damaged, or of another version.
    """
    path = run / FILE
    if not path.exists():
        raise CheckpointError(f"no checkpoint in {run}: it holds no {FILE}")
    try:
        with held(), safe_open(path, framework="pt") as file:  # which drops what is raised within it
            metadata = file.metadata()
            facts = json.loads(metadata["frameperfect"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["digest"] != _digest(tensors, metadata["frameperfect"]):
            raise ValueError("its checksum is wrong")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as failure:
        raise CheckpointError(f"{path} is damaged or no checkpoint of frameperfect ({failure})") from failure
    if facts.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {facts.get('format')}, and this version reads {FORMAT}")
    return tensors, facts


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """A safetensors file, piece by piece: the length of its header, the header, the numbers; the widest types
    first, so that all lie at multiples of their width.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": metadata}
    at = 0
    for name in order:
        each = tensors[name]
        end = at + each.numel() * each.element_size()
        header[name] = {"dtype": _DTYPES[each.dtype], "shape": list(each.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            for piece in _pieces(tensors[name]):
                file.write(piece)


def _pieces(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor, in order."""
    if tensor.ndim > 1 and not tensor.is_contiguous():  # a slice: its rows are, or theirs
        for row in tensor:
            yield from _pieces(row)
        return
    bytes_of = tensor.contiguous().numpy().reshape(-1).view(np.uint8)
    for at in range(0, len(bytes_of), PIECE):
        yield memoryview(bytes_of[at : at + PIECE])


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        each = tensors[name]
        digest.update(f"{name} {each.dtype} {tuple(each.shape)}".encode())
        for piece in _pieces(each):
            digest.update(piece)
    return digest.hexdigest()


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: each for name, each in tensors.items() if name.startswith(prefix)}
