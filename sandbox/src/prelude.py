# What every program finds done: packages importable, common modules imported, SymPy warm.
# Runs once, while the snapshot is taken. `source` and `setrecursionlimit` come from lib.rs.
import builtins
import sys
import time
import types
from importlib.machinery import ModuleSpec


class Packages:
    """Finds modules among the files that the host holds while the snapshot is taken."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        stem = name.replace(".", "/")
        for file in stem + "/__init__.py", stem + ".py":
            text = source(file)
            if text is not None:
                is_package = file.endswith("/__init__.py")
                spec = ModuleSpec(name, cls, origin="/packages/" + file, is_package=is_package)
                spec.has_location = True
                spec.loader_state = text
                return spec

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        spec = module.__spec__
        text, spec.loader_state = spec.loader_state, None
        exec(compile(text, spec.origin, "exec", dont_inherit=True), module.__dict__)


builtins.exit = builtins.quit = sys.exit
# There are no time zones, but `strftime` asks for their names.
time.tzname, time.timezone, time.altzone, time.daylight = ("UTC", "UTC"), 0, 0, 0
sys.setrecursionlimit = setrecursionlimit
sys.meta_path.append(Packages)

# 1. Modules of the standard library that model-written programs import.
for name in """
    abc array ast base64 bisect calendar cmath collections collections.abc contextlib copy csv
    dataclasses datetime decimal difflib enum fractions functools hashlib heapq inspect io itertools
    json keyword locale math numbers operator os os.path pprint queue random re secrets statistics
    string struct sys textwrap time timeit tokenize traceback types typing unicodedata uuid warnings
    weakref
""".split():
    __import__(name)

# 2. SymPy, if its source is at hand. It wants two things that this interpreter lacks.
if source("sympy/__init__.py") is not None:
    import threading

    class local:
        """There is one thread, so what is local to it is an object like any other."""

    threading.local = local
    ctypes = types.ModuleType("ctypes")
    ctypes.c_long, ctypes.sizeof = int, lambda _: 8
    sys.modules["ctypes"] = ctypes
    import sympy

    # SymPy imports some modules when they are first needed, which is too late in a program.
    exec(sympy_warm_up, {"__name__": "warm_up", "sys": sys})
    del sys.modules["ctypes"]

sys.meta_path.remove(Packages)
sys.setrecursionlimit(1000)
