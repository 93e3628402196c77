#!/usr/bin/env python3
"""The tables of accuracies in models/README.md, from the runs of eval/builtin/measure.sh.

    tables.py [EVAL]           every table, as Markdown; EVAL is target/builtin/eval by default
    tables.py EVAL OTHER       two trainings side by side: do their results agree within chance?

Accuracies are in per cent, with 95 % intervals in brackets.
"""
import json
import sys
from pathlib import Path

SETS = {"multiarith": "MultiArith", "addsub": "AddSub", "singleop": "SingleOp", "singleeq": "SingleEq",
        "asdiv": "ASDiv", "svamp": "SVAMP", "gsm8k": "GSM8K test"}
WAYS = {"mean sample": "mean sample", "majority": "majority", "majority+cotnpot": "majority + CoTnPoT",
        "verifier": "verifier", "verifier+cotnpot": "verifier + CoTnPoT",
        "weighted+cotnpot": "weighted vote + CoTnPoT (default)", "weighted+soft": "weighted vote + soft filter",
        "vote of programs": "vote of programs", "vote of both": "vote of answers and programs", "oracle": "oracle"}
VERIFIERS = {"held-out-untrained": "the reasoner, not trained further", "held-out": "SimPO (shipped)",
             "held-out-dpo": "DPO", "held-out-orm": "ORM"}


def load(folder, name):
    file = folder / name / "summary.json"
    return json.loads(file.read_text()) if file.exists() else None


def interval(value):
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * value[key] for key in ("value", "low", "high")))


def accuracy(summary, way, n=None):
    """Of one way to choose at N samples, or at all that there are."""
    points = next((curve["points"] for curve in summary["curves"] if curve["way"] == way), [])
    return next((point["accuracy"] for point in reversed(points) if n in (None, point["n"])), None)


def cells(summary, ways):
    return ["-" if summary is None or (value := accuracy(summary, way)) is None else interval(value) for way in ways]


def table(title, head, rows):
    rows = [row for row in rows if row]
    if rows:
        print(f"\n**{title}**\n")
        for row in [head, ["---"] * len(head), *rows]:
            print("| " + " | ".join(row) + " |")


def every_table(folder):
    counts = [1, 2, 4, 8, 16, 32, 64]
    heads = [f"N = {n}" for n in counts]

    def curve(summary, way):
        return [interval(accuracy(summary, way, n)) for n in counts]

    held_out, whole = load(folder, "held-out"), load(folder, "held-out-16")
    table("Generated problems, by N", ["way", *heads],
          [[name, *curve(held_out, way)] for way, name in WAYS.items() if held_out])
    table("Generated problems, all at N = 16", list(WAYS.values()), [cells(whole, WAYS)] if whole else [])
    table("Verifiers on the same candidates", ["verifier", *heads],
          [[name + end, *curve(run, way)] for run_name, name in VERIFIERS.items() if (run := load(folder, run_name))
           for way, end in (("verifier", ""), ("verifier+cotnpot", " + CoTnPoT"))])

    ways = [way for way in WAYS if way != "vote of programs"]
    names = [WAYS[way] for way in ways]
    table("Real problems at N = 16", ["set", "problems", "greedy", *names],
          [[name, f"{run['problems']:,}", *cells(load(folder, key + "-greedy"), ["majority"]), *cells(run, ways)]
           for key, name in SETS.items() if (run := load(folder, key))])
    table("Real problems at N = 64", ["set", "problems", *names],
          [[name, f"{run['problems']:,}", *cells(run, ways)] for key, name in SETS.items()
           if (run := load(folder, key + "-64"))])

    steps = sorted((path.name.split("-")[-1] for path in folder.glob("addsub-*[0-9][0-9][0-9]")), key=int)
    three = ["mean sample", "verifier+cotnpot", "oracle"]
    curves = {"held-out": "generated", "multiarith": "MultiArith", "addsub": "AddSub"}
    table("Earlier states of the reasoner", ["steps", *(f"{name}: {WAYS[way]}" for name in curves.values() for way in three)],
          [[f"{int(step):,}", *(cell for key in curves for cell in cells(load(folder, f"{key}-{step}"), three))]
           for step in steps])
    transfer = ["mean sample", "majority", "verifier", "majority+cotnpot", "verifier+cotnpot", "oracle"]
    table("The shipped verifier on generated problems, samples of earlier states",
          ["steps", *(WAYS[way] for way in transfer)],
          [[f"{int(step):,}", *cells(load(folder, f"held-out-{step}"), transfer)] for step in steps])


def beside(folder, other):
    rows = []
    for key, name in {"held-out-16": "generated", **SETS}.items():
        runs = [load(folder, key), load(other, key)]
        if all(runs):
            for way in ("mean sample", "majority", "verifier+cotnpot", "oracle"):
                one, two = (accuracy(run, way) for run in runs)
                apart = one["high"] < two["low"] or two["high"] < one["low"]
                rows.append([name, WAYS[way], interval(one), interval(two), "apart" if apart else "overlap"])
    table("Two trainings of the same recipe, N = 16", ["set", "way", "one", "other", "intervals"], rows)


folders = [Path(argument) for argument in sys.argv[1:]] or [Path("target/builtin/eval")]
if not all(folder.is_dir() for folder in folders) or len(folders) > 2:
    sys.exit(__doc__)
beside(*folders) if len(folders) == 2 else every_table(folders[0])
