"""Pickles that try to run something, to fill the memory, or to end the process.

Each is bytes; ``MARK`` is a file in the working directory that must never appear.
"""

import pickle
import struct
from typing import Any

import numpy as np

MARK = "executed"
TOUCH = f"open({MARK!r}, 'w').close()"

# module, name and arguments; the published ones for numpy and torch are among them
CALLS: list[tuple[str, str, tuple[Any, ...]]] = [
    ("os", "system", (f"touch {MARK}",)),
    ("posix", "system", (f"touch {MARK}",)),
    ("nt", "system", (f"touch {MARK}",)),
    ("subprocess", "Popen", (["touch", MARK],)),
    ("subprocess", "check_output", (["touch", MARK],)),
    ("builtins", "eval", (TOUCH,)),
    ("builtins", "exec", (TOUCH,)),
    ("__builtin__", "eval", (TOUCH,)),
    ("builtins", "__import__", ("antigravity",)),
    ("builtins", "getattr", ("", "format")),
    ("builtins", "open", (MARK, "w")),
    ("builtins", "compile", (TOUCH, "x", "exec")),
    ("builtins", "map", ()),
    ("operator", "attrgetter", ("__class__",)),
    ("operator", "methodcaller", ("__reduce__",)),
    ("functools", "partial", ()),
    ("importlib", "import_module", ("antigravity",)),
    ("runpy", "_run_code", (TOUCH, {})),
    ("timeit", "timeit", (TOUCH,)),
    ("cProfile", "run", (TOUCH,)),
    ("pickle", "loads", (b"cos\nsystem\n(S'touch " + MARK.encode() + b"'\ntR.",)),
    ("marshal", "loads", (b"",)),
    ("types", "CodeType", ()),
    ("ctypes", "CDLL", ("libc.so.6",)),
    ("shutil", "rmtree", (MARK,)),
    ("pathlib", "Path", (MARK,)),
    ("codecs", "open", (MARK, "w")),
    ("_io", "FileIO", (MARK, "w")),
    ("logging", "FileHandler", (MARK,)),
    ("copyreg", "_reconstructor", ()),
    ("numpy", "load", (MARK,)),
    ("numpy", "save", (MARK, 1)),
    ("numpy", "fromfile", (MARK,)),
    ("numpy", "memmap", (MARK, "u1", "w+", 0, (1,))),
    ("numpy.testing._private.utils", "runstring", (TOUCH, {})),
    ("numpy.testing", "rundocs", (MARK,)),
    ("numpy.f2py.crackfortran", "getlincoef", (f"[{TOUCH}]", [])),
    ("numpy.f2py.crackfortran", "myeval", (TOUCH,)),
    ("numpy.f2py.crackfortran", "param_eval", (TOUCH, {}, {})),
    ("numpy.distutils.exec_command", "exec_command", (f"touch {MARK}",)),
    ("numpy.ctypeslib", "load_library", (MARK, ".")),
    ("torch.storage", "_load_from_bytes", (pickle.dumps(0),)),
    ("torch.serialization", "load", (MARK,)),
    ("torch.utils._config_module", "ConfigModule.load_config", (b"",)),
    ("torch.hub", "load", (MARK, "x")),
    ("torch._dynamo.guards", "GuardBuilder.get", (TOUCH,)),
    ("torch.fx.graph_module", "reduce_graph_module", ({}, "")),
    ("pandas", "read_pickle", (MARK,)),
    ("ase.io", "read", (MARK,)),
    ("pyg_nnp.data.formats.unpickling", "load_pickle", (MARK,)),
]


class Call:
    def __init__(self, module: str, name: str, arguments: tuple[Any, ...]) -> None:
        self.parts = module, name, arguments


def text(words: str) -> bytes:
    return b"X" + struct.pack("<I", len(words)) + words.encode()


def name_of(module: str, name: str) -> bytes:
    """Push what ``module.name`` is; dots in the name go through attributes."""
    return text(module) + text(name) + b"\x93"


def value(content: Any) -> bytes:
    return pickle.dumps(content, 2)[2:-1]


def call(module: str, name: str, arguments: tuple[Any, ...]) -> bytes:
    return b"\x80\x04]" + name_of(module, name) + value(arguments) + b"Ra."


DTYPE = name_of("numpy", "dtype") + value(("f8", False, True)) + b"R"


def array(state: bytes, dtype: bytes = DTYPE) -> bytes:
    """Build an array in a frame's dict from shape, is_fortran and content."""
    empty = (
        name_of("numpy._core.multiarray", "_reconstruct") + name_of("numpy", "ndarray") + value((0,)) + b"C\x01b\x87R"
    )
    shape, rest = state.split(b"|", 1)
    return b"\x80\x04]}" + text("R") + empty + b"(K\x01" + shape + dtype + rest + b"tbsa."


def objects(code: str) -> bytes:
    return name_of("numpy", "dtype") + value((code, False, True)) + b"R"


def bomb(empty: bytes, join: bytes) -> bytes:
    """Ten references to what came before, thirty times: 10 ** 30 parts."""
    level = b"q\x000(" + b"h\x00" * 10 + join
    return b"\x80\x04]" + empty + level * 30 + b"a."


def structural() -> dict[str, bytes]:
    """Pickles whose instructions themselves are the attack."""
    huge = struct.pack("<Q", 1 << 50)
    chain = objects("O") + b"q\xf00" + name_of("numpy._core.multiarray", "_reconstruct") + b"q\xf10"
    chain += name_of("numpy", "ndarray") + b"q\xf20"
    link = b"h\xf1h\xf2K\x00\x85C\x01b\x87R(K\x01K\x01\x85h\xf0\x89]"
    endless = name_of("builtins", "range") + value((1 << 40,)) + b"R"
    copies = b"C\xff" + b"x" * 255
    frames = [{"R": np.zeros((1, 3)), "z": np.ones(1)}]
    return {
        "inst": b"(S'touch " + MARK.encode() + b"'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'touch " + MARK.encode() + b"'\no.",
        "newobj": b"\x80\x04" + name_of("collections", "OrderedDict") + b")\x81.",
        "newobj_ex": b"\x80\x04" + name_of("os", "system") + b")}\x92.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent id": b"Pmodule\n.",
        "persistent id of torch": b"\x80\x02(X\x07\x00\x00\x00storagetQ.",
        "buffer out of band": b"\x80\x05\x97.",
        "dotted name": b"\x80\x04" + name_of("numpy", "lib.npyio.os.system") + text(f"touch {MARK}") + b"\x85R.",
        "attributes of a function": b"\x80\x04" + name_of("_codecs", "encode") + b"N}" + text("__code__") + b"Ns\x86b.",
        "attributes of the unpickler": b"\x80\x04" + name_of("numpy", "dtype") + b"}" + text("dtype") + b"Nsb.",
        "class of an array": call("numpy", "ndarray", ((1,), "O", b"A" * 8)),
        "address as object": array(value((1,)) + b"|\x89" + value(b"A" * 8), objects("O")),
        "fewer objects": array(value((10**6,)) + b"|\x89]", objects("O")),
        "records with objects": call("numpy", "dtype", ([("a", "O")],)),
        "lying shape": array(value((10**18,)) + b"|\x89" + value(b"A" * 8)),
        "negative shape": array(value((-1, -8)) + b"|\x89" + value(b"A" * 64)),
        "rows of nothing": array(value((10**12,)) + b"|\x89" + value(b""), objects("S0")),
        "rows without columns": array(value((10**15, 0)) + b"|\x89" + value(b"")),
        "scalar of objects": b"\x80\x04" + name_of("numpy._core.multiarray", "scalar") + objects("O")
        + value(b"A" * 8) + b"\x86R.",
        "bytes": call("builtins", "bytes", (1 << 40,)),
        "bytearray": call("builtins", "bytearray", (1 << 40,)),
        "range": call("builtins", "range", (1 << 40,)),
        "set of a range": b"\x80\x04" + name_of("builtins", "set") + endless + b"\x85R.",
        "lying bytes": b"\x80\x04\x8e" + huge + b"x.",
        "lying text": b"\x80\x04\x8d" + huge + b"x.",
        "lying bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b"x.",
        "lying frame": b"\x80\x04\x95" + huge + b"].",
        "lying integer": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
        "negative integer": b"\x80\x02\x8b" + struct.pack("<i", -1) + b"x.",
        "decimal integer": b"I" + b"9" * 100_000 + b"\n.",
        "index of the memo": b"\x80\x04]r\xff\xff\xff\x7f.",
        "index of the memo in text": b"]p4000000000\n.",
        "laughing lists": bomb(b"]", b"l"),
        "laughing tuples": bomb(b"]", b"t"),
        "laughing dicts": b"\x80\x04]}" + b"q\x000}(K\x00h\x00K\x01h\x00K\x02h\x00u" * 80 + b"a.",
        "list that holds itself": b"\x80\x04]q\x00h\x00a.",
        "deep list": b"]" * 300_000 + b"a" * 299_999 + b".",
        "deep tuple": b")" + b"\x85" * 300_000 + b".",
        "deep key": b"\x80\x04})" + b"\x85" * 300_000 + b"K\x01s.",
        "deep member of a set": b"\x80\x04\x8f()" + b"\x85" * 300_000 + b"\x90.",
        "deep member of a frozenset": b"\x80\x04()" + b"\x85" * 300_000 + b"\x91.",
        "arrays in arrays": b"\x80\x04" + chain + link * 50_000 + b"K\x01" + b"atb" * 50_000 + b".",
        "arrays in lists in arrays": b"\x80\x04" + chain + (link + b"]") * 50_000 + b"K\x01" + b"aatb" * 50_000 + b".",
        "copies of copies": b"\x80\x04](" + copies + b"q\x00" + name_of("builtins", "bytearray") + b"q\x01"
        + b"h\x01h\x00\x85R" * 200_000 + b"e.",
        "key of ten thousand digits": pickle.dumps([{10**9999: 1}]),
        "escapes of a terminal in a key": pickle.dumps([{"\x1b[2J\x1b]0;x\x07": 1}]),
        "half a character in a key": pickle.dumps([{b"\xed\xa0\x80".decode("utf8", "surrogatepass"): 1}]),
        "text of a million as key": pickle.dumps([{"x" * 1_000_000: 1}]),
        "object as value": pickle.dumps([{**frames[0], "z": ["H", {}]}]),
        "complex": pickle.dumps([{**frames[0], "z": 1j}]),
        "cut short": pickle.dumps(frames)[:-40],
    }  # fmt: skip


def pickles() -> dict[str, bytes]:
    """Return all of them by name."""
    calls = {f"{module}.{name}": call(module, name, arguments) for module, name, arguments in CALLS}
    return calls | structural()
