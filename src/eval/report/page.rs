//! The report as one HTML file.
//!
//! Numbers and curves are written out; candidates are packed (JSON, gzip, base64) in chunks of
//! about [`CHUNK_BYTES`], which the page's script unpacks when a problem is opened. What a model
//! wrote is hostile until shown otherwise: it is in the file only packed, the script makes text nodes
//! of it and never markup, and the page's policy lets no other script run and nothing be fetched.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use minijinja::{Environment, Value, context};
use rayon::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    answer::Rule,
    eval::metrics::{Comparison, Graded, Way, verdict_name},
    problem::Task,
    trace::{Outcome, Trace, TracedCandidate},
};

use super::{
    Run, markdown, models,
    plot::{self, Axis},
    wording::{
        difference, interval, p_of, p_resampled, percent, percent_or_dash, quantity, seconds,
        warnings, whole, with_interval,
    },
};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// The page's scripts, in the order in which they are one.
const SCRIPT: &str = concat!(include_str!("latex.js"), include_str!("page.js"));

/// Bytes of problems, before packing, that are unpacked at a time.
const CHUNK_BYTES: usize = 200_000;

/// Characters of a program's output that the page holds.
const OUTPUT_CHARACTERS_MAX: usize = 2_000;

/// The whole page.
pub fn report(runs: &[Run], comparisons: &[Comparison]) -> String {
    let mut environment = Environment::new();
    environment
        .add_template("page.html", TEMPLATE)
        .expect("the template is valid");
    let shown: Vec<Value> = runs.iter().map(of_run).collect();
    let compared: Vec<Value> = comparisons.iter().map(of_comparison).collect();
    let mut names: Vec<&str> = Vec::new();
    let curves = runs.iter().flat_map(|run| &run.summary.curves);
    for curve in curves.filter(|curve| !curve.points.is_empty()) {
        if !names.contains(&curve.way.as_str()) {
            names.push(&curve.way);
        }
    }
    let all_ways = names.into_iter().map(|name| {
        context! { name, class => plot::class(name), bound => is_bound(name) }
    });
    let all_ways: Vec<Value> = all_ways.collect();
    let title = match runs {
        [run] => format!("{} · {}", run.description.benchmark, run.name),
        runs => {
            let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
            names.join(" · ")
        }
    };
    let script_sha256 = BASE64_STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    let page = environment
        .get_template("page.html")
        .and_then(|template| {
            template.render(context! {
                title,
                runs => shown,
                compared,
                all_ways,
                style => Value::from_safe_string(STYLE.to_owned()),
                script => Value::from_safe_string(SCRIPT.to_owned()),
                script_sha256,
                version => env!("CARGO_PKG_VERSION"),
            })
        })
        .expect("the template names what it is given");
    // The packed problems stand where the template left a mark, without a second copy of them.
    let (before, after) = page
        .split_once("<!-- packed -->")
        .expect("the template marks the place");
    let mut whole = before.to_owned();
    for (index, run) in runs.iter().enumerate() {
        pack(&mut whole, index, run);
    }
    whole + after
}

/// Whether it is no way of choosing, but what such ways are held against.
fn is_bound(way: &str) -> bool {
    matches!(way, "oracle" | "mean sample")
}

/// What the template shows of a run.
fn of_run(run: &Run) -> Value {
    let summary = &run.summary;
    let description = &run.description;
    let lows = summary
        .curves
        .iter()
        .filter_map(|curve| curve.points.last());
    let least = lows.map(|last| last.accuracy.low).fold(1.0, f64::min);
    // The bars begin at the ten below the least, so that they can be told apart.
    let floor = ((least * 10.0).floor() / 10.0).min(0.9);
    let place = move |share: f64| (share - floor) / (1.0 - floor) * 100.0;
    let ways: Vec<Value> = summary
        .curves
        .iter()
        .filter_map(|curve| {
            let last = curve.points.last()?;
            let against = markdown::against_majority(summary, &curve.way);
            Some(context! {
                name => &curve.way,
                class => plot::class(&curve.way),
                bound => is_bound(&curve.way),
                accuracy => percent(last.accuracy.value),
                interval => interval(last.accuracy),
                place => place(last.accuracy.value),
                low => place(last.accuracy.low),
                high => place(last.accuracy.high),
                difference => against.map(|one| difference(one.difference)),
                p => against.map(p_of),
                sure => against.is_some_and(|one| one.p < 0.05),
                tokens => quantity(last.cost.tokens),
                flops => last.cost.flops.filter(|flops| *flops > 0.0).map(quantity),
                seconds => seconds(last.cost.seconds),
            })
        })
        .collect();
    let every: Vec<Value> = summary
        .curves
        .iter()
        .map(|curve| {
            let cells: Vec<Value> = curve
                .points
                .iter()
                .map(|point| {
                    context! {
                        value => percent(point.accuracy.value),
                        interval => interval(point.accuracy),
                    }
                })
                .collect();
            context! { name => &curve.way, class => plot::class(&curve.way), cells }
        })
        .collect();
    let sizes: Vec<usize> = summary.curves.first().map_or(Vec::new(), |curve| {
        curve.points.iter().map(|point| point.n).collect()
    });
    let matched: Vec<Value> = markdown::matched(summary)
        .filter_map(|(curve, point)| {
            let equal = point.equal?;
            Some(context! {
                name => &curve.way,
                class => plot::class(&curve.way),
                n => point.n,
                accuracy => with_interval(point.accuracy),
                samples => format!("{:.1}", equal.samples),
                majority => equal.accuracy.map(with_interval),
                difference => equal.difference.map(difference),
                p => equal.p.map(p_resampled),
                sure => equal.p.is_some_and(|p| p < 0.05),
            })
        })
        .collect();
    let counted = |counts: &[(String, usize)]| -> Vec<Value> {
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1);
        counts
            .iter()
            .map(|(name, count)| {
                context! {
                    name,
                    count => whole(*count),
                    share => *count as f64 / most as f64,
                }
            })
            .collect()
    };
    let filter = summary.filter.map(|filter| {
        context! {
            clear => percent_or_dash(filter.clear),
            kept => percent_or_dash(filter.kept),
            precision => percent_or_dash(filter.precision),
            recall => percent_or_dash(filter.recall),
            coverage => with_interval(filter.coverage),
            lost => whole(filter.lost),
            all_dropped => whole(filter.all_dropped),
        }
    });
    let number = |number: Option<f64>| number.map(|number| format!("{number:.3}"));
    let calibration = summary.calibration.as_ref().map(|calibration| {
        context! {
            candidates => whole(calibration.candidates),
            auroc => number(calibration.auroc),
            auroc_within => number(calibration.auroc_within),
            ece => calibration.ece.map(percent),
            length => number(calibration.length_correlation),
            length_within => number(calibration.length_correlation_within),
            histogram => Value::from_safe_string(plot::histogram(&calibration.histogram)),
            reliability => (!calibration.bins.is_empty())
                .then(|| Value::from_safe_string(plot::reliability(&calibration.bins))),
        }
    });
    let models: Vec<Value> = models(description)
        .into_iter()
        .map(|(roles, name, sha256, parameters)| {
            context! {
                roles, name,
                sha256 => sha256.get(..12),
                // A thousand million of them is a B to those who make models.
                parameters => parameters.map(|count| quantity(count as f64).replace('G', "B")),
            }
        })
        .collect();
    let comparisons: Vec<Value> = summary.comparisons.iter().map(of_comparison).collect();
    let safe = |svg: Option<String>| svg.map(Value::from_safe_string);
    let (resamples, subsets, seed) = summary.resamples_subsets_seed;
    context! {
        name => &run.name,
        benchmark => &description.benchmark,
        problems => whole(summary.problems),
        samples => format!("{:.1}", summary.samples_mean).trim_end_matches(".0"),
        seed => description.seed,
        rule => format!("{:?}", description.answers).to_lowercase(),
        version => &description.version,
        problems_sha256 => description.problems_sha256.get(..12),
        models, ways, every, sizes, matched, comparisons, calibration,
        greedy => summary.greedy.map(with_interval),
        estimated => summary.tokens_estimated,
        by_samples => safe(plot::curves(summary, Axis::Samples)),
        by_compute => safe(plot::curves(summary, Axis::Compute)),
        filter,
        warnings => warnings(run),
        verdicts => counted(&summary.verdicts),
        executions => counted(&summary.executions),
        code => run.traces.iter().any(|trace| trace.task == Task::Code),
        seconds => seconds(summary.seconds),
        resamples => whole(resamples), subsets, numbers_seed => seed,
    }
}

fn of_comparison(one: &Comparison) -> Value {
    context! {
        one => &one.one,
        other => &one.other,
        problems => whole(one.problems),
        only_one => whole(one.only_one),
        only_other => whole(one.only_other),
        difference => difference(one.difference),
        p => p_of(one),
        sure => one.p < 0.05,
    }
}

/// Adds a run's problems: a list of all, and chunks that hold their candidates.
fn pack(page: &mut String, index: usize, run: &Run) {
    let ways: Vec<Way> = run.ways().into_iter().filter(|way| way.answers()).collect();
    let problems: Vec<(&Trace, &Graded)> = run.traces.iter().zip(&run.graded).collect();
    let details: Vec<String> = problems
        .par_iter()
        .map(|(trace, graded)| detail(trace, graded, &ways))
        .collect();
    let mut chunks: Vec<std::ops::Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (place, detail) in details.iter().enumerate() {
        match chunks.last_mut().filter(|_| bytes < CHUNK_BYTES) {
            Some(chunk) => chunk.end = place + 1,
            None => {
                chunks.push(place..place + 1);
                bytes = 0;
            }
        }
        bytes += detail.len();
    }
    let starts: Vec<usize> = chunks.iter().map(|chunk| chunk.start).collect();
    let list: Vec<serde_json::Value> = problems
        .iter()
        .map(|(trace, graded)| row(trace, graded, &ways))
        .collect();
    let names: Vec<String> = ways.iter().map(|way| way.name()).collect();
    let classes: Vec<String> = names.iter().map(|name| plot::class(name)).collect();
    let list = json!({
        "name": run.name,
        "ways": names,
        "classes": classes,
        "math": run.description.answers == Rule::Math,
        "chunks": starts,
        "problems": list,
    });
    let packed: Vec<String> = chunks
        .into_par_iter()
        .map(|chunk| packed(&format!("[{}]", details[chunk].join(","))))
        .collect();
    block(page, &format!("list-{index}"), &packed_value(&list));
    for (chunk, packed) in packed.iter().enumerate() {
        block(page, &format!("chunk-{index}-{chunk}"), packed);
    }
}

fn packed_value(value: &serde_json::Value) -> String {
    packed(&value.to_string())
}

/// A data block; base64 cannot end it early.
fn block(page: &mut String, id: &str, packed: &str) {
    page.push_str("<script type=\"application/gzip\" id=\"");
    page.push_str(id);
    page.push_str("\">");
    page.push_str(packed);
    page.push_str("</script>\n");
}

/// gzip and base64; a quick level, because a large report is written in a second or two.
fn packed(text: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(3));
    let bytes = encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .expect("a list of bytes takes any");
    BASE64_STANDARD.encode(bytes)
}

/// What the list shows of a problem: id, question, right candidates, all candidates, one digit per
/// way that is 1 where it is right, and what the filter did (`d`: dropped all, `l`: lost the right
/// ones).
fn row(trace: &Trace, graded: &Graded, ways: &[Way]) -> serde_json::Value {
    let right = graded.right.iter().filter(|right| **right).count();
    let digit = |way: &Way| if graded.chance(*way) > 0.5 { '1' } else { '0' };
    let digits: String = ways.iter().map(digit).collect();
    let filter = if graded.all_dropped() {
        "d"
    } else if graded.lost() {
        "l"
    } else {
        ""
    };
    json!([
        trace.id,
        trace.question,
        right,
        graded.right.len(),
        digits,
        filter
    ])
}

/// Everything about a problem, as JSON.
fn detail(trace: &Trace, graded: &Graded, ways: &[Way]) -> String {
    let chosen: Vec<serde_json::Value> = ways
        .iter()
        .map(|way| match way {
            Way::Select(selector, filter) => json!(graded.chosen(*selector, *filter)),
            Way::Programs => json!(graded.answer_of_programs()),
            Way::Both => json!(graded.answer_of_both(trace)),
            Way::Sample | Way::Oracle => serde_json::Value::Null,
        })
        .collect();
    let candidates: Vec<serde_json::Value> = trace
        .candidates
        .iter()
        .enumerate()
        .map(|(index, traced)| candidate(traced, graded, index))
        .collect();
    // A programming question's candidates are known by what they give for these.
    let inputs = (!trace.inputs.is_empty()).then_some(&trace.inputs);
    let reference = trace.reference.as_ref();
    json!({
        "code": trace.task == Task::Code,
        "inputs": inputs,
        "tests": reference.and_then(|reference| reference.tests.as_ref()),
        "gold": reference.map(|reference| &reference.answer),
        "rule": trace.ranking.rule,
        "ranking": trace.ranking.order,
        "chosen": chosen,
        "candidates": candidates,
    })
    .to_string()
}

fn candidate(traced: &TracedCandidate, graded: &Graded, index: usize) -> serde_json::Value {
    let mut fields = serde_json::Map::new();
    let mut set = |name: &str, value: serde_json::Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = &traced.candidate.text;
    set("text", json!(text));
    // The answer of a programming question is the program, which is shown anyway.
    let is_program = |answer: &String| {
        let program = traced.program.as_ref();
        program.is_some_and(|program| program.0 == *answer)
    };
    let answer = traced.candidate.answer.as_ref();
    set("answer", json!(answer.filter(|answer| !is_program(answer))));
    if !traced.outputs.is_empty() {
        set("outputs", json!(traced.outputs));
    }
    set("description", json!(traced.description));
    set("class", json!(graded.classes[index]));
    set("right", json!(u8::from(graded.right[index])));
    if traced.candidate.tokens > 0 {
        set("tokens", json!(traced.candidate.tokens));
    }
    set("verdict", json!(verdict_name(traced.verdict)));
    set("score", json!(traced.score.map(|score| score.0)));
    if let Some(program) = traced.program.as_ref().filter(|program| program.0 != *text) {
        set("program", json!(program.0));
    }
    if let Some(execution) = &traced.execution {
        let cut = |text: &str| -> String { text.chars().take(OUTPUT_CHARACTERS_MAX).collect() };
        if execution.outcome != Outcome::Finished {
            set("outcome", json!(cut(&execution.outcome.to_string())));
        }
        set("value", json!(execution.value.as_deref().map(cut)));
        let is_more = |stdout: &str| execution.value.as_deref() != Some(stdout.trim());
        let stdout = Some(execution.stdout.as_str());
        let stdout = stdout.filter(|stdout| !stdout.trim().is_empty() && is_more(stdout));
        set("stdout", json!(stdout.map(cut)));
    }
    serde_json::Value::Object(fields)
}
