"""The longest tests begin first: two processes then end at about the same time."""

from __future__ import annotations

import pytest

LONGEST = "test_skyrunner_learning"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Others keep their order."""
    items.sort(key=lambda item: LONGEST not in item.nodeid)
