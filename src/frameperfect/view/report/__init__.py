"""A run's report: one HTML file without network or script."""

from __future__ import annotations

from pathlib import Path

from frameperfect.view.report.page import Proof, Report, Result, Video, page

MOST_VIDEO = 6 << 20
"""Bytes of the embedded video."""


def write_report(report: Report, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: the file can't be written.
    """
    from frameperfect.atomic import replacing

    with replacing(path) as part:
        part.write_text(page(report), "utf-8")


__all__ = ["MOST_VIDEO", "Proof", "Report", "Result", "Video", "page", "write_report"]
