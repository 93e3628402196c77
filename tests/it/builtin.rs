//! The built-in models: how they are made, and that they are there.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs::{self, DirEntry},
    path::Path,
    sync::OnceLock,
};

use rerank::{
    Error,
    builtin::{Event, Recipe, SHIPPED, embedded, make, recipe::Verifier},
    model::{LanguageModel, LlamaCpp, gguf::Value, llama::Resources, manifest::Role},
    problem::{Question, Task},
    task::generate::generate,
    trace::{Outcome, Trace, Verdict},
};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::{
    cli::{rerank, stdout},
    gguf,
    llama::write_tiny,
    sandbox,
};

/// The shipped recipe, so small that all of it takes seconds.
fn toy(folder: &Path) -> Recipe {
    let text = fs::read_to_string("models/builtin/recipe.toml").unwrap();
    let path = folder.join("recipe.toml");
    fs::write(&path, text).unwrap();
    let mut recipe = Recipe::read(&path).unwrap();
    (recipe.tokenizer.problems, recipe.tokenizer.size) = (300, 600);
    for model in [&mut recipe.reasoner, &mut recipe.coder] {
        (model.width, model.layers, model.heads, model.ffn) = (32, 1, 2, 64);
        (model.tokens, model.batch, model.copies) = (20_000, 2000, 1);
    }
    (recipe.samples.problems, recipe.samples.each) = (2, 2);
    recipe.samples.contrasts = 2;
    (recipe.measure.held_out, recipe.measure.faithful) = (20, 2);
    recipe
}

/// Follows a recipe as far as it goes: after a few seconds of training no sample is right, so there
/// is nothing to set in pairs. Gives the steps of training made.
fn follow(recipe: &Recipe, out: &Path) -> usize {
    let mut steps = 0;
    let made = make(recipe, out, sandbox::sandbox(), &mut |event| {
        steps += usize::from(matches!(event, Event::Step(_)));
    });
    let error = made.unwrap_err();
    assert!(matches!(error, Error::Options(_)), "{error}");
    assert!(
        error.to_string().starts_with("none of 2 problems"),
        "{error}"
    );
    steps
}

/// A folder in which the toy recipe was followed, and the steps that took.
fn followed() -> &'static (TempDir, usize) {
    static FOLLOWED: OnceLock<(TempDir, usize)> = OnceLock::new();
    FOLLOWED.get_or_init(|| {
        let folder = tempdir().unwrap();
        let steps = follow(&toy(folder.path()), folder.path());
        (folder, steps)
    })
}

#[test]
fn a_recipe_is_followed_and_gone_on_with() {
    let (folder, steps) = followed();
    let out = folder.path();
    assert!(*steps > 10, "{steps}");
    // State, metrics, the lock and the one copy on the way.
    let left = fs::read_dir(out.join("reasoner.gguf.train")).unwrap();
    assert_eq!(left.count(), 4);
    // The same again: nothing is trained twice.
    let recipe = toy(out);
    assert_eq!(follow(&recipe, out), 0);
    // Another coder: the reasoner stays as it is.
    let mut other = recipe;
    other.coder.rate *= 2.0;
    let again = follow(&other, out);
    assert!((1..*steps).contains(&again), "{again}");
}

/// Follows the recipe from samples that are right and wrong, as a trained reasoner's are, and gives
/// the stages that were not passed over.
fn follow_to_the_end(recipe: &Recipe, out: &Path) -> Vec<String> {
    let written = || -> HashMap<_, _> {
        let files = fs::read_dir(out).unwrap().map(|file| file.unwrap());
        let time = |file: &DirEntry| file.metadata().unwrap().modified().unwrap();
        files.map(|file| (file.file_name(), time(&file))).collect()
    };
    let before = written();
    let records = make(recipe, out, sandbox::sandbox(), &mut |_| {}).unwrap();
    let after = written();
    let done = records.into_iter().map(|record| record.stage);
    done.filter(|stage| {
        let file = OsString::from(format!("{stage}.json"));
        before.get(&file) != after.get(&file)
    })
    .collect()
}

#[test]
fn a_recipe_ends_in_three_models_and_redoes_only_what_has_changed() {
    let folder = tempdir().unwrap();
    let out = folder.path();
    let mut recipe = toy(out);
    follow(&recipe, out);
    let rows = (0..12).map(|index| {
        let problem = generate(3, index);
        let sample = |text: &str, answer: &str, correct| json!({"model": "reasoner", "kind": "cot", "text": text, "answer": answer, "correct": correct});
        let wrong = problem.flawed(index);
        let samples = [
            sample(&problem.solution, &problem.answer, true),
            sample(&wrong.solution, &wrong.answer, false),
        ];
        json!({"question": problem.question, "gold": problem.answer, "samples": samples}).to_string()
    });
    let rows: Vec<String> = rows.collect();
    fs::write(out.join("samples.jsonl"), rows.join("\n") + "\n").unwrap();
    let all = follow_to_the_end(&recipe, out);
    let verifiers = ["verifier-dpo", "verifier-orm", "verifier-simpo"];
    assert_eq!(all[0], "pairs");
    assert_eq!(all[1..4], verifiers);
    assert_eq!(all[4..], ["ship", "held-out", "faithful"]);
    for name in SHIPPED {
        LlamaCpp::load(&out.join("ship").join(name), None, Resources::default()).unwrap();
    }
    // The reasoner learned from no held-out question.
    let held_out = fs::read_to_string(out.join("held-out.jsonl")).unwrap();
    let rows = held_out
        .lines()
        .map(|row| serde_json::from_str(row).unwrap());
    let held_out: HashSet<String> = rows
        .map(|row: serde_json::Value| row["question"].to_string())
        .collect();
    assert_eq!(held_out.len(), 20);
    let learned = (0..400).map(|index| json!(generate(recipe.seed, index).question).to_string());
    assert_eq!(
        learned
            .filter(|question| held_out.contains(question))
            .count(),
        0
    );

    assert_eq!(follow_to_the_end(&recipe, out), [""; 0]);
    // A file that is gone is made again.
    fs::remove_file(out.join("ship/coder.gguf")).unwrap();
    assert_eq!(follow_to_the_end(&recipe, out), ["ship"]);
    // More contrasts: other pairs, other verifiers, other questions to keep apart from.
    recipe.samples.contrasts = 4;
    let again = follow_to_the_end(&recipe, out);
    assert_eq!(again, all);
    // Another recipe's stage is stopped when its files are there and its record is not yet: what it
    // leaves is not taken for this recipe's.
    let mut other = recipe.clone();
    let verifier = Verifier {
        beta: None,
        gamma_ratio: None,
        ..other.verifier["simpo"].clone()
    };
    other.verifier.insert("sft".to_owned(), verifier);
    other.ship = "sft".to_owned();
    let theirs = follow_to_the_end(&other, out);
    assert_eq!(theirs, ["verifier-sft", "ship", "faithful"]);
    assert_eq!(follow_to_the_end(&recipe, out), ["ship", "faithful"]);
    fs::write(out.join("verifier-sft.gguf"), "no model").unwrap();
    make(&other, out, sandbox::sandbox(), &mut |_| {}).unwrap_err();
    for name in SHIPPED {
        fs::write(out.join("ship").join(name), "another recipe's").unwrap();
    }
    assert_eq!(follow_to_the_end(&recipe, out), ["ship"]);
}

#[test]
fn recipes_that_cannot_be_followed_are_refused_before_anything_is_trained() {
    let folder = tempdir().unwrap();
    let recipe = fs::read_to_string("models/builtin/recipe.toml").unwrap();
    let path = folder.path().join("recipe.toml");
    for (from, to, expected) in [
        ("heads = 6", "heads = 0", "heads"),
        ("heads = 6", "heads = 5", "multiple of heads"),
        ("size = 1024", "size = 100", "at least 258"),
        ("each = 8", "each = 1", "at least 2 samples"),
        ("temperature = 0.8", "temperature = -1.0", "temperature"),
        ("tokens = 6_000_000", "tokens = 0", "coder"),
        ("rate = 6e-3", "rate = nan", "reasoner: the learning rate"),
        ("warmup = 0.03", "warmup = 2.0", "warm-up"),
        ("gamma_ratio = 0.02", "gamma_ratio = 20.0", "verifier.simpo"),
        ("coder_flawed = 0.5", "coder_flawed = 2.0", "coder_flawed"),
        (
            "ship = \"simpo\"",
            "ship = \"orm\"",
            "ship a verifier such as simpo",
        ),
        (
            "ship = \"simpo\"",
            "ship = \"dpo\"",
            "ship a verifier such as simpo",
        ),
        (
            "ship = \"simpo\"",
            "ship = \"sft\"",
            "none of the verifiers: dpo, orm, simpo",
        ),
        (
            "rate = 5e-4",
            "rate = 5e-4\nbeta = 1.0",
            "verifier.orm takes no beta",
        ),
        ("[verifier.dpo]", "[verifier.tpo]", "tpo"),
    ] {
        assert!(recipe.contains(from), "{from}");
        fs::write(&path, recipe.replace(from, to)).unwrap();
        let error = Recipe::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn llama_cpp_splits_generated_texts_as_the_tokenizer_does() {
    let out = followed().0.path();
    let model = gguf::load(&out.join("reasoner.start.gguf"));
    let tokenizer = tokenizers::Tokenizer::from_file(out.join("tokenizer/tokenizer.json")).unwrap();
    let mut digits = 0;
    let hostile = [
        "  two  spaces\n\n\tand a tab ",
        "12,345.60 it's 'don't' ½ ²",
        "naïve café — 10€ 日本",
        "",
    ];
    let generated = (0..2000).map(|index| generate(99, index));
    let generated = generated.flat_map(|one| [one.question, one.solution, one.program]);
    for text in generated.chain(hostile.map(str::to_owned)) {
        let expected = tokenizer.encode(text.as_str(), false).unwrap();
        let ids: Vec<i32> = expected.get_ids().iter().map(|&id| id as i32).collect();
        let found = gguf::tokenise(&model, &text);
        // The begin token comes first.
        assert_eq!(found[0], 0);
        assert_eq!(found[1..], ids, "{text:?}");
        let single = |token: &&String| token.chars().any(|c| c.is_ascii_digit());
        for token in expected.get_tokens().iter().filter(single) {
            assert_eq!(token.len(), 1, "{token}");
            digits += 1;
        }
    }
    assert!(digits > 10_000);
}

#[test]
fn a_models_own_prompts_come_from_its_file() {
    let folder = tempdir().unwrap();
    let own = Value::String("Q: {{ question }}\n".to_owned());
    let path = write_tiny(folder.path(), &[("rerank.prompts.solve", own)]);
    let model = LlamaCpp::load(&path, None, Resources::default()).unwrap();
    let question = Question {
        id: String::new(),
        text: "1 + 1?".to_owned(),
        task: Task::Math,
        interface: None,
    };
    let messages = model.prompts().solve(&question).unwrap();
    assert_eq!(messages[0].content, "Q: 1 + 1?\n");
    let broken = Value::String("{{ quest }}".to_owned());
    let path = write_tiny(folder.path(), &[("rerank.prompts.translate", broken)]);
    let error = LlamaCpp::load(&path, None, Resources::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("{{ quest }}"), "{error}");
}

#[test]
fn an_embedded_model_becomes_a_file_and_a_damaged_one_is_mended() {
    let folder = tempdir().unwrap();
    let Some(bytes) = embedded::bytes(Role::Coder) else {
        let error = embedded::file(Role::Coder, folder.path()).unwrap_err();
        assert!(error.to_string().contains("make builtin"), "{error}");
        return;
    };
    let path = embedded::file(Role::Coder, folder.path()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::write(&path, &bytes[..1000]).unwrap();
    assert_eq!(embedded::file(Role::Coder, folder.path()).unwrap(), path);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn without_a_model_the_built_in_ones_solve() {
    if embedded::bytes(Role::Reasoner).is_none() {
        eprintln!("skipped: there are no built-in models");
        return;
    }
    let question = fs::read_to_string("models/builtin/question.txt").unwrap();
    let solved = rerank(&["solve", question.trim(), "-n", "8", "--json"]);
    let trace: Trace = serde_json::from_str(&stdout(&solved)).unwrap();
    assert_eq!(trace.candidates.len(), 8);
    // Every candidate ends in an answer, has a program that runs, and a score.
    let whole = trace.candidates.iter().filter(|traced| {
        let finished = traced.execution.as_ref().map(|run| &run.outcome);
        traced.candidate.answer.is_some()
            && finished == Some(&Outcome::Finished)
            && traced.score.is_some()
    });
    assert!(whole.count() >= 6, "{trace:?}");
    let agreeing = trace.candidates.iter();
    let agreeing = agreeing.filter(|traced| traced.verdict == Verdict::Agrees);
    assert!(agreeing.count() >= 1, "{trace:?}");
    let code = rerank(&["solve", "Write f.", "--task", "code"]);
    let message = String::from_utf8_lossy(&code.stderr).into_owned();
    assert!(message.contains("write no code"), "{message}");
}
