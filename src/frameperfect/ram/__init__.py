"""The RAM lab: finding what a game's memory means."""

from __future__ import annotations

from frameperfect.ram.freeze import Freezer
from frameperfect.ram.game_toml import add_variables
from frameperfect.ram.lab import Dependence, Finding, Lab
from frameperfect.ram.pattern import find_pattern
from frameperfect.ram.pointers import PointerScan
from frameperfect.ram.poke import Poke, poke
from frameperfect.ram.search import Candidate, RamSearch, find, variable_at
from frameperfect.ram.wch import read_wch, write_wch

__all__ = [
    "Candidate", "Dependence", "Finding", "Freezer", "Lab", "PointerScan", "Poke", "RamSearch",
    "add_variables", "find", "find_pattern", "poke", "read_wch", "variable_at", "write_wch",
]  # fmt: skip
