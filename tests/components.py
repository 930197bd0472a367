"""Optional components of a test: missing ones skip it, or fail it where `CI` is set."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
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


def need_program(name: str, package: str) -> Path:
    """The path of a program, games included; without it skip, naming its package (with CI=true: fail)."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/games")
    if found is not None:
        return Path(found)
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing program: {name} (apt-get install {package})")
    pytest.skip(f"missing program: {name} (apt-get install {package})", allow_module_level=True)
