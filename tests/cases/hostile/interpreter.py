# syntax_error: not Python
def f(:
# ---
# syntax_error: words
The answer is 42.
# ---
# syntax_error: an unclosed bracket
print((1, 2
# ---
# syntax_error: an unclosed string
print("abc
# ---
# syntax_error: bad indentation
if True:
print(1)
# ---
# syntax_error: tabs and spaces
if True:
        x = 1
	y = 2
# ---
# syntax_error: Python 2
print "hello"
# ---
# syntax_error: return outside a function
return 1
# ---
# syntax_error: a fence left around the program
```python
print(1)
```
# ---
# syntax_error: a number that is no number
x = 0123
# ---
# syntax_error: a break outside a loop
break
# ---
# raised: an error in evaluated text is an exception
eval("1 +")
# ---
# raised: division by zero
1 / 0
# ---
# raised: a name that is not there
print(undefined)
# ---
# raised: a failing assertion
assert 1 == 2, "no"
# ---
# raised: an exception with a cause
try:
    1 / 0
except ZeroDivisionError as error:
    raise ValueError("inner") from error
# ---
# raised: an exception group
raise ExceptionGroup("many", [ValueError(1), TypeError(2)])
# ---
# raised: an interrupt
raise KeyboardInterrupt
# ---
# raised: a generator's exit
raise GeneratorExit
# ---
# raised: an exception that is no exception
raise 42
# ---
# raised: the end of an iterator
next(iter([]))
# ---
# raised: digits beyond the limit for text
print(10 ** 5000)
# ---
# raised: code made of nothing
import types
exec(types.CodeType(0, 0, 0, 0, 0, 0, b"\x00" * 100, (), (), (), "f", "n", "q", 1, b"", b""))
# ---
# crashed: bytecode that is garbage
def f():
    pass
f.__code__ = f.__code__.replace(co_code=b"\xff\xff\xff\xff")
f()
# ---
# raised: marshalled garbage
import marshal
exec(marshal.loads(b"\xe3" + b"\xff" * 100))
# ---
# raised: pickled garbage
import pickle
pickle.loads(b"\x80\x04\x95" + b"\xff" * 50)
# ---
# raised: a pickle that runs a shell
import pickle
pickle.loads(b"cos\nsystem\n(S'id'\ntR.")
# ---
# raised: changing a builtin type
int.__add__ = lambda a, b: 42
# ---
# raised: the address of nothing
import _testcapi
# ---
# raised: a class that is its own base
class A:
    pass
A.__bases__ = (A,)
# ---
# raised: deleting a builtin that is used later
import builtins
del builtins.print
print(1)
# ---
# raised: a None module
import sys
sys.modules["math"] = None
import math
# ---
# raised: a frame without globals
exec("print(x)", {"__builtins__": {}})
# ---
# finished: faulting on purpose
import faulthandler
faulthandler._sigsegv()
# ---
# finished: an exit
exit()
# ---
# finished: exit with zero
import sys
sys.exit(0)
# ---
# finished: quit
print(1)
quit()
# ---
# raised: exit with one
exit(1)
# ---
# raised: exit with words
import sys
sys.exit("giving up")
# ---
# raised: an exit below Python
import os
os._exit(3)
# ---
# crashed: an abort
import os
os.abort()
# ---
# finished: an exit below Python without an error
import os
os._exit(0)
# ---
# finished: the stack can be looked at
import sys
frame = sys._getframe()
while frame:
    last, frame = frame, frame.f_back
print(last.f_code.co_name)
# ---
# finished: the trace hook
import sys
sys.settrace(lambda *a: None)
def f():
    return 1
print(f())
# ---
# finished: the collector can be switched off
import gc
gc.disable()
gc.set_threshold(0)
print(gc.collect() >= 0)
# ---
# finished: all objects can be listed
import gc
print(len(gc.get_objects()) >= 0)
# ---
# finished: all subclasses can be listed
print(len(object.__subclasses__()) > 100)
# ---
# finished: an exit handler that fails
import atexit
atexit.register(lambda: 1 / 0)
# ---
# finished: a __del__ that fails
class Odd:
    def __del__(self):
        1 / 0
Odd()
# ---
# finished: an import hook that lies
import sys
class Liar:
    def find_spec(self, *a):
        raise ImportError("no")
sys.meta_path.insert(0, Liar())
print(1)
# ---
# finished: no program at all
# ---
# finished: only a comment
# nothing
# ---
# finished: a program with Windows line ends is read
x = 1
print(x)
# ---
# finished: deeply nested brackets
print(len(str(eval("(" * 50 + "1" + ")" * 50))))
# ---
# raised: brackets beyond the parser
eval("(" * 100_000 + ")" * 100_000)
# ---
# recursion_too_deep: operators beyond the compiler
eval("-" * 1_000_000 + "1")
# ---
# recursion_too_deep: a chain of attributes beyond the compiler
exec("x = 1\nx" + ".real" * 200_000)
# ---
# finished: a long sum is no deep tree
print(eval("+".join(["1"] * 500)))
