# exits before the tests
exit()
# ---
# leaves the process before the tests
import os
os._exit(0)
# ---
# exits when it is called
import sys
def double(x):
    sys.exit(0)
# ---
# leaves the process when it is called
import os
def double(x):
    print("passed")
    os._exit(0)
# ---
# prints the answers
print(4)
print("passed")
def double(x):
    print(2 * x)
# ---
# equals everything
class Any:
    def __eq__(self, other):
        return True
    __hash__ = None
def double(x):
    return Any()
# ---
# equals everything, in a list
class Any(int):
    def __eq__(self, other):
        return True
def double(x):
    return Any(0) if x != 7 else [Any(0)]
# ---
# makes every distance nothing
import builtins
builtins.abs = lambda x: 0
def double(x):
    return 1
# ---
# makes every distance nothing by a name of its own
abs = lambda x: 0
def double(x):
    return 1
# ---
# redefines what tests are run with
import builtins
for name in "exec", "eval", "compile", "globals", "print", "str":
    setattr(builtins, name, lambda *a, **k: None)
    globals()[name] = lambda *a, **k: None
def double(x):
    return 1
# ---
# hides the exceptions that tests raise
AssertionError = BaseException = Exception = SystemExit = ZeroDivisionError = KeyError
import builtins
builtins.AssertionError = builtins.BaseException = builtins.Exception = KeyError
def double(x):
    return 1
# ---
# exits with another exception in the name of SystemExit
SystemExit = KeyError
def double(x):
    exit(0)
# ---
# removes what it was not given
for name in list(globals()):
    if name.startswith("__re"):
        del globals()[name]
def double(x):
    return 2 * x
# ---
# clears the scope when it is called
def double(x):
    globals().clear()
    return 1
# ---
# closes the output
import sys
sys.stdout.close()
def double(x):
    return 1
# ---
# puts another output in place
import io, sys
sys.stdout = io.StringIO()
def double(x):
    sys.stdout.write("passed")
# ---
# forgets all modules
import sys
sys.modules.clear()
def double(x):
    return 1
# ---
# never ends
while True:
    pass
# ---
# never ends when it is called
def double(x):
    while True:
        pass
# ---
# prints without end
def double(x):
    while True:
        print("passed" * 1000)
# ---
# recurses without end
def double(x):
    return double(x)
# ---
# recurses without end, and deep
import sys
sys.setrecursionlimit(10 ** 9)
def double(x):
    return double(x) + 1
# ---
# takes all memory
def double(x):
    return [0] * 10 ** 9
# ---
# gives a value that writes itself without end
def double(x):
    value = []
    value.append(value)
    return value
# ---
# gives what raises whenever it is looked at
class Raises:
    def __getattribute__(self, name):
        raise SystemExit(0)
def double(x):
    return Raises()
# ---
# raises something whose message raises
class Mute(BaseException):
    def __str__(self):
        raise SystemExit(0)
def double(x):
    raise Mute()
# ---
# is no Python
def double(x)
    return 2 * x
# ---
# is cut off
def double(x):
    return (2 *
