"""Where a build of DDNet's server keeps its players.

Players are objects of the class CCharacter, side by side in the program's own data. Their fields' offsets
hold for one build; another one is looked into: the objects are found by their class (its name survives
stripping), and the offsets are taken over if what they lead to is a player at rest on the map, else it is
refused.
"""

from __future__ import annotations

import struct

from frameperfect.errors import MachineError
from frameperfect.machines.native.hook import HookedGame, Places

CLASS = "10CCharacter"
"""As the C++ ABI mangles it: https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling"""

_FIRST, _STRIDE = 0x1A74C0, 4960
_OFFSETS = {
    "alive": 0x50,
    "collision": 0x1D8,
    "position": 0x1E8,
    "hook_state": 0x214,
    "hooked": 0x218,
    "jumped": 0x2CC,
    "direction": 0x2D8,
    "race": 0x1278,
    "freeze": 0x1284,
}
KNOWN = {"6e12d05c9c795c66d8bb44946bbd81144d9e41ea": (_FIRST, _STRIDE, _OFFSETS)}
"""By build: the first object from the program's base, the distance to the next, and the offsets in it. The
one here is Debian 12's ddnet-server 16.4-1.1 for amd64."""
_STAND = 14 + 1
"""A player stands so many pixels above the tile beneath, and a tile has 32."""
_SPAWN = 192


def known_places(game: HookedGame, build: str) -> Places | None:
    """Where `game` keeps its players, if it is a build that we know."""
    if build not in KNOWN:
        return None
    first, stride, offsets = KNOWN[build]
    return Places(game.base + first, stride, **offsets)


def find_places(game: HookedGame, build: str) -> Places:
    """Where a build that we don't know, whose players have joined and stand still, keeps them.

    Raises:
        MachineError: it is not laid out like one that we know.
    """
    objects = game.objects_of(CLASS)
    if len(objects) < game.players:
        raise _unknown(build, f"{len(objects)} objects of the class CCharacter for {game.players} players")
    # One player alone has no distance to the next, and needs none.
    stride = objects[1] - objects[0] if game.players > 1 else _STRIDE
    places = Places(objects[0], stride, **_OFFSETS)
    for player in range(game.players):
        if objects[player] != places.first + player * stride or not _is_player(game, places, player):
            raise _unknown(build, "its players are not laid out as in the builds that are known")
    return places


def _unknown(build: str, why: str) -> MachineError:
    return MachineError(
        f"this DDNet-Server is build {build[:12]}, which the native machine does not know: {why}; "
        "install Debian 12's ddnet-server 16.4"
    )


def _is_player(game: HookedGame, places: Places, player: int) -> bool:
    """Whether the offsets lead to someone alive who stands at rest near a spawn point of the map."""
    at = places.first + player * places.stride

    def read(offset: int, layout: str) -> tuple[float, ...]:
        return struct.unpack(layout, game.read(at + offset, struct.calcsize(layout)))

    try:
        collision = struct.unpack("<Q", game.read(at + places.collision, 8))[0]
        tiles, width, height = struct.unpack("<Qii", game.read(collision, 16))
        if not (0 < width < 1 << 14 and 0 < height < 1 << 14):
            return False
        kinds = game.read(tiles, 4 * width * height)[::4]
    except MachineError:
        return False
    x, y, vx, vy = read(places.position, "<4f")
    spawns = [divmod(cell, width) for cell in range(width * height) if kinds[cell] == _SPAWN]
    near = any(abs(x - 32 * column - 16) < 96 and abs(y - 32 * row - 16) < 1024 for row, column in spawns)
    states = (
        read(places.alive, "<B") == (1,)
        and read(places.hook_state, "<i") == (0,)
        and read(places.hooked, "<i") == (-1,)
        and read(places.direction, "<i") == (0,)
        and 0 <= read(places.jumped, "<i")[0] <= 3
        and read(places.race, "<i") == (0,)
        and 0 <= read(places.freeze, "<i")[0] <= 500
    )
    return near and states and (vx, vy) == (0, 0) and y % 32 == 32 - _STAND
