//! `rerank report`: numbers again from traces alone, and the page in a real browser.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    browser::Page,
    cli::{DEMO, json, refuses, rerank, stdout, text},
};

/// What a hostile model may write.
const HOSTILE: &str = "</script><script>window.owned = 1</script>\
    <img src=x onerror=\"window.owned = 2\">' onclick='window.owned = 3' <!-- \u{2028} & &lt;b&gt; \
    $\\frac{<script>window.owned = 4</script>}{\\text{<img src=x onerror=window.owned=5>}}$ \
    $\\href{javascript:window.owned=6}{x}$ \\[\\begin{oops}{{{{\\] The answer is 41.";

/// A folder as `rerank eval` leaves it: 40 problems of 4 candidates with programs and scores, of
/// which the last one is hostile from its id to its candidates.
fn write_run(folder: &Path, seed: u64) {
    fs::create_dir_all(folder).unwrap();
    let description = json!({
        "version": "0.1.0", "benchmark": "gsm8k", "problems": 40, "problems_sha256": "ab".repeat(32),
        "answers": "math", "models": [["reasoner", "<b>model.gguf", "00"], ["coder", "c.gguf", "01"], ["verifier", "v.gguf", "02"]],
        "parameters": [["reasoner", 1000], ["coder", 1000], ["verifier", 1000]],
        "samples": 4, "sampling": "Sampling { temperature: 0.7, }", "rule": "Weighted, filter Cotnpot", "seed": 0,
    });
    fs::write(folder.join("run.json"), description.to_string()).unwrap();
    let lines: Vec<String> = (0..40)
        .map(|index| trace(index, seed).to_string() + "\n")
        .collect();
    fs::write(folder.join("traces.jsonl"), lines.concat()).unwrap();
}

/// A problem whose answer is its number plus 1; candidate k is right where a bit of a hash says so.
fn trace(index: u64, seed: u64) -> Value {
    let hostile = index == 39;
    let candidates: Vec<Value> = (0..4)
        .map(|place| {
            let bits = (index * 7 + place * 13 + seed * 29).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
            let right = bits > 4;
            let answer = if right { index + 1 } else { index + 2 };
            let text = if hostile {
                HOSTILE.to_owned()
            } else {
                format!("We add: $\\frac{{{answer}}}{{1}} = {answer}$. The answer is {answer}.")
            };
            json!({
                "text": text, "answer": answer.to_string(), "tokens": 20 + bits, "stop": "end", "logprob_mean": null,
                "program": if hostile { HOSTILE.to_owned() } else { format!("print({index} + 1)") },
                "execution": {
                    "outcome": "finished",
                    "stdout": if hostile { HOSTILE } else { "" },
                    "value": (index + 1).to_string(), "fuel": 1, "ms": 0.1,
                },
                "verdict": if right { "agrees" } else { "disagrees" },
                "score": -0.1 * (bits as f64),
            })
        })
        .collect();
    json!({
        "id": if hostile { "<b>39</b>".to_owned() } else { index.to_string() },
        "question": if hostile { format!("What is 39 + 1? {HOSTILE}") } else { format!("What is {index} + 1?") },
        "task": "math", "seed": 0, "candidates": candidates,
        "ranking": [0, 1, 2, 3], "chosen": 0, "rule": "weighted+cotnpot", "answer": candidates[0]["answer"],
        "reference": { "answer": (index + 1).to_string() }, "correct": true,
        "timings_ms": { "prompt": 10.0, "sample": 100.0, "translate": 50.0, "score": 5.0, "total": 160.0 },
        "tokens": { "prompt": 30, "sample": 100, "translate": 80, "score": 60 },
    })
}

#[test]
fn numbers_are_computed_again_without_a_model() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = ["eval", "gsm8k", "--replay", DEMO, "--out", text(&out)];
    stdout(&rerank(&arguments));
    let files = ["summary.json", "report.md", "report.html"].map(|name| out.join(name));
    let written = files.each_ref().map(|file| fs::read(file).unwrap());
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    let printed = stdout(&rerank(&["report", text(&out), "--json"]));
    let summary: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(summary, json(&files[0]));
    for (file, before) in files.iter().zip(written) {
        assert!(
            before == fs::read(file).unwrap(),
            "{} differs",
            file.display()
        );
    }

    // Every way at N = 1, 2 and 4, the last being what was done; at N = 1 there is no choice.
    let curves = summary["curves"].as_array().unwrap();
    let names: Vec<&str> = curves
        .iter()
        .map(|curve| curve["way"].as_str().unwrap())
        .collect();
    let expected = [
        "mean sample",
        "majority",
        "majority+cotnpot",
        "majority+soft",
        "vote of programs",
        "vote of both",
        "oracle",
    ];
    assert_eq!(names, expected);
    let at = |curve: usize, point: usize| &curves[curve]["points"][point];
    assert_eq!(
        [0, 1, 2].map(|point| at(0, point)["n"].as_u64().unwrap()),
        [1, 2, 4]
    );
    assert_eq!(at(1, 2)["accuracy"], summary["selectors"][0]["accuracy"]);
    assert_eq!(at(6, 2)["accuracy"], summary["oracle"]);
    let value =
        |curve: usize, point: usize| at(curve, point)["accuracy"]["value"].as_f64().unwrap();
    for curve in [1, 2, 6] {
        assert!((value(curve, 0) - value(0, 0)).abs() < 1e-12);
        assert!(value(curve, 0) < value(curve, 2));
    }
    // A recording tells no tokens; its filter at N = 2 costs more than a majority of 2.
    assert_eq!(summary["tokens_estimated"], true);
    let equal = &at(2, 1)["equal"];
    assert!(equal["samples"].as_f64().unwrap() > 2.0, "{equal}");

    let markdown = fs::read_to_string(&files[1]).unwrap();
    assert!(markdown.contains("| majority+cotnpot |"), "{markdown}");
}

#[test]
fn runs_are_compared_on_the_problems_they_share() {
    let folder = tempdir().unwrap();
    let [one, other, both] = ["one", "other", "both"].map(|name| folder.path().join(name));
    write_run(&one, 1);
    write_run(&other, 2);
    let traces = fs::read_to_string(other.join("traces.jsonl")).unwrap();
    let part: Vec<&str> = traces.lines().skip(10).collect();
    fs::write(other.join("traces.jsonl"), part.join("\n")).unwrap();
    let shown = stdout(&rerank(&[
        "report",
        text(&one),
        text(&other),
        "--out",
        text(&both),
    ]));
    assert!(shown.contains("other: weighted+cotnpot"), "{shown}");
    let markdown = fs::read_to_string(both.join("report.md")).unwrap();
    let line = markdown
        .lines()
        .find(|line| line.starts_with("| other: majority |"));
    assert!(
        line.is_some_and(|line| line.starts_with("| other: majority | one: majority | 30 |")),
        "{markdown}"
    );
    assert!(!one.join("summary.json").exists());
    stdout(&rerank(&["report", text(&one)]));
    // 2 x 1000 parameters x (30 + 100 tokens).
    let summary = json(&one.join("summary.json"));
    let flops = summary
        .pointer("/curves/0/points/2/cost/flops")
        .unwrap()
        .as_f64()
        .unwrap();
    assert!((flops - 260_000.0).abs() < 1e-6, "{flops}");

    refuses(
        &["report", text(&folder.path().join("none"))],
        1,
        "none is no run: name a folder that `rerank eval --out` wrote",
    );
    let twice = part[0].to_owned() + "\n" + part[1] + "\n" + part[0];
    fs::write(other.join("traces.jsonl"), twice).unwrap();
    refuses(
        &["report", text(&other)],
        1,
        "line 3: problem 10 has a line already, line 1",
    );
    fs::write(other.join("traces.jsonl"), "").unwrap();
    refuses(&["report", text(&other)], 1, "holds no traces yet");
}

#[test]
fn a_report_says_what_its_numbers_lack() {
    let folder = tempdir().unwrap();
    write_run(folder.path(), 1);
    let warned = |text: &str| {
        [
            "are solved so far",
            "left out for a gold",
            "Drawing ended early",
        ]
        .map(|warning| text.contains(warning))
    };
    assert_eq!(
        warned(&stdout(&rerank(&["report", text(folder.path())]))),
        [false; 3]
    );
    let change = |name: &str, change: &dyn Fn(&mut Value)| {
        let path = folder.path().join(name);
        let lines = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        change(&mut lines[0]);
        let lines: Vec<String> = lines.iter().map(|line| line.to_string() + "\n").collect();
        fs::write(path, lines.concat()).unwrap();
    };
    change("run.json", &|run| {
        run["problems"] = 100.into();
        run["shard"] = "1/2".into();
        run["unreadable"] = json!([["7", "February 3rd"]]);
    });
    change("traces.jsonl", &|trace| {
        trace["stopped"] =
            json!({"why": "settled", "asked": 8, "begun": 8, "kept": 4, "confidence": 0.97});
    });
    let said = stdout(&rerank(&["report", text(folder.path())]));
    let file = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for text in [said.clone(), file("report.md"), file("report.html")] {
        assert_eq!(warned(&text), [true; 3], "{text}");
    }
    for part in [
        "40 of 50 problems are solved so far",
        "1 row left out for a gold answer that cannot be read: 7 (\"February 3rd\").",
        "ended early on 1 of 40 problems",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_browser_filters_opens_and_reads_the_page() {
    let folder = tempdir().unwrap();
    write_run(folder.path(), 1);
    stdout(&rerank(&["report", text(folder.path())]));
    let Some(mut page) = Page::open(&folder.path().join("report.html")) else {
        eprintln!("skipped: there is no Chromium, so nobody looked at report.html");
        return;
    };
    page.wait_for("document.documentElement.dataset.ready === 'true'");
    assert_eq!(
        page.evaluate("document.querySelector('#count').value"),
        "40 of 40"
    );
    assert_eq!(
        page.evaluate("document.querySelectorAll('.plot .line').length > 10"),
        true
    );

    // The list is searched and filtered without a mouse.
    page.press("/", 191);
    page.write("38 +");
    page.wait_for("document.querySelector('#count').value === '1 of 40'");
    page.press("Escape", 27);
    page.wait_for("document.querySelector('#count').value === '40 of 40'");
    let mut listed = |show: &str| {
        let shown = format!(
            "(() => {{
                const show = document.querySelector('#show');
                show.value = '{show}';
                show.dispatchEvent(new Event('change'));
                return document.querySelectorAll('#list > li').length;
            }})()"
        );
        page.evaluate(&shown).as_u64().unwrap()
    };
    let (wrong, right, all) = (listed("wrong"), listed("right"), listed("all"));
    assert!(
        wrong > 0 && right > 0 && wrong + right == all,
        "{wrong}, {right}, {all}"
    );

    // A problem is opened, turned and left by keys; its candidates have text, program and output.
    page.evaluate("document.querySelector('#search').focus()");
    page.press("ArrowDown", 40);
    page.press("ArrowDown", 40);
    assert_eq!(page.evaluate("document.activeElement.dataset.index"), "1");
    page.press("Enter", 13);
    page.wait_for("document.querySelectorAll('.card').length === 4");
    assert_eq!(
        page.evaluate("document.querySelector('#problem .asked').textContent"),
        "What is 1 + 1?"
    );
    assert_eq!(
        page.evaluate("document.querySelector('.card pre').textContent"),
        "print(1 + 1)"
    );
    assert_eq!(
        page.evaluate("document.querySelector('.card .gives .answer').textContent"),
        "2"
    );
    assert_eq!(
        page.evaluate("document.querySelectorAll('.card math mfrac').length"),
        4
    );
    page.press("ArrowRight", 39);
    page.wait_for("document.querySelector('#problem .asked')?.textContent === 'What is 2 + 1?'");
    page.press("Escape", 27);
    page.wait_for("!document.querySelector('#overview').hidden");
    assert_eq!(page.evaluate("document.activeElement.dataset.index"), "2");

    // What a hostile model wrote is there to be read, and has done nothing.
    page.evaluate("location.hash = 'p/0/39'");
    page.wait_for("document.querySelectorAll('.card').length === 4 && document.querySelector('#problem h1').textContent.includes('39')");
    assert_eq!(
        page.evaluate("document.querySelector('#problem h1').textContent"),
        "Problem <b>39</b>"
    );
    assert_eq!(
        page.evaluate("document.querySelector('.card pre').textContent"),
        HOSTILE
    );
    let said = page.evaluate("document.querySelector('.card .said').textContent");
    assert!(
        said.as_str()
            .unwrap()
            .starts_with("</script><script>window.owned = 1</script><img src=x"),
        "{said}"
    );
    assert_eq!(page.evaluate("document.querySelectorAll('main img, main script, main a[href^=javascript], main [onclick], main [onerror]').length"), 0);
    assert_eq!(page.evaluate("typeof window.owned"), "undefined");
    page.evaluate("location.hash = ''");
    page.wait_for("!document.querySelector('#overview').hidden");
    assert_eq!(
        page.evaluate("document.querySelector('.facts').textContent.includes('<b>model.gguf')"),
        true
    );

    // Light and dark differ, and both can be read.
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        page.show_as(scheme, 1200, 900);
        let contrast = page.evaluate(CONTRAST).as_f64().unwrap();
        assert!(contrast >= 7.0, "{scheme}: {contrast}");
        grounds.push(page.evaluate("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1]);
    assert_eq!(page.console, Vec::<Value>::new());
}

/// A folder of a programming question: two programs that behave alike, one that raises, one that does
/// not load.
fn write_programs(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let description = json!({
        "version": "0.1.0", "benchmark": "mbpp", "problems": 1, "problems_sha256": "ab".repeat(32),
        "answers": "math", "models": [["reasoner", "recorded.jsonl", "00"]],
        "samples": 4, "sampling": "", "rule": "Majority, filter Cotnpot", "seed": 0,
    });
    fs::write(folder.join("run.json"), description.to_string()).unwrap();
    let candidate = |program: &str, error: Option<&str>, outputs: &[&str]| {
        let mut execution =
            json!({"outcome": "finished", "stdout": "", "value": null, "fuel": 1, "ms": 0.1});
        if let Some(error) = error {
            execution["outcome"] = "raised".into();
            execution["error"] = error.into();
        }
        json!({
            "text": format!("Here:\n```python\n{program}\n```"), "answer": program, "tokens": 0,
            "stop": "recorded", "logprob_mean": null, "program": program, "execution": execution,
            "verdict": if error.is_none() { "agrees" } else { "disagrees" },
            "score": null, "outputs": outputs, "correct": error.is_none(),
        })
    };
    let candidates = [
        candidate("def f(x): return 2 * x", None, &["4", "6"]),
        candidate("def f(x): return x + x", None, &["4", "6"]),
        candidate(
            "def f(x): return x ** 2",
            Some("assert f(3) == 6: AssertionError"),
            &["4", "9"],
        ),
        candidate("f = ", Some("SyntaxError: invalid syntax"), &[]),
    ];
    let trace = json!({
        "id": "7", "question": "Double a number.", "task": "code", "seed": 0, "candidates": candidates,
        "inputs": ["f(2)", "f(3)"], "ranking": [0, 1, 2, 3], "chosen": 0, "rule": "majority+cotnpot",
        "answer": "def f(x): return 2 * x",
        "reference": { "answer": "def f(x):\n    return x * 2", "tests": "assert f(1) == 2" },
        "correct": true,
        "timings_ms": { "prompt": 0.0, "sample": 0.0, "translate": 0.0, "score": 0.0, "total": 1.0 },
        "tokens": { "prompt": 0, "sample": 0, "translate": 0, "score": 0 },
    });
    fs::write(folder.join("traces.jsonl"), trace.to_string() + "\n").unwrap();
}

#[test]
fn a_browser_shows_programs_by_what_they_give() {
    let folder = tempdir().unwrap();
    write_programs(folder.path());
    stdout(&rerank(&["report", text(folder.path())]));
    let Some(mut page) = Page::open(&folder.path().join("report.html")) else {
        eprintln!("skipped: there is no Chromium, so nobody looked at report.html");
        return;
    };
    page.wait_for("document.documentElement.dataset.ready === 'true'");
    page.evaluate("location.hash = 'p/0/0'");
    page.wait_for("document.querySelectorAll('.card').length === 4");
    let mut texts = |of: &str| {
        page.evaluate(&format!(
            "[...document.querySelectorAll('{of}')].map((one) => one.textContent)"
        ))
    };
    assert_eq!(texts(".votes tbody td:first-child"), json!(["A", "B", "C"]));
    assert_eq!(
        texts(".votes .gist"),
        json!(["4, 6", "4, 9", "SyntaxError: invalid syntax"])
    );
    assert_eq!(texts(".card header > .answer"), json!(["A", "A", "B", "C"]));
    assert_eq!(
        texts(".card header > .verdict"),
        json!([
            "passes the examples",
            "passes the examples",
            "fails",
            "fails"
        ])
    );
    assert_eq!(texts("#candidate-2 .outputs tr"), json!(["f(2)4", "f(3)9"]));
    assert_eq!(
        texts("#candidate-3 .sides pre"),
        json!(["f = ", "Here:\n```python\nf = \n```"])
    );
    // What is right can be looked up, and does not push everything else down the page.
    assert_eq!(
        texts(".outcome details:not([open]) pre"),
        json!(["def f(x):\n    return x * 2", "assert f(1) == 2"])
    );
    assert_eq!(page.console, Vec::<Value>::new());
}

/// WCAG 2's contrast of the page's text on its ground.
const CONTRAST: &str = "(() => {
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const style = getComputedStyle(document.body);
    const [a, b] = [light(style.color), light(style.backgroundColor)];
    return Math.max(a, b) / Math.min(a, b);
})()";
