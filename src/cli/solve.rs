//! `rerank solve`: one question, or with `--questions` many.

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::ProgressBar;
use rerank::{
    answer::{self, Rule},
    eval::metrics::{has_scores, rankings},
    problem::{Interface, Question, Task},
    select::Selector,
    solve::{self, Stage},
    task::code::called,
    trace::{Outcome, Reason, Stopped, Trace, TracedCandidate, Verdict, Why},
};

use super::{TaskArgument, bar, open_sandbox, questions, read_text, solving::Solving};

/// Answer a question, or a file of them: sample, translate, run, filter, score, choose
#[derive(Args)]
#[command(after_help = "Examples:
  rerank solve \"Natalia sold 48 clips in April and half as many in May. How many in all?\"
  rerank solve \"...\" --reasoner qwen2.5-math-1.5b --coder qwen2.5-coder-1.5b -n 32
  rerank solve \"...\" --replay samples.jsonl.gz --json | jq .answer
  rerank solve \"Write a function double that doubles a number.\" --task code \\
      --example \"assert double(2) == 4\" --reasoner qwen2.5-coder-1.5b
  rerank solve --questions questions.jsonl --out answers.jsonl && jq -r .answer answers.jsonl")]
pub struct Arguments {
    /// The question; `-` for standard input
    #[arg(required_unless_present = "questions")]
    question: Option<String>,
    /// Many questions: JSON Lines {"question": TEXT}, with an "id" or without, and for programs with
    /// "examples", a list of tests; `-` for standard input
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with_all = ["question", "example", "json"])]
    questions: Option<PathBuf>,
    /// With --questions: where their traces go, a line of JSON each, as --json prints one. Questions
    /// that are in it already, whoever answered them, are passed over: a run that was stopped goes on
    #[arg(long, value_name = "FILE", conflicts_with = "question")]
    out: Option<PathBuf>,
    /// What a solution is
    #[arg(long, value_enum, default_value_t = TaskArgument::Math)]
    task: TaskArgument,
    /// With --task code: a test that the program must pass, such as "assert double(2) == 4"
    #[arg(long, value_name = "TEST")]
    example: Vec<String>,
    #[command(flatten)]
    solving: Solving,
    /// Print the trace as one line of JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    if let (Some(from), Some(out)) = (&arguments.questions, &arguments.out) {
        let questions = questions::read(from, arguments.task.into())?;
        return questions::solve(from, &questions, &arguments.solving, out);
    }
    let text = match arguments.question.unwrap_or_default() {
        text if text == "-" => read_text(Path::new("-"))?.trim_end().to_owned(),
        text => text,
    };
    let question = Question {
        id: "1".to_owned(),
        text,
        task: arguments.task.into(),
        interface: interface(arguments.example)?,
    };
    if question.interface.is_some() && question.task == Task::Math {
        bail!("--example is for questions that ask for a program: add --task code");
    }
    let mut loaded = arguments
        .solving
        .load(arguments.solving.roles.recording()?, question.task)?;
    let sandbox = open_sandbox()?;
    let options = arguments
        .solving
        .options(&loaded, question.task, Rule::Math)?;

    let bar = bar("solve", 0);
    bar.enable_steady_tick(Duration::from_millis(200));
    let trace = solve::solve(
        &question,
        &mut loaded.models(),
        &sandbox,
        &options,
        &|stage, done, all| {
            show(&bar, stage, done, all);
        },
    )?;
    bar.finish_and_clear();

    if arguments.json {
        writeln!(stdout(), "{}", serde_json::to_string(&trace)?)?;
    } else {
        writeln!(stdout(), "{}", table(&trace))?;
        // Of a recording the table says enough.
        if let Some(chosen) = trace.ranking.chosen.filter(|_| trace.tokens.prompt > 0) {
            writeln!(stdout(), "{}", in_full(&trace.candidates[chosen]))?;
        }
        writeln!(stdout(), "{}", footer(&trace, options.rule))?;
    }
    Ok(())
}

/// What the tests on the command line show of a program; nothing where there are none.
pub(super) fn interface(examples: Vec<String>) -> Result<Option<Interface>> {
    let Some(first) = examples.first() else {
        return Ok(None);
    };
    let Some(entry_point) = called(first) else {
        bail!("the example {first:?} calls no function: write it as in \"assert double(2) == 4\"");
    };
    Ok(Some(Interface {
        entry_point: entry_point.to_owned(),
        examples,
        ..Interface::default()
    }))
}

fn show(bar: &ProgressBar, stage: Stage, done: usize, all: usize) {
    bar.set_message(match stage {
        Stage::Sample => "sampling candidates",
        Stage::Translate => "writing programs",
        Stage::Execute => "running programs",
        Stage::Score => "scoring candidates",
    });
    bar.set_length(all as u64);
    bar.set_position(done as u64);
}

/// One row per candidate, in the order they were drawn.
fn table(trace: &Trace) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH_OF_FILES);
    }
    table.set_header([
        "",
        "candidate",
        "answer",
        "program gives",
        "verdict",
        "score",
    ]);
    for (index, traced) in trace.candidates.iter().enumerate() {
        let mark = if trace.ranking.chosen == Some(index) {
            "▶"
        } else {
            ""
        };
        table.add_row([
            Cell::new(mark),
            Cell::new(ending(&traced.candidate.text)),
            Cell::new(ending(traced.candidate.answer.as_deref().unwrap_or("—")))
                .set_alignment(CellAlignment::Right),
            Cell::new(ending(&program_gives(traced))).set_alignment(CellAlignment::Right),
            Cell::new(verdict(traced.verdict)),
            Cell::new(
                traced
                    .score
                    .map_or("—".to_owned(), |score| format!("{:.3}", score.0)),
            )
            .set_alignment(CellAlignment::Right),
        ]);
    }
    table
}

/// The chosen candidate and its program, which the table only shows the ends of.
fn in_full(traced: &TracedCandidate) -> String {
    let mut lines = vec![format!("▶ {}", traced.candidate.text.trim())];
    if let Some(program) = &traced.program {
        let code = program.0.trim().lines();
        lines.extend(code.map(|line| format!("    {line}")));
    }
    lines.join("\n") + "\n"
}

/// The answer, what every selector would have answered, and what it took.
fn footer(trace: &Trace, rule: Rule) -> String {
    let answer = trace
        .answer
        .as_deref()
        .unwrap_or("none of the candidates ends in an answer");
    let mut lines: Vec<String> = trace.stopped.iter().map(early).collect();
    lines.push(format!(
        "answer: {answer}   (by {}{})",
        trace.ranking.rule,
        agreement(trace, rule)
    ));
    let by_selector = rankings(trace, rule)
        .into_iter()
        .filter(|(selector, ..)| *selector == Selector::Majority || has_scores(trace))
        .filter_map(|(.., ranking)| {
            let chosen = &trace.candidates[ranking.chosen?];
            Some(format!(
                "{} {}",
                ranking.rule,
                chosen.candidate.answer.as_deref()?
            ))
        });
    let by_selector: Vec<String> = by_selector.collect();
    if !by_selector.is_empty() {
        lines.push(format!("each selector: {}", by_selector.join(" · ")));
    }
    let (timings, tokens) = (trace.timings_ms, trace.tokens);
    if tokens.prompt > 0 {
        lines.push(format!(
            "prompt: {} tokens in {:.0} ms; {} candidates: {} tokens in {:.0} ms",
            tokens.prompt,
            timings.prompt,
            trace.candidates.len(),
            tokens.sample,
            timings.sample - timings.prompt
        ));
    }
    lines.push(format!(
        "programs: written in {:.0} ms, run in {:.1} ms; scores: {:.0} ms; all: {:.0} ms",
        timings.translate, timings.execute, timings.score, timings.total
    ));
    lines.join("\n")
}

/// How many candidates end in the answer, and how many of these have a program that gives it.
fn agreement(trace: &Trace, rule: Rule) -> String {
    let answer = trace.answer.as_deref();
    // Of a programming question the candidates are programs, and agree by what they give.
    let Some(answer) = answer.filter(|_| trace.task == Task::Math) else {
        return String::new();
    };
    let same = trace.candidates.iter().filter(|traced| {
        let other = traced.candidate.answer.as_deref();
        other.is_some_and(|other| answer::equal(answer, other, rule).equal)
    });
    let (mut said, mut checked) = (0, 0);
    for traced in same {
        said += 1;
        checked += usize::from(traced.verdict == Verdict::Agrees);
    }
    let all = trace.candidates.len();
    let judged =
        |traced: &TracedCandidate| matches!(traced.verdict, Verdict::Agrees | Verdict::Disagrees);
    match trace.candidates.iter().any(judged) {
        true => format!("; {said} of {all} candidates say so, the programs of {checked} agree"),
        false => format!("; {said} of {all} candidates say so"),
    }
}

/// Of how many candidates the answer is, where drawing ended early.
fn early(stopped: &Stopped) -> String {
    let Stopped { asked, kept, .. } = stopped;
    match (stopped.why, stopped.confidence) {
        (Why::Interrupted, _) if kept == asked => {
            format!("stopped by Ctrl-C with all {asked} candidates drawn and none scored")
        }
        (Why::Interrupted, _) => format!(
            "stopped by Ctrl-C with {kept} of {asked} candidates drawn and none scored; the answer is of those"
        ),
        (Why::TooLong { needed, allowed }, _) => {
            format!(
                "no candidate is drawn: the question needs {needed} tokens, the context allows {allowed}"
            )
        }
        (Why::Settled, confidence) => {
            let surely = confidence.unwrap_or_default() * 100.0;
            format!(
                "drawing ended early: {kept} of {asked} candidates settle the answer ({surely:.1} % sure)"
            )
        }
    }
}

fn program_gives(traced: &TracedCandidate) -> String {
    match &traced.execution {
        None => "—".to_owned(),
        Some(execution) => match (&execution.outcome, &execution.value) {
            (Outcome::Finished, Some(value)) => value.clone(),
            (Outcome::Finished, None) => "nothing".to_owned(),
            (outcome, _) => outcome.to_string(),
        },
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::Disagrees => "disagrees",
        Verdict::Unclear(Reason::NoAnswer) => "unclear: no answer",
        Verdict::Unclear(Reason::NoProgram) => "unclear: no program",
        Verdict::Unclear(Reason::Constant) => "unclear: constant",
        Verdict::Unclear(Reason::Syntax) => "unclear: syntax",
        Verdict::Unclear(Reason::Raised) => "unclear: raised",
        Verdict::Unclear(Reason::Limit) => "unclear: limit",
        Verdict::Unclear(Reason::NoValue) => "unclear: no value",
        Verdict::Unclear(Reason::Code) => "unclear: no example",
        Verdict::Unclear(Reason::Itself) => "—",
    }
}

/// Columns of a table that is not shown on a terminal.
const WIDTH_OF_FILES: u16 = 100;

/// The end of a text, where the answer stands, on one line.
fn ending(text: &str) -> String {
    const CHARACTERS_MAX: usize = 90;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().rev().nth(CHARACTERS_MAX - 1) {
        Some((place, _)) if place > 0 => format!("… {}", &words[place..]),
        _ => words,
    }
}
