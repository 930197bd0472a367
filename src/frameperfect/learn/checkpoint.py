"""Checkpoints: one safetensors file with everything that training needs to go on exactly.

Tensors hold the weights, the optimizer's moments, running statistics, random states and the environments'
states; the header's metadata holds the rest as JSON. Nothing is pickled, and nothing in a file is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from frameperfect.errors import CheckpointError, LearningError

Tensor: TypeAlias = "torch.Tensor"

FILE = "checkpoint.safetensors"
FORMAT = 1


def write(run: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> Path:
    """Write the run's checkpoint; a kill or a full disk leaves the one before as it was.

    Raises:
        LearningError: it can't be written.
    """
    path = run / FILE
    draft = run / (FILE + ".part")
    tensors = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    text = json.dumps({"format": FORMAT, **facts})
    metadata = {"frameperfect": text, "digest": _digest(tensors, text)}
    try:
        run.mkdir(parents=True, exist_ok=True)
        save_file(tensors, draft, metadata)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except (OSError, SafetensorError) as failure:
        with contextlib.suppress(OSError):
            draft.unlink()
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
        with safe_open(path, framework="pt") as file:
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


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        each = tensors[name]
        digest.update(f"{name} {each.dtype} {tuple(each.shape)}".encode())
        digest.update(each.numpy().tobytes())
    return digest.hexdigest()


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: each for name, each in tensors.items() if name.startswith(prefix)}
