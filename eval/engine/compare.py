"""Sampling speed beside llama.cpp's own batched benchmark, on the same file and threads.

    cargo bench --bench sampling -- write
    pip download --no-binary llama-cpp-python --no-deps llama-cpp-python
    tar xzf llama_cpp_python-*.tar.gz
    cmake -S llama_cpp_python-*/vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
        -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF
    cmake --build build --target llama-batched-bench -j
    python eval/engine/compare.py build/bin/llama-batched-bench BENCH [MODEL.gguf ...]

BENCH is the program `cargo bench --bench sampling` builds (target/release/deps/sampling-*). Runs of
the three (rerank, llama.cpp with one cache for all sequences, llama.cpp with a stream for each) are
interleaved, and medians are compared, so that what else the machine does meets all alike.
"""

import json
import os
import statistics
import subprocess
import sys

PROMPT, TOKENS, ROUNDS = 200, 48, 5


def ours(bench, model, count):
    out = subprocess.run(
        [bench, model, "generate", str(count), str(PROMPT), str(TOKENS)],
        check=True, capture_output=True, text=True).stdout
    return json.loads(out)["tokens_per_second"]


def theirs(program, model, count, unified, flash, threads):
    cells = PROMPT + count * TOKENS if unified else count * 256 * -(-(PROMPT + TOKENS) // 256)
    out = subprocess.run(
        [program, "-m", model, "-c", str(max(cells, 512) + 256 * unified), "-b", "2048", "-ub", "512",
         "-npp", str(PROMPT), "-ntg", str(TOKENS), "-npl", str(count), "-pps", "-fa", flash,
         "-t", str(threads), "-tb", str(threads), "--output-format", "jsonl",
         "-kvu" if unified else "-no-kvu"],
        check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return rows[-1]["speed_tg"]


def main():
    program, bench, *models = sys.argv[1:]
    folder = "target/bench-sampling"
    models = models or sorted(
        os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".gguf"))
    threads = len({tuple(line.split()) for line in subprocess.run(
        ["lscpu", "-p=CORE,SOCKET"], capture_output=True, text=True).stdout.splitlines()
        if not line.startswith("#")}) or os.cpu_count()
    for model in models:
        for count in (1, 4, 16, 64):
            settings = {("unified" if unified else "streams") + ", flash attention " + flash: (unified, flash)
                        for unified in (True, False) for flash in ("on", "off")}
            speeds = {name: [] for name in ("rerank", *settings)}
            for _ in range(ROUNDS):
                speeds["rerank"].append(ours(bench, model, count))
                for name, (unified, flash) in settings.items():
                    speeds[name].append(theirs(program, model, count, unified, flash, threads))
            middle = {name: statistics.median(values) for name, values in speeds.items()}
            own = middle.pop("rerank")
            best = max(middle, key=middle.get)
            unified = max(value for name, value in middle.items() if name.startswith("unified"))
            print(f"{os.path.basename(model)} N = {count}: rerank {own:.0f} tokens/s, "
                  f"{own / middle[best]:.2f} x its best ({best}: {middle[best]:.0f}), "
                  f"{own / unified:.2f} x its unified cache ({unified:.0f})", flush=True)


if __name__ == "__main__":
    main()
