# recursion_too_deep: a function that calls itself
def f():
    return f()
f()
# ---
# recursion_too_deep: two functions that call each other
def f():
    return g()
def g():
    return f()
f()
# ---
# recursion_too_deep: a raised limit is still a limit
import sys
sys.setrecursionlimit(10**9)
def f(n):
    return f(n + 1)
f(0)
# ---
# recursion_too_deep: __getattr__ that asks for what it lacks
class Odd:
    def __getattr__(self, name):
        return getattr(self, name + "x")
Odd().a
# ---
# recursion_too_deep: a repr of itself
class Odd:
    def __repr__(self):
        return repr([self])
repr(Odd())
# ---
# recursion_too_deep: an equality that compares itself
class Odd:
    def __eq__(self, other):
        return other == self
Odd() == Odd()
# ---
# recursion_too_deep: a comparison of lists that hold themselves
a = []
a.append(a)
b = []
b.append(b)
a == b
# ---
# recursion_too_deep: a sort key that sorts
def key(x):
    return sorted([x, x], key=key)
sorted([1, 2], key=key)
# ---
# recursion_too_deep: an addition that adds
class Odd:
    def __add__(self, other):
        return self + other
Odd() + 1
# ---
# recursion_too_deep: a property that reads itself
class Odd:
    @property
    def a(self):
        return self.a
Odd().a
# ---
# recursion_too_deep: a generator that walks itself
def walk():
    yield from walk()
list(walk())
# ---
# recursion_too_deep: eval that evals
def f():
    return eval("f()")
f()
# ---
# recursion_too_deep: exec that execs
text = "exec(text)"
exec(text)
# ---
# recursion_too_deep: map over map
def f(x):
    return list(map(f, [x]))
f(1)
# ---
# recursion_too_deep: a lambda in itself
f = lambda n: f(n) + 1
f(1)
# ---
# recursion_too_deep: a deep copy of a deep list
import copy
a = []
for _ in range(100_000):
    a = [a]
copy.deepcopy(a)
# ---
# recursion_too_deep: the repr of a deep list
a = []
for _ in range(200_000):
    a = [a]
repr(a)
# ---
# recursion_too_deep: the hash of a deep tuple
a = ()
for _ in range(200_000):
    a = (a,)
hash(a)
# ---
# recursion_too_deep: JSON of a deep list
import json
a = []
for _ in range(100_000):
    a = [a]
json.dumps(a)
# ---
# recursion_too_deep: JSON text with many brackets
import json
json.loads("[" * 100_000 + "]" * 100_000)
# ---
# recursion_too_deep: __del__ chains
class Node:
    def __init__(self, next):
        self.next = next
def f(n):
    return Node(f(n + 1))
f(0)
# ---
# finished: a deep list is dropped without falling
a = []
for _ in range(300_000):
    a = [a]
del a
print("ok")
# ---
# finished: a long linked list is dropped without falling
class Node:
    def __init__(self, next):
        self.next = next
head = None
for _ in range(300_000):
    head = Node(head)
del head
print("ok")
# ---
# finished: a recursion error can be caught
def f():
    return f()
try:
    f()
except RecursionError:
    print("caught")
# ---
# finished: a recursion error can be caught many times
def f():
    return f()
for _ in range(100):
    try:
        f()
    except RecursionError:
        pass
print("caught")
# ---
# finished: depth 900
def f(n):
    return 0 if n == 0 else 1 + f(n - 1)
print(f(900))
# ---
# finished: a raised limit holds what it promises
import sys
sys.setrecursionlimit(6000)
def f(n):
    return 0 if n == 0 else 1 + f(n - 1)
print(f(5000))
