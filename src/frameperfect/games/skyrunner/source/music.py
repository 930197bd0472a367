"""Songs as text, made into tables: a byte a step for each of four channels.

A song's file has `tempo N` (frames a step), then `lead`, `harmony`, `bass` and `drums`, each followed by
lines of steps: a note (`C4`, `F#5`; the bass sounds an octave lower), `-` to hold it, `.` for silence; for
drums `k`, `s`, `h`. All four are equally long, and begin again together.
"""

from __future__ import annotations

from pathlib import Path

SONGS = ("stage1", "stage2", "stage3", "title")
CHANNELS = ("lead", "harmony", "bass", "drums")
_SCALE = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LOWEST, _HIGHEST = 2, 7  # octaves
_CLOCK = 1789773  # of the console, in Hz
HOLD, REST, FIRST, END = 0, 1, 2, 255
_DRUMS = {"k": 2, "s": 3, "h": 4}


def assemble_music(folder: Path) -> str:
    """The songs and the notes' periods as assembly source; raises ValueError where a song is no song."""
    names = [f"{note}{octave}" for octave in range(_LOWEST, _HIGHEST) for note in _SCALE]
    numbers = {name: FIRST + i for i, name in enumerate(names)}
    out = [f"{song}_song:\n{_song(folder / f'{song}.txt', numbers)}" for song in SONGS]
    periods = [_period(i) for i in range(len(names))]
    for part, shift in (("low", 0), ("high", 8)):
        out.append(
            f"song_{part}:\n  .byte " + ", ".join(f"{'<>'[shift > 0]}{song}_song" for song in SONGS) + "\n"
        )
        out.append(f"note_{part}:\n" + _rows([period >> shift & 255 for period in periods]))
    return "".join(out)


def _period(semitones: int) -> int:
    """What the pulse's timer counts for a note so far above the lowest C."""
    frequency = 440 * 2 ** ((semitones + 12 * _LOWEST - 57) / 12)
    return round(_CLOCK / (16 * frequency)) - 1


def _song(path: Path, numbers: dict[str, int]) -> str:
    steps: dict[str, list[int]] = {}
    tempo, known = 0, {}
    for line in path.read_text().split("\n"):
        words = line.split()
        if not words or words[0] == ";":
            continue
        if words[0] == "tempo":
            tempo = int(words[1])
        elif words[0] in CHANNELS:
            channel = steps.setdefault(words[0], [])
            known = {"-": HOLD, ".": REST, **(_DRUMS if words[0] == "drums" else numbers)}
        else:
            wrong = [word for word in words if word not in known]
            if wrong:
                raise ValueError(f"{path.name}: '{wrong[0]}' is no step: a note such as C4 or F#5, - or .")
            channel += [known[word] for word in words]
    lengths = {channel: len(steps.get(channel, [])) for channel in CHANNELS}
    if len(set(lengths.values())) != 1 or not 0 < lengths["lead"] < 255 or not 0 < tempo < 256:
        raise ValueError(
            f"{path.name}: needs a tempo, and channels of one length up to 254; they are {lengths}"
        )
    return f"  .byte {tempo}, {lengths['lead'] + 1}\n" + "".join(_rows([*steps[c], END]) for c in CHANNELS)


def _rows(values: list[int]) -> str:
    rows = [values[at : at + 16] for at in range(0, len(values), 16)]
    return "".join("  .byte " + ",".join(f"${v:02x}" for v in row) + "\n" for row in rows)
