#!/bin/sh
# The runs whose figures models/README.md gives of the built-in models, after `make builtin`; how
# long training took and how faithful the coder is stands in its log.
#   sh eval/builtin/measure.sh [DATA]     DATA: folder of the real sets, ../shared/data by default
# To see whether another training agrees: python3 eval/builtin/tables.py target/builtin/eval OTHER
# Runs go side by side, one for each core, each on one thread, as the built-in models do by default.
# Runs that are finished are passed over, and one that was stopped goes on; after another training,
# remove target/builtin/eval first.
set -e
data=${1:-../shared/data}
work=target/builtin
out=$work/eval
rerank=${RERANK:-target/release/rerank}

# NAME BENCHMARK ROWS N [OPTION...] a line: runs with the built-in models; greedy where N is 1.
run() {
    xargs -P "$(nproc)" -L 1 sh -c '
        rerank=$0 out=$1 name=$2 benchmark=$3 rows=$4 n=$5
        shift 5
        "$rerank" eval "$benchmark" --data "$rows" -n "$n" --max-tokens 200 --threads 1 --out "$out/$name" "$@" \
            >"$out/$name.log" 2>&1 || { cat "$out/$name.log" >&2; exit 1; }' "$rerank" "$out"
}
mkdir -p $out

# 1. Generated problems that no model saw, and real ones that nobody here wrote: all of them at
#    N = 16, some at N = 64, and greedy. The long runs come first.
real="multiarith addsub singleop singleeq svamp asdiv gsm8k"
rows() {
    case $1 in
    asdiv) echo "$data/wordproblems/asdiv_2215.jsonl" ;;
    gsm8k) echo "$data/gsm8k/test.jsonl" ;;
    *) echo "$data/wordproblems/$1.jsonl" ;;
    esac
}
{
    echo "held-out-16 eval/generated.toml $work/held-out.jsonl 16"
    echo "held-out eval/generated.toml $work/held-out.jsonl 64 --limit 200"
    for set in $real; do echo "$set $set $(rows "$set") 16"; done
    for set in $real; do echo "$set-64 $set $(rows "$set") 64 --limit 100"; done
    for set in $real; do echo "$set-greedy $set $(rows "$set") 1 --temperature 0"; done
    echo "greedy eval/generated.toml $work/held-out.jsonl 1 --limit 200 --temperature 0"
} | run

# 2. The same verifier on samples of earlier states of the reasoner; with the mean sample, the
#    learning curve.
for copy in "$work"/reasoner.gguf.train/[0-9]*.gguf; do
    models="--reasoner $copy --coder builtin --verifier builtin"
    step=$(basename "$copy" .gguf)
    echo "held-out-$step eval/generated.toml $work/held-out.jsonl 16 --limit 100 $models"
    for set in multiarith addsub; do
        echo "$set-$step $set $(rows $set) 16 --limit 200 $models"
    done
done | run

# 3. Three verifiers on the same candidates, and what the filter does to slips of the pen.
for verifier in dpo orm; do
    minus=
    [ $verifier = dpo ] && minus="--minus $work/reasoner.gguf"
    # shellcheck disable=SC2086
    "$rerank" rescore $out/held-out --verifier $work/verifier-$verifier.gguf $minus --out $out/held-out-$verifier
done
"$rerank" rescore $out/held-out --verifier $work/reasoner.gguf --out $out/held-out-untrained
for verifier in untrained dpo orm; do
    "$rerank" report $out/held-out-$verifier >/dev/null
done
"$rerank" report $out/held-out $out/held-out-untrained $out/held-out-dpo $out/held-out-orm --out $out/verifiers
python3 eval/builtin/slips.py $out/held-out/traces.jsonl
python3 eval/builtin/tables.py $out
