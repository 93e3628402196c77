# out_of_memory: a list that is doubled for ever
a = [0]
while True:
    a += a
# ---
# out_of_memory: a string that is doubled for ever
s = "x"
while True:
    s += s
# ---
# raised: bytes by the gigabyte
b = bytes(3_000_000_000)
# ---
# out_of_memory: a bytearray that grows
b = bytearray()
while True:
    b.extend(b"x" * 1_000_000)
# ---
# out_of_memory: a list repeated beyond all memory
a = [0] * 900_000_000
# ---
# raised: a string repeated beyond all memory
s = "ab" * 2_000_000_000
# ---
# out_of_memory: a dictionary that grows
d = {}
n = 0
while True:
    d[n] = bytes(10_000)
    n += 1
# ---
# out_of_memory: a set of long byte strings
s = set()
n = 0
while True:
    s.add(bytes(100_000) + bytes([n % 256, n // 256]))
    n += 1
# ---
# out_of_memory: an integer with more digits than memory
n = 1 << 20_000_000_000
# ---
# out_of_memory: an integer that is squared for ever
n = 10
while True:
    n = 1 << (n.bit_length() * 2 + 10_000_000)
# ---
# out_of_memory: all of an endless iterator in a list
import itertools
list(itertools.repeat("x"))
# ---
# out_of_memory: a deque without a bound
from collections import deque
d = deque()
while True:
    d.extend([bytes(100_000), bytes(100_000)])
# ---
# out_of_memory: nested lists without an end
a = []
while True:
    a = [a, bytes(1000)]
# ---
# out_of_memory: exceptions that keep their frames
kept = []
def keep():
    block = bytes(100_000)
    try:
        raise ValueError
    except ValueError as error:
        kept.append((error, block))
while True:
    keep()
# ---
# out_of_memory: closures that keep blocks
def hold(block):
    return lambda: block
kept = []
while True:
    kept.append(hold(bytes(100_000)))
# ---
# raised: a format that pads
print(f"{1:>3000000000}")
# ---
# raised: padding by a method
"x".ljust(3_000_000_000)
# ---
# out_of_memory: joining
",".join(["x" * 1_000_000] * 4000)
# ---
# out_of_memory: replacing
("a" * 100_000).replace("a", "b" * 100_000)
# ---
# out_of_memory: a StringIO that grows
import io
s = io.StringIO()
while True:
    s.write("x" * 1_000_000)
# ---
# out_of_memory: a class for every turn
kept = []
while True:
    kept.append(type("T", (), {"block": bytes(100_000)}))
# ---
# out_of_memory: an attribute for every turn
class Bag:
    pass
bag = Bag()
n = 0
while True:
    setattr(bag, f"a{n}", bytes(100_000))
    n += 1
# ---
# out_of_memory: swallowing MemoryError does not help
a = []
while True:
    try:
        a.append(bytes(10_000_000))
    except MemoryError:
        pass
# ---
# out_of_memory: a matrix
rows = [[0.0] * 20_000 for _ in range(20_000)]
# ---
# out_of_memory: a range made into a list
list(range(2_000_000_000))
# ---
# out_of_fuel: all permutations at once
from itertools import permutations
list(permutations(range(11)))
# ---
# finished: a big integer that fits
print(len(bin(1 << 8_000_000)))
# ---
# finished: ten million bytes are not too many
b = bytearray(10_000_000)
print(len(b))
# ---
# finished: memory that is dropped can be had again
for _ in range(200):
    block = bytes(10_000_000)
print("ok")
# ---
# finished: cycles are collected
class Node:
    pass
for n in range(3_000):
    a, b = Node(), Node()
    a.other, b.other = b, a
    a.block = bytes(200_000)
print("ok")
