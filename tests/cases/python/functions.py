# closures, defaults, keywords, decorators, recursion
def counter():
    count = 0
    def add(step=1):
        nonlocal count
        count += step
        return count
    return add
add = counter()
print(add(), add(5), add(step=2))
def f(a, b=2, *args, c, d=4, **kwargs):
    return a, b, args, c, d, kwargs
print(f(1, c=3), f(1, 5, 6, 7, c=8, z=9), f(*[1, 2], **{"c": 3}))
def g(a, /, b, *, c=3): return a + b + c
print(g(1, b=2), (lambda x, y=2: x * y)(4), [h(3) for h in [lambda n, k=k: n * k for k in range(3)]])
from functools import lru_cache, reduce, partial, wraps, cache, total_ordering, singledispatch
def twice(function):
    @wraps(function)
    def inner(*args):
        return 2 * function(*args)
    return inner
@twice
def three(): "doc"; return 3
print(three(), three.__name__, three.__doc__, reduce(lambda a, b: a * b, range(1, 6)), partial(pow, 2)(5))
@lru_cache(maxsize=None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print(fib(90), fib.cache_info().misses)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
print(depth(900))
# generators
def squares(n):
    for i in range(n):
        got = yield i * i
        if got: print("got", got)
s = squares(4)
print(next(s), s.send("x"), list(s), sum(x for x in squares(5)), list(zip(squares(3), "abc")))
def chain(*parts):
    for part in parts:
        yield from part
    return "done"
print(list(chain([1], (2, 3))), next(iter([]), "none"), any(n > 2 for n in [1, 3]), all([]))
import itertools as it
print(list(it.permutations([1, 2, 3], 2)), list(it.combinations("abc", 2)), list(it.product([0, 1], repeat=2)), list(it.accumulate([1, 2, 3])), list(it.chain([1], [2])))
print([(k, len(list(g))) for k, g in it.groupby("aabccc")], list(it.islice(it.count(5, 2), 3)), list(it.takewhile(lambda n: n < 3, [1, 2, 3, 1])), list(it.zip_longest([1], [2, 3], fillvalue=0)), list(it.combinations_with_replacement("ab", 2)), list(it.pairwise([1, 2, 3])), list(it.dropwhile(lambda n: n < 2, [1, 2, 1])), list(it.starmap(pow, [(2, 3)])), list(it.compress("abc", [1, 0, 1])), list(it.repeat(1, 2)))
# exceptions
def safe(n):
    try:
        return 10 / n
    except ZeroDivisionError as error:
        return f"{type(error).__name__}: {error}"
    except (TypeError, ValueError) as error:
        return str(error)
    else:
        return "never"
    finally:
        print("finally", n)
print(safe(2), safe(0))
class Mine(ValueError):
    def __init__(self, code): super().__init__(f"code {code}"); self.code = code
for action in (lambda: [][1], lambda: {}["k"], lambda: int("x"), lambda: None.x, lambda: "a" + 1, lambda: undefined, lambda: (_ for _ in ()).throw(Mine(7)), lambda: next(iter([])), lambda: int([])):
    try:
        action()
    except Exception as error:
        print(type(error).__name__, error, sep=": ")
try:
    try: 1 / 0
    except ZeroDivisionError as e: raise KeyError("k") from e
except KeyError as e: print(repr(e), repr(e.__cause__))
with __import__("contextlib").suppress(ValueError): int("x")
assert True, "never"
i = 0
while True:
    i += 1
    if i % 2: continue
    if i > 6: break
else:
    print("never")
for i in range(3): pass
else: print("else", i)
match {"kind": "circle", "r": 2}:
    case {"kind": "square", "side": s}: print(s)
    case {"kind": "circle", "r": r} if r > 1: print("circle", r)
    case _: print("other")
def kind(v):
    match v:
        case 0 | 1: return "small"
        case [a, b, *rest]: return f"list {a} {b} {rest}"
        case str() as s: return f"text {s}"
        case _: return "other"
print(kind(1), kind([1, 2, 3]), kind("q"), kind(None), (n := 10) + n, [y := 5, y**2])
x = 5
def scope():
    global x
    x = 6
scope()
print(x, eval("x + 1"), exec("z = 3") or z, callable(len), type(x).__name__, isinstance(True, int), id(x) == id(x), vars is not dir)
# Prints: 6 7 3 True int True True True
