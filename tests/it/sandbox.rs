//! The sandbox against its corpora: what must work, what must fail, and what must stay apart.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![expect(clippy::print_stderr, reason = "a test says what it skipped")]

use std::{
    env, fs,
    io::{Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Command, Stdio},
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use proptest::prelude::*;
use rerank::{
    execute::{Limits, Sandbox, execute},
    trace::{Execution, Outcome, Program},
};
use serde_json::Value;

/// One snapshot for all tests and all runs of the tests.
pub fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rerank");
        Sandbox::open(&cache, &|_, _| {}).unwrap()
    })
}

fn run(program: &str) -> Execution {
    sandbox().run(&Program(program.to_owned()), &Limits::default())
}

#[test]
fn value_is_the_last_line_printed_else_the_solution_else_the_answer() {
    let check = |program: &str, value: Option<&str>| {
        let execution = run(program);
        assert_eq!(execution.outcome, Outcome::Finished, "{program}");
        assert_eq!(execution.value.as_deref(), value, "{program}");
    };
    check("print(1)\nprint(2)\nprint()\nanswer = 3", Some("2"));
    check("def solution():\n    return 7.5\nans = 3", Some("7.5"));
    check("def solution():\n    print(5)", Some("5"));
    check("def solution():\n    print(5)\n    return 6", Some("6"));
    check("def solution(*, a=1, b):\n    return 6\nans = 2", Some("2"));
    check("def solution(*, a=1):\n    return 6\nans = 2", Some("6"));
    check("def solution(a, b=2):\n    return a\nans = 3", Some("3"));
    check(
        "def solution(a=1, b=2):\n    return a + b\nans = 0",
        Some("3"),
    );
    check("def solution(*, a):\n    return a\nans = 0", Some("0"));
    check("ans = None\nanswer = 0", Some("0"));
    check("ans = 1\nanswer = 2", Some("1"));
    check("raise SystemExit(0)", None);
    check("print('  seven  ')\nexit()", Some("seven"));
    check("x = 1", None);
    check(
        "if __name__ == '__main__':\n    print('main')",
        Some("main"),
    );
}

#[test]
fn mbpp_reference_programs_pass_their_own_asserts() {
    let Some(rows) = shared_rows("mbpp/mbpp.jsonl") else {
        return;
    };
    let programs = rows.iter().map(|row| {
        let lines = [&row["code"], &row["test_setup_code"]].map(|text| text.as_str().unwrap());
        let tests = row["test_list"].as_array().unwrap().iter();
        let tests: Vec<&str> = tests.map(|test| test.as_str().unwrap()).collect();
        (
            row["task_id"].to_string(),
            [&lines[..], &tests].concat().join("\n"),
        )
    });
    // 123 needs fifteen seconds, and four in CPython; 579 is told in sandbox/README.md.
    let (slow, quick): (Vec<_>, Vec<_>) = programs.partition(|(id, _)| id == "123");
    assert_eq!((slow.len(), quick.len()), (1, 973));
    assert_finished(quick, &["579"], &Limits::default());
    if std::env::var_os("RERANK_SLOW_TESTS").is_some() {
        let fuel = 400_000_000_000;
        assert_finished(
            slow,
            &[],
            &Limits {
                fuel,
                ..Limits::default()
            },
        );
    }
}

#[test]
fn humaneval_solutions_pass_their_tests() {
    let Some(rows) = shared_rows("humaneval/HumanEval.jsonl") else {
        return;
    };
    let programs = rows.iter().map(|row| {
        let text = |field: &str| row[field].as_str().unwrap();
        let solution = format!("{}{}\n", text("prompt"), text("canonical_solution"));
        let check = format!("{}\ncheck({})", text("test"), text("entry_point"));
        (text("task_id").to_owned(), solution + &check)
    });
    assert_finished(programs.collect(), &[], &Limits::default());
}

/// Runs all programs and compares those that did not finish with the ids in `known`.
fn assert_finished(programs: Vec<(String, String)>, known: &[&str], limits: &Limits) {
    let (ids, programs): (Vec<String>, Vec<_>) = programs
        .into_iter()
        .map(|(id, program)| (id, Some(Program(program))))
        .unzip();
    let executions = execute(&programs, sandbox(), limits, &|| ());
    let failed: Vec<String> = ids
        .into_iter()
        .zip(executions.into_iter().flatten())
        .filter(|(_, execution)| execution.outcome != Outcome::Finished)
        .map(|(id, execution)| format!("{id}: {}", execution.outcome))
        .collect();
    let ids: Vec<&str> = failed
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(ids, known, "{failed:#?}");
}

#[test]
fn hostile_programs_end_as_they_should_and_leave_nothing_behind() {
    // Small, so that a hundred programs that never end are soon over.
    let limits = Limits {
        fuel: 4_000_000_000,
        memory_bytes_max: 384 << 20,
        ..Limits::default()
    };
    let probe = Program(PROBE.to_owned());
    let untouched = sandbox().run(&probe, &limits);
    assert_eq!(untouched.outcome, Outcome::Finished, "{untouched:?}");
    let mut count = 0;
    let mut wrong = Vec::new();
    for (file, text) in cases("hostile") {
        for case in text.split("\n# ---\n") {
            count += 1;
            let head = case.lines().next().unwrap();
            let (expected, property) = head.trim_start_matches("# ").split_once(": ").unwrap();
            let execution = sandbox().run(&Program(case.to_owned()), &limits);
            let outcome = &execution.outcome;
            if outcome.name() != expected {
                wrong.push(format!("{file}: {property}: not {expected} but {outcome}"));
            }
            assert!(
                execution.stdout.len() <= limits.output_bytes_max,
                "{file}: {property}"
            );
            assert!(execution.fuel <= limits.fuel, "{file}: {property}");
            let again = sandbox().run(&probe, &limits);
            assert_eq!(
                again.stdout, untouched.stdout,
                "{file}: {property} left something behind"
            );
            assert_eq!(
                again.fuel, untouched.fuel,
                "{file}: {property} left something behind"
            );
        }
    }
    assert!(count >= 120, "only {count} hostile programs");
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(!Path::new("/tmp/rerank-was-here").exists());
    assert!(!Path::new("rerank-was-here").exists());
}

/// Looks at everything that a hostile program may have changed for the next.
const PROBE: &str = "
import sys, math, random, json, decimal, fractions, re, os, time, sympy, warnings, dataclasses
print(sorted(name for name in globals() if not name.startswith('__')), __name__)
print(math.sqrt(2), math.pi, sum([1, 2]), random.random(), json.dumps({'a': 1}))
print(decimal.Decimal(1) / 3, fractions.Fraction(1, 3) + 1, re.compile('a+').findall('aab'))
print(sympy.solve('x**2 - 4'), sys.getrecursionlimit(), sys.maxsize, len(sys.modules))
print(time.time(), os.urandom(4), dict(os.environ), sys.path, len(sys.meta_path), warnings.filters)
print(dataclasses.make_dataclass('P', ['x'])(1), id(object()), hash('seed'))
";

#[test]
fn python_programs_print_what_their_last_comment_says() {
    let mut wrong = Vec::new();
    for (file, text) in cases("python") {
        let expected = text.trim_end().lines().last().unwrap();
        let expected = expected.strip_prefix("# Prints: ").expect(&file);
        let execution = run(&text);
        if execution.value.as_deref() != Some(expected) || execution.outcome != Outcome::Finished {
            wrong.push(format!(
                "{file}: {} with {:?}, not {expected:?}",
                execution.outcome, execution.value
            ));
        }
        match cpython(&text) {
            Some(stdout) if stdout != execution.stdout => wrong.push(format!(
                "{file}: CPython prints\n{stdout}\nthe sandbox\n{}",
                execution.stdout
            )),
            Some(_) => {}
            None => eprintln!("skipped {file} under CPython: no python3 with what it imports"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What CPython prints, or `None` if it is not there or lacks a package.
fn cpython(program: &str) -> Option<String> {
    let mut python = Command::new("python3")
        .args(["-I", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    python
        .stdin
        .take()
        .unwrap()
        .write_all(program.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("ModuleNotFoundError") {
        return None;
    }
    assert!(output.status.success(), "{complaint}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn ten_thousand_programs_leave_memory_flat() {
    let Some(_) = resident_bytes() else {
        eprintln!("skipped: /proc/self/statm is not there");
        return;
    };
    // In a process of its own: other tests load models meanwhile.
    const ALONE: &str = "RERANK_TEST_ALONE";
    if env::var_os(ALONE).is_none() {
        let name = "sandbox::ten_thousand_programs_leave_memory_flat";
        let mut alone = Command::new(env::current_exe().unwrap());
        let alone = alone.args(["--exact", name]).env(ALONE, "1");
        let output = alone.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let programs = |count: usize| -> Vec<_> {
        let program = |n: usize| format!("a = [{n}] * 1000\nprint(sum(a))");
        (0..count).map(|n| Some(Program(program(n)))).collect()
    };
    let limits = Limits::default();
    let run = |count| execute(&programs(count), sandbox(), &limits, &|| ());
    run(500);
    let before = resident_bytes().unwrap();
    let executions = run(10_000);
    let after = resident_bytes().unwrap();
    for (n, execution) in executions.iter().enumerate() {
        let execution = execution.as_ref().unwrap();
        assert_eq!(
            execution.value,
            Some((n * 1000).to_string()),
            "{execution:?}"
        );
    }
    drop(executions);
    let grown = after.saturating_sub(before);
    assert!(grown < 48 << 20, "{before} bytes before, {after} after");
}

fn resident_bytes() -> Option<usize> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

#[test]
fn a_program_uses_the_same_fuel_in_every_run() {
    for program in [
        "print(sum(range(1000)))",
        "import sympy\nprint(sympy.factorint(360))",
    ] {
        let runs: Vec<Execution> = (0..3).map(|_| run(program)).collect();
        assert!(
            runs.iter()
                .all(|one| one.fuel == runs[0].fuel && one.stdout == runs[0].stdout)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the text, the host neither panics nor hangs nor forgets a limit.
    #[test]
    fn any_text_is_a_program_that_ends(
        soup in "\\PC{0,200}",
        seed in 0..usize::MAX,
        cuts in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64, any::<char>()), 1..6),
    ) {
        static SEEDS: LazyLock<Vec<String>> = LazyLock::new(|| {
            let files = [cases("python"), cases("hostile")].concat();
            files.iter().flat_map(|(_, text)| text.split("\n# ---\n").map(str::to_owned)).collect()
        });
        let limits = Limits { fuel: 200_000_000, ..Limits::default() };
        let mut mutated: Vec<char> = SEEDS[seed % SEEDS.len()].chars().collect();
        for (from, length, put) in cuts {
            let from = (mutated.len() as f64 * from) as usize;
            let to = from + ((mutated.len() - from) as f64 * length * 0.1) as usize;
            mutated.splice(from..to, [put]);
        }
        for program in [soup, mutated.into_iter().collect()] {
            let execution = sandbox().run(&Program(program), &limits);
            prop_assert!(execution.fuel <= limits.fuel);
            prop_assert!(execution.stdout.len() <= limits.output_bytes_max * 3);
        }
    }
}

/// The files of `tests/cases/<folder>`, by name.
fn cases(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(folder);
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    cases.sort();
    cases
}

/// The rows of a JSONL file in `../shared/data`.
fn shared_rows(name: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    let Ok(bytes) = fs::read(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

#[test]
fn recorded_programs_compute_what_cpython_computes() {
    let mut programs = Vec::new();
    for name in [
        "samples/gsm8k_codex_pot_greedy.jsonl",
        "samples/gsm8k_faithfulcot_code002-gpt-3.5-turbo.jsonl.gz",
    ] {
        let Some(rows) = shared_rows(name) else {
            return;
        };
        for sample in rows
            .iter()
            .flat_map(|row| row["samples"].as_array().unwrap())
        {
            if sample["kind"] == "pot" {
                programs.push(sample["text"].as_str().unwrap().to_owned());
            }
        }
    }
    // CPython needs half a minute for all: a tenth, unless asked.
    if std::env::var_os("RERANK_SLOW_TESTS").is_none() {
        programs = programs.into_iter().step_by(10).collect();
    }
    let Some(expected) = cpython_values(&programs) else {
        eprintln!("skipped: no python3 to compare with");
        return;
    };
    let runs: Vec<_> = programs.iter().cloned().map(Program).map(Some).collect();
    let executions = execute(&runs, sandbox(), &Limits::default(), &|| ());
    let (mut compared, mut different) = (0, Vec::new());
    for ((program, expected), execution) in programs.iter().zip(expected).zip(executions) {
        let execution = execution.unwrap();
        if let Some(value) = expected["value"].as_str() {
            compared += 1;
            if execution.value.as_deref() != Some(value) {
                different.push(format!(
                    "{value} != {:?} ({}):\n{program}",
                    execution.value, execution.outcome
                ));
            }
        }
    }
    let same = compared - different.len();
    eprintln!("{same} of {compared} programs compute what CPython computes");
    assert!(
        same * 1000 >= compared * 995 && compared > 1000,
        "{same} of {compared}\n{}",
        different.join("\n\n")
    );
}

/// What CPython makes of programs, by the same rule for a program's value.
fn cpython_values(programs: &[String]) -> Option<Vec<Value>> {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/sandbox/cpython.py");
    let mut python = Command::new("python3")
        .args(["-I", driver.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = python.stdin.take().unwrap();
    let lines: String = programs
        .iter()
        .map(|program| Value::from(program.as_str()).to_string() + "\n")
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

#[test]
fn a_damaged_snapshot_is_built_anew_and_an_open_directory_is_refused() {
    let first = sandbox().description();
    let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let set =
            |mode| fs::set_permissions(cache.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o777);
        let refused = Sandbox::open(cache.path(), &|_, _| {})
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("chmod go-w"), "{refused}");
        set(0o700);
    }
    // A copy of the good files with one byte changed in the middle of the memory's image.
    for suffix in ["cwasm", "json", "image"] {
        let from = first.path.with_extension(suffix);
        fs::copy(&from, cache.path().join(from.file_name().unwrap())).unwrap();
    }
    let image = cache
        .path()
        .join(first.path.with_extension("image").file_name().unwrap());
    let mut bytes = fs::read(&image).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&image, bytes).unwrap();
    // Building takes half a minute: unless asked, only see that it is begun.
    let build_whole = std::env::var_os("RERANK_SLOW_TESTS").is_some();
    let begun = std::cell::Cell::new(false);
    let progress = |_: &str, _: f32| {
        begun.set(true);
        assert!(build_whole, "enough seen");
    };
    let opened = AssertUnwindSafe(|| Sandbox::open(cache.path(), &progress).unwrap());
    let rebuilt = catch_unwind(opened);
    assert!(begun.get());
    if build_whole {
        let answer = rebuilt
            .unwrap()
            .run(&Program("print(6 * 7)".into()), &Limits::default());
        assert_eq!(answer.value.unwrap(), "42");
    }
}

#[test]
fn limits_are_kept_and_reported() {
    let check = |program: &str, limits: Limits, name: &str| {
        let outcome = sandbox().run(&Program(program.to_owned()), &limits).outcome;
        assert_eq!(outcome.name(), name, "{program}: {outcome}");
        let told = serde_json::to_value(&outcome).unwrap();
        let (limit, used) = (
            told["limit"].as_u64().unwrap(),
            told["used"].as_u64().unwrap(),
        );
        assert!(limit <= used && used <= limit * 2 + 1024, "{told}");
    };
    let limits = Limits::default();
    check(
        "while True: pass",
        Limits {
            fuel: 1_000_000,
            ..limits
        },
        "out_of_fuel",
    );
    check(
        "print('x' * 100)",
        Limits {
            output_bytes_max: 64,
            ..limits
        },
        "output_too_long",
    );
    check(
        "print(1)#long",
        Limits {
            program_bytes_max: 8,
            ..limits
        },
        "program_too_long",
    );
    check(
        "print(1)",
        Limits {
            memory_bytes_max: 128 << 20,
            ..limits
        },
        "out_of_memory",
    );
    check(
        "b = bytearray(300_000_000)",
        Limits {
            memory_bytes_max: 256 << 20,
            ..limits
        },
        "out_of_memory",
    );
    let deep = "import sys\nsys.setrecursionlimit(9999)\ndef f(n): return n and f(n - 1)\nf(300)";
    check(
        deep,
        Limits {
            recursion_max: 200,
            ..limits
        },
        "recursion_too_deep",
    );
    let deadline = Limits {
        deadline: Duration::ZERO,
        ..limits
    };
    let outcome = sandbox()
        .run(&Program("while True: pass".into()), &deadline)
        .outcome;
    assert_eq!(outcome.name(), "deadline", "{outcome}");
}
