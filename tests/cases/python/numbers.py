# big integers
print(2**100, 3**50 % 1000, 10**30 // 7, -7 // 2, -7 % 3, divmod(-17, 5), pow(3, 200, 1000007), pow(3, -1, 11))
print(123456789**5, int("1" * 50) + 1, (1 << 70) >> 3, 0xFF & 0b1010 | 0o17 ^ 3, ~5, (255).bit_length(), (-5).__abs__())
print(int("ff", 16), int("0b101", 2), int("-42"), int(3.99), int(-3.99), bin(10), oct(64), hex(255), 1_000_000)
import math
print(math.factorial(30), math.comb(50, 25), math.perm(10, 3), math.gcd(48, 36, 60), math.lcm(4, 6, 10), math.isqrt(10**20))
# floats print as in CPython
print(0.1 + 0.2, 1 / 3, 2 / 3, 1e16, 1e-5, 123456789.123456789, 1e22, 1e21, 5e-324, 1.7976931348623157e308, -0.0, 100.0)
print(round(2.5), round(3.5), round(2.675, 2), round(-1.5), round(1234.5678, -2), round(5, -1), round(1e20), round(0.5))
print(7 // 2.0, 7 % 2.5, -7.5 // 2, 2**0.5, 2**-1, 10**-3, 1e3, 3.0 * 2, 4 / 2, 6.0, 1.10, 33.333333333333336)
print(float("inf"), float("-inf"), float("nan"), math.inf > 10**100, math.nan == math.nan, math.isclose(0.1 + 0.2, 0.3))
print(math.sqrt(2), math.pi, math.e, math.sin(1), math.cos(1), math.tan(1), math.log(10), math.log10(1000), math.log2(8), math.log(8, 2))
print(math.floor(-2.5), math.ceil(-2.5), math.trunc(-2.5), math.fabs(-3), math.hypot(3, 4), math.degrees(math.pi), math.radians(180))
print(math.exp(2), math.pow(2, 10), math.fsum([0.1] * 10), sum([0.1] * 10), math.prod([1, 2, 3, 4]), math.dist((0, 0), (3, 4)))
print(format(1234.5, ",.2f"), format(0.000123, ".2e"), format(12, "08b"), "%.10f" % (1 / 3), f"{1e6:.0f}", f"{12345.6789:.3g}", str(1e5), repr(1e-7))
print((0.1).hex(), (0.5).as_integer_ratio(), (3.0).is_integer(), float.fromhex("0x1p-2"), 1.5.__class__.__name__)
print(complex(1, 2) * 3j, abs(3 + 4j), (1 + 2j).conjugate(), 1j ** 2)
print(True + True, sum([True, False, True]), int(True), bool(0.0), bool("0"), 5 == 5.0, 1 < 2 < 3, not 1 == 2)
print(abs(-5), max(3, 1, 2), min([3, 1, 2]), sum(range(101)), sum([1, 2], 10), max([], default=0), max("b", "a", key=ord), 3 if 2 > 1 else 4)
from fractions import Fraction
a = Fraction(1, 3) + Fraction(1, 6)
print(a, Fraction("0.75"), Fraction(0.5), Fraction(7, 3) // 1, float(Fraction(1, 8)), Fraction(3, 4) ** 2, Fraction(-5, 10), Fraction(1, 3).limit_denominator(10), Fraction(8, 4) == 2, a.numerator, a.denominator, repr(a))
print(Fraction(3.14159).limit_denominator(100), sum([Fraction(1, n) for n in range(1, 6)]), round(Fraction(7, 2)), int(Fraction(7, 2)), Fraction(22, 7) * 7)
from decimal import Decimal, getcontext, ROUND_HALF_UP
print(Decimal("0.1") + Decimal("0.2"), Decimal(1) / Decimal(3), Decimal("1.25").quantize(Decimal("0.1"), rounding=ROUND_HALF_UP), Decimal("2").sqrt(), Decimal("1E+3"), Decimal(10) ** 20, Decimal("19.99") * 3)
getcontext().prec = 10
print(Decimal(1) / Decimal(7), Decimal("100.00").normalize(), int(Decimal("7.9")), Decimal("3.14") > 3, repr(Decimal("1.0")), -Decimal("5") % 3)
import statistics
print(statistics.mean([1, 2, 3, 4]), statistics.median([1, 3, 2]), statistics.mode([1, 1, 2]), statistics.stdev([1, 2, 3, 4]), statistics.pvariance([1, 2, 3]), statistics.mean([Fraction(1, 2), Fraction(1, 3)]))
import random
random.seed(42)
print(random.random(), random.randint(1, 100), random.choice("abc"), random.sample(range(10), 3), random.gauss(0, 1), random.shuffle([1]))
values = [1, 2, 3, 4, 5]
random.shuffle(values)
print(values, hash(10**20), hash(0.5))
print(sum(n for n in range(1000) if n % 3 == 0 or n % 5 == 0))
# Prints: 233168
