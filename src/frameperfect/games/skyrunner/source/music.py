from pathlib import Path


def assemble_music(folder: Path) -> str:
    return ""
