//! The built-in models: how they are made, and that they are there.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, path::Path, sync::OnceLock};

use rerank::{
    Error,
    builtin::{Event, Recipe, embedded, make},
    model::{LanguageModel, LlamaCpp, gguf::Value, llama::Resources, manifest::Role},
    problem::{Question, Task},
    task::generate::generate,
    trace::{Outcome, Trace, Verdict},
};
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
