"""ROMs by hash: importing a folder of them, and telling which game one is.

A ROM is known by the SHA-1 that stable-retro's `rom.sha` or a `game.toml` gives. Dumps differ in what a
dumper put before the game or in byte order, so a file is tried as it is and as what it would be without:

- `.nes` files carry a 16-byte iNES header, which stable-retro leaves out of its hash and the core needs
  (https://www.nesdev.org/wiki/INES);
- copiers of the SNES and PC Engine left 512 bytes before a dump (its size is 512 over a multiple of 1,024);
- Super Magic Drive files (`.smd`) have those 512 bytes and are interleaved in blocks of 16 KiB, odd bytes
  first;
- N64 dumps come in three byte orders, told by their first word.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from frameperfect.errors import GameError, MissingComponent, UnknownGame
from frameperfect.game import folders, stable_retro
from frameperfect.game.game import Game, sha1
from frameperfect.game.registry import games, load_game, package, stable_retro_folders, stable_retro_name
from frameperfect.game.schema import check
from frameperfect.machine import BACKENDS, MachineSpec, backend

MAX_ROM = 128 << 20
"""The largest cartridge is 64 MiB; anything over this is a disc, known by its file's own hash only."""
MAX_FILE = 2 << 30
MAX_ENTRIES = 20_000
MAX_UNPACKED = 4 << 30
MAX_RATIO = 200
_EXTENSIONS = frozenset(
    ("nes", "fds", "unf", "unif", "smc", "sfc", "fig", "swc", "md", "gen", "smd", "bin", "32x", "sms", "gg",
     "sg", "gb", "gbc", "sgb", "gba", "pce", "chd", "nds", "n64", "v64", "z64", "a26", "rom", "zip")
)  # fmt: skip


@dataclass
class ImportReport:
    """What `import_roms` did."""

    imported: list[tuple[str, str]] = field(default_factory=list)
    """(file, game) of the ROMs copied; a file in an archive is `archive.zip/file`."""
    present: list[tuple[str, str]] = field(default_factory=list)
    """(file, game) of those that were here already."""
    unrecognised: list[tuple[str, str]] = field(default_factory=list)
    """(file, reason) of everything else that looks like a ROM or an archive."""
    skipped: int = 0
    """Files of other kinds."""


def import_roms(source: str | os.PathLike[str]) -> ImportReport:
    """Copy the ROMs of known games in a folder (or of one file) into the user's own.

    Zip archives are looked into, but not archives inside them. Nothing is half-written.

    Raises:
        GameError: `source` is not there, or the disk is full.
    """
    root, report = Path(source), ImportReport()
    if not root.exists():
        raise GameError(f"no folder or file '{root}'")
    known = known_hashes()
    mine = (folders.home() / "roms").resolve()
    for path in _files(root, mine):
        suffix = path.suffix.lower().lstrip(".")
        if suffix not in _EXTENSIONS:
            report.skipped += 1
            continue
        try:
            _import_file(path, known, report)
        except OSError as wrong:
            if wrong.filename is not None and Path(wrong.filename) == path:
                report.unrecognised.append((str(path), wrong.strerror or "can't be read"))
            else:
                raise GameError(f"{mine}: {wrong.strerror or wrong}; make room and import again") from None
    return report


def game_of_rom(path: Path) -> Game:
    """The game that a ROM file is: a known one by its hash, or a bare one by its kind.

    Raises:
        UnknownGame: no machine plays such a file.
    """
    if path.stat().st_size <= MAX_ROM:
        known = known_hashes()
        for digest, data in variants(path.suffix, path.read_bytes()):
            if digest in known and data is None:
                game = load_game(known[digest])
                return Game(game.definition, game.source, game.folder, path)
    spec = recognise(path)
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_.+-") else "_" for c in path.stem).strip(
        "_.+-"
    )
    table = {
        "name": name or "Rom",
        "machine": spec.backend,
        "system": spec.system,
        "rom": {"file": path.name},
    }
    return Game(check({"game": table}, str(path)), "path", path.parent, path)


def recognise(path: Path) -> MachineSpec:
    """The machine that plays a program: one that knows it by its contents, else one that knows its kind.

    Raises:
        UnknownGame: none does.
    """
    found: list[MachineSpec] = []
    for name in BACKENDS:
        try:
            spec = backend(name).recognise(path)
        except MissingComponent:
            continue
        if spec is not None:
            found.append(spec)
    if not found:
        raise UnknownGame(
            f"no machine plays '{path.name}'; its extension should tell the console, as .nes or .md do"
        )
    return max(found, key=lambda spec: bool(spec.name))


@functools.cache
def known_hashes() -> dict[str, str]:
    """SHA-1 to game, for all games that know theirs."""
    found: dict[str, str] = {}
    for source in ("bundled", "user"):
        for name in games(source):
            try:
                rom = load_game(name, source).definition.game.rom
            except GameError:
                continue  # its own error appears when it is loaded
            found.update((digest, name) for digest in (rom.sha1 if rom is not None else ()))
    for root in stable_retro_folders():
        for name in sorted(os.listdir(root)):  # noqa: PTH208 - a thousand paths take long to make
            try:
                text = (root / name / "rom.sha").read_text("ascii", "replace")
            except OSError:
                continue
            for digest in text.split():
                found.setdefault(digest.lower(), stable_retro_name(name))
    return found


@functools.cache
def ale_roms() -> dict[str, Path]:
    """SHA-1 to file of the Atari 2600 ROMs that ale-py's wheel carries."""
    root = package("ale_py")
    return {sha1(path.read_bytes()): path for path in sorted((root / "roms").glob("*.bin"))} if root else {}


def variants(suffix: str, data: bytes) -> Iterator[tuple[str, bytes | None]]:
    """The hashes that a file may be known by, each with the bytes to keep (None: the file as it is)."""
    yield sha1(data), None
    view = memoryview(data)
    if data[:4] == b"NES\x1a":
        yield sha1(view[16:]), None
        if len(data) > 528 and data[6] & 4:  # a 512-byte trainer
            yield sha1(view[528:]), None
    elif len(data) % 1024 == 512:
        yield sha1(view[512:]), data[512:]
        if (len(data) - 512) % 0x4000 == 0:
            blocks = np.frombuffer(view[512:], np.uint8).reshape(-1, 2, 0x2000)
            straight = blocks[:, ::-1].swapaxes(1, 2).tobytes()
            yield sha1(straight), straight
    elif data[:4] in (b"\x80\x37\x12\x40", b"\x37\x80\x40\x12", b"\x40\x12\x37\x80") and len(data) % 4 == 0:
        words = np.frombuffer(data, np.uint32)
        swapped = (words >> 8 & 0x00FF00FF) | (words << 8 & 0xFF00FF00)
        for order in (words.byteswap(), swapped, swapped.byteswap()):
            yield sha1(order.tobytes()), order.tobytes()


# -- files and archives --------------------------------------------------------------------------------------


def _files(root: Path, mine: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, below, names in os.walk(root):
        here = Path(folder)
        below[:] = sorted(name for name in below if (here / name).resolve() != mine)
        for name in sorted(names):
            if (here / name).is_file():
                yield here / name


def _import_file(path: Path, known: dict[str, str], report: ImportReport) -> None:
    size = path.stat().st_size
    if size > MAX_FILE:
        report.unrecognised.append((str(path), f"larger than {MAX_FILE >> 30} GiB"))
        return
    if path.suffix.lower() == ".zip":
        with path.open("rb") as file:
            digest = _stream_hash(file)
            if digest in known:  # arcade sets are known by the archive itself
                _keep(str(path), known[digest], digest, path, report)
                return
            _import_zip(path, file, known, report)
        return
    if size > MAX_ROM:
        with path.open("rb") as file:
            digest = _stream_hash(file)
        if digest in known:
            _keep(str(path), known[digest], digest, path, report)
        else:
            report.unrecognised.append((str(path), f"no known game has SHA-1 {digest}"))
        return
    _match(str(path), path.read_bytes(), known, report)


def _match(name: str, data: bytes, known: dict[str, str], report: ImportReport) -> None:
    first = ""
    for digest, better in variants(Path(name).suffix, data):
        first = first or digest
        if digest not in known:
            continue
        if digest == first and known[digest].endswith("-Nes") and data[:4] != b"NES\x1a":
            report.unrecognised.append(
                (name, f"{known[digest]} without its iNES header; get a dump that has it")
            )
            return
        _keep(name, known[digest], digest, data if better is None else better, report)
        return
    report.unrecognised.append((name, f"no known game has SHA-1 {first}"))


def _keep(name: str, game: str, digest: str, what: bytes | Path, report: ImportReport) -> None:
    """Put a ROM where `Game.find_rom` looks: by its hash, or in a folder of its hash if its name matters."""
    root = folders.home() / "roms"
    wanted = _own_name(game)
    if wanted is not None:
        target = root / digest / wanted
    else:
        system = game.rsplit("-", 1)[-1]
        extensions = stable_retro.system_info().get(system, {}).get("ext") or [Path(name).suffix.lstrip(".")]
        target = root / f"{digest}.{extensions[0].lower()}"
    if target.is_file():
        report.present.append((name, game))
        return
    if isinstance(what, bytes):
        folders.write_whole(target, what)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.copyfile(what, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    report.imported.append((name, game))


def _own_name(game: str) -> str | None:
    """The file name that an arcade core wants to see."""
    if not game.endswith("-Arcade"):
        return None
    rom = load_game(game).definition.game.rom
    return rom.file if rom is not None else None


def _import_zip(path: Path, file: BinaryIO, known: dict[str, str], report: ImportReport) -> None:
    """Look at the members of an archive, one at a time and within bounds (zip bombs)."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > MAX_ENTRIES:
                raise zipfile.BadZipFile(f"over {MAX_ENTRIES} files")
            if sum(member.file_size for member in members) > MAX_UNPACKED:
                raise zipfile.BadZipFile(f"unpacks to over {MAX_UNPACKED >> 30} GiB")
            for member in members:
                if not member.is_dir():
                    _import_member(f"{path}/{member.filename}", archive, member, known, report)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, ValueError) as wrong:
        report.unrecognised.append((str(path), f"a damaged archive: {wrong}"))
    except OSError as wrong:
        if wrong.errno != errno.EINVAL or wrong.filename is not None:
            raise
        # zipfile went to a place before the file's beginning, as the damaged directory told it
        report.unrecognised.append((str(path), "a damaged archive: it points outside itself"))


def _import_member(
    name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, known: dict[str, str], report: ImportReport
) -> None:
    suffix = Path(member.filename).suffix.lower().lstrip(".")
    if suffix not in _EXTENSIONS:
        report.skipped += 1
        return
    reason = ""
    if suffix == "zip":
        reason = "an archive in an archive; unpack it first"
    elif member.flag_bits & 1:
        reason = "encrypted; unpack it first"
    elif member.file_size > MAX_ROM:
        reason = f"larger than {MAX_ROM >> 20} MiB; unpack it first"
    elif member.file_size > (1 << 20) and member.file_size > MAX_RATIO * max(1, member.compress_size):
        reason = "packed too tightly for a ROM"
    if not reason:
        with archive.open(member) as packed:
            data = packed.read(MAX_ROM + 1)
        if len(data) != member.file_size:
            reason = "its size is not what the archive says"
    if reason:
        report.unrecognised.append((name, reason))
    else:
        _match(name, data, known, report)


def _stream_hash(file: BinaryIO) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()
