#!/bin/sh
# Every figure that models/README.md gives of the built-in models, after `make builtin`.
#   eval/builtin/measure.sh [DATA]        DATA: folder of the real sets, ../shared/data by default
set -e
data=${1:-../shared/data}
work=target/builtin
out=$work/eval
rerank=${RERANK:-target/release/rerank}

# NAME BENCHMARK ROWS N [OPTION...]: a run with the built-in models; greedy where N is 1.
run() {
    name=$1 benchmark=$2 rows=$3 n=$4
    shift 4
    "$rerank" eval "$benchmark" --data "$rows" -n "$n" --max-tokens 200 --out "$out/$name" "$@"
}

# 1. Generated problems that no model saw; three verifiers on the same candidates of some of them.
run held-out-16 eval/generated.toml $work/held-out.jsonl 16
run held-out eval/generated.toml $work/held-out.jsonl 64 --limit 200
for verifier in dpo orm; do
    minus=
    [ $verifier = dpo ] && minus="--minus $work/reasoner.gguf"
    # shellcheck disable=SC2086
    "$rerank" rescore $out/held-out --verifier $work/verifier-$verifier.gguf $minus --out $out/held-out-$verifier
done
"$rerank" report $out/held-out $out/held-out-dpo $out/held-out-orm --out $out/verifiers
run greedy eval/generated.toml $work/held-out.jsonl 1 --limit 200 --temperature 0
python3 eval/builtin/slips.py $out/held-out/traces.jsonl

# 2. The same verifier on samples of earlier states of the reasoner; with the mean sample, the
#    learning curve.
earlier() {
    run "$1-$(basename "$4" .gguf)" "$2" "$3" 16 --limit "$5" \
        --reasoner "$4" --coder builtin --verifier builtin
}
for copy in $work/reasoner.gguf.train/[0-9]*.gguf; do
    earlier held-out eval/generated.toml $work/held-out.jsonl "$copy" 100
    for set in multiarith addsub; do
        earlier $set $set "$data/wordproblems/$set.jsonl" "$copy" 200
    done
done

# 3. Real problems that nobody here wrote: all of them at N = 16, the first 100 of each at N = 64,
# and greedy.
real() {
    run "$1" "$2" "$3" 16
    run "$1-64" "$2" "$3" 64 --limit 100
    run "$1-greedy" "$2" "$3" 1 --temperature 0
}
for set in multiarith addsub singleop singleeq svamp; do
    real $set $set "$data/wordproblems/$set.jsonl"
done
real asdiv asdiv "$data/wordproblems/asdiv_2215.jsonl"
real gsm8k gsm8k "$data/gsm8k/test.jsonl"
