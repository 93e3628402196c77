from dataclasses import dataclass, field, asdict, replace
from enum import Enum, IntEnum, auto
from abc import ABC, abstractmethod
from typing import List, Optional, Dict, Tuple, Union, NamedTuple
import copy
class Animal:
    count = 0
    def __init__(self, name: str, legs: int = 4):
        self.name, self._legs = name, legs
        Animal.count += 1
    @property
    def legs(self): return self._legs
    @legs.setter
    def legs(self, value):
        if value < 0: raise ValueError("negative")
        self._legs = value
    @classmethod
    def bird(cls, name): return cls(name, 2)
    @staticmethod
    def sound(): return "..."
    def __repr__(self): return f"{type(self).__name__}({self.name!r})"
    def __eq__(self, other): return self.name == other.name
    def __lt__(self, other): return self.name < other.name
    def __hash__(self): return hash(self.name)
class Dog(Animal):
    def sound(self): return super().sound() + "woof"
    def __len__(self): return 7
d = Dog("Rex")
b = Animal.bird("Tit")
d.legs = 3
print(d, b, d.legs, b.legs, d.sound(), Animal.count, len(d), isinstance(d, Animal), issubclass(Dog, Animal), sorted([b, d]), Dog.__mro__[1].__name__, hasattr(d, "name"), getattr(d, "x", None))
class Vector:
    __slots__ = ("x", "y")
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, o): return Vector(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return Vector(self.x * k, self.y * k)
    __rmul__ = __mul__
    def __neg__(self): return self * -1
    def __getitem__(self, i): return (self.x, self.y)[i]
    def __iter__(self): return iter((self.x, self.y))
    def __contains__(self, v): return v in (self.x, self.y)
    def __call__(self, s): return f"{s}{self.x}"
    def __bool__(self): return bool(self.x or self.y)
    def __str__(self): return f"<{self.x}, {self.y}>"
    def __abs__(self): return (self.x**2 + self.y**2) ** 0.5
v = Vector(1, 2) + 2 * Vector(1, 1)
print(v, -v, v[0], list(v), 4 in v, v("s"), bool(Vector(0, 0)), abs(Vector(3, 4)), *v)
@dataclass(order=True)
class Item:
    price: float
    name: str = "thing"
    tags: List[str] = field(default_factory=list)
    def total(self, n: int) -> float: return self.price * n
i = Item(2.5, tags=["a"])
print(i, i == Item(2.5, tags=["a"]), Item(1) < Item(2), i.total(4), asdict(i), replace(i, name="new"), sorted([Item(3), Item(1)])[0].price)
@dataclass(frozen=True)
class Point: x: int; y: int = 0
try: Point(1).x = 2
except Exception as error: print(type(error).__name__, {Point(1): 1}[Point(1)])
class Color(Enum):
    RED = 1
    GREEN = auto()
class Level(IntEnum): LOW = 1; HIGH = 5
print(Color.RED, Color.GREEN.value, Color(1).name, [c.name for c in Color], Level.HIGH > Level.LOW, Level.HIGH + 1, Color["RED"] is Color.RED)
class Shape(ABC):
    @abstractmethod
    def area(self): ...
try: Shape()
except TypeError as error: print("abstract:", "area" in str(error))
class Employee(NamedTuple):
    name: str
    id: int = 3
print(Employee("Ann"), Employee("Bo", 4).id)
a = [1, [2]]; s = copy.copy(a); deep = copy.deepcopy(a); a[1].append(3)
print(s, deep)
class Context:
    def __enter__(self): print("enter"); return self
    def __exit__(self, *args): print("exit", args[0].__name__ if args[0] else None); return True
with Context() as c: raise ValueError("x")
class Meta(type):
    def __new__(m, name, bases, ns): ns["tag"] = name.lower(); return super().__new__(m, name, bases, ns)
class Tagged(metaclass=Meta): pass
class Countdown:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self):
        if self.n <= 0: raise StopIteration
        self.n -= 1
        return self.n + 1
class Plugin:
    found = []
    def __init_subclass__(cls, **kw): Plugin.found.append(cls.__name__)
class One(Plugin): pass
class Lazy:
    def __getattr__(self, name): return name * 2
    def __setattr__(self, k, v): object.__setattr__(self, k, v + 1)
l = Lazy(); l.a = 1
print(Tagged.tag, list(Countdown(3)), Plugin.found, Lazy().ab, l.a, type("Made", (), {"x": 1})().x)
class Tree:
    def __init__(self, value, left=None, right=None): self.value, self.left, self.right = value, left, right
    def walk(self):
        if self.left: yield from self.left.walk()
        yield self.value
        if self.right: yield from self.right.walk()
def total(node: Optional[Tree]) -> int:
    return 0 if node is None else node.value + total(node.left) + total(node.right)
t = Tree(2, Tree(1), Tree(3))
print(list(t.walk()), total(t))
# Prints: [1, 2, 3] 6
