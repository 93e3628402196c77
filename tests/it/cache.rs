//! Kept samples: none is drawn twice, none stands for another, and a killed process spoils none.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{cell::RefCell, collections::VecDeque, fs, path::Path, rc::Rc};

use rerank::{
    Result,
    model::{
        Finished, Generation, LanguageModel, Message, Request, Sampling, Scored, Ticket, Usage,
        Watch, cache::Cached, to_the_end,
    },
    problem::Question,
    trace::Stop,
};
use tempfile::tempdir;

/// A model that says which sample it was asked for, and writes down what it computed.
#[derive(Default)]
struct Counting {
    sha256: &'static str,
    drawn: Rc<RefCell<Vec<usize>>>,
    scored: Rc<RefCell<Vec<String>>>,
    waiting: VecDeque<Finished>,
    tickets: u64,
}

impl LanguageModel for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn sha256(&self) -> Result<String> {
        Ok(self.sha256.to_owned())
    }

    fn submit(&mut self, request: &Request, sampling: &Sampling) -> Result<Ticket> {
        self.tickets += 1;
        for sample in request.first..request.first + request.samples {
            self.drawn.borrow_mut().push(sample);
            let generation = Generation {
                text: format!(
                    "sample {sample} by {} at {}",
                    request.seed, sampling.temperature
                ),
                tokens: 10 + sample as u32,
                stop: Stop::End,
                logprob_mean: Some(-0.1 / (sample + 3) as f64),
            };
            let usage = Usage {
                // The prompt is counted with the first that is drawn.
                tokens_prompt: if sample == request.first { 100 } else { 0 },
                tokens_continued: generation.tokens.into(),
                ..Usage::default()
            };
            let ticket = self.tickets;
            // The last asked for is the first to end.
            self.waiting.push_front(Finished {
                ticket,
                sample,
                generation,
                usage,
            });
        }
        Ok(Ticket {
            id: self.tickets,
            samples: request.samples,
        })
    }

    fn step(&mut self) -> Result<Vec<Finished>> {
        Ok(self.waiting.pop_front().into_iter().collect())
    }

    fn cancel(&mut self, ticket: u64) -> Vec<Finished> {
        let is_gone = |finished: &Finished| finished.ticket == ticket;
        let mut gone: Vec<Finished> = self
            .waiting
            .iter()
            .filter(|one| is_gone(one))
            .cloned()
            .collect();
        self.waiting.retain(|finished| !is_gone(finished));
        gone.truncate(1);
        gone.iter_mut()
            .for_each(|finished| finished.generation.stop = Stop::Cancelled);
        gone
    }

    fn pending(&self) -> usize {
        self.waiting.len()
    }

    fn score(&mut self, _: &Request, texts: &[&str], _: Watch) -> Result<Scored> {
        self.scored
            .borrow_mut()
            .extend(texts.iter().map(|text| (*text).to_owned()));
        let score = |text: &&str| (!text.is_empty()).then_some(-1.0 / text.len() as f64);
        Ok(Scored {
            scores: texts.iter().map(score).collect(),
            usage: Usage {
                tokens_prompt: 50,
                tokens_continued: 7,
                ..Usage::default()
            },
        })
    }
}

/// A model over the folder, and what it will have drawn.
fn cached(folder: &Path, sha256: &'static str) -> (Cached, Rc<RefCell<Vec<usize>>>) {
    let model = Counting {
        sha256,
        ..Counting::default()
    };
    let drawn = model.drawn.clone();
    (Cached::new(Box::new(model), folder).unwrap(), drawn)
}

fn question() -> Question {
    Question {
        id: "1".to_owned(),
        text: "Q?".to_owned(),
        ..Question::default()
    }
}

fn request(question: &Question, samples: usize) -> Request<'_> {
    Request {
        question,
        candidate: None,
        messages: vec![Message::user("Q? Think.")],
        first: 0,
        samples,
        seed: 7,
    }
}

fn texts(generations: &[Generation]) -> Vec<&str> {
    generations.iter().map(|one| one.text.as_str()).collect()
}

fn draw(model: &mut dyn LanguageModel, request: &Request) -> (Vec<Generation>, u64, u64) {
    let requests = std::slice::from_ref(request);
    let mut drawn = model
        .generate(requests, &Sampling::default(), &|_, _| {})
        .unwrap();
    let usage = drawn.usage;
    (
        drawn.generations.remove(0),
        usage.tokens_prompt,
        usage.tokens_continued,
    )
}

#[test]
fn a_larger_n_draws_only_what_is_new_and_counts_as_if_all_were_drawn() {
    let folder = tempdir().unwrap();
    let question = question();
    let (mut first, drawn) = cached(folder.path(), "a");
    let four = draw(&mut first, &request(&question, 4));
    assert_eq!(*drawn.borrow(), [0, 1, 2, 3]);
    assert_eq!((four.1, four.2), (100, 10 + 11 + 12 + 13));

    let (mut second, drawn) = cached(folder.path(), "a");
    let again = draw(&mut second, &request(&question, 4));
    assert!(drawn.borrow().is_empty());
    assert_eq!(again, four);
    let (mut third, drawn) = cached(folder.path(), "a");
    let eight = draw(&mut third, &request(&question, 8));
    assert_eq!(*drawn.borrow(), [4, 5, 6, 7]);
    assert_eq!(eight.0[..4], four.0);
    // As a model that keeps nothing.
    let alone = draw(&mut Counting::default(), &request(&question, 8));
    assert_eq!(eight, alone);
    // And what was added later counts the prompt once too.
    let (mut fourth, drawn) = cached(folder.path(), "a");
    assert_eq!(draw(&mut fourth, &request(&question, 8)), alone);
    assert!(drawn.borrow().is_empty());
    // Samples in the middle are drawn by themselves.
    let (mut fifth, drawn) = cached(folder.path(), "a");
    let later = Request {
        first: 6,
        samples: 4,
        ..request(&question, 0)
    };
    let later = draw(&mut fifth, &later).0;
    assert_eq!(*drawn.borrow(), [8, 9]);
    assert_eq!(texts(&later)[0], "sample 6 by 7 at 0.7");
}

#[test]
fn no_sample_stands_for_another() {
    let folder = tempdir().unwrap();
    let question = question();
    let (mut model, drawn) = cached(folder.path(), "a");
    let five = draw(&mut model, &request(&question, 5)).0;
    let mut different = texts(&five);
    different.dedup();
    assert_eq!(different.len(), 5);

    let check = |model: &mut dyn LanguageModel,
                 request: Request,
                 sampling: &Sampling,
                 drawn: &Rc<RefCell<Vec<usize>>>,
                 what: &str| {
        drawn.borrow_mut().clear();
        model.generate(&[request], sampling, &|_, _| {}).unwrap();
        assert_eq!(*drawn.borrow(), [0, 1], "{what}");
    };
    let sampling = Sampling::default();
    let ask = || request(&question, 2);
    check(
        &mut model,
        Request { seed: 8, ..ask() },
        &sampling,
        &drawn,
        "seed",
    );
    check(
        &mut model,
        Request {
            candidate: Some(0),
            ..ask()
        },
        &sampling,
        &drawn,
        "candidate",
    );
    let messages = vec![Message::user("Q? "), Message::user("Think.")];
    check(
        &mut model,
        Request { messages, ..ask() },
        &sampling,
        &drawn,
        "messages",
    );
    for other in [
        Sampling {
            temperature: 0.8,
            ..Sampling::default()
        },
        Sampling {
            tokens_max: 8,
            ..Sampling::default()
        },
        Sampling {
            stop: vec!["\n".to_owned()],
            ..Sampling::default()
        },
    ] {
        check(&mut model, ask(), &other, &drawn, "sampling");
    }
    let other = Question {
        id: "2".to_owned(),
        ..question.clone()
    };
    check(&mut model, request(&other, 2), &sampling, &drawn, "problem");
    let (mut model, drawn) = cached(folder.path(), "b");
    check(&mut model, ask(), &sampling, &drawn, "model");
}

#[test]
fn a_process_that_is_killed_while_it_keeps_a_sample_spoils_none() {
    let folder = tempdir().unwrap();
    let question = question();
    let (mut model, _) = cached(folder.path(), "a");
    let all = draw(&mut model, &request(&question, 3)).0;
    let file = fs::read_dir(folder.path().join("a"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let bytes = fs::read(&file).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        fs::write(&file, &bytes[..length]).unwrap();
        let (mut model, drawn) = cached(folder.path(), "a");
        assert_eq!(draw(&mut model, &request(&question, 3)).0, all);
        assert!(!drawn.borrow().is_empty());
        let (mut model, drawn) = cached(folder.path(), "a");
        assert_eq!(draw(&mut model, &request(&question, 3)).0, all);
        assert!(drawn.borrow().is_empty(), "cut at {length}");
    }
}

#[test]
fn several_processes_keep_samples_in_one_folder() {
    let folder = tempdir().unwrap();
    let question = question();
    let mut models: Vec<_> = (0..3).map(|_| cached(folder.path(), "a").0).collect();
    for (nth, model) in models.iter_mut().enumerate() {
        let part = Request {
            first: 4 * nth,
            samples: 4,
            ..request(&question, 0)
        };
        draw(model, &part);
    }
    let (mut model, drawn) = cached(folder.path(), "a");
    draw(&mut model, &request(&question, 12));
    assert!(drawn.borrow().is_empty());
}

#[test]
fn scores_are_kept_and_missing_ones_computed_together() {
    let folder = tempdir().unwrap();
    let question = question();
    let score = |texts: &[&str]| {
        let model = Counting {
            sha256: "a",
            ..Counting::default()
        };
        let scored = model.scored.clone();
        let mut model = Cached::new(Box::new(model), folder.path()).unwrap();
        let got = model
            .score(&request(&question, 0), texts, &to_the_end)
            .unwrap();
        let tokens = got.usage.tokens_prompt + got.usage.tokens_continued;
        (got.scores, tokens, scored.take())
    };
    let (scores, tokens, computed) = score(&["one", "", "three"]);
    assert_eq!(scores, [Some(-1.0 / 3.0), None, Some(-0.2)]);
    assert_eq!(
        (tokens, computed),
        (
            57,
            vec!["one".to_owned(), String::new(), "three".to_owned()]
        )
    );
    let (again, tokens, computed) = score(&["three", "four", "one", ""]);
    assert_eq!(again, [Some(-0.2), Some(-0.25), Some(-1.0 / 3.0), None]);
    assert_eq!((tokens, computed), (57 + 57, vec!["four".to_owned()]));
}

#[test]
fn what_was_cancelled_is_not_kept() {
    let folder = tempdir().unwrap();
    let question = question();
    let (mut model, _) = cached(folder.path(), "a");
    draw(&mut model, &request(&question, 2));
    let ticket = model
        .submit(&request(&question, 5), &Sampling::default())
        .unwrap();
    assert_eq!((ticket.samples, model.pending()), (5, 5));
    let stopped = model.cancel(ticket.id);
    assert_eq!((stopped.len(), model.pending()), (1, 0));
    assert_eq!(stopped[0].ticket, ticket.id);
    let (mut model, drawn) = cached(folder.path(), "a");
    draw(&mut model, &request(&question, 5));
    assert_eq!(*drawn.borrow(), [2, 3, 4]);
}
