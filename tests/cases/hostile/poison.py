# finished: a module is poisoned
import math
math.sqrt = lambda x: 42
math.pi = 3
# ---
# finished: a builtin is poisoned
import builtins
builtins.sum = lambda *a: 42
builtins.print = lambda *a, **k: None
# ---
# finished: SymPy is poisoned
import sys
for name in [name for name in sys.modules if name.startswith("sympy")]:
    sys.modules[name] = None
# ---
# finished: the import system is poisoned
import sys
sys.meta_path.clear()
sys.path_hooks.clear()
sys.modules.clear()
# ---
# finished: the random generator is moved
import random
random.seed(12345)
random.random = lambda: 0.5
# ---
# finished: a global is left behind
LEFT_BEHIND = 42
__name__ = "left behind"
# ---
# finished: an attribute of a shared class is changed
import fractions
fractions.Fraction.__add__ = lambda a, b: 42
# ---
# finished: decimal precision is changed
import decimal
decimal.getcontext().prec = 2
# ---
# finished: output is redirected
import sys, io
sys.stdout = sys.__stdout__ = io.StringIO()
# ---
# finished: output is closed
import sys
sys.stdout.close()
# ---
# finished: the recursion limit is lowered
import sys
sys.setrecursionlimit(50)
# ---
# finished: hooks are left behind
import sys, atexit
sys.excepthook = sys.unraisablehook = lambda *a: print("hook")
atexit.register(print, "exit hook")
sys.settrace(lambda *a: None)
# ---
# finished: a generator is left in mid air
def endless():
    try:
        while True:
            yield 1
    finally:
        print("finally")
g = endless()
next(g)
# ---
# finished: interned values are changed where Python lets them
import sys
sys.intern("poison")
sys.float_info = None
sys.maxsize = 1
# ---
# finished: warnings become errors
import warnings
warnings.simplefilter("error")
# ---
# finished: a codec is replaced
import codecs
codecs.register(lambda name: None)
# ---
# finished: JSON encodes nothing
import json
json.dumps = lambda *a, **k: "{}"
json.JSONEncoder.default = None
# ---
# finished: a cache is filled
import functools, re
for n in range(2000):
    re.compile(f"a{n}")
re.compile = None
# ---
# finished: typing and dataclasses are emptied
import dataclasses, typing
dataclasses.__dict__.clear()
typing.__dict__.clear()
# ---
# finished: the interpreter's own helpers are emptied
import sys
vars(sys.modules["importlib._bootstrap"]).clear() if "importlib._bootstrap" in sys.modules else None
