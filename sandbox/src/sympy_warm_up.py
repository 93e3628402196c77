# Uses SymPy as programs do, so that what it imports and caches late is in the snapshot.
import importlib

# 1. Parts that `import sympy` leaves out or loads at the first call.
for name in """
    sympy.abc sympy.assumptions.ask_generated sympy.calculus.util sympy.codegen sympy.combinatorics
    sympy.combinatorics.coset_table sympy.combinatorics.fp_groups sympy.combinatorics.galois
    sympy.combinatorics.group_numbers sympy.combinatorics.homomorphisms
    sympy.combinatorics.schur_number sympy.crypto sympy.diffgeom sympy.discrete.recurrences
    sympy.holonomic sympy.integrals.intpoly sympy.integrals.prde sympy.interactive
    sympy.logic.utilities.dimacs sympy.matrices.normalforms
    sympy.matrices.expressions.applyfunc sympy.matrices.expressions.factorizations
    sympy.matrices.expressions.fourier sympy.ntheory.bbp_pi sympy.ntheory.continued_fraction
    sympy.ntheory.digits sympy.ntheory.ecm sympy.ntheory.egyptian_fraction
    sympy.ntheory.elliptic_curve sympy.ntheory.modular sympy.ntheory.qs sympy.parsing.mathematica
    sympy.parsing.maxima sympy.parsing.sympy_parser sympy.physics.units
    sympy.physics.units.systems.cgs sympy.plotting sympy.polys.dispersion
    sympy.polys.distributedmodules sympy.polys.modulargcd sympy.polys.multivariate_resultants
    sympy.polys.numberfields.resolvent_lookup sympy.polys.ring_series
    sympy.polys.subresultants_qq_zz sympy.polys.domains.mpelements
    sympy.polys.domains.quotientring sympy.printing.latex sympy.printing.mathml
    sympy.printing.numpy sympy.printing.pretty.pretty sympy.printing.pycode sympy.printing.tree
    sympy.series.acceleration sympy.series.aseries sympy.series.kauers
    sympy.simplify.traversaltools sympy.solvers.diophantine sympy.solvers.ode.lie_group
    sympy.solvers.ode.riccati sympy.solvers.simplex sympy.stats sympy.stats.compound_rv
    sympy.stats.error_prop sympy.tensor.array.array_derivatives sympy.tensor.array.expressions
    sympy.tensor.tensor sympy.tensor.toperators sympy.unify sympy.utilities.autowrap
    sympy.utilities.enumerative sympy.utilities.lambdify sympy.utilities.mathml sympy.vector
""".split():
    try:
        importlib.import_module(name)
    except ImportError as missing:
        print("warm-up:", name, missing, file=sys.stderr)

# 2. What programs call. An error here costs speed, not correctness.
from sympy import *

x, y, z, t = symbols("x y z t")
n, k = symbols("n k", integer=True, positive=True)
f = Function("f")
for line in """
solve(x**2 - 7*x + 12, x)
solve([x + y - 10, x - y - 2], [x, y])
solve(Eq(2*x + 3, 11), x, dict=True)
solve(x**3 - 6*x**2 + 11*x - 6)
solve(sqrt(x + 1) - 3, x)
solve(exp(x) - 5, x)
solve(2**x - 8, x)
solve(Abs(symbols('r', real=True) - 3) - 2)
solve([x**2 + y**2 - 25, x - y - 1], [x, y])
solve(x**2 + 1 > 5, x)
solveset(x**2 - 4, x, domain=S.Reals)
solveset(sin(x) - Rational(1, 2), x, Interval(0, 2*pi))
linsolve([x + y - 3, x - y - 1], x, y)
nonlinsolve([x*y - 6, x + y - 5], [x, y])
nsolve(cos(x) - x, x, 1)
reduce_inequalities([x > 1, x < 3], x)
simplify((x**2 - 1)/(x - 1))
simplify(sin(x)**2 + cos(x)**2)
expand((x + y)**4)
factor(x**3 - y**3)
cancel((x**2 - 1)/(x + 1))
apart(1/(x*(x + 1)))
together(1/x + 1/y)
collect(x*y + x + y, x)
nsimplify(0.333333333333333, rational=True)
trigsimp(sin(x)*cos(x))
radsimp(1/(sqrt(2) + 1))
logcombine(log(x) + log(y), force=True)
diff(sin(x)*exp(x), x, 2)
integrate(x**2*exp(x), x)
integrate(1/(1 + x**2), (x, 0, 1))
integrate(sin(x)**2, (x, 0, pi))
integrate(exp(-x**2), (x, -oo, oo))
limit(sin(x)/x, x, 0)
limit((1 + 1/x)**x, x, oo)
series(cos(x), x, 0, 6)
summation(k**2, (k, 1, n))
Sum(1/k**2, (k, 1, oo)).doit()
Product(k, (k, 1, 5)).doit()
Matrix([[1, 2], [3, 4]]).inv()
Matrix([[1, 2], [3, 4]]).det()
Matrix([[2, 1], [1, 2]]).eigenvals()
Matrix([[2, 1], [1, 2]]).eigenvects()
Matrix([[1, 2, 3], [4, 5, 6]]).rref()
Matrix([[1, 2], [3, 4]]) * Matrix([x, y])
dsolve(f(x).diff(x) - f(x), f(x))
rsolve(f(n + 1) - 2*f(n), f(n), {f(0): 1})
Poly(x**3 - 2*x + 1, x).all_coeffs()
roots(x**3 - 1, x)
gcd(48, 36), lcm(4, 6), igcd(6, 4)
gcd(x**2 - 1, x - 1)
factorint(360), divisors(60), divisor_count(60), totient(36)
isprime(97), prime(10), primepi(100), nextprime(100), list(primerange(1, 50))
binomial(10, 3), factorial(10), binomial(n, 2)
mod_inverse(3, 11)
diophantine(x**2 + y**2 - 25)
floor(Rational(7, 2)), ceiling(2.5), Rational("1/3"), Integer(5), Float("0.1", 20)
sqrt(8), root(27, 3), Rational(1, 3) + Rational(1, 6), (sqrt(2) + 1)**2
N(pi, 30), pi.evalf(), sqrt(2).evalf(), E.n()
sympify("2*x + 1/3"), parse_expr("x**2 + 2*x")
Piecewise((x, x > 0), (-x, True)).subs(x, -3)
Interval(0, 5).intersect(Interval(3, 7)), FiniteSet(1, 2) | FiniteSet(3)
latex(x**2/2), pretty(x**2/2), str(Matrix([[1, 2]])), srepr(x)
lambdify(x, x**2 + sin(x))(2.0)
Point(0, 0).distance(Point(3, 4)), Circle(Point(0, 0), 5).area, Triangle(Point(0, 0), Point(4, 0), Point(0, 3)).area
Line(Point(0, 0), Point(1, 1)).intersection(Line(Point(0, 2), Point(2, 0)))
Polygon((0, 0), (1, 0), (1, 1), (0, 1)).area
deg(pi/6), rad(30), sin(pi/6), cos(pi/3), tan(pi/4), acos(Rational(1, 2)), atan2(1, 1)
log(8, 2), log(100, 10), exp(1).evalf(), Abs(-3), sign(-2), Max(1, 2), Min(1, 2), Mod(7, 3)
expand_trig(sin(2*x)), expand_log(log(x*y), force=True), powsimp(x**2*x**3)
re(3 + 4*I), im(3 + 4*I), abs(3 + 4*I), conjugate(3 + 4*I), arg(1 + I)
And(x > 1, x < 2), Or(x, y), Not(x), satisfiable(And(x, Not(y)))
continued_fraction_periodic(0, 1, 7), fibonacci(10), catalan(5), bernoulli(4), harmonic(5)
partition(10)
resultant(x**2 - 1, x - 1, x), discriminant(x**2 - 4, x), degree(x**3), LC(2*x**2), quo(x**2 - 1, x - 1)
minimum(x**2, x), maximum(-x**2, x), stationary_points(x**2, x)
""".strip().splitlines():
    try:
        str(eval(line))
    except Exception as error:
        print("warm-up:", line, repr(error), file=sys.stderr)
del x, y, z, t, n, k, f
