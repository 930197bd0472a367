"""The bundled games, a folder each.

`frameperfect.games()` lists all games, and importing a package makes it an attribute of the one above: so
that neither takes the other's place, this package can be called.
"""

from __future__ import annotations

import sys
import types


class _Games(types.ModuleType):
    def __call__(self, source: str | None = None) -> list[str]:
        from frameperfect.game import games

        return games(source)


sys.modules[__name__].__class__ = _Games
