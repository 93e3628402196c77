//! Curves, histogram and reliability as SVG, coloured by the page's style sheet.

use std::fmt::Write;

use crate::eval::metrics::{
    Curve, Estimate, Summary,
    calibration::{Bin, Histogram},
};

use super::wording::{percent, quantity, with_interval};

/// What accuracy is drawn against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Candidates per problem.
    Samples,
    /// FLOPs per problem where they are known, else tokens.
    Compute,
}

/// The drawing's size, and the frame that holds the data, in its own units.
const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 462.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 316.0;
/// The least distance of two labels.
const LINE: f64 = 15.0;

/// A way's points on the drawing.
struct Series<'a> {
    curve: &'a Curve,
    /// x, and what is shown there.
    points: Vec<(f64, Estimate, String)>,
}

/// Accuracy of each way with its band, against `axis`; `None` where there is nothing to draw: one
/// size, or no cost that is known.
pub fn curves(summary: &Summary, axis: Axis) -> Option<String> {
    let in_flops = axis == Axis::Compute && knows_flops(summary);
    let unit = |curve: &Curve| -> Vec<(f64, Estimate, String)> {
        let of = curve.points.iter().map(|point| {
            let (x, at) = match axis {
                Axis::Samples => (point.n as f64, format!("N = {}", point.n)),
                Axis::Compute => {
                    let cost = point.cost.flops.filter(|_| in_flops);
                    let x = cost.unwrap_or(point.cost.tokens);
                    let unit = if in_flops { "FLOPs" } else { "tokens" };
                    (x, format!("N = {}, {} {unit}", point.n, quantity(x)))
                }
            };
            (x, point.accuracy, at)
        });
        of.collect()
    };
    // A mean sample costs what one candidate costs, whatever was sampled.
    let drawn = |curve: &&Curve| axis == Axis::Samples || curve.way != "mean sample";
    let series: Vec<Series> = summary
        .curves
        .iter()
        .filter(drawn)
        .map(|curve| Series {
            points: unit(curve),
            curve,
        })
        .collect();
    let xs: Vec<f64> = series
        .iter()
        .flat_map(|one| one.points.iter().map(|(x, ..)| *x))
        .collect();
    let low = xs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = xs.iter().copied().fold(0.0, f64::max);
    if !(low > 0.0 && high > low) {
        return None;
    }

    let estimates = || series.iter().flat_map(|one| &one.points);
    let bottom = estimates().map(|(_, e, _)| e.low).fold(1.0, f64::min);
    let top = estimates().map(|(_, e, _)| e.high).fold(0.0, f64::max);
    let step = step(top - bottom);
    let (bottom, top) = (
        (bottom / step).floor() * step,
        ((top / step).ceil() * step).min(1.0),
    );
    let x = |value: f64| LEFT + (value / low).ln() / (high / low).ln() * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - (value - bottom) / (top - bottom) * (BOTTOM - TOP);

    let name = match axis {
        Axis::Samples => "candidates per problem (N)",
        Axis::Compute if in_flops => "FLOPs per problem",
        Axis::Compute => "tokens per problem",
    };
    let mut svg = open(&format!("accuracy against {name}"));
    let mut tick = bottom;
    while tick <= top + 1e-9 {
        let at = y(tick);
        add(
            &mut svg,
            format_args!(
                r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1}" y2="{at:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{:.0}</text>"#,
                LEFT - 8.0,
                at + 4.0,
                tick * 100.0
            ),
        );
        tick += step;
    }
    for (value, text) in ticks(&xs, low, high, axis) {
        add(
            &mut svg,
            format_args!(
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{text}</text>"#,
                x(value),
                BOTTOM + 18.0
            ),
        );
    }
    add(
        &mut svg,
        format_args!(
            r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#,
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 38.0
        ),
    );

    let best = series
        .iter()
        .filter(|one| !["oracle", "mean sample", "majority"].contains(&one.curve.way.as_str()))
        .max_by(|a, b| last_value(a).total_cmp(&last_value(b)))
        .map(|one| one.curve.way.as_str());
    let ends: Vec<f64> = series
        .iter()
        .map(|one| one.points.last().map_or(0.0, |(_, e, _)| y(e.value)))
        .collect();
    for (one, label) in series.iter().zip(apart(&ends)) {
        let place = |(at, estimate, _): &(f64, Estimate, String), value: f64| {
            debug_assert!(estimate.low <= estimate.high);
            format!("{:.1},{:.1}", x(*at), y(value))
        };
        let line: Vec<String> = one.points.iter().map(|p| place(p, p.1.value)).collect();
        let upper = one.points.iter().map(|p| place(p, p.1.high));
        let lower = one.points.iter().rev().map(|p| place(p, p.1.low));
        let band: Vec<String> = upper.chain(lower).collect();
        // The bands of all at once hide each other: two stand out, another when it is pointed at.
        let leads = one.curve.way == "majority" || best == Some(one.curve.way.as_str());
        add(
            &mut svg,
            format_args!(
                r#"<g class="series {}{}" data-way="{}"><polygon class="band" points="{}"/><polyline class="line" points="{}"/>"#,
                class(&one.curve.way),
                if leads { " lead" } else { "" },
                text(&one.curve.way),
                band.join(" "),
                line.join(" ")
            ),
        );
        for (at, estimate, shown) in &one.points {
            add(
                &mut svg,
                format_args!(
                    r#"<circle cx="{:.1}" cy="{:.1}" r="3"><title>{}, {}: {}</title></circle>"#,
                    x(*at),
                    y(estimate.value),
                    text(&one.curve.way),
                    text(shown),
                    with_interval(*estimate)
                ),
            );
        }
        if let Some((at, estimate, _)) = one.points.last() {
            add(
                &mut svg,
                format_args!(
                    r#"<path class="leader" d="M{:.1} {:.1}L{:.1} {:.1}"/><text class="label" x="{:.1}" y="{:.1}">{}</text></g>"#,
                    x(*at) + 4.0,
                    y(estimate.value),
                    RIGHT + 12.0,
                    label,
                    RIGHT + 16.0,
                    label + 4.0,
                    text(&one.curve.way)
                ),
            );
        }
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Scores of right candidates above the line, of wrong ones below.
pub fn histogram(histogram: &Histogram) -> String {
    let (left, right, top, bottom) = (LEFT, WIDTH - 14.0, TOP, 210.0);
    let most = |counts: &[usize]| counts.iter().max().copied().unwrap_or(0) as f64;
    let (above, below) = (most(&histogram.right), most(&histogram.wrong));
    // One scale for both; each side as high as it needs, with room for its name.
    let middle =
        (top + (bottom - top) * above / (above + below).max(1.0)).clamp(top + 24.0, bottom - 24.0);
    let unit = ((middle - top) / above.max(1.0)).min((bottom - middle) / below.max(1.0));
    let width = (right - left) / histogram.right.len() as f64;
    let mut svg = open_sized("scores of right and wrong candidates", 262.0);
    let span = (histogram.high - histogram.low) / histogram.right.len() as f64;
    let bars = [("right", &histogram.right), ("wrong", &histogram.wrong)];
    for (kind, counts) in bars {
        for (place, count) in counts.iter().enumerate() {
            let height = *count as f64 * unit;
            let y = if kind == "right" {
                middle - height
            } else {
                middle
            };
            let from = histogram.low + span * place as f64;
            add(
                &mut svg,
                format_args!(
                    r#"<rect class="{kind}" x="{:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}"><title>{count} {kind}, score {from:.3} to {:.3}</title></rect>"#,
                    left + width * place as f64 + 0.5,
                    width - 1.0,
                    from + span
                ),
            );
        }
    }
    add(
        &mut svg,
        format_args!(
            r#"<line class="grid" x1="{left}" x2="{right}" y1="{middle}" y2="{middle}"/>"#
        ),
    );
    for (kind, at) in [("right", top + 10.0), ("wrong", bottom - 4.0)] {
        add(
            &mut svg,
            format_args!(r#"<text class="label {kind}" x="{left}" y="{at}">{kind}</text>"#),
        );
    }
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        add(
            &mut svg,
            format_args!(
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{:.2}</text>"#,
                left + share * (right - left),
                bottom + 18.0,
                histogram.low + share * (histogram.high - histogram.low)
            ),
        );
    }
    add(
        &mut svg,
        format_args!(
            r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">score (the outermost bars count what lies beyond, too)</text></svg>"#,
            (left + right) / 2.0,
            bottom + 40.0
        ),
    );
    svg
}

/// Observed against predicted shares; a calibrated score lies on the diagonal.
pub fn reliability(bins: &[Bin]) -> String {
    let (left, right, top, bottom) = (LEFT, LEFT + 196.0, TOP, TOP + 196.0);
    let x = |share: f64| left + share * (right - left);
    let y = |share: f64| bottom - share * (bottom - top);
    let mut svg = format!(
        r#"<svg class="plot" viewBox="0 0 {:.0} 262" role="img" aria-label="reliability of the score">"#,
        right + 14.0
    );
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        add(
            &mut svg,
            format_args!(
                r#"<line class="grid" x1="{left}" x2="{right}" y1="{0:.1}" y2="{0:.1}"/><text class="tick" x="{1:.1}" y="{2:.1}" text-anchor="end">{3:.0}</text><text class="tick" x="{4:.1}" y="{5:.1}" text-anchor="middle">{3:.0}</text>"#,
                y(share),
                left - 8.0,
                y(share) + 4.0,
                share * 100.0,
                x(share),
                bottom + 18.0
            ),
        );
    }
    add(
        &mut svg,
        format_args!(
            r#"<line class="diagonal" x1="{left}" y1="{bottom}" x2="{right}" y2="{top}"/><g class="series way-verifier whole"><polyline class="line" points="{}"/>"#,
            bins.iter()
                .map(|bin| format!("{:.1},{:.1}", x(bin.predicted), y(bin.observed)))
                .collect::<Vec<_>>()
                .join(" ")
        ),
    );
    for bin in bins {
        add(
            &mut svg,
            format_args!(
                r#"<circle cx="{:.1}" cy="{:.1}" r="3.5"><title>{} candidates: predicted {}, right {}</title></circle>"#,
                x(bin.predicted),
                y(bin.observed),
                bin.candidates,
                percent(bin.predicted),
                percent(bin.observed)
            ),
        );
    }
    add(
        &mut svg,
        format_args!(
            r#"</g><text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">predicted right, %</text></svg>"#,
            (left + right) / 2.0,
            bottom + 40.0
        ),
    );
    svg
}

/// Whether the compute axis counts FLOPs.
pub fn knows_flops(summary: &Summary) -> bool {
    let mut points = summary.curves.iter().flat_map(|curve| &curve.points);
    points.all(|point| point.cost.flops.is_some_and(|flops| flops > 0.0))
}

/// The style sheet's name of a way: its selector's colour, whole or dashed by its filter.
pub fn class(way: &str) -> String {
    let (selector, filter) = way.split_once('+').unwrap_or((way, ""));
    let filter = match filter {
        "" => "",
        "soft" => " filtered soft",
        _ => " filtered",
    };
    let letters = selector.chars().map(|letter| match letter {
        'a'..='z' | '0'..='9' => letter,
        _ => '-',
    });
    format!("way-{}{filter}", letters.collect::<String>())
}

fn last_value(series: &Series) -> f64 {
    series
        .points
        .last()
        .map_or(0.0, |(_, accuracy, _)| accuracy.value)
}

fn open(name: &str) -> String {
    open_sized(name, HEIGHT)
}

fn open_sized(name: &str, height: f64) -> String {
    format!(
        r#"<svg class="plot" viewBox="0 0 {WIDTH:.0} {height:.0}" role="img" aria-label="{name}">"#
    )
}

fn add(svg: &mut String, what: std::fmt::Arguments) {
    svg.write_fmt(what).expect("a string takes any text");
}

/// A text as SVG and HTML write it.
fn text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A distance of lines that gives about six of them.
fn step(span: f64) -> f64 {
    let steps = [0.01, 0.02, 0.05, 0.1, 0.2];
    steps
        .into_iter()
        .find(|step| span / step <= 7.0)
        .unwrap_or(0.25)
}

/// Where the x axis is marked, and how.
fn ticks(xs: &[f64], low: f64, high: f64, axis: Axis) -> Vec<(f64, String)> {
    if axis == Axis::Samples {
        let mut sizes: Vec<usize> = xs.iter().map(|x| *x as usize).collect();
        sizes.sort_unstable();
        sizes.dedup();
        // 13 beside 8 is readable, 17 beside 16 is not.
        let crowded = |pair: &[usize]| (pair[1] as f64) < pair[0] as f64 * 1.3;
        if sizes.len() > 2 && sizes.windows(2).next_back().is_some_and(crowded) {
            sizes.remove(sizes.len() - 2);
        }
        let name = |size: usize| (size as f64, size.to_string());
        return sizes.into_iter().map(name).collect();
    }
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let marks: &[f64] = if last - first > 4 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let all = (first..=last).flat_map(|power| marks.iter().map(move |m| m * 10_f64.powi(power)));
    all.filter(|value| (low * 0.999..=high * 1.001).contains(value))
        .map(|value| (value, quantity(value)))
        .collect()
}

/// Labels near `ends`, none closer to another than a line's height.
fn apart(ends: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|a, b| ends[*a].total_cmp(&ends[*b]));
    let mut places = ends.to_vec();
    let mut free = TOP;
    for index in &order {
        places[*index] = places[*index].max(free);
        free = places[*index] + LINE;
    }
    let mut most = BOTTOM + 4.0;
    for index in order.iter().rev() {
        places[*index] = places[*index].min(most);
        most = places[*index] - LINE;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_apart_and_inside() {
        let places = apart(&[BOTTOM, BOTTOM, BOTTOM - 1.0, TOP, TOP]);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(
            sorted
                .windows(2)
                .all(|pair| pair[1] - pair[0] >= LINE - 1e-9)
        );
        assert!(sorted[0] >= TOP && sorted[4] <= BOTTOM + 4.0);
        // Who ended lowest is labelled lowest.
        assert!(places[2] < places[0] && places[3] < places[2]);
    }

    #[test]
    fn names_become_classes_and_text() {
        assert_eq!(class("majority+cotnpot"), "way-majority filtered");
        assert_eq!(class("vote of both"), "way-vote-of-both");
        assert_eq!(text("<b>&\"</b>"), "&lt;b&gt;&amp;&quot;&lt;/b&gt;");
    }
}
