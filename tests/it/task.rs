//! Benchmarks: every manifest reads the real rows it was written for, and refuses others.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, path::Path, sync::Arc};

use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use rerank::task::{Benchmark, Problems};
use tempfile::tempdir;

use crate::gguf::shared;

/// Reads a benchmark's rows and compares their number and the first problem.
#[track_caller]
fn check(name: &str, rows: &str, count: usize, question_ends: &str, answer: &str) -> Problems {
    let benchmark = Benchmark::find(name).unwrap();
    assert_eq!(benchmark.name, name);
    let Some(path) = shared(rows) else {
        return Problems::default();
    };
    // Not forced: count and hash are those of the manifest.
    let read = benchmark.problems(&path, false).unwrap();
    assert_eq!(read.problems.len(), count, "{name}");
    let first = &read.problems[0];
    assert!(
        first.question.text.ends_with(question_ends),
        "{name}: {:?}",
        first.question.text
    );
    assert_eq!(first.reference.answer, answer, "{name}");
    for problem in &read.problems {
        let own = Some(problem.reference.answer.as_str());
        assert!(
            benchmark.is_correct(own, &problem.reference),
            "{name}: {problem:?}"
        );
    }
    read
}

#[test]
fn manifests_read_the_real_rows() {
    let all_are_read = |name, rows, count, question_ends, answer| {
        let read = check(name, rows, count, question_ends, answer);
        assert_eq!(read.unreadable, [], "{name}");
    };
    all_are_read(
        "gsm8k",
        "gsm8k/test.jsonl",
        1319,
        "at the farmers' market?",
        "18",
    );
    all_are_read(
        "gsm8k-train",
        "gsm8k/train.jsonl",
        7473,
        "altogether in April and May?",
        "72",
    );
    all_are_read(
        "gsm-hard",
        "wordproblems/gsm_hard.jsonl",
        1319,
        "at the farmers' market?",
        "-9867630.0",
    );
    all_are_read(
        "math500",
        "math/math500.jsonl",
        500,
        "\\theta < 2 \\pi.$",
        "\\left( 3, \\frac{\\pi}{2} \\right)",
    );
    all_are_read(
        "math",
        "math/test.jsonl",
        5000,
        "\\frac{2}{x^2+x-6}$ have?",
        "2",
    );
    all_are_read(
        "svamp",
        "wordproblems/svamp.jsonl",
        1000,
        "to buy each pack?",
        "51.0",
    );
    all_are_read(
        "multiarith",
        "wordproblems/multiarith.jsonl",
        600,
        "do they have left?",
        "39",
    );
    all_are_read(
        "addsub",
        "wordproblems/addsub.jsonl",
        395,
        "did she give to Sam ?",
        "43.0",
    );
    all_are_read(
        "singleop",
        "wordproblems/singleop.jsonl",
        562,
        "are in the box?",
        "14.0",
    );
    all_are_read(
        "singleeq",
        "wordproblems/singleeq.jsonl",
        508,
        "did she give to Sam ?",
        "43.0",
    );
    all_are_read(
        "aqua",
        "wordproblems/aqua_test.jsonl",
        254,
        "E)None of these",
        "A",
    );
}

#[test]
fn rows_without_a_gold_are_left_out() {
    // The solutions of two of MATH's training problems end in an empty box.
    let read = check(
        "math-train",
        "math/train.jsonl.gz",
        7498,
        "if the piecewise function is continuous (which means that its graph can be drawn without lifting your pencil from the paper).",
        "0",
    );
    assert!(read.problems.is_empty() || read.unreadable.len() == 2);
}

#[test]
fn asdivs_units_are_cut_off_and_what_a_number_cannot_stand_for_is_left_out() {
    let read = check(
        "asdiv",
        "wordproblems/asdiv_2215.jsonl",
        2211,
        "How many apples are in the basket?",
        "9",
    );
    if read.problems.is_empty() {
        return;
    }
    let left_out: Vec<&str> = read
        .unreadable
        .iter()
        .map(|(_, gold)| gold.as_str())
        .collect();
    assert_eq!(
        left_out,
        [
            "February 3rd",
            "The 60th caller.",
            "11:55 p.m. on 24 December 2014.",
            "Vendor 2"
        ]
    );
    let has = |gold: &str| read.problems.iter().any(|one| one.reference.answer == gold);
    for gold in [
        "107",
        "-(1/3)",
        "14",
        "25/3",
        "3:4",
        "Mrs. Hilt",
        "They are equal",
    ] {
        assert!(has(gold), "{gold}");
    }
    assert_eq!(read.problems.len() + read.unreadable.len(), 2215);
}

#[test]
fn rows_of_another_split_are_refused_and_can_be_forced() {
    let (Some(train), Some(test)) = (shared("gsm8k/train.jsonl"), shared("gsm8k/test.jsonl"))
    else {
        return;
    };
    let benchmark = Benchmark::find("gsm8k").unwrap();
    let refusal = |path: &Path| benchmark.problems(path, false).unwrap_err().to_string();
    let message = refusal(&train);
    assert!(
        message.contains("is not the test split of gsm8k: it has 7473 rows, not 1319"),
        "{message}"
    );
    assert!(message.ends_with("with --force"), "{message}");
    assert_eq!(
        benchmark.problems(&train, true).unwrap().problems.len(),
        7473
    );

    // As many rows, of which one is another.
    let folder = tempdir().unwrap();
    let other = folder.path().join("other.jsonl");
    let rows = fs::read_to_string(&test).unwrap();
    fs::write(&other, rows.replacen("16 eggs", "17 eggs", 1)).unwrap();
    let message = refusal(&other);
    assert!(message.contains("its 1319 rows are others"), "{message}");
    // The same rows in another order and container are the same.
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    fs::write(&other, format!("[{}]", rows.join(",\n"))).unwrap();
    let problems = benchmark.problems(&other, false).unwrap().problems;
    assert_eq!(problems.len(), 1319);
}

/// A manifest of one's own, with what is between `[fields]` and its end, and its rows.
fn own(folder: &Path, head: &str, tail: &str, rows: &str) -> Benchmark {
    let manifest = folder.join("own.toml");
    let text = format!(
        "name = \"own\"\nabout = \"a test\"\ntask = \"math\"\nrule = \"number\"\n{head}\n[fields]\nquestion = \"q\"\nanswer = \"a\"\n{tail}"
    );
    fs::write(&manifest, text).unwrap();
    fs::write(folder.join("rows.jsonl"), rows).unwrap();
    Benchmark::find(manifest.to_str().unwrap()).unwrap()
}

#[test]
fn a_manifest_names_a_file_beside_it_a_gold_pattern_and_a_prompt() {
    let folder = tempdir().unwrap();
    let rows = "\u{feff}{\"n\": 10, \"q\": \"A?\", \"a\": \"7 (days)\"}\r\n\n{\"n\": 11, \"q\": \"B?\", \"a\": \"8 (days)\"}\n{\"n\": 12, \"q\": \"C?\", \"a\": \"March 3rd\"}";
    let benchmark = own(
        folder.path(),
        "prompt = \"{question} Think.\"",
        "id = \"n\"\ngold = '(.*?)(?: \\(.*\\))?'\n[source]\npath = \"rows.jsonl\"\n",
        rows,
    );
    let never = |_: &str, _: &str, _: &str| panic!("nothing is fetched");
    let read = benchmark.fetch(&never, false).unwrap();
    let golds = read
        .problems
        .iter()
        .map(|one| one.reference.answer.as_str());
    assert_eq!(golds.collect::<Vec<_>>(), ["7", "8"]);
    assert_eq!(read.unreadable, [("12".to_owned(), "March 3rd".to_owned())]);
    assert_eq!(benchmark.asked("B?"), "B? Think.");
}

#[test]
fn a_hubs_files_are_read_in_order_by_their_own_field_names_and_counted() {
    let folder = tempdir().unwrap();
    let source = "[source]\nhub = \"o/d\"\nrevision = \"r1\"\nfiles = [\"a.json\", \"b.jsonl\"]\n[source.fields]\nquestion = \"ask\"\nanswer = \"final\"\n";
    let benchmark = own(folder.path(), "rows = 3", source, "");
    fs::write(
        folder.path().join("a.json"),
        "[{\"ask\": \"A?\", \"final\": 1}, {\"ask\": \"B?\", \"final\": 2}]",
    )
    .unwrap();
    fs::write(
        folder.path().join("b.jsonl"),
        "{\"ask\": \"C?\", \"final\": 3}\n",
    )
    .unwrap();
    let fetch = |hub: &str, revision: &str, file: &str| {
        assert_eq!((hub, revision), ("o/d", "r1"));
        Ok(folder.path().join(file))
    };
    let read = benchmark.fetch(&fetch, false).unwrap();
    let ids: Vec<_> = read
        .problems
        .iter()
        .map(|one| one.question.id.as_str())
        .collect();
    assert_eq!(ids, ["0", "1", "2"]);
    assert_eq!(read.problems[2].reference.answer, "3");

    fs::write(folder.path().join("b.jsonl"), "").unwrap();
    let message = benchmark.fetch(&fetch, false).unwrap_err().to_string();
    assert!(
        message.contains("o/d at r1 holds 2 rows of own, not 3"),
        "{message}"
    );
    assert_eq!(benchmark.fetch(&fetch, true).unwrap().problems.len(), 2);
}

#[test]
fn a_manifest_that_cannot_be_meant_is_refused() {
    let folder = tempdir().unwrap();
    let manifest = folder.path().join("bad.toml");
    let refused = |more: &str, expected: &str| {
        let text = format!(
            "name = \"own\"\nabout = \"a test\"\ntask = \"math\"\nrule = \"number\"\n{more}"
        );
        fs::write(&manifest, text).unwrap();
        let message = Benchmark::find(manifest.to_str().unwrap())
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    };
    let fields = "[fields]\nquestion = \"q\"\nanswer = \"a\"\n";
    refused(
        &format!("prompt = \"Think.\"\n{fields}"),
        "it has no {question}",
    );
    refused(
        &format!("{fields}gold = '\\d+'\n"),
        "no group ( ) around the gold",
    );
    refused(&format!("{fields}gold = '('\n"), "fields.gold: ");
    refused(
        &format!("colour = 1\n{fields}"),
        "line 5: unknown field `colour`",
    );
}

#[test]
fn parquet_is_read_as_the_same_rows() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let schema = "message rows { required binary q (UTF8); required binary a (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let file = fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for texts in [
        ["What is 3 + 4?", "Twice 4?"],
        ["It is 7.\n#### 7", "#### 8"],
    ] {
        let mut column = group.next_column().unwrap().unwrap();
        let values = texts.map(ByteArray::from);
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();

    let rows = "{\"q\": \"What is 3 + 4?\", \"a\": \"It is 7.\\n#### 7\"}\n{\"q\": \"Twice 4?\", \"a\": \"#### 8\"}\n";
    let benchmark = own(folder.path(), "", "", rows);
    let of = |path: &Path| benchmark.problems(path, false).unwrap().problems;
    assert_eq!(of(&path), of(&folder.path().join("rows.jsonl")));
    assert_eq!(of(&path)[1].reference.answer, "8");
    fs::write(&path, "PAR1 and nothing else").unwrap();
    let message = benchmark.problems(&path, false).unwrap_err().to_string();
    assert!(message.contains("rows.parquet"), "{message}");
}
