"""The Lua scripts: their text, and the names that Redis knows them by.

Each file of ``lua/`` is one operation and says what its KEYS, ARGV and reply are; some share
``stream.lua``, which is put in front. What stands there as ARGV, and the reply, travel as one string of
MessagePack each: redis-py writes arguments and reads replies piece by piece, in Python (decision 44).
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from importlib import resources

__all__ = ["SCRIPTS", "LuaScript", "ScriptName"]


class ScriptName(Enum):
    """An operation, and the files it is made of."""

    STATE = ("state.lua",)
    OPEN = ("stream.lua", "open.lua")
    READ = ("read.lua",)
    BACK = ("back.lua",)
    RENEW = ("stream.lua", "renew.lua")
    APPEND = ("stream.lua", "append.lua")
    FORWARD = ("stream.lua", "forward.lua")
    CLAIM = ("claim.lua",)
    SAVE = ("save.lua",)
    NOTE = ("note.lua",)
    DUE = ("due.lua",)
    EXPIRE = ("expire.lua",)
    BURY = ("bury.lua",)


@dataclass(frozen=True, slots=True)
class LuaScript:
    """A script's text and its SHA-1 in hexadecimal, as EVAL and EVALSHA want them."""

    text: bytes
    sha: bytes


_BEGIN, _END = (
    b"local function answer(ARGV)",
    b"""end
local reply = answer(cmsgpack.unpack(ARGV[1]))
if type(reply) == 'table' and reply.err then
  return reply
end
return cmsgpack.pack(reply)""",
)


def _load(name: ScriptName) -> LuaScript:
    folder = resources.files("recovery.stores.redis") / "lua"
    text = b"\n".join([_BEGIN, *((folder / file).read_bytes() for file in name.value), _END])
    # SHA-1 names the script in Redis's protocol; nothing is secured by it.
    return LuaScript(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


SCRIPTS = {name: _load(name) for name in ScriptName}
