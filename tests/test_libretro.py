"""The libretro host and machine: every core of stable-retro's wheel that has something to run here."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect import _native
from frameperfect.errors import FrameperfectError, MachineError, StateMismatch, Unsupported
from frameperfect.machine import Capability, Machine, MachineSpec, PortInput, open_machine
from frameperfect.machines.libretro import recognise
from frameperfect.machines.libretro.cores import find_core
from frameperfect.machines.libretro.machine import LibretroMachine
from frameperfect.machines.libretro.systems import SYSTEMS
from frameperfect.memory import find_domain
from frameperfect.testing import check_machine
from tests.components import need
from tests.roms import FRAMES, PADS, ROMS, mega_drive

need("stable_retro")

CASES = [(system, core) for system in ROMS for core in SYSTEMS[system].cores]
case = pytest.mark.parametrize(("system", "core"), CASES, ids=lambda part: part)

# What a button does not change: the Game Boy's reset and the like are no buttons; a Mega Drive game that asks
# for three buttons reads three; the console switches of the Atari are wired to the first controller alone.
UNSEEN = {
    "Genesis": {(port, button) for port in (0, 1) for button in ("X", "Y", "Z", "Mode")},
    "Atari2600": {(1, "Select"), (1, "Reset")},
    "Sms": {(1, "Start")},
}


@pytest.fixture(scope="module")
def roms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("roms with spaces and ünïcode")
    return {system: rom.write(folder) for system, rom in ROMS.items()}


def boot(roms: dict[str, Path], system: str, core: str | None = None, **options: str) -> LibretroMachine:
    machine = open_machine(MachineSpec("libretro", roms[system], system=system, core=core, options=options))
    assert isinstance(machine, LibretroMachine)
    return machine


def console_bytes(machine: LibretroMachine, count: int = 10) -> bytes:
    """The first bytes of work RAM as the console orders them."""
    flip = machine.domains["ram"].swap - 1
    return bytes(int(machine.memory["ram"][i ^ flip]) for i in range(count))


def airstriker() -> Path:
    retro = need("stable_retro")
    return Path(retro.__file__).parent / "data" / "stable" / "Airstriker-Genesis-v0" / "rom.md"


# -- every core ------------------------------------------------------------------------------------


@case
def test_a_core_conforms(roms: dict[str, Path], system: str, core: str) -> None:
    check_machine(lambda: boot(roms, system, core), frames=60, processes=(system, core) in QUICK_PROCESSES)


@pytest.mark.parametrize("core", SYSTEMS["Genesis"].cores)
def test_airstriker_conforms_on_every_core(core: str) -> None:
    spec = MachineSpec("libretro", airstriker(), system="Genesis", core=core)
    check_machine(lambda: open_machine(spec), frames=200, processes=False)


# Replay in fresh processes costs seconds; the rest of the cores do it in one test below, at once.
QUICK_PROCESSES = {("Genesis", "picodrive"), ("Nes", "fceumm")}


@case
def test_every_button_of_every_port_reaches_the_game(roms: dict[str, Path], system: str, core: str) -> None:
    with boot(roms, system, core) as machine:
        machine.advance(None, 60)
        unseen = UNSEEN.get(system, set())
        for port, controller in enumerate(machine.controllers):
            seen = set()
            for bit, button in enumerate(controller.buttons):
                idle = console_bytes(machine)[PADS]
                masks = [0] * len(machine.controllers)
                masks[port] = 1 << bit
                machine.advance(masks, 4)
                held = console_bytes(machine)[PADS]
                machine.advance(None, 4)
                assert (held != idle) != ((port, button) in unseen), (port, button)
                seen.add(held)
            invisible = sum(1 for p, _ in unseen if p == port)
            assert len(seen) >= len(controller.buttons) - max(invisible - 1, 0)


@case
def test_a_game_counts_the_frames_that_the_machine_counts(
    roms: dict[str, Path], system: str, core: str
) -> None:
    order = "big" if system == "Genesis" else "little"
    with boot(roms, system, core) as machine:
        machine.advance(None, 30)
        before = int.from_bytes(console_bytes(machine)[FRAMES : FRAMES + 2], order)  # type: ignore[arg-type]
        for _ in range(100):
            machine.advance(0)
        machine.advance(None, 50)
        after = int.from_bytes(console_bytes(machine)[FRAMES : FRAMES + 2], order)  # type: ignore[arg-type]
        assert (after - before, machine.frame) == (150, 180)


@case
def test_a_picture_changes_with_the_game(roms: dict[str, Path], system: str, core: str) -> None:
    with boot(roms, system, core) as machine:
        pictures = set()
        for _ in range(20):
            machine.advance(None, 7)
            pictures.add(machine.screen().tobytes())
        height, width, channels = machine.screen().shape
        assert len(pictures) > 3
        assert (height >= 144, width >= 160, channels) == (True, True, 3)


def test_inputs_replay_to_equal_memory_in_another_process(roms: dict[str, Path]) -> None:
    program = (
        "import random, sys; from pathlib import Path\n"
        "from frameperfect.machine import MachineSpec, open_machine\n"
        "for system, core, rom in zip(*[iter(sys.argv[1:])] * 3):\n"
        "    m = open_machine(MachineSpec('libretro', Path(rom), system=system, core=core))\n"
        "    r = random.Random(5)\n"
        "    for _ in range(80): m.advance(r.getrandbits(8), r.randrange(1, 4))\n"
        "    print(m.hash()); m.close()\n"
    )
    arguments = [part for system, core in CASES for part in (system, core, str(roms[system]))]
    runs = [
        subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(set(runs[0].stdout.split())) >= len(ROMS)
    assert [run.stderr for run in runs] == ["", ""]


# -- states ----------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    before=st.lists(st.integers(0, 255), min_size=1, max_size=30),
    between=st.lists(st.integers(0, 255), max_size=30),
    after=st.lists(st.integers(0, 255), min_size=1, max_size=30),
    case=st.sampled_from([("Genesis", "picodrive"), ("Genesis", "genesis_plus_gx"), ("Nes", "fceumm")]),
)
def test_a_restored_state_has_the_future_it_had(
    roms: dict[str, Path], before: list[int], between: list[int], after: list[int], case: tuple[str, str]
) -> None:
    with boot(roms, *case) as machine, boot(roms, *case) as other:
        for mask in before:
            machine.advance(mask)
        state, picture = machine.save(), machine.screen()
        for mask in after:
            machine.advance(mask)
        future, memory = machine.hash(), machine.screen()
        for mask in between:
            other.advance(mask)
        for one in (machine, other):
            one.restore(state)
            assert np.array_equal(one.screen(), picture)
            for mask in after:
                one.advance(mask)
            assert (one.hash(), one.frame) == (future, len(before) + len(after))
            assert np.array_equal(one.screen(), memory)


@given(at=st.integers(36, 200_000), bit=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_a_damaged_state_is_refused_and_changes_nothing(
    picodrive: LibretroMachine, at: int, bit: int
) -> None:
    picodrive.advance(3)
    state = bytearray(picodrive.save())
    state[36 + 0x300 + at % 100_000] ^= 1 << bit  # in the core's part, behind the headers
    before = picodrive.hash()
    with pytest.raises(StateMismatch):
        picodrive.restore(bytes(state))
    assert picodrive.hash() == before


@pytest.fixture(scope="module")
def picodrive(roms: dict[str, Path]) -> LibretroMachine:
    return boot(roms, "Genesis", "picodrive")


def test_a_state_of_another_core_or_game_is_refused(roms: dict[str, Path]) -> None:
    with boot(roms, "Genesis", "picodrive") as one, boot(roms, "Genesis", "genesis_plus_gx") as other:
        for foreign in (other.save(), b"", b"nothing", one.save()[:-1], one.save() + b"x"):
            with pytest.raises(StateMismatch):
                one.restore(foreign)


def test_a_core_refuses_garbage_in_its_own_format_and_stays_as_it_was(roms: dict[str, Path]) -> None:
    with boot(roms, "Snes") as machine:
        machine.advance(1, 20)
        before = machine.save()
        with pytest.raises(StateMismatch, match="refused"):
            machine.import_state(b"\0" * 1000)
        assert machine.save() == before


def test_a_start_state_of_stable_retro_is_imported_with_its_picture() -> None:
    import gzip

    rom = airstriker()
    state = gzip.decompress((rom.parent / "Level1.state").read_bytes())
    spec = MachineSpec("libretro", rom, system="Genesis", core="genesis_plus_gx")
    with open_machine(spec) as machine:
        machine.import_state(state)
        assert machine.screen().any()
        assert machine.frame == 0
        future = []
        for _ in range(2):
            machine.import_state(state)
            machine.advance(0, 100)
            future.append(machine.hash())
        assert future[0] == future[1]


# -- drawing left out ------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["sprites that collide", "Airstriker"])
def test_picodrive_is_the_same_machine_whether_it_draws_or_not(roms: dict[str, Path], program: str) -> None:
    rom = airstriker() if program == "Airstriker" else roms["Genesis"]
    draws, skips = (
        open_machine(MachineSpec("libretro", rom, system="Genesis", core="picodrive")) for _ in range(2)
    )
    chance = random.Random(3)
    for _ in range(300):
        mask = chance.getrandbits(8)
        for _ in range(5):
            draws.advance(mask)
        skips.advance(mask, 5)
        assert draws.hash() == skips.hash()
        assert np.array_equal(draws.screen(), skips.screen())
    assert draws.save() == skips.save()


def test_the_cheaper_sound_of_picodrive_leaves_memory_alone() -> None:
    rom = airstriker()
    spec = MachineSpec("libretro", rom, system="Genesis", core="picodrive")
    full = MachineSpec(
        "libretro", rom, system="Genesis", core="picodrive", options={"picodrive_sound_rate": "44100"}
    )
    with open_machine(spec) as cheap, open_machine(full) as rich:
        chance = random.Random(4)
        for _ in range(1000):
            mask = chance.getrandbits(8)
            cheap.advance(mask)
            rich.advance(mask)
            assert cheap.hash() == rich.hash()
        assert cheap.fingerprint != rich.fingerprint


# -- many in one process ---------------------------------------------------------------------------


def test_machines_in_one_process_do_not_touch_each_other(roms: dict[str, Path]) -> None:
    with boot(roms, "Genesis") as alone:
        alone.advance(5, 200)
        expected = alone.hash()
    crowd = [boot(roms, "Genesis") for _ in range(12)]
    for frame in range(200):
        for number, machine in enumerate(crowd):
            machine.advance(5 if number == 0 else (frame * number) & 0xFF)
    assert crowd[0].hash() == expected
    assert len({machine.hash() for machine in crowd}) == len(crowd)
    for machine in crowd:
        machine.close()


def test_opening_again_and_again_leaves_nothing_behind(roms: dict[str, Path]) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with boot(roms, "Nes"):
        pass
    before = open_files()
    for _ in range(40):
        with boot(roms, "Nes") as machine:
            machine.advance(1)
    del machine  # its views keep the core, and the core's folder
    assert open_files() == before


# -- memory ----------------------------------------------------------------------------------------


def test_what_a_killed_process_left_is_swept_and_a_living_one_keeps_its_folder(
    roms: dict[str, Path], tmp_path: Path
) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from frameperfect.machine import MachineSpec, open_machine\n"
        "m = open_machine(MachineSpec('libretro', Path(sys.argv[1]), system='Nes'))\n"
        "print(flush=True)\n"
        "input()\n"
        "m.close()\n"
    )

    def begin() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(roms["Nes"])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        return process

    with begin() as killed:
        (left,) = tmp_path.iterdir()
        killed.kill()
    assert left.exists()
    with begin() as living:
        (held,) = tmp_path.iterdir()
        assert held != left
        with begin() as other:
            assert held in tmp_path.iterdir()
            other.communicate("\n")
        living.communicate("\n")
    assert not list(tmp_path.iterdir())


def test_a_view_kept_over_reset_and_close_stays_readable(roms: dict[str, Path]) -> None:
    machine = boot(roms, "Genesis")
    machine.advance(1, 50)
    kept = machine.memory["ram"]
    copy = kept.copy()
    machine.reset()
    assert np.array_equal(kept, copy)
    assert machine.frame == 0
    machine.advance(None, 10)
    assert not np.shares_memory(kept, machine.memory["ram"])
    machine.close()
    assert np.array_equal(kept, copy)


def test_views_are_the_core_s_own_memory(roms: dict[str, Path]) -> None:
    with boot(roms, "Nes") as machine:
        machine.advance(None, 10)
        view = machine.memory["ram"]
        count = int(view[FRAMES])
        machine.advance()
        assert view[FRAMES] == (count + 1) & 0xFF
        view[FRAMES] = 200
        machine.advance()
        assert view[FRAMES] == 201


def test_memory_maps_name_the_console_s_memories(roms: dict[str, Path]) -> None:
    with boot(roms, "GameBoy") as machine:
        bases = {name: domain.base for name, domain in machine.domains.items()}
        assert bases["ram"] == 0xC000
        assert bases["vram"] == 0x8000
        assert bases["hram"] == 0xFF80
        assert not machine.domains["rom"].writable
        assert not machine.memory["rom"].flags.writeable
    with boot(roms, "GbAdvance") as machine:
        assert machine.domains["ram"].base == 0x02000000
        assert machine.domains["iwram"].base == 0x03000000


def test_the_mega_drive_s_work_ram_lies_where_disassemblies_say() -> None:
    with open_machine(MachineSpec("libretro", airstriker(), system="Genesis")) as machine:
        domain = machine.domains["ram"]
        assert (domain.base, domain.size, domain.swap) == (0xFF0000, 65536, 2)
        assert find_domain(machine.domains, 0) is None  # the cartridge's memory is not at address 0


# -- controllers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("core", SYSTEMS["Genesis"].cores)
def test_a_game_for_six_buttons_gets_a_pad_with_six(tmp_path: Path, core: str) -> None:
    rom = tmp_path / "six.md"
    rom.write_bytes(mega_drive(six_buttons=True))
    with open_machine(MachineSpec("libretro", rom, system="Genesis", core=core)) as machine:
        machine.advance(None, 60)
        idle = int(machine.memory["ram"][0])  # pad byte 1 of the console: words are swapped
        changed = set()
        for name in ("X", "Y", "Z", "Mode"):
            machine.advance(name, 4)
            changed.add(int(machine.memory["ram"][0]) ^ idle)
            machine.advance(None, 4)
        assert len(changed - {0}) == 4


def test_port_inputs_with_axes_and_a_pointer_are_accepted(roms: dict[str, Path]) -> None:
    with boot(roms, "Nes") as machine:
        machine.advance(None, 10)
        machine.advance(PortInput(machine.controllers[0].mask("A"), (1000, -1000), (5, 6, 1)), 4)
        assert machine.memory["ram"][0] == 0x80


def test_the_reset_button_restarts_the_game_and_keeps_the_frame_count(roms: dict[str, Path]) -> None:
    with boot(roms, "Nes") as machine:
        machine.advance(None, 60)
        machine.press_reset()
        machine.advance(None, 20)
        assert machine.frame == 80
        assert machine.memory["ram"][FRAMES] < 20
    with boot(roms, "GameBoy") as machine, pytest.raises(Unsupported, match="RESET_BUTTON"):
        machine.press_reset()


# -- what can go wrong -----------------------------------------------------------------------------


def one_line(error: pytest.ExceptionInfo[FrameperfectError]) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 700
    return text


def test_a_refusal_ends_with_the_core_s_own_words(tmp_path: Path) -> None:
    rom = tmp_path / "noise.gb"
    rom.write_bytes(random.Random(1).randbytes(0x148) + b"\0" * 40000)
    with pytest.raises(MachineError) as error:
        open_machine(MachineSpec("libretro", rom, system="GameBoy"))
    assert "Gambatte refused 'noise.gb'" in one_line(error)


@pytest.mark.parametrize("system", sorted(ROMS))
@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_program_cut_short_is_one_line_or_a_machine(
    tmp_path: Path, roms: dict[str, Path], system: str, length: int
) -> None:
    rom = tmp_path / roms[system].name
    rom.write_bytes(roms[system].read_bytes()[:length])
    if length == 0 or system in ("Nes", "GameBoy", "GbColor", "GbAdvance", "Genesis"):
        with pytest.raises(MachineError) as error:
            open_machine(MachineSpec("libretro", rom, system=system))
        assert rom.name in one_line(error)


def test_half_a_nes_program_says_how_much_is_missing(tmp_path: Path, roms: dict[str, Path]) -> None:
    rom = tmp_path / "half.nes"
    rom.write_bytes(roms["Nes"].read_bytes()[:9000])
    with pytest.raises(MachineError, match=r"'half\.nes' is cut short: 9000 bytes of 24592"):
        open_machine(MachineSpec("libretro", rom, system="Nes"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"system": "Nse"}, "did you mean 'Nes'"),
        ({"system": "Dreamcast"}, "there are Nes"),
        ({"core": "fceum"}, "the libretro core 'fceum' is not here"),
        ({"program": Path("/nowhere/at all.nes")}, "can't be read"),
        ({"program": Path("/tmp")}, "is a folder"),
        ({"program": None}, "needs a program"),
        ({"options": {"fceumm_regio": "Auto"}}, "did you mean 'fceumm_region'"),
        ({"options": {"fceumm_region": "Mars"}}, "can't be 'Mars'; it takes Auto"),
    ],
)
def test_a_mistake_in_the_spec_is_named_with_its_mend(
    roms: dict[str, Path], change: dict[str, object], said: str
) -> None:
    spec = {"program": roms["Nes"], "system": "Nes", **change}
    with pytest.raises(FrameperfectError) as error:
        open_machine(MachineSpec("libretro", **spec))  # type: ignore[arg-type]
    assert said in one_line(error)


def test_a_file_that_is_no_core_is_refused(
    tmp_path: Path, roms: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEPERFECT_CORES", str(tmp_path))
    whole = find_core("fceumm").read_bytes()
    for content in (b"", b"not a library", whole[:5000], whole[:400_000]):
        (tmp_path / "mine_libretro.so").write_bytes(content)
        with pytest.raises(MachineError) as error:
            boot(roms, "Nes", "mine")
        assert "mine_libretro.so" in one_line(error)


def test_options_are_settings_and_enter_the_fingerprint(roms: dict[str, Path]) -> None:
    with boot(roms, "Nes") as plain, boot(roms, "Nes", fceumm_region="PAL") as pal:
        assert ("fceumm_region", "PAL") in pal.fingerprint.settings
        assert plain.fingerprint.digest != pal.fingerprint.digest
        assert plain.frame_rate > pal.frame_rate
        assert plain.fingerprint.settings == ()


def test_a_closed_machine_says_so(roms: dict[str, Path]) -> None:
    machine = boot(roms, "Nes")
    machine.close()
    machine.close()
    with pytest.raises(_native.CoreError, match="closed"):
        machine.advance(0)


def test_programs_are_recognised_by_their_extension() -> None:
    assert (spec := recognise(Path("game.NES"))) is not None
    assert (spec.backend, spec.system) == ("libretro", "Nes")
    assert recognise(Path("notes.txt")) is None


def test_capabilities_follow_the_system(roms: dict[str, Path]) -> None:
    with boot(roms, "Genesis") as genesis, boot(roms, "GameBoy") as pocket:
        assert Capability.MULTIPLAYER in genesis.capabilities
        assert Capability.MULTIPLAYER not in pocket.capabilities
        assert Capability.SAVE | Capability.DETERMINISTIC in genesis.capabilities


@pytest.mark.parametrize("core", ["picodrive", "genesis_plus_gx"])
def test_a_used_machine_goes_on_from_a_state_as_a_fresh_one_does(core: str) -> None:
    # For long: what a core keeps beside its states may show only after hundreds of frames.
    spec = MachineSpec("libretro", airstriker(), system="Genesis", core=core)
    presses = np.random.default_rng(0).integers(0, 6, 400).tolist()

    def play(machine: Machine, saving: bool = False) -> list[str]:
        hashes = []
        for count, press in enumerate(presses):
            machine.advance(("", "Left", "Right", "B", "Left B", "Right B")[press], 4)
            hashes.append(machine.hash())
            if saving and count % 90 == 0:
                machine.save()
        return hashes

    with open_machine(spec) as used, open_machine(spec) as fresh:
        for press, frames in (("", 480), ("Start", 6), ("", 114), ("B", 6), ("", 114), ("B", 6), ("", 74)):
            used.advance(press, frames)
        state = used.save()
        expected = play(used)
        used.restore(state)
        assert play(used) == expected
        used.restore(state)
        assert play(used, saving=True) == expected
        fresh.restore(state)
        assert play(fresh) == expected
