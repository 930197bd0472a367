"""ROM import: known games are taken by hash in every form a dump comes in, and the rest is told."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frameperfect.errors import GameError
from frameperfect.game import folders, import_roms, load_game, roms
from frameperfect.game import open as open_game
from frameperfect.game.game import sha1
from tests.components import need

need("stable_retro")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMEPERFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A table of hashes for programs made here, in the place of real games' ones."""
    table = {}
    monkeypatch.setattr(roms, "known_hashes", lambda: table)
    return table


BODY = bytes(range(256)) * 256  # 64 KiB


def variant_hashes(suffix: str, data: bytes) -> set[str]:
    return {digest for digest, _ in roms.variants(suffix, data)}


def interleave(data: bytes) -> bytes:
    """As a Super Magic Drive writes it: 512 bytes; then per 16 KiB the odd bytes and the even ones."""
    blocks = [data[i : i + 0x4000] for i in range(0, len(data), 0x4000)]
    return bytes(512) + b"".join(block[1::2] + block[0::2] for block in blocks)


def test_a_dump_is_known_in_every_form(home: Path, known: dict[str, str], tmp_path: Path) -> None:
    big = b"\x80\x37\x12\x40" + BODY[4:]
    pairs = np.frombuffer(big, np.uint16).byteswap().tobytes()
    words = np.frombuffer(big, np.uint32).byteswap().tobytes()
    header = b"NES\x1a" + bytes(12)
    forms = {
        "plain.md": (BODY, BODY, "Plain-Genesis"),
        "copied.smd": (interleave(BODY[::-1]), BODY[::-1], "Interleaved-Genesis"),
        "headed.nes": (header + BODY[1:], BODY[1:], "Headed-Nes"),
        "copier.smc": (bytes(512) + BODY[: 1 << 15], BODY[: 1 << 15], "Copied-Snes"),
        "middle.v64": (pairs, big, "Middle-N64"),
    }  # fmt: skip
    folder = tmp_path / "my röms" / "deep er"
    folder.mkdir(parents=True)
    for name, (data, hashed, game) in forms.items():
        (folder / name).write_bytes(data)
        known[sha1(hashed)] = game
    assert sha1(big) in variant_hashes(".n64", words)
    report = import_roms(tmp_path / "my röms")
    assert report.unrecognised == []
    assert {game for _, game in report.imported} == {game for _, _, game in forms.values()}
    kept = {path.stem: path.read_bytes() for path in (home / "roms").iterdir()}
    assert kept[sha1(BODY[1:])] == header + BODY[1:]  # the core needs the header
    assert kept[sha1(BODY[::-1])] == BODY[::-1]
    assert len(import_roms(tmp_path / "my röms").present) == len(forms)


@given(st.integers(0, 1 << 32), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_an_interleaved_dump_is_put_straight(seed: int, blocks: int) -> None:
    straight = np.random.default_rng(seed).bytes(blocks * 0x4000)
    assert (sha1(straight), straight) in list(roms.variants(".smd", interleave(straight)))


def test_what_is_not_recognised_is_told_with_the_reason(
    home: Path, known: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    known[sha1(BODY)] = "Bare-Nes"
    (folder / "bare.nes").write_bytes(BODY)
    (folder / "other.md").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 nothing")
    (folder / "empty.gb").write_bytes(b"")
    (folder / "loop").symlink_to(folder)
    (folder / "dangling.md").symlink_to(folder / "nowhere")
    report = import_roms(folder)
    reasons = {Path(name).name: reason for name, reason in report.unrecognised}
    assert "without its iNES header" in reasons["bare.nes"]
    assert f"no known game has SHA-1 {sha1(b'x')}" in reasons["other.md"]
    assert "a damaged archive" in reasons["broken.zip"]
    assert set(reasons) == {"bare.nes", "other.md", "broken.zip", "empty.gb"}
    assert report.skipped == 1
    assert report.imported == []
    assert not (home / "roms").exists()
    with pytest.raises(GameError, match="no folder or file"):
        import_roms(tmp_path / "nowhere")


def test_archives_are_looked_into_within_bounds(home: Path, known: dict[str, str], tmp_path: Path) -> None:
    known[sha1(BODY)] = "Plain-Genesis"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as nested:
        nested.writestr("rom.md", BODY)
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil ü.md", BODY)
        archive.writestr("bomb.md", bytes(64 << 20))
        archive.writestr("inner.zip", inner.getvalue())
        archive.writestr("readme.txt", "x")
    report = import_roms(tmp_path / "set.zip")
    assert report.imported == [(f"{tmp_path}/set.zip/../../evil ü.md", "Plain-Genesis")]
    assert [path.name for path in (home / "roms").iterdir()] == [f"{sha1(BODY)}.md"]
    reasons = {Path(name).name: reason for name, reason in report.unrecognised}
    assert reasons == {
        "bomb.md": "packed too tightly for a ROM", "inner.zip": "an archive in an archive; unpack it first",
    }  # fmt: skip
    assert report.skipped == 1


def test_an_archive_that_lies_about_its_sizes_is_refused(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rom.md", bytes(4 << 20))
    data = bytearray(path.read_bytes())
    real = (4 << 20).to_bytes(4, "little")
    while real in data:
        at = data.index(real)
        data[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    assert len(import_roms(path).unrecognised) == 1


@given(st.binary(max_size=400), st.integers(0, 399))
@example(b"[", 207)  # the directory then points before the file's beginning
@settings(max_examples=40, deadline=None)
def test_no_damaged_archive_breaks_the_import(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.md", b"some bytes" * 20)
        archive.writestr("b.nes", b"NES\x1a")
    data = bytearray(buffer.getvalue())
    data[at % len(data) : at % len(data) + len(noise)] = noise
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    path.write_bytes(data)
    report = import_roms(path)
    assert report.imported == []


def test_a_full_disk_is_one_line_and_leaves_nothing(
    home: Path, known: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rom.md").write_bytes(BODY)
    known[sha1(BODY)] = "Plain-Genesis"

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(GameError, match="No space left on device; make room and import again"):
        import_roms(tmp_path / "rom.md")
    assert list((home / "roms").iterdir()) == []


def test_an_imported_rom_plays(home: Path, tmp_path: Path) -> None:
    """Airstriker is the one game here whose ROM may be passed on."""
    source = load_game("Airstriker-Genesis", source="stable-retro")
    rom = source.find_rom()
    with zipfile.ZipFile(tmp_path / "roms.zip", "w") as archive:
        archive.write(rom, "Airstriker (PD).bin")
    report = import_roms(tmp_path)
    assert [game for _, game in report.imported] == ["Airstriker-Genesis"]
    game = load_game("Airstriker-Genesis")
    assert game.find_rom() == home / "roms" / "a8be7b0ca850119b167f9644e6a4a22e983d61a4.md"
    with open_game(game) as machine:
        machine.advance("A", 3)


def test_atari_roms_of_ale_py_are_stable_retros_too(home: Path) -> None:
    need("ale_py")
    known = roms.known_hashes()
    both = {known[digest] for digest in roms.ale_roms() if digest in known}
    assert len(both) >= 30


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new folder" / "file"
    folders.write_whole(target, b"old")

    def fail(self: Path, other: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        folders.write_whole(target, b"new")
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert target.read_bytes() == b"old"
