"""Grades the same pairs with Math-Verify and with `rerank grade`, and counts where they differ.

    python3 -m venv /tmp/math-verify && /tmp/math-verify/bin/pip install math-verify==0.9.0
    /tmp/math-verify/bin/python eval/answers/compare.py --rerank target/release/rerank

Pairs: every recorded sample of a MATH problem (its text, and the answer its source recorded), every sample
that carries a label of right or wrong, and the answers of MATH against re-spellings and near misses. Who is right where the two differ is told by, in this order:
adjudicated.jsonl, which holds one distinct disagreement a line, read one by one; the label; for a text, the
answer that its source recorded for it, where both graders agree about that. The rest is counted as open.
Writes the disagreements to --out and prints the table of README.md.
"""

import argparse
import collections
import gzip
import hashlib
import json
import logging
import multiprocessing
import pathlib
import re
import subprocess
import time

HERE = pathlib.Path(__file__).parent


def rows(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
        for line in lines:
            yield json.loads(line)


def pairs(data):
    """(file, rule, gold, answer, whether the answer is bare, label or None, where the recorded answer follows)"""
    for path in sorted((data / "samples").glob("math*.jsonl*")) + [
        data / "samples/gsm8k_openai_gpt3_4models.jsonl"
    ]:
        name = path.name.split(".jsonl")[0]
        rule = "number" if name.startswith("gsm8k") else "math"
        for row in rows(path):
            for sample in row["samples"]:
                label = sample.get("correct")
                recorded = sample.get("answer") is not None
                yield name + ", texts", rule, row["gold"], sample["text"], False, label, recorded
                if recorded:
                    yield name + ", answers", rule, row["gold"], sample["answer"], True, label, False
    for row in rows(data / "steps/reasoneval_mr-math_invalid_errors.jsonl"):
        label = row["model_output_answer_correctness"] == "correct"
        yield "reasoneval_mr-math, texts", "math", row["ground_truth_answer"], row["model_output"], False, label, False
    for row in rows(data / "steps/verify_cot_human_400.jsonl"):
        if row["set"] in ("MATH", "gsm8k"):
            rule = "math" if row["set"] == "MATH" else "number"
            yield "verify_cot " + row["set"] + ", texts", rule, row["gt_answer"], row["answer"], False, row["correct"], False
    yield from constructed(data)


def constructed(data):
    """Distinct answers of MATH against a re-spelling, which is equal, and against themselves with one
    digit changed, which is different."""
    answers = {row["answer"] for name in ("math/train.jsonl.gz", "math/test.jsonl") for row in rows(data / name)}
    for answer in sorted(answers - {""}):
        respelt = re.sub(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"(\1/\2)", answer)
        # A mixed number would become a product, and a function would take the parentheses alone.
        respelt = answer if re.search(r"\d\s*\(\d+/|sec", respelt) else respelt
        respelt = respelt.replace("\\frac", "\\dfrac").replace(", ", ",").replace(" + ", "+").replace("\\!", "")
        yield "MATH answers, re-spelled", "math", answer, respelt, True, True, False
        digits = [at for at, c in enumerate(answer) if c.isdigit()]
        # 1_6 is 1_7.
        if digits and "_" not in answer:
            at = digits[len(answer) * 7919 % len(digits)]
            changed = answer[:at] + str((int(answer[at]) + 1) % 10) + answer[at + 1 :]
            yield "MATH answers, a digit changed", "math", answer, changed, True, False, False


def key(gold, tail):
    """What adjudicated.jsonl names a disagreement by: it quotes only the end of an answer."""
    return hashlib.sha256(f"{gold[-300:]}\0{tail}".encode()).hexdigest()[:16]


def math_verify(pair):
    """Math-Verify's verdict, as its README uses it; a bare answer is given as a formula."""
    from math_verify import parse, verify

    _, _, gold, answer, bare, _, _ = pair
    is_bare = len(gold) < 300 and "\\boxed" not in gold and "####" not in gold
    gold = (is_bare and parse(f"${gold}$")) or parse(gold)
    answer = (bare and parse(f"${answer}$")) or parse(answer)
    return bool(verify(gold, answer)), str(answer[0]) if answer else None


def ours(rerank, all_pairs, out):
    file = out / "pairs.jsonl"
    with open(file, "w") as lines:
        for _, rule, gold, answer, *_ in all_pairs:
            lines.write(json.dumps({"gold": gold, "answer": answer, "rule": rule}) + "\n")
    start = time.monotonic()
    graded = subprocess.run([rerank, "grade", str(file)], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in graded.splitlines()], time.monotonic() - start


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rerank", default="target/release/rerank")
    options.add_argument("--data", type=pathlib.Path, default=HERE.parents[2] / "shared/data")
    options.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/answers"))
    options.add_argument("--processes", type=int, default=2)
    options = options.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)

    all_pairs = [
        (file, rule, str(gold), str(answer), bare, label, recorded)
        for file, rule, gold, answer, bare, label, recorded in pairs(options.data)
    ]
    mine, mine_seconds = ours(options.rerank, all_pairs, options.out)
    start = time.monotonic()
    with multiprocessing.Pool(options.processes) as pool:
        theirs = pool.map(math_verify, all_pairs, chunksize=200)
    theirs_seconds = time.monotonic() - start

    judged = {}
    for row in rows(HERE / "adjudicated.jsonl") if (HERE / "adjudicated.jsonl").exists() else []:
        judged[row["key"]] = row
    table = collections.defaultdict(collections.Counter)
    kinds = collections.defaultdict(collections.Counter)
    with open(options.out / "disagreements.jsonl", "w") as lines:
        for at, (pair, grade, (their_verdict, their_answer)) in enumerate(zip(all_pairs, mine, theirs)):
            file, rule, gold, answer, bare, label, recorded = pair
            count = table[file]
            count["pairs"] += 1
            count["ours equal"] += grade["equal"]
            count["theirs equal"] += their_verdict
            if label is not None:
                count["labelled"] += 1
                count["ours as label"] += grade["equal"] == label
                count["theirs as label"] += their_verdict == label
            if grade["equal"] == their_verdict:
                continue
            count["differ"] += 1
            tail = answer if bare else answer[-300:]
            judgement = judged.get(key(gold, tail))
            truth, told_by = (judgement["right"], "reading") if judgement else (label, "the label")
            if truth is None and recorded and mine[at + 1]["equal"] == theirs[at + 1][0]:
                truth, told_by = mine[at + 1]["equal"], "the recorded answer"
            winner = "open" if truth is None else "ours" if grade["equal"] == truth else "theirs"
            count[winner] += 1
            told_by = told_by if truth is not None else "nothing yet"
            what = "equality of bare answers" if bare else "answer found in a text"
            kind = judgement["kind"] if judgement else f"{what}, told by {told_by}"
            kinds[kind][winner] += 1
            lines.write(json.dumps({
                "file": file, "gold": gold[-300:], "answer": tail, "ours": grade["equal"],
                "how": grade["how"], "theirs": their_verdict, "their_answer": their_answer,
                "label": label, "winner": winner, "told_by": told_by,
            }, ensure_ascii=False) + "\n")

    columns = ["pairs", "ours equal", "theirs equal", "labelled", "ours as label", "theirs as label",
               "differ", "ours", "theirs", "open"]  # of those that differ: who is right
    print("| pairs of | " + " | ".join(columns) + " |\n|---" + "|---:" * len(columns) + "|")
    table["all"] = sum(table.values(), collections.Counter())
    for file, count in table.items():
        print(f"| {file} | " + " | ".join(str(count[column]) for column in columns) + " |")
    print("\n| kind of difference | ours right | theirs right | open |\n|---|---:|---:|---:|")
    for kind, count in sorted(kinds.items(), key=lambda item: -sum(item[1].values())):
        print(f"| {kind} | {count['ours']} | {count['theirs']} | {count['open']} |")
    print(f"\nours {len(all_pairs) / mine_seconds:,.0f} pairs/s, "
          f"theirs {len(all_pairs) / theirs_seconds:,.0f} pairs/s with {options.processes} processes")


if __name__ == "__main__":
    main()
