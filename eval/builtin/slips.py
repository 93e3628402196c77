#!/usr/bin/env python3
"""What the filter does to real samples of the built-in reasoner, by what is wrong with them.

    slips.py RUN/traces.jsonl

A candidate whose equations are all true ("12 + 3 = 15") but whose answer is wrong has a wrong
formula: a faithful coder's program agrees with it, and the filter must keep it. One with an untrue
equation has slipped in arithmetic: a faithful program disagrees. Equations are computed here, apart
from rerank's own code.
"""
import json
import re
import sys
from collections import Counter
from fractions import Fraction

EQUATION = re.compile(r"((?:\d+(?:\.\d+)?\s*(?://|[-+*/])\s*)+\d+(?:\.\d+)?)\s*=\s*(-?\d+(?:\.\d+)?)")


def value(formula):
    tokens = re.findall(r"\d+(?:\.\d+)?|//|[-+*/]", formula)
    total = Fraction(tokens[0])  # the generator's chains compute from left to right
    for operator, number in zip(tokens[1::2], tokens[2::2]):
        number = Fraction(number)
        if operator in ("/", "//") and number == 0:
            return None
        total = {"+": lambda: total + number, "-": lambda: total - number, "*": lambda: total * number,
                 "/": lambda: total / number, "//": lambda: Fraction(total // number)}[operator]()
    return total


def kind(candidate, right):
    equations = EQUATION.findall(candidate["text"])
    if not equations:
        return "no equation"
    slipped = any(value(formula) is None or abs(value(formula) - Fraction(stated)) > Fraction(1, 100)
                  for formula, stated in equations)
    return ("right" if right else "wrong") + (", arithmetic untrue" if slipped else ", arithmetic true")


counts = {}
for line in open(sys.argv[1]):
    trace = json.loads(line)
    gold = float(trace["reference"]["answer"].replace(",", ""))
    for candidate in trace["candidates"]:
        try:
            right = abs(float(candidate["answer"].replace(",", "").strip("$%")) - gold) < 1e-6
        except (AttributeError, ValueError, TypeError):
            right = False
        verdict = candidate["verdict"]
        if verdict == "unclear":
            verdict += ": " + candidate["verdict_reason"]
        counts.setdefault(kind(candidate, right), Counter())[verdict] += 1
for name, verdicts in sorted(counts.items()):
    total = sum(verdicts.values())
    shares = ", ".join(f"{verdict} {count} ({100 * count / total:.1f} %)" for verdict, count in verdicts.most_common())
    print(f"{name}: {total}: {shares}")
