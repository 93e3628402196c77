# out_of_fuel: an endless loop
while True:
    pass
# ---
# out_of_fuel: an endless loop that does work
n = 0
while True:
    n += 1
# ---
# out_of_fuel: an endless loop that swallows every exception
while True:
    try:
        1 / 0
    except BaseException:
        pass
# ---
# out_of_fuel: a long sum
print(sum(range(10**12)))
# ---
# out_of_fuel: a long loop over a product
from itertools import product
for digits in product(range(10), repeat=20):
    pass
# ---
# out_of_memory: an endless iterator inside a builtin that keeps its elements
import itertools
max(itertools.count())
# ---
# out_of_fuel: an endless iterator that is searched
import itertools
print(-1 in itertools.count())
# ---
# out_of_fuel: an endless generator
def forever():
    while True:
        yield 1
for one in forever():
    pass
# ---
# out_of_fuel: exponential recursion
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
print(fib(60))
# ---
# out_of_fuel: a regular expression that backtracks
import re
print(re.match(r"(a+)+$", "a" * 64 + "b"))
# ---
# out_of_fuel: another regular expression that backtracks
import re
print(re.search(r"(x|x)*y", "x" * 64))
# ---
# out_of_fuel: a power with ten million digits
n = 7 ** 12_000_000
n = n * n
n = str(n % 10) * 3
while True:
    pass
# ---
# out_of_fuel: a tower of powers that fits in memory
n = 3
for _ in range(60):
    n = n * n % (1 << 4_000_000)
# ---
# out_of_fuel: sorting with a comparison that never ends
from functools import cmp_to_key
def compare(a, b):
    while True:
        pass
sorted([2, 1], key=cmp_to_key(compare))
# ---
# out_of_fuel: a hash that never ends
class Slow:
    def __hash__(self):
        while True:
            pass
{Slow()}
# ---
# out_of_fuel: an equality that never ends
class Slow:
    def __hash__(self):
        return 1
    def __eq__(self, other):
        while True:
            pass
{Slow(), Slow()}
# ---
# out_of_fuel: a __str__ that never ends
class Slow:
    def __str__(self):
        while True:
            pass
print(Slow())
# ---
# out_of_fuel: a metaclass that never ends
class Meta(type):
    def __new__(cls, *parts):
        while True:
            pass
class Slow(metaclass=Meta):
    pass
# ---
# out_of_fuel: a finally clause that starts over
def again():
    while True:
        try:
            return 1
        finally:
            continue
again()
# ---
# out_of_fuel: waiting for a clock that hardly moves
import time
end = time.time() + 10**9
while time.time() < end:
    pass
# ---
# out_of_fuel: a solution() that never ends, after a program that does
def solution():
    while True:
        pass
# ---
# out_of_fuel: an answer whose str() never ends
class Slow:
    def __str__(self):
        while True:
            pass
answer = Slow()
# ---
# out_of_fuel: a deep search without an end
graph = {n: [(n * 2) % 1_000_003, (n * 3 + 1) % 1_000_003] for n in range(1000)}
from collections import deque
queue = deque([1])
while queue:
    node = queue.popleft()
    queue.extend(graph.get(node % 1000, []))
    if len(queue) > 1000:
        queue.clear()
        queue.append(node)
# ---
# out_of_fuel: brute force over permutations
from itertools import permutations
print(sum(1 for p in permutations(range(14)) if p[0] > p[1]))
# ---
# out_of_fuel: collisions in a dictionary
class Same:
    def __init__(self, n):
        self.n = n
    def __hash__(self):
        return 0
    def __eq__(self, other):
        return self.n == other.n
d = {Same(n): n for n in range(100_000)}
# ---
# out_of_fuel: a callback that calls itself back through a builtin
def f(x):
    return list(map(f, iter(int, 1)))
def g():
    while True:
        try:
            f(0)
        except RecursionError:
            pass
g()
# ---
# finished: sleeping takes no time
import time
time.sleep(3600)
print("awake")
# ---
# finished: a clock that is asked moves
import time
a = time.time()
b = time.time()
print(b > a)
