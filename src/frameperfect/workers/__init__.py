"""Machines and pools in processes of their own: a core that crashes there takes nothing with it."""

from __future__ import annotations

from frameperfect.workers.isolated import IsolatedMachine
from frameperfect.workers.pool import WorkerPool

__all__ = ["IsolatedMachine", "WorkerPool"]
