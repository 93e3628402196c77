"""Sampling speed beside llama.cpp's own batched benchmark, on the same file and threads.

    cargo bench --bench sampling -- write
    pip download --no-binary llama-cpp-python --no-deps llama-cpp-python
    tar xzf llama_cpp_python-*.tar.gz
    cmake -S llama_cpp_python-*/vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
        -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF
    cmake --build build --target llama-batched-bench -j
    python eval/engine/compare.py build/bin/llama-batched-bench BENCH MODEL.gguf [--counts 1,64] [--rounds 3]

BENCH is the program `cargo bench --bench sampling` builds (target/release/deps/sampling-*). Runs of
rerank and of llama.cpp's settings (one cache for all sequences or a stream for each, with and without
flash attention) are interleaved, and medians are compared, so that what else the machine does meets
all alike. Settings that the first round finds a tenth behind the best of their kind are left out of
the others.
"""

import argparse
import json
import os
import statistics
import subprocess


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ours(options, model, count):
    return json.loads(output(
        [options.bench, model, "generate", str(count), str(options.prompt), str(options.tokens)]))


def theirs(options, model, count, unified, flash):
    prompt, tokens = options.prompt, options.tokens
    cells = prompt + count * tokens + 256 if unified else count * 256 * -(-(prompt + tokens) // 256)
    rows = output(
        [options.program, "-m", model, "-c", str(max(cells, 512)), "-b", "2048", "-ub", "512",
         "-npp", str(prompt), "-ntg", str(tokens), "-npl", str(count), "-pps", "-fa", flash,
         "-t", str(options.threads), "-tb", str(options.threads), "--output-format", "jsonl",
         "-kvu" if unified else "-no-kvu"])
    rows = [json.loads(line) for line in rows.splitlines() if line.startswith("{")]
    return rows[-1]["speed_tg"]


def cores():
    lines = output(["lscpu", "-p=CORE,SOCKET"]).splitlines()
    return len({line for line in lines if not line.startswith("#")}) or os.cpu_count()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("bench")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--counts", default="1,4,16,64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=cores())
    options = parser.parse_args()
    for model in options.models:
        for count in map(int, options.counts.split(",")):
            settings = [(unified, flash) for unified in (True, False) for flash in ("on", "off")]
            own, outside, speeds = [], [], {setting: [] for setting in settings}
            for _ in range(options.rounds):
                run = ours(options, model, count)
                own.append(run["tokens_per_second"])
                outside.append(run["outside"])
                for setting in settings:
                    speeds[setting].append(theirs(options, model, count, *setting))
                best = {kind: max(speeds[s][0] for s in speeds if s[0] == kind) for kind in (True, False)}
                settings = [s for s in settings if speeds[s][0] > 0.9 * best[s[0]]]
            middle = {setting: statistics.median(speeds[setting]) for setting in settings}
            best = max(middle, key=middle.get)
            unified = max(value for setting, value in middle.items() if setting[0])
            own, name = statistics.median(own), ("one cache" if best[0] else "streams")
            print(f"{os.path.basename(model)} N = {count}: rerank {own:.0f} tokens/s "
                  f"({statistics.median(outside):.1%} of the time outside llama.cpp), "
                  f"{own / middle[best]:.2f} x its best ({name}, flash attention {best[1]}: {middle[best]:.0f}), "
                  f"{own / unified:.2f} x its one cache ({unified:.0f}), {options.rounds} rounds", flush=True)


if __name__ == "__main__":
    main()
