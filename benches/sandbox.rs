//! What a program in the sandbox costs, next to a CPython process: `cargo bench --bench sandbox`.
//!
//! Ratios are taken in one run, in turns, so that another load on the machine hits both sides.
//! `eval/sandbox/monty.py` adds the ratio to pydantic's monty.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use rerank::{
    execute::{Limits, Sandbox, execute},
    trace::{Outcome, Program},
};

const FIVE_LINES: &str = "eggs = 16
eaten = 3 + 4
sold = eggs - eaten
price = 2
print(sold * price)
";
const SOLVE: &str = "from sympy import solve, symbols
x = symbols('x')
print(solve(x**2 - 7*x + 12, x))
";

#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
fn main() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox");
    let sandbox = Sandbox::open(&cache, &|_, _| {}).expect("the sandbox opens");
    let start = Instant::now();
    drop(Sandbox::open(&cache, &|_, _| {}).expect("the sandbox opens"));
    let open_ms = start.elapsed().as_secs_f64() * 1e3;

    // 1. No page fault is left: memory is copied back in place.
    let faults_before = minor_faults();
    for _ in 0..200 {
        run_ms(&sandbox, FIVE_LINES, "18");
    }
    let faults = (minor_faults() - faults_before) / 200.0;

    // 2. One after another, each next to what it is compared with.
    let mut five_ms = Vec::new();
    let mut solve_ms = Vec::new();
    let mut cpython_ms = Vec::new();
    for round in 0..20 {
        five_ms.extend((0..100).map(|_| run_ms(&sandbox, FIVE_LINES, "18")));
        solve_ms.extend((0..5).map(|_| run_ms(&sandbox, SOLVE, "[3, 4]")));
        if round % 2 == 0 {
            cpython_ms.extend(cpython(&format!("import sympy\n{FIVE_LINES}")));
        }
    }
    let (five, solve, cpython) = (median(five_ms), median(solve_ms), median(cpython_ms));

    // 3. On all cores.
    let programs = vec![Some(Program(FIVE_LINES.to_owned())); 4000];
    let rates = (0..5).map(|_| {
        let start = Instant::now();
        execute(&programs, &sandbox, &Limits::default(), &|| ());
        programs.len() as f64 / start.elapsed().as_secs_f64()
    });
    let rate = median(rates.collect());

    let cores = rayon::current_num_threads();
    let built = sandbox.description().build_seconds;
    println!("five-line program, fresh instance  {five:>9.3} ms   (bar 0.6, aim 0.25)");
    println!("  page faults each                 {faults:>9.1}");
    println!("SymPy solve, fresh instance        {solve:>9.1} ms   (bar 30)");
    println!("programs per second, {cores} cores      {rate:>9.0}      (bar 2,000, aim 5,000)");
    if cpython.is_nan() {
        println!("CPython with SymPy                 not here: no python3 that imports sympy");
    } else {
        println!(
            "CPython process that imports SymPy {cpython:>9.1} ms   {:.0}x (bar 500x)",
            cpython / five
        );
    }
    match monty_ms() {
        Some(monty) => println!(
            "monty, fresh session               {monty:>9.3} ms   {:.2}x",
            monty / five
        ),
        None => println!("monty                              not here: `make bench` installs it"),
    }
    if let Some(resident) = resident_mib() {
        println!("resident memory after all that     {resident:>9.0} MiB  (bar 400)");
    }
    println!("opening the snapshot               {open_ms:>9.1} ms");
    println!("building the snapshot              {built:>9.1} s, when that was done");
}

/// Milliseconds for one program, whose value is checked.
fn run_ms(sandbox: &Sandbox, program: &str, value: &str) -> f64 {
    let execution = sandbox.run(&Program(program.to_owned()), &Limits::default());
    assert_eq!(execution.outcome, Outcome::Finished);
    assert_eq!(execution.value.as_deref(), Some(value));
    execution.ms
}

/// Milliseconds for one CPython process, if there is one that has what the program imports.
fn cpython(program: &str) -> Option<f64> {
    let start = Instant::now();
    let python = Command::new("python3")
        .args(["-c", program])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    python
        .ok()?
        .success()
        .then(|| start.elapsed().as_secs_f64() * 1e3)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Page faults of this process so far that read nothing from disk; 0 where the system hides them.
fn minor_faults() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name
        .split_whitespace()
        .nth(7)
        .and_then(|faults| faults.parse().ok())
        .unwrap_or(0.0)
}

/// What pydantic's monty takes for the same five lines, by the script that times it; `RERANK_MONTY`
/// names a Python that has it.
fn monty_ms() -> Option<f64> {
    let python = std::env::var_os("RERANK_MONTY")?;
    let output = Command::new(python)
        .arg("eval/sandbox/monty.py")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_suffix(" ms\n")?.rsplit(' ').next()?.parse().ok()
}

fn resident_mib() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages / 256.0)
}
