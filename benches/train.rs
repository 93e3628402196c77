//! Training speed and memory on the workloads of `eval/train/compare_trl.py`, which runs TRL on the same
//! files: `cargo bench --bench train`, then `python eval/train/compare_trl.py target/bench-train`.
//!
//! A llama of 6 M parameters (width 256, 6 layers, ffn 704, vocabulary 2,048), f32, all weights
//! trained; prompts of 44 and solutions of 60 tokens, the end token included.
//!
//! - `all-pairs`: 4 correct x 4 incorrect solutions of a problem, all 16 pairs, 16 pairs a step.
//! - `disjoint`: 4 disjoint pairs a problem, 16 pairs a step.
//! - `sft`: 16 texts of 256 tokens a step.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
};

use rerank::{
    Result,
    model::{
        fixture::{self, Geometry},
        gguf::Precision,
    },
    train::{self, Event, Options, Tokenize, objective::Objective, pairs},
};
use serde_json::{Value, json};

const VOCABULARY: u64 = 2048;
const END: u32 = 2;
/// Steps measured; two more warm up.
const STEPS: usize = 8;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-train");
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    if let Some(workload) = arguments.next() {
        measure(&folder, &workload);
        return;
    }
    write(&folder);
    for workload in ["all-pairs", "disjoint", "sft"] {
        // A process each, so that the peak of memory is its own.
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program).arg(workload).status();
        assert!(status.expect("the bench itself").success());
    }
}

fn measure(folder: &Path, workload: &str) {
    let sft = workload == "sft";
    let run = |file: &str, after: &str| {
        let options = Options {
            objective: if sft {
                Objective::Sft
            } else {
                Objective::Simpo {
                    beta: 2.0,
                    gamma_ratio: 0.5,
                    hinge: false,
                    label_smoothing: 0.0,
                    sft_weight: 0.0,
                }
            },
            lora: None,
            rate: 1e-5,
            // Pairs, or the tokens of 16 texts.
            batch: if sft { 16 * 255 } else { 16 },
            warmup: 0.0,
            end_token: true,
            dev_share: 0.0,
            ..Options::new(folder.join("base.gguf"), folder.join("out.gguf"))
        };
        let path = folder.join(format!("{workload}{file}.jsonl"));
        let rows = fs::read_to_string(&path).expect("written by the parent");
        let (problems, _) = pairs::parse(rows.as_bytes(), &path).expect("rows");
        let mut steps = Vec::new();
        let summary = train::run(&options, &problems, &Words, &mut |event| {
            if let Event::Step(metrics) = event {
                steps.push(metrics.clone());
            }
            ControlFlow::Continue(())
        });
        let summary = summary.unwrap_or_else(|error| panic!("{after}: {error}"));
        (steps, summary)
    };
    let (first, _) = run("-first", "the first step");
    let (steps, summary) = run("", "all steps");
    let mut seconds: Vec<f64> = steps[2..].iter().map(|step| step.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let tokens = steps[2].tokens as f64;
    let mut line = json!({
        "trainer": "rerank", "workload": workload, "first_loss": first[0].loss,
        "seconds_per_step": median, "tokens_per_second": tokens / median,
        "tokens_computed": summary.saved.tokens, "peak_mib": peak_mib(),
    });
    if !sft {
        line["pairs_per_second"] = json!(16.0 / median);
        line["tokens_pairwise"] = json!(summary.saved.pairwise);
    }
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    {
        println!("{line}");
    }
}

/// Writes the base and the pairs.
fn write(folder: &PathBuf) {
    fs::create_dir_all(folder).expect("a writable target folder");
    let geometry = Geometry::bench_6m(VOCABULARY as usize);
    let base = fixture::random_llama(&geometry, 1, Vec::new());
    let written = base.write(&folder.join("base.gguf"), Precision::F32);
    written.expect("a writable target folder");
    let mut random = 1_u64;
    let mut text = |words: usize| {
        let words = (0..words).map(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((random >> 33) % (VOCABULARY - 3) + 3).to_string()
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut problem = |pairs: &[(usize, usize)], words: [usize; 2]| -> Vec<Value> {
        let prompt = text(words[0]);
        let solutions: Vec<String> = (0..8).map(|_| text(words[1])).collect();
        let row = |&(a, b): &(usize, usize)| json!({"prompt": prompt, "chosen": solutions[a], "rejected": solutions[b]});
        pairs.iter().map(row).collect()
    };
    let all: Vec<(usize, usize)> = (0..16).map(|i| (i / 4, 4 + i % 4)).collect();
    let disjoint: Vec<(usize, usize)> = (0..4).map(|i| (i, 4 + i)).collect();
    for (workload, pairs, words, per_step) in [
        ("all-pairs", &all[..], [44, 59], 1),
        ("disjoint", &disjoint[..], [44, 59], 4),
        ("sft", &all[..1], [1, 254], 16),
    ] {
        let rows: Vec<Value> = (0..(STEPS + 2) * per_step)
            .flat_map(|_| problem(pairs, words))
            .collect();
        for (file, count) in [("", rows.len()), ("-first", pairs.len() * per_step)] {
            let lines: String = rows[..count].iter().map(|row| format!("{row}\n")).collect();
            let path = folder.join(format!("{workload}{file}.jsonl"));
            fs::write(path, lines).expect("a writable target folder");
        }
    }
}

/// Texts of numbers, each a token.
struct Words;

impl Tokenize for Words {
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        self.solution(prompt)
    }

    fn solution(&self, text: &str) -> Result<Vec<u32>> {
        let words = text.split(' ').map(|word| word.parse().expect("a number"));
        Ok(words.collect())
    }

    fn end(&self) -> Option<u32> {
        Some(END)
    }
}

/// The most memory this process held, in MiB.
fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024)
}
