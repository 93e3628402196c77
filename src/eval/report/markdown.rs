//! The report as Markdown, to be pasted where results are kept.

use std::fmt::Write;

use crate::eval::metrics::{Comparison, Curve, Point, Summary};

use super::{
    Run, models,
    wording::{
        difference, p_of, p_resampled, percent, percent_or_dash, plural, quantity, seconds,
        warnings, whole, with_interval,
    },
};

/// All runs, and where there are several what sets them apart.
pub fn report(runs: &[Run], comparisons: &[Comparison]) -> String {
    let mut text = String::new();
    for run in runs {
        of_run(&mut text, run);
    }
    if !comparisons.is_empty() {
        heading(&mut text, "Runs compared");
        line(
            &mut text,
            "On the problems that both were asked; p by McNemar's exact test, for the mean sample by the bootstrap.",
        );
        compared(&mut text, comparisons);
    }
    text
}

fn of_run(text: &mut String, run: &Run) {
    let summary = &run.summary;
    let description = &run.description;
    line(
        text,
        &format!("# {}: {}\n", description.benchmark, escape(&run.name)),
    );
    let models = models(description)
        .into_iter()
        .map(|(roles, name, ..)| format!("{roles}: {}", escape(&name)));
    line(
        text,
        &format!(
            "{}, {:.1} candidates each, seed {}, rerank {}; {}.",
            plural(summary.problems, "problem"),
            summary.samples_mean,
            description.seed,
            description.version,
            models.collect::<Vec<_>>().join(", ")
        ),
    );

    for warning in warnings(run) {
        line(text, &format!("\n**{}**", escape(&warning)));
    }

    heading(text, "With all candidates");
    header(
        text,
        &[
            "way",
            "accuracy [95 %]",
            "against majority",
            "p",
            "tokens",
            "FLOPs",
            "seconds",
        ],
    );
    if let Some(greedy) = summary.greedy {
        row(text, &["greedy".to_owned(), with_interval(greedy)]);
    }
    for curve in &summary.curves {
        let Some(last) = curve.points.last() else {
            continue;
        };
        let against = against_majority(summary, &curve.way);
        row(
            text,
            &[
                curve.way.clone(),
                with_interval(last.accuracy),
                against.map_or(String::new(), |one| difference(one.difference)),
                against.map_or(String::new(), p_of),
                quantity(last.cost.tokens),
                last.cost.flops.map_or("—".to_owned(), quantity),
                seconds(last.cost.seconds),
            ],
        );
    }
    let estimated = if summary.tokens_estimated {
        " The recording tells no tokens: a token is taken as 4 bytes of text."
    } else {
        ""
    };
    line(
        text,
        &format!("\nTokens, FLOPs (2 x parameters x tokens) and seconds per problem.{estimated}"),
    );

    heading(text, "At every N");
    let sizes = summary
        .curves
        .first()
        .map_or(&[][..], |curve| &curve.points);
    let names: Vec<String> = sizes
        .iter()
        .map(|point| format!("N = {}", point.n))
        .collect();
    let mut columns = vec!["way"];
    columns.extend(names.iter().map(String::as_str));
    header(text, &columns);
    for curve in &summary.curves {
        let mut cells = vec![curve.way.clone()];
        cells.extend(
            curve
                .points
                .iter()
                .map(|point| with_interval(point.accuracy)),
        );
        row(text, &cells);
    }

    let matched: Vec<(&Curve, &Point)> = matched(summary).collect();
    if !matched.is_empty() {
        heading(text, "Majority at equal compute");
        header(
            text,
            &[
                "way",
                "N",
                "accuracy [95 %]",
                "majority of",
                "its accuracy",
                "difference",
                "p",
            ],
        );
        for (curve, point) in matched {
            let Some(equal) = point.equal else { continue };
            row(
                text,
                &[
                    curve.way.clone(),
                    point.n.to_string(),
                    with_interval(point.accuracy),
                    format!("{:.1}", equal.samples),
                    equal.accuracy.map_or("—".to_owned(), with_interval),
                    equal.difference.map_or("—".to_owned(), difference),
                    equal.p.map_or("—".to_owned(), p_resampled),
                ],
            );
        }
        line(
            text,
            "\nThe largest N at which a plain majority that spends as much was sampled.",
        );
    }
    filter_and_score(text, summary);
}

fn filter_and_score(text: &mut String, summary: &Summary) {
    if let Some(filter) = summary.filter {
        heading(text, "The filter");
        header(
            text,
            &[
                "verdicts clear",
                "kept",
                "kept right",
                "right kept",
                "coverage [95 %]",
                "lost",
                "all dropped",
            ],
        );
        row(
            text,
            &[
                percent_or_dash(filter.clear),
                percent_or_dash(filter.kept),
                percent_or_dash(filter.precision),
                percent_or_dash(filter.recall),
                with_interval(filter.coverage),
                whole(filter.lost),
                whole(filter.all_dropped),
            ],
        );
        line(text, &format!("\nVerdicts: {}.", listed(&summary.verdicts)));
    }
    if !summary.executions.is_empty() {
        line(
            text,
            &format!("\nPrograms: {}.", listed(&summary.executions)),
        );
    }
    if let Some(calibration) = &summary.calibration {
        heading(text, "The score");
        header(
            text,
            &[
                "candidates",
                "AUROC",
                "AUROC within problems",
                "ECE",
                "correlation with length",
                "within problems",
            ],
        );
        let number =
            |number: Option<f64>| number.map_or("—".to_owned(), |number| format!("{number:.3}"));
        row(
            text,
            &[
                whole(calibration.candidates),
                number(calibration.auroc),
                number(calibration.auroc_within),
                calibration.ece.map_or("—".to_owned(), percent),
                number(calibration.length_correlation),
                number(calibration.length_correlation_within),
            ],
        );
    }
    if !summary.comparisons.is_empty() {
        heading(text, "Each two ways");
        line(
            text,
            "p by McNemar's exact test, not adjusted for the number of comparisons.",
        );
        compared(text, &summary.comparisons);
    }
}

/// `12 finished, 3 raised`.
fn listed(counts: &[(String, usize)]) -> String {
    let each = counts.iter();
    let each = each.map(|(name, count)| format!("{} {name}", whole(*count)));
    each.collect::<Vec<_>>().join(", ")
}

fn compared(text: &mut String, comparisons: &[Comparison]) {
    line(text, "");
    header(
        text,
        &[
            "one",
            "other",
            "problems",
            "only one right",
            "only other right",
            "difference",
            "p",
        ],
    );
    for one in comparisons {
        row(
            text,
            &[
                escape(&one.one),
                escape(&one.other),
                whole(one.problems),
                whole(one.only_one),
                whole(one.only_other),
                difference(one.difference),
                p_of(one),
            ],
        );
    }
}

/// How a way does against the plain majority.
pub fn against_majority<'a>(summary: &'a Summary, way: &str) -> Option<&'a Comparison> {
    let mut all = summary.comparisons.iter();
    all.find(|one| one.one == way && one.other == "majority")
}

/// For each dearer way the largest N at which the majority that spends as much was sampled.
pub fn matched(summary: &Summary) -> impl Iterator<Item = (&Curve, &Point)> {
    summary.curves.iter().filter_map(|curve| {
        let known = |point: &&Point| point.equal.is_some_and(|equal| equal.accuracy.is_some());
        Some((curve, curve.points.iter().rev().find(known)?))
    })
}

fn heading(text: &mut String, name: &str) {
    line(text, &format!("\n## {name}\n"));
}

fn header(text: &mut String, columns: &[&str]) {
    line(text, &format!("| {} |", columns.join(" | ")));
    line(text, &format!("|{}", "---|".repeat(columns.len())));
}

fn row(text: &mut String, cells: &[String]) {
    line(text, &format!("| {} |", cells.join(" | ")));
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes any text");
}

/// A name that may hold what Markdown takes for its own.
fn escape(name: &str) -> String {
    let special = |character: char| "\\`*_{}[]<>|#".contains(character);
    let escaped = name.chars().flat_map(|character| {
        let mark = special(character).then_some('\\');
        mark.into_iter().chain([character])
    });
    escaped.collect()
}
