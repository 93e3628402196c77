# lists
a = [3, 1, 2]
a.append(5); a.extend([4, 4]); a.insert(0, 9); a.remove(4)
print(a, a.pop(), a.pop(0), a.index(2), a.count(1), sorted(a), sorted(a, reverse=True), a[::-1], a[1:], a[-1], len(a))
b = a[:]; b.sort(key=lambda n: -n); b[0:2] = [7, 8, 9]; del b[1]
print(b, [[0] * 2 for _ in range(2)], [1, 2] + [3], [0] * 3, 3 in a, list("abc"), list(range(10, 0, -3)), [*a, *b])
first, *rest = [1, 2, 3]; *start, last = "xyz"; (x, y), z = (1, 2), 3
print(first, rest, start, last, x, y, z, list(zip("ab", [1, 2])), list(enumerate("ab", 1)), list(reversed([1, 2])), list(map(str, [1, 2])))
# sorting with keys is stable
people = [("Bob", 25), ("Al", 30), ("Cy", 25), ("Di", 30)]
print(sorted(people, key=lambda p: (p[1], p[0])), sorted(people, key=lambda p: -p[1]), max(people, key=lambda p: p[1]), min(people, key=lambda p: len(p[0])))
from operator import itemgetter, attrgetter
from functools import cmp_to_key
print(sorted(people, key=itemgetter(1)), sorted([3, 1, 2], key=cmp_to_key(lambda a, b: b - a)), sorted("bAc", key=str.lower))
# comprehensions
print([n * n for n in range(6) if n % 2], {n: n**2 for n in range(3)}, {n % 3 for n in range(9)}, [[i * j for j in range(3)] for i in range(3)], [a for b in [[1], [2, 3]] for a in b], sum(n for n in range(4)))
# dictionaries keep their order
d = {"b": 1, "a": 2}
d["c"] = 3; d.update(a=5); d.setdefault("z", []).append(1)
print(d, d.get("q", 0), list(d), list(d.values()), list(d.items()), d.pop("b"), "b" in d, len(d), {**d, "n": 1}, d | {"m": 2}, dict(zip("ab", (1, 2))), sorted(d.items(), key=str), dict.fromkeys("xy", 0))
for key, value in sorted({"y": 2, "x": 1}.items()):
    print(key, value, end="; ")
print(max({"a": 3, "b": 7}, key={"a": 3, "b": 7}.get), {v: k for k, v in {"a": 1}.items()})
# sets of numbers are walked in CPython's order
print({3, 1, 2}, {10, 2, 33}, set([5, 3, 5]), {1, 2, 3} & {2, 3, 4}, {1, 2} | {3}, {1, 2, 3} - {2}, {1, 2} ^ {2, 3}, frozenset([3, 1]), set(), {1.5, 0.5, 2}, {-1, -5, 4})
print(list(set([100, 7, 19, 56])), [n for n in {40, 8, 16, 24}], tuple({9, 17, 1}), sorted({3, 1}), sum({1, 2}), {(1, 2), (0, 5), (3, 4)}, {1, 2} <= {1, 2, 3}, {5} in [{5}])
s = set([8, 3, 21])
s.add(14); s.discard(99); s.remove(8); s |= {1}
print(s, len(s), 3 in s, s.pop(), s, {1, True, 1.0}, set(range(20, 0, -3)))
# tuples
t = (1, "a", [2])
print(t, t[1], len(t), t + (3,), (1,), (), (1, 2) < (1, 3), tuple("ab"), t.index("a"), hash((1, 2)) == hash((1, 2)))
from collections import Counter, defaultdict, deque, namedtuple, OrderedDict, ChainMap
c = Counter("mississippi")
print(c.most_common(2), c["s"], c["q"], Counter([1, 1, 2]) + Counter([1]), sum(c.values()), sorted(c.elements())[:3], Counter(a=1) - Counter(a=2))
dd = defaultdict(list); dd["a"].append(1); dd2 = defaultdict(int); dd2["x"] += 5
q = deque([1, 2, 3], maxlen=3); q.append(4); q.appendleft(0); q.rotate(1)
P = namedtuple("P", "x y"); p = P(1, y=2)
print(dict(dd), dict(dd2), q, q.popleft(), p, p.x + p.y, p._replace(x=5), p._asdict(), list(OrderedDict(a=1)), ChainMap({"a": 1}, {"b": 2})["b"])
import heapq, bisect
h = [5, 1, 4]; heapq.heapify(h); heapq.heappush(h, 0)
print(heapq.heappop(h), h, heapq.nlargest(2, [1, 5, 3]), heapq.nsmallest(2, [4, 1, 3]), bisect.bisect([1, 3, 5], 3), bisect.bisect_left([1, 3, 5], 3))
l = [1, 3]; bisect.insort(l, 2)
import array
print(l, array.array("i", [1, 2]), bytearray(b"ab"), memoryview(b"ab")[0], slice(1, 2), range(5), range(0, 10, 2)[2], len(range(0, 10, 3)))
matrix = [[1, 2, 3], [4, 5, 6]]
print([list(row) for row in zip(*matrix)])
# Prints: [[1, 4], [2, 5], [3, 6]]
