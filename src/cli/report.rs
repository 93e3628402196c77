//! `rerank report`: every number again from the traces.

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;
use comfy_table::{Cell, CellAlignment, Table, presets};
use rerank::eval::{
    metrics::{Comparison, Summary},
    report::{
        self, Run,
        wording::{
            difference, interval, p_of, percent, percent_or_dash, plural, quantity, seconds,
            warnings, whole,
        },
    },
};

/// Compute every table and curve again from traces, without any model
#[derive(Args)]
#[command(after_help = "Examples:
  rerank report out/gsm8k                          writes summary.json, report.md and report.html there
  rerank report out/base out/tuned --out out/both  writes there, and compares the two problem by problem")]
pub struct Arguments {
    /// Folders that `rerank eval` wrote
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder for the report on all of them together; nothing is written into theirs
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the summary as JSON; of several runs a list
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let mut runs: Vec<Run> = arguments
        .folders
        .iter()
        .map(|folder| Run::read(folder))
        .collect::<rerank::Result<_>>()?;
    let same = |run: &Run| runs.iter().filter(|other| other.name == run.name).count() > 1;
    let alike: Vec<bool> = runs.iter().map(same).collect();
    for ((run, folder), alike) in runs.iter_mut().zip(&arguments.folders).zip(alike) {
        if alike {
            run.name = folder.display().to_string();
        }
    }
    match &arguments.out {
        Some(out) => report::write_together(&runs, out)?,
        None => {
            for (run, folder) in runs.iter().zip(&arguments.folders) {
                run.write(folder)?;
            }
        }
    }

    let mut output = stdout().lock();
    if arguments.json {
        let text = match &runs[..] {
            [run] => serde_json::to_string_pretty(&run.summary)?,
            runs => {
                let summaries: Vec<&Summary> = runs.iter().map(|run| &run.summary).collect();
                serde_json::to_string_pretty(&summaries)?
            }
        };
        writeln!(output, "{text}")?;
        return Ok(());
    }
    for run in &runs {
        if runs.len() > 1 {
            writeln!(output, "{}", run.name)?;
        }
        writeln!(output, "{}", table(&run.summary))?;
        writeln!(output, "{}", footer(&run.summary))?;
        for warning in warnings(run) {
            writeln!(output, "{warning}")?;
        }
    }
    if runs.len() > 1 {
        let comparisons = report::compare(&runs);
        if comparisons.is_empty() {
            writeln!(output, "no problem of the first run is in another one")?;
        } else {
            writeln!(output, "{}", compared(&comparisons))?;
        }
    }
    Ok(())
}

/// What each way reaches with all candidates.
pub fn table(summary: &Summary) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "way of choosing",
        "accuracy",
        "95 % interval",
        "against majority",
        "p",
        "tokens each",
    ]);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    if let Some(greedy) = summary.greedy {
        table.add_row([
            Cell::new("greedy"),
            right(percent(greedy.value)),
            right(interval(greedy)),
        ]);
    }
    for curve in &summary.curves {
        let Some(last) = curve.points.last() else {
            continue;
        };
        let mut against = summary.comparisons.iter();
        let against = against.find(|one| one.one == curve.way && one.other == "majority");
        table.add_row([
            Cell::new(&curve.way),
            right(percent(last.accuracy.value)),
            right(interval(last.accuracy)),
            right(against.map_or(String::new(), |one| difference(one.difference))),
            right(against.map_or(String::new(), p_of)),
            right(quantity(last.cost.tokens)),
        ]);
    }
    table
}

/// What was run, and what the filter did.
pub fn footer(summary: &Summary) -> String {
    let outcomes: Vec<String> = summary
        .executions
        .iter()
        .map(|(outcome, count)| format!("{} {outcome}", whole(*count)))
        .collect();
    let mut lines = vec![format!(
        "{}, {:.1} candidates each, {}{}",
        plural(summary.problems, "problem"),
        summary.samples_mean,
        seconds(summary.seconds),
        if summary.tokens_estimated {
            "; a token is taken as 4 bytes of text"
        } else {
            ""
        }
    )];
    if !outcomes.is_empty() {
        lines.push(format!("programs: {}", outcomes.join(", ")));
    }
    if let Some(filter) = summary.filter {
        lines.push(format!(
            "filter: {} of verdicts clear; kept candidates right {}; right candidates kept {}; \
            nobody survived on {}",
            percent_or_dash(filter.clear),
            percent_or_dash(filter.precision),
            percent_or_dash(filter.recall),
            plural(filter.all_dropped, "problem")
        ));
    }
    lines.join("\n")
}

/// Each run against the first.
fn compared(comparisons: &[Comparison]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["one", "other", "problems", "difference", "p"]);
    for one in comparisons {
        table.add_row([
            one.one.clone(),
            one.other.clone(),
            whole(one.problems),
            difference(one.difference),
            p_of(one),
        ]);
    }
    table
}
