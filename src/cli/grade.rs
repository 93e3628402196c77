//! `rerank grade`: are two answers the same?

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use anyhow::{Result, bail};
use clap::Args;
use rayon::prelude::*;
use rerank::{
    answer::{self, Rule},
    jsonl,
};
use serde_json::Value;

use super::{RuleArgument, files::object, read_bytes};

/// Compare answers with gold answers: JSON lines {"gold","answer"} gain "equal" and "how"
#[derive(Args)]
#[command(
    after_help = "Either side may be a bare answer or a whole solution that ends in one.

Example:
  echo '{\"gold\": \"\\\\frac{1}{2}\", \"answer\": \"so it is \\\\boxed{0.5}\"}' | rerank grade -"
)]
pub struct Arguments {
    /// JSON Lines, or - for standard input
    file: PathBuf,
    /// How answers are found and compared, where a line does not name its own "rule"
    #[arg(long, value_enum, default_value_t = RuleArgument::Math)]
    rule: RuleArgument,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let rule = arguments.rule.into();
    let bytes = read_bytes(&arguments.file)?;
    let lines: Vec<(usize, Result<&str, String>)> = jsonl::lines(&bytes).collect();
    let graded: Vec<Value> = lines
        .par_iter()
        .map(|(_, line)| graded(line, rule))
        .collect();
    let mut out = BufWriter::new(io::stdout().lock());
    for row in &graded {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    out.flush()?;
    let reasons = graded.iter().map(|row| row.get("error"));
    let mut reasons = reasons
        .zip(&lines)
        .filter_map(|(reason, (line, _))| Some((line, reason?)));
    match reasons.next() {
        Some((line, reason)) if reasons.count() + 1 == lines.len() => bail!(
            "{}: none of its {} lines can be graded; line {line}: {}",
            arguments.file.display(),
            lines.len(),
            reason.as_str().unwrap_or_default()
        ),
        _ => Ok(()),
    }
}

/// The line with `equal` and `how` added; a line that cannot be read becomes `{"error"}`.
fn graded(line: &Result<&str, String>, rule: Rule) -> Value {
    let must = "an object with \"gold\" and \"answer\"";
    let mut row = match object(line.as_deref(), must) {
        Ok(row) => row,
        Err(error) => return error,
    };
    let rule = match row
        .get("rule")
        .map(|name| serde_json::from_value(name.clone()))
    {
        None => rule,
        Some(Ok(named)) => named,
        Some(Err(source)) => {
            row.insert("error".to_owned(), format!("rule: {source}").into());
            return Value::Object(row);
        }
    };
    let side = |name: &str| match row.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let (Some(gold), Some(given)) = (side("gold"), side("answer")) else {
        row.insert(
            "error".to_owned(),
            "\"gold\" and \"answer\" are needed".into(),
        );
        return Value::Object(row);
    };
    let grade = answer::grade(&gold, &given, rule);
    row.insert("equal".to_owned(), grade.equal.into());
    row.insert("how".to_owned(), grade.how.into());
    Value::Object(row)
}
