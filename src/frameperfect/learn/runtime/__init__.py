"""Actors and a learner in processes of their own, for both learners. docs/runtime.md tells it."""

from __future__ import annotations
