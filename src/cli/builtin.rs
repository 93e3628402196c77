//! `rerank builtin`: makes the built-in models from a recipe.

use std::{
    fs,
    io::{IsTerminal, Write, stderr, stdout},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use rerank::{
    builtin::{Event, Recipe, SHIPPED, make},
    file::write_whole,
};

use super::{bar, open_sandbox};

/// Train the built-in models from random weights on generated problems
#[derive(Args)]
#[command(after_help = "Example:
  rerank builtin models/builtin/recipe.toml --out target/builtin --into models/builtin

Stages that are done are passed over, and a stopped one goes on where it was.")]
pub struct Arguments {
    /// The recipe
    recipe: PathBuf,
    /// Where the stages leave their work
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the finished models and the log of their making go
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let recipe = Recipe::read(&arguments.recipe)?;
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot write {}", arguments.out.display()))?;
    let sandbox = open_sandbox()?;
    let mut report = Report::new();
    let records = make(&recipe, &arguments.out, &sandbox, &mut |event| {
        report.hear(event)
    })?;
    report.bar.finish_and_clear();
    if let Some(into) = &arguments.into {
        fs::create_dir_all(into).with_context(|| format!("cannot write {}", into.display()))?;
        for name in SHIPPED {
            let shipped = arguments.out.join("ship").join(name);
            let bytes =
                fs::read(&shipped).with_context(|| format!("cannot read {}", shipped.display()))?;
            write_whole(&into.join(name), &bytes)?;
        }
        let lines = records.iter().map(serde_json::to_string);
        let log = lines.collect::<Result<Vec<String>, _>>()?.join("\n") + "\n";
        write_whole(&into.join("log.jsonl"), log)?;
    }
    for record in &records {
        writeln!(stdout(), "{:16} {:6.0} s", record.stage, record.seconds)?;
    }
    Ok(())
}

/// A bar on a terminal, else a line now and then.
struct Report {
    bar: indicatif::ProgressBar,
    started: Instant,
    last: Option<Instant>,
    tokens: u64,
    since: Instant,
}

impl Report {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            bar: bar("builtin", 0),
            started: now,
            last: None,
            tokens: 0,
            since: now,
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Stage(name) => {
                (self.tokens, self.since, self.last) = (0, Instant::now(), None);
                self.bar.set_prefix(name.to_owned());
                self.say(name);
            }
            Event::Step(metrics) => {
                self.tokens += metrics.tokens;
                let speed = self.tokens as f64 / self.since.elapsed().as_secs_f64();
                let text = format!("loss {:.4} {speed:.0} tokens/s", metrics.loss);
                self.go_on(metrics.step as u64, metrics.steps as u64, &text);
            }
            Event::Sampled(done, all) => self.go_on(done, all, ""),
            Event::Evaluation(step, found) => self.say(&format!(
                "step {step}: best of N right on {:.1} % of {} held-out problems, blind {:.1} %, pairs {:.1} %",
                found.best_of_n * 100.0,
                found.problems,
                found.blind * 100.0,
                found.pair_accuracy * 100.0
            )),
            Event::Warning(text) => self.say(text),
            _ => {}
        }
    }

    fn go_on(&mut self, done: u64, all: u64, text: &str) {
        self.bar.set_length(all);
        self.bar.set_position(done);
        self.bar.set_message(text.to_owned());
        let due = self
            .last
            .is_none_or(|last| last.elapsed() > Duration::from_secs(20));
        if !stderr().is_terminal() && (due || done == all) {
            self.last = Some(Instant::now());
            self.say(&format!("{done}/{all} {text}"));
        }
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress, where there is no terminal for a bar"
    )]
    fn say(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs();
        if stderr().is_terminal() {
            self.bar.println(text);
        } else {
            eprintln!("{:3}:{:02} {text}", seconds / 60, seconds % 60);
        }
    }
}
