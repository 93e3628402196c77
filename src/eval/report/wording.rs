//! Numbers as people read them, the same in tables, text and page.

use super::Run;
use crate::{
    answer::Rule,
    eval::metrics::{Comparison, Estimate, estimate::RESAMPLES},
    trace::Trace,
};

/// `0.853` as `85.3 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// [`percent`], or a dash.
pub fn percent_or_dash(share: Option<f64>) -> String {
    share.map_or_else(|| "—".to_owned(), percent)
}

/// An interval in percent: `83.1 – 87.2`.
pub fn interval(estimate: Estimate) -> String {
    format!("{:.1} – {:.1}", estimate.low * 100.0, estimate.high * 100.0)
}

/// A share with its interval: `85.3 % [83.1, 87.2]`.
pub fn with_interval(estimate: Estimate) -> String {
    let Estimate { value, low, high } = estimate;
    format!(
        "{} [{:.1}, {:.1}]",
        percent(value),
        low * 100.0,
        high * 100.0
    )
}

/// A difference in percentage points with its interval: `+2.1 [0.3, 3.9]`.
pub fn difference(estimate: Estimate) -> String {
    // No minus before a zero.
    let points = |share: f64| (share * 1000.0).round() / 10.0 + 0.0;
    let Estimate { value, low, high } = estimate;
    format!(
        "{:+.1} [{:.1}, {:.1}]",
        points(value),
        points(low),
        points(high)
    )
}

/// A probability: `0.012`, `< 0.001`.
pub fn p(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// A probability by the bootstrap, which cannot tell those apart that are below its least: `< 0.002`.
pub fn p_resampled(p: f64) -> String {
    let least = 2.0 / (RESAMPLES + 1) as f64;
    if p <= least {
        format!("< {least:.3}")
    } else {
        self::p(p)
    }
}

/// A comparison's probability.
pub fn p_of(comparison: &Comparison) -> String {
    match comparison.resampled {
        true => p_resampled(comparison.p),
        false => p(comparison.p),
    }
}

/// What has to be known before a run's numbers are read.
pub fn warnings(run: &Run) -> Vec<String> {
    let description = &run.description;
    let mut warnings = Vec::new();
    let (done, all) = (run.traces.len(), description.problems_to_solve());
    if done < all {
        warnings.push(format!(
            "{} of {} problems are solved so far: the command that began the run goes on with it.",
            whole(done),
            whole(all)
        ));
    }
    let unreadable = &description.unreadable;
    if !unreadable.is_empty() {
        const NAMED_MAX: usize = 5;
        let named = unreadable.iter().take(NAMED_MAX);
        let named: Vec<String> = named.map(|(id, gold)| format!("{id} ({gold:?})")).collect();
        let more = if unreadable.len() > NAMED_MAX {
            ", ... (run.json names all)"
        } else {
            ""
        };
        warnings.push(format!(
            "{} left out for a gold answer that cannot be read: {}{more}.",
            plural(unreadable.len(), "row"),
            named.join(", ")
        ));
    }
    let too_long = run.summary.too_long;
    if too_long > 0 {
        warnings.push(format!(
            "{} longer than the reasoner's context, counted as not solved.",
            plural(too_long, "problem")
        ));
    }
    let computes = |trace: &Trace| {
        let mut candidates = trace.candidates.iter();
        candidates.any(|traced| traced.execution.is_some())
    };
    if description.answers == Rule::Choice && run.traces.iter().any(computes) {
        warnings.push(
            "The answer is a letter and programs compute values: nothing can be filtered by them, and \
             a candidate that is a program is never right."
                .to_owned(),
        );
    }
    let settled = run.summary.settled;
    if settled > 0 {
        warnings.push(format!(
            "Drawing ended early on {} of {} problems (--stop adaptive), each at a moment that favoured \
             its leader: what all candidates that were drawn come to is what was reached, but the mean \
             sample and whatever is said of a smaller N are biased. Curves need --stop never.",
            whole(settled),
            whole(done)
        ));
    }
    warnings
}

/// So many of something: `1 problem`, `1,319 problems`.
pub fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", whole(count))
}

/// A whole number with its thousands apart: `1,319`.
pub fn whole(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// A quantity to three digits with the SI prefix: `7.42 k`, `3.1 T`.
pub fn quantity(number: f64) -> String {
    let prefixes = ["", " k", " M", " G", " T", " P", " E"];
    let mut number = number;
    let mut place = 0;
    while number >= 999.5 && place + 1 < prefixes.len() {
        number /= 1000.0;
        place += 1;
    }
    let digits = match number {
        number if number >= 99.95 => 0,
        number if number >= 9.995 || number == 0.0 => 1,
        _ => 2,
    };
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", prefixes[place])
}

/// Seconds: `0.012 s`, `3.4 s`, `512 s`; a dash where none passed, as for what was recorded.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        0.0 => "—".to_owned(),
        seconds if seconds < 0.1 => format!("{seconds:.3} s"),
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        _ => format!("{} s", whole(seconds.round() as usize)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!(whole(7), "7");
        assert_eq!(whole(84_416), "84,416");
        assert_eq!(whole(1_000_000), "1,000,000");
        assert_eq!(quantity(0.0), "0");
        assert_eq!(quantity(512.0), "512");
        assert_eq!(quantity(7_421.0), "7.42 k");
        assert_eq!(quantity(999_600.0), "1 M");
        assert_eq!(quantity(3.1e12), "3.1 T");
        assert_eq!(p(0.000_4), "< 0.001");
        assert_eq!(p(0.0123), "0.012");
        assert_eq!(p_resampled(2.0 / 1001.0), "< 0.002");
        assert_eq!(p_resampled(4.0 / 1001.0), "0.004");
        let estimate = Estimate {
            value: -0.000_01,
            low: -0.021,
            high: 0.0304,
        };
        assert_eq!(difference(estimate), "+0.0 [-2.1, 3.0]");
        assert_eq!(seconds(0.0123), "0.012 s");
        assert_eq!(seconds(1_234.4), "1,234 s");
    }
}
