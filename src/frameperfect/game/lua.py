"""Lua scripts of imported games, in a sandbox: what stable-retro's scenarios call for reward and end.

A script sees `data.name` (the game's variables, and values of its own), `scenario.frame` and
`scenario.timestep` (a quarter of it), and of Lua 5.1's library only what computes: no files, no programs, no
loading of code, bounded memory and a bounded number of instructions a call
(https://stable-retro.farama.org/integration/#lua-scripts).

As there: numbers kept in `data` are cut to whole ones; when an episode begins the script is loaded afresh and
its functions are called once (their results dropped) before the first step, the end before the reward.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frameperfect.errors import GameError, MissingComponent

MAX_MEMORY = 64 << 20
MAX_INSTRUCTIONS = 20_000_000
MAX_SOURCE = 1 << 20

# Runs first, with the whole library; leaves a table of functions for us and the sandbox for the script.
_PRELUDE = """
local max_instructions = ...
local G, sethook, floor, ceil = _G, debug.sethook, math.floor, math.ceil
local setmetatable, rawget, next, error, type, tostring = setmetatable, rawget, next, error, type, tostring
local values, own, frame = {}, {}, 0

local function whole(v)
    if type(v) == "number" then
        if v ~= v then return 0 end
        return v >= 0 and floor(v) or ceil(v)
    elseif type(v) == "boolean" then
        return v and 1 or 0
    elseif v == nil then
        return 0
    end
    error("data holds numbers and truth values, not a " .. type(v), 3)
end

local data = setmetatable({}, {
    __metatable = false,
    __index = function(_, name)
        local v = values[name]
        if v == nil then v = own[name] end
        if v == nil then error("no variable '" .. tostring(name) .. "'", 2) end
        return v
    end,
    __newindex = function(_, name, v)
        if type(name) ~= "string" then error("data takes names, not a " .. type(name), 2) end
        if values[name] ~= nil then error("'" .. name .. "' is memory, which rules can't change", 2) end
        own[name] = whole(v)
    end,
})
local scenario = setmetatable({}, {
    __metatable = false,
    __index = function(_, name)
        if name == "frame" then return frame end
        if name == "timestep" then return floor(frame / 4) end
        error("no scenario property '" .. tostring(name) .. "'", 2)
    end,
    __newindex = function() end,
})

local allowed = {
    "assert", "error", "ipairs", "next", "pairs", "print", "select", "tonumber", "tostring", "type", "unpack",
}
local library = { math = math, table = table }
library.string = {}
for _, name in ipairs({ "byte", "char", "format", "len", "lower", "rep", "reverse", "sub", "upper" }) do
    library.string[name] = string[name]
end
getmetatable("").__index = library.string
math.random, math.randomseed = nil, nil
for _, name in ipairs(allowed) do library[name] = G[name] end
library.print = function() end
for name in next, G do G[name] = nil end
for name, v in next, library do G[name] = v end
G._G, G.data, G.scenario = G, data, scenario

local builtin = {}
for name in next, G do builtin[name] = true end

local function guarded(f, ...)
    sethook(function() error("it runs for too long", 0) end, "", max_instructions)
    local a = f(...)
    sethook()
    return a
end

return {
    run = guarded,
    call = function(name)
        local f = rawget(G, name)
        if type(f) ~= "function" then error("no function '" .. name .. "'", 0) end
        return guarded(f)
    end,
    set_frame = function(n) frame = n end,
    set = function(name, v) values[name] = v end,
    own = own,
    globals = function()
        local mine = {}
        for name, v in next, G do
            if not builtin[name] then mine[name] = v end
        end
        return mine
    end,
    set_global = function(name, v) G[name] = v end,
    table = function() return {} end,
}
"""


class LuaScript:
    """The scripts of one environment; see `frameperfect.game.rules.Script`."""

    def __init__(self, files: Sequence[Path], reward: str | None, done: str | None) -> None:
        """Prepare to run `files`; `reward` and `done` are the functions that decide those, if any.

        Raises:
            MissingComponent: lupa is not installed.
            GameError: a file can't be read, or is not Lua.
        """
        try:
            self._lua51 = importlib.import_module("lupa.lua51")
        except ImportError:
            raise MissingComponent(
                "this game's rules are a Lua script, which needs lupa: pip install 'frameperfect[libretro]'"
            ) from None
        self._reward, self._done = reward, done
        self._files = [(str(path), _source(path)) for path in files]
        self._load()

    def _load(self) -> None:
        runtime = self._lua51.LuaRuntime(
            encoding="latin-1", register_eval=False, register_builtins=False, unpack_returned_tuples=True,
            attribute_filter=_no_attributes, max_memory=MAX_MEMORY,
        )  # fmt: skip
        self._box = runtime.execute(_PRELUDE, MAX_INSTRUCTIONS)
        self._set, self._call = self._box["set"], self._box["call"]
        self._frame = 0
        for name, source in self._files:
            try:
                self._box["run"](runtime.compile(source))
            except self._lua51.LuaError as wrong:
                raise GameError(f"{name}: {_line(wrong)}") from None

    def begin(self, values: Mapping[str, int | float]) -> None:
        """A new episode starts at these variables."""
        self._load()
        self.step(values)

    def step(self, values: Mapping[str, int | float]) -> tuple[float | None, bool | None]:
        """Reward and end at these variables; None for what no function decides."""
        for name, value in values.items():
            self._set(name, value)
        done = None if self._done is None else _number(self._function(self._done)) != 0
        reward = None if self._reward is None else _number(self._function(self._reward))
        self._frame += 1
        self._box["set_frame"](self._frame)
        return reward, done

    def _function(self, name: str) -> Any:
        try:
            return self._call(name)
        except self._lua51.LuaError as wrong:
            files = ", ".join(Path(name).name for name, _ in self._files)
            raise GameError(f"{files}: {name}(): {_line(wrong)}") from None

    def values(self) -> dict[str, int | float]:
        """What the script keeps in `data` beside the game's variables."""
        return {str(name): int(value) for name, value in self._box["own"].items()}

    def save(self) -> dict[str, Any]:
        """The script's own values and global variables, as plain values.

        Local variables of the file (`local x` outside a function) are out of reach; none of stable-retro's
        scripts keeps state in them.
        """
        keep: list[Any] = [None]
        for name, value in self._box["globals"]().items():
            plain = self._plain(value, 0)
            if plain is not None:
                keep.append([str(name), plain])
        return {"frame": self._frame, "data": self.values(), "globals": keep[1:]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to what `save` gave."""
        self._load()
        self._frame = int(state["frame"])
        self._box["set_frame"](self._frame)
        for name in list(self._box["own"]):
            self._box["own"][name] = None
        for name, value in state["data"].items():
            self._box["own"][name] = value
        for name, value in state["globals"]:
            self._box["set_global"](name, self._lua(value))

    def _plain(self, value: Any, depth: int) -> Any:
        """Numbers, strings and truth values as they are, tables as pairs; None for functions and the like."""
        if isinstance(value, (bool, int, float, str)):
            return value
        if self._lua51.lua_type(value) != "table" or depth > 8:
            return None
        pairs = [(self._plain(k, depth + 1), self._plain(v, depth + 1)) for k, v in value.items()]
        return {"table": [[k, v] for k, v in pairs if k is not None and v is not None]}

    def _lua(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        table = self._box["table"]()
        for key, item in value["table"]:
            table[self._lua(key)] = self._lua(item)
        return table


def _no_attributes(_: object, name: object, setting: bool) -> Any:
    raise AttributeError("Lua scripts see no Python objects")


def _source(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as wrong:
        raise GameError(f"{path}: {wrong.strerror}; the game's rules need this script") from None
    if len(data) > MAX_SOURCE or data[:1] == b"\x1b":
        raise GameError(f"{path}: a script is Lua source of at most {MAX_SOURCE >> 20} MiB")
    return data.decode("latin-1")


def _number(value: Any) -> float:
    """What stable-retro makes of a function's result: numbers and truth values count, anything else is 0."""
    return float(value) if isinstance(value, (bool, int, float)) else 0.0


def _line(wrong: Exception) -> str:
    lines = str(wrong).splitlines()  # empty where memory ran out
    return lines[0][:300].replace('[string "<python>"]', "line ") if lines else "it uses too much memory"
