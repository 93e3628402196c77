//! Trains verifiers: preference pairs in, a GGUF adapter or model out (arXiv 2410.05318, section 3).
//!
//! [`run`] is the loop. [`pairs`] makes the pairs, [`pack`] lays problems out in rows, [`network`]
//! computes, [`objective`] says what is minimised, [`lora`] writes what llama.cpp loads.

mod adamw;
mod checkpoint;
mod device;
mod evaluate;
mod fused;
mod gradient;
pub mod lora;
pub mod network;
pub mod objective;
mod options;
pub mod pack;
pub mod pairs;
mod plain;
mod plan;

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

pub use burn::tensor::Device;
use serde::Serialize;

use self::{
    adamw::{AdamW, Pace},
    checkpoint::Place,
    network::Network,
    objective::Objective,
    pack::{Saved, Unit},
    pairs::{Problem, Skipped},
};
pub use self::{
    device::device,
    evaluate::Evaluation,
    options::{Collapse, Optimiser, Options},
};
use crate::{
    Error, Result,
    file::{beside, write_whole},
    model::gguf::{Gguf, Value},
};

/// Turns texts into tokens; it must be what scoring does with the same texts.
pub trait Tokenize {
    /// The tokens up to where a solution begins: begin token, chat template and all.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>>;

    /// The tokens of a solution, as they follow a prompt.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn solution(&self, text: &str) -> Result<Vec<u32>>;

    /// The token that ends a solution.
    fn end(&self) -> Option<u32>;
}

/// What happens in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step was made.
    Step(&'a Metrics),
    /// The held-out problems were scored after this many steps.
    Evaluation(usize, &'a Evaluation),
    /// Something a person should know.
    Warning(String),
}

/// One step, as `metrics.jsonl` has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Counted from 1.
    pub step: usize,
    /// Steps in the run.
    pub steps: usize,
    /// The objective's mean.
    pub loss: f64,
    /// Mean score of chosen minus rejected solutions.
    pub margin: f64,
    /// Share of pairs whose chosen solution has the higher score.
    pub accuracy: f64,
    /// Mean log-probability per token of chosen solutions; `None` for a reward model.
    pub chosen_logp: Option<f64>,
    /// The gradient's norm before it was cut.
    pub norm: f64,
    /// The learning rate.
    pub rate: f64,
    /// Tokens computed in this step.
    pub tokens: u64,
    /// Time the step took, in seconds.
    pub seconds: f64,
}

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Whether all steps were made; otherwise the callback or collapse stopped the run.
    pub finished: bool,
    /// Steps made, those of resumed runs included.
    pub steps: usize,
    /// Problems and pairs learned from.
    pub problems: usize,
    /// Pairs learned from.
    pub pairs: usize,
    /// Held-out problems.
    pub dev_problems: usize,
    /// Tokens of a prompt and a solution at most: the option's, or the base's context where that is
    /// less.
    pub length_max: usize,
    /// Rows that could not be learned from.
    pub skipped: Skipped,
    /// Tokens of one epoch, and what a pairwise trainer would compute.
    pub saved: Saved,
    /// Numbers that were trained.
    pub parameters: usize,
    /// The base on the held-out problems.
    pub before: Evaluation,
    /// The exported weights on the held-out problems, and after how many steps they were reached.
    /// `None` without held-out problems: then the last weights are exported.
    pub best: Option<(usize, Evaluation)>,
    /// Whether correct solutions became unlikely.
    pub collapsed: bool,
}

/// Keeps other trainings away from all that belongs to one `out`, while it lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held, not read")] File);

/// Takes what belongs to `out`: itself, and whatever lies beside it under its name.
///
/// # Errors
/// Another training has it; `OUT.train/` cannot be written into.
pub fn lock(out: &Path) -> Result<Lock> {
    let folder = beside(out, ".train");
    fs::create_dir_all(&folder).map_err(Error::write(&folder))?;
    crate::lock::lock(&folder).map(Lock)
}

/// Trains a verifier and writes it.
///
/// `progress` hears of every event and may stop the run, which then saves its state.
///
/// # Errors
/// [`Error::Options`] for options that contradict each other or the data and for an `out` that
/// another training writes, [`Error::Model`] for a base that cannot be trained or a loss that is not
/// a number, [`Error::Read`] and [`Error::Write`] for the files. The last good state stays on disk.
pub fn run(
    options: &Options,
    problems: &[Problem],
    tokenize: &dyn Tokenize,
    progress: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Summary> {
    options.check()?;
    run_locked(&lock(&options.out)?, options, problems, tokenize, progress)
}

/// [`run`], for who has the `out` already.
///
/// # Errors
/// As [`run`].
pub fn run_locked(
    _lock: &Lock,
    options: &Options,
    problems: &[Problem],
    tokenize: &dyn Tokenize,
    progress: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Summary> {
    options.check()?;
    // 1. The network.
    let device = device(&options.device)?;
    let base = Gguf::read(&options.base)?;
    let metadata = base.metadata.clone();
    let identity = plan::identity(&base);
    let model = options.base.display().to_string();
    let mut network = Network::new(base, &model, &device)?;
    if let Some(lora) = &options.lora {
        network.add_lora(lora, options.seed)?;
    }
    if options.objective == Objective::Orm {
        network.add_head();
    }

    // 2. The data.
    let mut summary = Summary {
        length_max: options.length_max.min(network.config.context),
        ..Summary::default()
    };
    let (train, dev) = plan::units(
        options,
        problems,
        tokenize,
        summary.length_max,
        &mut summary.skipped,
    )?;
    let (train, dev): (Vec<&Unit>, Vec<&Unit>) = (train.iter().collect(), dev.iter().collect());
    let token_max = train.iter().chain(&dev).flat_map(|unit| {
        let solutions = unit.solutions.iter().flat_map(|solution| &solution.tokens);
        unit.prompt.iter().chain(solutions)
    });
    if token_max
        .max()
        .is_some_and(|&token| token as usize >= network.vocabulary())
    {
        return Err(Error::Model {
            model,
            reason: "the tokenizer has more tokens than the network".to_owned(),
        });
    }
    let steps = plan::steps(options, &train);
    summary.problems = train.len();
    summary.pairs = train.iter().map(|unit| unit.pairs.len()).sum();
    summary.dev_problems = dev.len();
    train.iter().for_each(|unit| summary.saved += unit.saved());
    let trained = network.weights.values().filter(|weight| weight.trained);
    summary.parameters = trained
        .map(|weight| weight.value.shape().num_elements())
        .sum();

    // 3. The place to start from, before anything that takes long.
    let folder = beside(&options.out, ".train");
    let state = state_of(&options.out);
    let best = folder.join("best.gguf");
    let mut adam = AdamW::default();
    let mut place = Place {
        fingerprint: plan::fingerprint(options, identity, &train, &dev),
        steps: steps.len(),
        ..Place::default()
    };
    if let Some(old) = checkpoint::place(&state) {
        let own = old.fingerprint == place.fingerprint;
        let at = folder.display();
        if options.resume {
            if !own {
                return Err(Error::Options(format!(
                    "{at} was begun with another base, other options or pairs: remove it, or begin anew with --restart in place of --resume"
                )));
            }
            check_best(&best, &old)?;
        } else if !options.restart && old.step < old.steps {
            // Hours of work may be in it, and the first saved state would replace it.
            let (done, all) = (old.step, old.steps);
            return Err(Error::Options(match own {
                true => format!(
                    "{at} holds {done} of this run's {all} steps: --resume goes on there, --restart begins anew"
                ),
                false => format!(
                    "{at} holds {done} steps of another run that is not finished: --restart begins anew"
                ),
            }));
        }
    }
    if dev.is_empty() && options.objective != Objective::Sft {
        let _ = progress(Event::Warning(
            "no problem is held out: the last weights are kept".to_owned(),
        ));
    }

    let of = |units: &[&Unit]| match options.objective.needs_reference() {
        true => evaluate::references(&network, units, options.tokens_max),
        false => Vec::new(),
    };
    let (references, dev_references) = (of(&train), of(&dev));
    let dev_references: Vec<&[f64]> = dev_references.iter().map(Vec::as_slice).collect();
    let evaluate = |network: &Network| {
        let Options {
            objective,
            tokens_max,
            ..
        } = options;
        evaluate::evaluate(network, objective, &dev, &dev_references, *tokens_max)
    };

    summary.before = evaluate(&network);
    place.logp_before = summary.before.correct_logp;
    if options.resume && state.exists() {
        (adam, place) = checkpoint::load(&state, &mut network, &device)?;
    }
    let mut metrics = Log::open(&folder.join("metrics.jsonl"), place.step)?;
    let evaluate_every = match options.evaluate_every {
        0 => steps.len().div_ceil(10),
        every => every,
    };

    let export = |network: &Network| export(options, network, metadata.clone());
    let broken = |place: &Place, mut network: Network| {
        let mut kept = match state.exists() {
            true => format!("the last good state is in {}", folder.display()),
            false => "no state was saved before".to_owned(),
        };
        if let Some((step, ..)) = place.best {
            let exported = checkpoint::load(&best, &mut network, &device);
            match exported.and_then(|_| export(&network)) {
                Ok(()) => {
                    kept += &format!(
                        ", the best weights so far (step {step}) in {}",
                        options.out.display()
                    );
                }
                Err(error) => return error,
            }
        }
        Error::Model {
            model: model.clone(),
            reason: format!(
                "the loss or a score is not a number at step {}, try a lower learning rate; {kept}",
                place.step
            ),
        }
    };

    // 4. The loop.
    // Steps whose mean likelihood is compared where nothing is held out: each has other problems.
    let window = (steps.len() / 10).clamp(1, 10);
    let mut last_best = None;
    let mut stopped = false;
    while place.step < steps.len() && !stopped {
        let began = Instant::now();
        let chosen = &steps[place.step];
        let units: Vec<&Unit> = chosen.iter().map(|&i| train[i]).collect();
        let of_units: Vec<&[f64]> = match references.is_empty() {
            true => Vec::new(),
            false => chosen.iter().map(|&i| references[i].as_slice()).collect(),
        };
        let pace = Pace {
            rate: options.rate * plan::schedule(place.step, steps.len(), options.warmup),
            decay: options.decay,
            norm_max: options.norm_max,
            optimiser: options.optimiser,
        };
        let step = gradient::step(
            &network,
            &options.objective,
            &units,
            &of_units,
            options.tokens_max,
            options.recompute,
        );
        let norm = adam.step(&mut network, step.gradients, pace);
        place.step += 1;
        if !step.loss.is_finite() || !norm.is_finite() {
            return Err(broken(&place, network));
        }
        let pairs = step.pairs.count.max(1) as f64;
        let likely = options.objective != Objective::Orm && step.pairs.count > 0;
        let line = Metrics {
            step: place.step,
            steps: steps.len(),
            loss: step.loss,
            margin: step.pairs.margin / pairs,
            accuracy: step.pairs.right as f64 / pairs,
            chosen_logp: likely.then(|| step.pairs.chosen / pairs),
            norm,
            rate: pace.rate,
            tokens: units.iter().map(|unit| unit.tokens() as u64).sum(),
            seconds: began.elapsed().as_secs_f64(),
        };
        metrics.add(&line)?;
        stopped |= progress(Event::Step(&line)).is_break();
        if let Some(logp) = line.chosen_logp.filter(|_| dev.is_empty()) {
            let mean = place.logp_now.unwrap_or(logp);
            let mean = mean + (logp - mean) / place.step.min(window) as f64;
            place.logp_now = Some(mean);
            if place.step == window {
                place.logp_before = place.logp_now;
            }
        }

        let last = place.step == steps.len();
        let pause = place.step.is_multiple_of(evaluate_every) || last;
        let evaluated = pause && !dev.is_empty();
        if pause && dev.is_empty() {
            // Some of this step's own show whether its update has broken the weights.
            let some = units.len().min(4);
            let of_some = of_units.get(..some).unwrap_or_default();
            let (objective, tokens_max) = (&options.objective, options.tokens_max);
            let found =
                evaluate::evaluate(&network, objective, &units[..some], of_some, tokens_max);
            if found.unscored > 0 {
                return Err(broken(&place, network));
            }
        }
        let mut logp_now = place.logp_now.filter(|_| pause);
        if evaluated {
            let found = evaluate(&network);
            if found.unscored > 0 {
                return Err(broken(&place, network));
            }
            metrics.add(&serde_json::json!({"step": place.step, "evaluation": found}))?;
            stopped |= progress(Event::Evaluation(place.step, &found)).is_break();
            let rank = (found.best_of_n, found.pair_accuracy);
            if place
                .best
                .is_none_or(|(_, accuracy, pairs)| rank > (accuracy, pairs))
            {
                place.best = Some((place.step, rank.0, rank.1));
                checkpoint::save(&best, &network, &AdamW::default(), &place)?;
                last_best = Some(found.clone());
            }
            logp_now = found.correct_logp;
        }
        let fall = place.logp_before.zip(logp_now).map(|(a, b)| a - b);
        if let Some(fall) = fall.filter(|&fall| fall > options.collapse_nats)
            && options.collapse != Collapse::Ignore
        {
            summary.collapsed = true;
            stopped |= options.collapse == Collapse::Stop;
            let _ = progress(Event::Warning(format!(
                "correct solutions lost {fall:.2} nats per token since the beginning; a lower learning rate or an SFT weight may help"
            )));
        }
        let part = steps.len().div_ceil(options.copies + 1);
        if options.copies > 0 && place.step.is_multiple_of(part) && !last {
            let copy = network.whole(metadata.clone(), options.precision, &[]);
            let path = folder.join(format!("{}.gguf", place.step));
            copy.write(&path, options.precision)?;
        }
        let due = options.save_every > 0 && place.step.is_multiple_of(options.save_every);
        if due || pause || stopped {
            checkpoint::save(&state, &network, &adam, &place)?;
        }
    }

    // 5. The result: the best weights, or the last where nothing was held out.
    summary.finished = place.step == steps.len();
    summary.steps = place.step;
    if let Some((step, ..)) = place.best {
        checkpoint::load(&best, &mut network, &device)?;
        let found = last_best.unwrap_or_else(|| evaluate(&network));
        summary.best = Some((step, found));
    }
    export(&network)?;
    Ok(summary)
}

/// Checks that the best weights on disk are those of the run that is gone on with. One that was
/// killed after it wrote them and before its state has later ones, to which it will come again.
fn check_best(path: &Path, run: &Place) -> Result<()> {
    let Some((step, ..)) = run.best else {
        return Ok(());
    };
    let found = match checkpoint::place(path) {
        None => "is missing or damaged".to_owned(),
        Some(best) if best.fingerprint != run.fingerprint => "is another run's".to_owned(),
        Some(best) if best.step != step && best.step <= run.step => {
            format!("is of step {}", best.step)
        }
        Some(_) => return Ok(()),
    };
    Err(Error::Options(format!(
        "{} {found}, where this run's best weights (step {step}) should be: put them back, or begin anew with --restart in place of --resume",
        path.display()
    )))
}

/// Writes what was trained: an adapter or a model, and a reward model's head beside it.
fn export(options: &Options, network: &Network, metadata: Vec<(String, Value)>) -> Result<()> {
    let notes = [
        (
            "rerank.objective",
            Value::String(options.objective.name().to_owned()),
        ),
        ("rerank.end_token", Value::Bool(options.end_token)),
    ];
    let notes = notes.map(|(key, value)| (key.to_owned(), value));
    let gguf = match &options.lora {
        Some(lora) => network.adapter(lora, &notes),
        None => network.whole(metadata, options.precision, &notes),
    };
    if !gguf.fits(options.precision) {
        return Err(Error::Model {
            model: options.out.display().to_string(),
            reason: "its weights are too large for this precision or no numbers: try a lower learning rate, or f32".to_owned(),
        });
    }
    gguf.write(&options.out, options.precision)?;
    let path = beside(&options.out, ".head.gguf");
    match network.head() {
        Some(head) => head.write(&path),
        // One of an earlier run would be taken for this one's.
        None if path.exists() => fs::remove_file(&path).map_err(Error::write(&path)),
        None => Ok(()),
    }
}

/// Where the state of a run that makes `out` is kept.
pub fn state_of(out: &Path) -> PathBuf {
    beside(out, ".train").join("state.gguf")
}

/// Where a base in another form goes as the GGUF that `out` belongs to.
pub fn base_of(out: &Path) -> PathBuf {
    beside(out, ".base.gguf")
}

/// Where such a base is until `out` is written.
pub fn new_base_of(out: &Path) -> PathBuf {
    beside(out, ".train").join("base.gguf")
}

/// `metrics.jsonl`.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the file and drops what was written after `step`: a resumed run writes it again.
    fn open(path: &Path, step: usize) -> Result<Self> {
        let old = match fs::read_to_string(path) {
            Ok(old) => old,
            Err(source) if source.kind() == ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::read(path)(source)),
        };
        let before = |line: &&str| {
            let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
            line.and_then(|line| line["step"].as_u64())
                .is_some_and(|of| of <= step as u64)
        };
        let kept: String = old
            .lines()
            .filter(before)
            .flat_map(|line| [line, "\n"])
            .collect();
        write_whole(path, kept)?;
        let file = OpenOptions::new().append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(Error::write(path))?,
        })
    }

    fn add(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line).expect("numbers and texts are JSON");
        text.push('\n');
        let written = self.file.write_all(text.as_bytes());
        written.map_err(Error::write(&self.path))
    }
}
