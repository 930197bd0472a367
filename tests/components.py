"""Optional components of a test: missing ones skip it, or fail it where `CI` is set."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def need(module: str) -> ModuleType:
    """Import `module`; skip the test naming it if it is not installed (with CI=true: fail)."""
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"missing component: {module} ({missing})")
        pytest.skip(f"missing component: {module}", allow_module_level=True)
