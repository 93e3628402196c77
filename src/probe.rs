//! Stage 3 for programming questions: programs -> executions and behaviours. Does a program load, does
//! it pass the examples that the question shows, and what does it give for other inputs?
//!
//! Inputs are the examples' arguments, changed without changing their types. Programs that give the
//! same for all of them behave alike; the more do, the likelier they are right (MBR-exec,
//! arXiv 2204.11454; `CodeT`, arXiv 2207.10397, section 3). Hidden tests are run by `eval` alone, with
//! the same means ([`passes`]).
//!
//! A program shares its interpreter with what looks at it, so what decides is kept out of its reach:
//! the harness has builtins and a scope of its own, a mark that differs from question to question
//! stands before what it says, and a test counts as passed only where the sandbox saw it come to its
//! end. A program written against this very harness could still fool it; one that merely redefines
//! builtins, prints answers or exits cannot.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
};

use rayon::prelude::*;

use crate::{
    execute::{Interpreter, Limits, Sandbox},
    model::seed_for,
    problem::{Interface, Question},
    trace::{Execution, Outcome, Program},
};

/// How programs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Inputs to make; 0 runs the examples alone.
    pub inputs: usize,
    /// Fuel for loading a program, and for each example, in wasmtime's units.
    pub fuel_examples: u64,
    /// Fuel for one call.
    pub fuel_call: u64,
}

impl Default for Probing {
    /// A second for an example and a quarter for a call, and less where the limits are lower. On MBPP's training problems 32 inputs did as well as 48, and
    /// a little better than 8 (eval/README.md).
    fn default() -> Self {
        Self {
            inputs: 32,
            fuel_examples: 10_000_000_000,
            fuel_call: 2_000_000_000,
        }
    }
}

/// What there is to know about a question's programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probed {
    /// The calls made of every program.
    pub inputs: Vec<String>,
    /// What running each program and the examples did; one that does not pass has not `Finished`.
    pub executions: Vec<Option<Execution>>,
    /// What each program gives for each input, or `!` and what it raises; empty where it does not load.
    pub outputs: Vec<Vec<String>>,
}

/// Runs every program on the examples and on inputs: calls among the lines in `written`, as far as they
/// are some, and calls made from those and from the examples'.
pub fn probe(
    question: &Question,
    written: &[&str],
    programs: &[Option<Program>],
    sandbox: &Sandbox,
    limits: &Limits,
    probing: &Probing,
    seed: u64,
) -> Probed {
    let nothing = Interface::default();
    let interface = question.interface.as_ref().unwrap_or(&nothing);
    let limits = Limits {
        fuel: limits.fuel.min(probing.fuel_examples),
        ..*limits
    };
    let seed = seed_for(seed, &question.id, 0);
    let inputs = inputs(interface, written, sandbox, probing.inputs, seed);
    // Small models repeat themselves.
    let different: HashSet<&Program> = programs.iter().flatten().collect();
    let different: Vec<&Program> = different.into_iter().collect();
    let probed = different.into_par_iter().with_max_len(1).map(|program| {
        let bench = Bench {
            sandbox,
            limits: &limits,
            interface,
            program,
            mark: mark(seed),
        };
        let (execution, loads) = bench.examples();
        let outputs = match loads {
            true => bench.outputs(&inputs, probing.fuel_call),
            false => Vec::new(),
        };
        (program, (execution, outputs))
    });
    let probed: HashMap<&Program, (Execution, Vec<String>)> = probed.collect();
    let of = |program: &Option<Program>| {
        let program = program.as_ref();
        program.map(|program| probed[program].clone()).unzip()
    };
    let (executions, outputs): (Vec<_>, Vec<Option<_>>) = programs.iter().map(of).unzip();
    Probed {
        inputs,
        executions,
        outputs: outputs.into_iter().map(Option::unwrap_or_default).collect(),
    }
}

/// Whether a program passes hidden tests: a program text that raises after a wrong one.
pub fn passes(
    program: &Program,
    tests: &str,
    interface: &Interface,
    sandbox: &Sandbox,
    limits: &Limits,
) -> bool {
    let bench = Bench {
        sandbox,
        limits,
        interface,
        program,
        mark: mark(seed_for(0, tests, program.0.len())),
    };
    match bench.loaded() {
        Ok((mut interpreter, _)) => {
            bench.test(tests, &mut interpreter).outcome == Outcome::Finished
        }
        Err(_) => false,
    }
}

/// Calls like those in the examples; none where there is nothing to make them of.
fn inputs(
    interface: &Interface,
    written: &[&str],
    sandbox: &Sandbox,
    count: usize,
    seed: u64,
) -> Vec<String> {
    if count == 0 || interface.entry_point.is_empty() {
        return Vec::new();
    }
    let mut program = String::new();
    for (name, value) in [
        ("ENTRY_POINT", python(&interface.entry_point)),
        ("PREFIX", python(&interface.prefix)),
        ("EXAMPLES", python(&interface.examples)),
        ("WRITTEN", python(&written)),
        ("COUNT", count.to_string()),
        ("SEED", seed.to_string()),
    ] {
        writeln!(program, "{name} = {value}").expect("a string takes all");
    }
    program += include_str!("probe/mutate.py");
    let execution = sandbox.run(&Program(program), &Limits::default());
    serde_json::from_str(execution.value.as_deref().unwrap_or_default()).unwrap_or_default()
}

/// One program and what it is run with.
struct Bench<'a> {
    sandbox: &'a Sandbox,
    limits: &'a Limits,
    interface: &'a Interface,
    program: &'a Program,
    /// Stands before what the harness says, among all that the program prints.
    mark: String,
}

impl Bench<'_> {
    /// What running the program and then the examples did, and whether the program loads at all.
    fn examples(&self) -> (Execution, bool) {
        let (mut interpreter, mut execution) = match self.loaded() {
            Ok(loaded) => loaded,
            Err(execution) => return (execution, false),
        };
        for example in &self.interface.examples {
            let test = self.test(example, &mut interpreter);
            execution.fuel += test.fuel;
            execution.ms += test.ms;
            if test.outcome != Outcome::Finished {
                execution.outcome = match test.outcome {
                    Outcome::Raised { error } => Outcome::Raised {
                        error: format!("{example}: {}", self.said(&test.stdout).unwrap_or(&error)),
                    },
                    stopped => stopped,
                };
                break;
            }
        }
        (execution, true)
    }

    /// What the program gives for each input.
    fn outputs(&self, inputs: &[String], fuel: u64) -> Vec<String> {
        let mut outputs = Vec::with_capacity(inputs.len());
        let mut stops = 0;
        while outputs.len() < inputs.len() {
            // An endless loop in one call says little about the next, in many enough.
            let loaded = if stops < STOPS_MAX {
                self.loaded().ok()
            } else {
                None
            };
            let Some((mut interpreter, _)) = loaded else {
                outputs.resize(inputs.len(), "!stopped".to_owned());
                break;
            };
            while outputs.len() < inputs.len() && !interpreter.is_over() {
                let input = python(&inputs[outputs.len()]);
                let entry_point = python(&self.interface.entry_point);
                let call = format!("{HARNESS}['call']({input}, globals(), {entry_point})");
                let execution = interpreter.run(&call, fuel.min(self.limits.fuel));
                let said = self.said(&execution.stdout).map(str::to_owned);
                outputs.push(match said.filter(|_| !interpreter.is_over()) {
                    Some(said) => said,
                    None => format!("!{}", execution.outcome.name()),
                });
            }
            stops += 1;
        }
        outputs
    }

    /// An interpreter with the harness, the program and what the examples need; or why there is none.
    fn loaded(&self) -> Result<(Interpreter<'_>, Execution), Execution> {
        let mut interpreter = self.sandbox.interpreter(self.limits);
        let source = format!(
            "MARK = {}\n{}",
            python(&self.mark),
            include_str!("probe/harness.py")
        );
        let harness = format!(
            "{HARNESS} = {{'__builtins__': dict(vars(__import__('builtins')))}}\nexec({}, {HARNESS})",
            python(&source)
        );
        let harness = interpreter.run(&harness, self.limits.fuel);
        assert_eq!(harness.outcome, Outcome::Finished, "the harness is Python");
        // A program that exits does not reach its last line.
        let program = format!("{}\n{HARNESS}['loaded'] = True\n", self.program.0);
        let execution = ran(&mut interpreter, &program, self.limits.fuel);
        if execution.outcome != Outcome::Finished {
            return Err(execution);
        }
        let setup = &self.interface.setup;
        let ended = "RuntimeError('the program ends itself')";
        let setup = format!("if 'loaded' not in {HARNESS}: raise {ended}\n{setup}");
        let setup = ran(&mut interpreter, &setup, self.limits.fuel);
        if setup.outcome != Outcome::Finished {
            let error = format!("before the examples: {}", setup.outcome);
            return Err(Execution {
                outcome: Outcome::Raised { error },
                ..execution
            });
        }
        Ok((interpreter, execution))
    }

    /// Runs a statement that raises where the program is wrong. What it raises, `SystemExit` too, ends
    /// in a division by zero, which no name that the program may have changed takes part in.
    fn test(&self, statement: &str, interpreter: &mut Interpreter) -> Execution {
        let (statement, entry_point) = (python(&statement), python(&self.interface.entry_point));
        let test = format!(
            "try:\n    {HARNESS}['run']({statement}, globals(), {entry_point})\n\
             except:\n    {HARNESS}['failed']()\n    1 // 0\n"
        );
        ran(interpreter, &test, self.limits.fuel)
    }

    /// What the harness said last, among what the program printed.
    fn said<'b>(&self, stdout: &'b str) -> Option<&'b str> {
        let (_, said) = stdout.rsplit_once(&self.mark)?;
        said.strip_suffix('\n')
    }
}

/// Runs a part of what is to run; one that leaves the process has not come to its end.
fn ran(interpreter: &mut Interpreter, part: &str, fuel: u64) -> Execution {
    let mut execution = interpreter.run(part, fuel);
    if interpreter.is_over() && execution.outcome == Outcome::Finished {
        let error = "the program ends itself".to_owned();
        execution.outcome = Outcome::Raised { error };
    }
    execution
}

/// The global name under which a program could find the harness.
const HARNESS: &str = "__rerank__";

/// Calls of one program that may be stopped from outside before the rest are not made.
const STOPS_MAX: usize = 3;

fn mark(seed: u64) -> String {
    format!("<{seed:016x}>")
}

/// A text, or a list of them, as Python writes it: JSON's strings are Python's.
fn python(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a string is JSON")
}
