//! The command line: arguments in, the one result on standard output, progress on standard error.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use rerank::{
    answer::Rule,
    builtin::embedded,
    execute::Sandbox,
    jsonl,
    model::{
        LanguageModel, LlamaCpp, Replay, Sampling,
        llama::Resources,
        manifest::{self, Role},
    },
    problem::Task,
    select::{Filter, Selector},
    settle::Until,
    solve::CodeMode,
};

mod builtin;
mod contamination;
mod eval;
mod generate;
mod grade;
mod models;
mod pairs;
mod report;
mod rescore;
mod sandbox;
mod score;
mod solve;
mod train;

/// Picks the right answer among many samples of a local language model.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Solve(solve::Arguments),
    Eval(eval::Arguments),
    Report(report::Arguments),
    Grade(grade::Arguments),
    Generate(generate::Arguments),
    Pairs(pairs::Arguments),
    Contamination(contamination::Arguments),
    TrainVerifier(train::Arguments),
    Score(score::Arguments),
    Rescore(rescore::Arguments),
    Builtin(builtin::Arguments),
    #[command(subcommand)]
    Models(models::Command),
    #[command(subcommand)]
    Sandbox(sandbox::Command),
}

impl Cli {
    /// Runs the command that was given.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Solve(arguments) => solve::run(arguments),
            Command::Eval(arguments) => eval::run(arguments),
            Command::Report(arguments) => report::run(arguments),
            Command::Grade(arguments) => grade::run(arguments),
            Command::Generate(arguments) => generate::run(arguments),
            Command::Pairs(arguments) => pairs::run(arguments),
            Command::Contamination(arguments) => contamination::run(arguments),
            Command::TrainVerifier(arguments) => train::run(arguments),
            Command::Score(arguments) => score::run(arguments),
            Command::Models(command) => models::run(command),
            Command::Rescore(arguments) => rescore::run(arguments),
            Command::Builtin(arguments) => builtin::run(arguments),
            Command::Sandbox(command) => sandbox::run(command),
        }
    }
}

/// Which models take part, and how they draw.
#[derive(Args)]
struct ModelArguments {
    /// Model that samples candidates: a .gguf file, a name of `rerank models list`, hf:OWNER/NAME,
    /// BASE+ADAPTER.gguf for a LoRA adapter, or builtin; without it all three are built in
    #[arg(long, value_name = "M")]
    reasoner: Option<String>,
    /// Model that writes each candidate as a program
    #[arg(long, value_name = "M")]
    coder: Option<String>,
    /// Model that scores candidates
    #[arg(long, value_name = "M")]
    verifier: Option<String>,
    /// Take candidates, programs and scores from recorded samples (.jsonl, .jsonl.gz) instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reasoner", "coder", "verifier"])]
    replay: Option<PathBuf>,
    /// Candidates to draw
    #[arg(short = 'n', long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    samples: u16,
    /// Divides the logits; 0 takes the most likely token. By default 0.7, or what the manifest of a
    /// model named by `rerank models list` says; so too below
    #[arg(long, value_parser = temperature, allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Draw from the k most likely tokens; 0: from all [default: 0]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the fewest tokens that reach this probability [default: 0.95]
    #[arg(long, value_name = "P", value_parser = share)]
    top_p: Option<f64>,
    /// Drop tokens less likely than this share of the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    min_p: f64,
    /// Most tokens of one candidate [default: 512]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// When drawing ends before N candidates
    #[arg(long, value_enum, default_value_t = StopArgument::Never)]
    stop: StopArgument,
    /// How likely the leading answer must be to stay ahead, for --stop adaptive
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = share)]
    confidence: f64,
    /// End a candidate where this string appears (repeatable)
    #[arg(long, value_name = "STRING")]
    stop_string: Vec<String>,
    /// End a candidate once it has repeated a span of tokens this often in a row; 0: never
    #[arg(long, value_name = "TIMES", default_value_t = 8)]
    max_repeats: usize,
    /// Where every random choice comes from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    file: ModelFile,
    /// How the answer is chosen; by default `weighted` with a verifier and `majority` without
    #[arg(long, value_enum)]
    select: Option<Selector>,
    /// What programs do to the choice; by default `soft`, for programming questions `cotnpot`
    #[arg(long, value_enum)]
    filter: Option<Filter>,
    /// By what programs are told apart where the question asks for one, beside its examples
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CodeMode::Agree)]
    code_mode: CodeMode,
}

/// What the command line calls the models in the binary.
const BUILTIN: &str = "builtin";

/// How a model file is loaded.
#[derive(Args)]
struct ModelFile {
    /// CPU threads; the number of physical cores by default
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Bytes of key-value cache; fewer candidates decode at once where it is small. By default a
    /// quarter of the memory that is free
    #[arg(long, value_name = "BYTES")]
    kv_budget: Option<u64>,
    /// Draw the same candidates, bit by bit, whatever else is drawn at the time and however much
    /// fits the memory, on a CPU with as many threads; a single candidate takes longer then
    #[arg(long)]
    deterministic: bool,
}

/// A model file that was asked for.
struct Wanted {
    base: PathBuf,
    adapter: Option<PathBuf>,
    prompts: Option<rerank::model::Prompts>,
}

impl ModelFile {
    /// Loads a model for a role, which says which of the built-in ones is meant.
    fn load(&self, name: &str, role: Role) -> Result<LlamaCpp> {
        let mut loaded = self.load_all(&[(name, role)], 1)?;
        Ok(loaded.swap_remove(0))
    }

    /// Loads models, a base that several of them name once; the key-value cache is divided among
    /// so many `uses` of them.
    fn load_all(&self, names: &[(&str, Role)], uses: u64) -> Result<Vec<LlamaCpp>> {
        let mut defaults = Resources::default();
        if names.iter().all(|(name, _)| *name == BUILTIN) {
            // Models this small compute for less time than threads take to meet: a second one gains
            // little on an idle machine and made sampling 7 times as slow on a busy one.
            defaults.threads = 1;
        }
        let resources = Resources {
            threads: self.threads.map_or(defaults.threads, usize::from),
            kv_bytes_max: self.kv_budget.unwrap_or(defaults.kv_bytes_max) / uses,
            deterministic: self.deterministic,
            ..defaults
        };
        let wanted = names
            .iter()
            .map(|(name, role)| wanted(name, *role))
            .collect::<Result<Vec<Wanted>>>()?;
        let mut loaded: Vec<(usize, LlamaCpp)> = Vec::new();
        for (first, Wanted { base, .. }) in wanted.iter().enumerate() {
            let same = || {
                wanted
                    .iter()
                    .enumerate()
                    .filter(|(_, other)| other.base == *base)
            };
            if same().any(|(index, _)| index < first) {
                continue;
            }
            let adapters: Vec<Option<&Path>> =
                same().map(|(_, other)| other.adapter.as_deref()).collect();
            let models = LlamaCpp::load_roles(base, &adapters, resources)?;
            for ((index, wanted), mut model) in same().zip(models) {
                if let Some(prompts) = &wanted.prompts {
                    model.set_prompts(prompts.clone());
                }
                loaded.push((index, model));
            }
        }
        loaded.sort_by_key(|(index, _)| *index);
        Ok(loaded.into_iter().map(|(_, model)| model).collect())
    }
}

/// The files of a model, downloaded where they have to be.
fn wanted(name: &str, role: Role) -> Result<Wanted> {
    if name == BUILTIN {
        return Ok(Wanted {
            base: embedded::file(role, &cache_folder()?)?,
            adapter: None,
            prompts: None,
        });
    }
    let (base, adapter) = models::base_and_adapter(name);
    Ok(Wanted {
        prompts: models::prompts(base).cloned(),
        base: models::file(base)?,
        adapter: adapter.map(models::file).transpose()?,
    })
}

/// When drawing ends before all candidates are there.
#[derive(Clone, Copy, ValueEnum)]
enum StopArgument {
    /// It does not
    Never,
    /// Once the leading answer is unlikely to be overtaken
    Adaptive,
}

/// Set by Ctrl-C, at which a run ends with what is finished; a second Ctrl-C ends the program.
fn interrupted() -> Arc<AtomicBool> {
    static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        // Where no handler can be set, Ctrl-C ends the program as ever.
        let _ = ctrlc::set_handler(move || {
            if set.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
        });
        flag
    });
    Arc::clone(flag)
}

/// What a solution is.
#[derive(Clone, Copy, ValueEnum)]
enum TaskArgument {
    Math,
    Code,
}

impl From<TaskArgument> for Task {
    fn from(task: TaskArgument) -> Self {
        match task {
            TaskArgument::Math => Task::Math,
            TaskArgument::Code => Task::Code,
        }
    }
}

/// How answers are found and compared.
#[derive(Clone, Copy, ValueEnum)]
enum RuleArgument {
    Number,
    Math,
    Choice,
}

impl From<RuleArgument> for Rule {
    fn from(rule: RuleArgument) -> Self {
        match rule {
            RuleArgument::Number => Self::Number,
            RuleArgument::Math => Self::Math,
            RuleArgument::Choice => Self::Choice,
        }
    }
}

/// The models of a run, loaded.
struct Loaded {
    models: Vec<Box<dyn LanguageModel>>,
    reasoner: usize,
    coder: Option<usize>,
    verifier: Option<usize>,
}

impl ModelArguments {
    /// Loads what a run over questions of `task` needs.
    fn load(&self, task: Task) -> Result<Loaded> {
        if let Some(path) = &self.replay {
            if let mode @ (CodeMode::Describe | CodeMode::Roundtrip) = self.code_mode {
                let name = mode.to_possible_value();
                bail!(
                    "a recording describes and reads no programs: --code-mode {} needs models in place of --replay",
                    name.as_ref().map_or("", |name| name.get_name())
                );
            }
            let replay = open_replay(path)?;
            let verifier = replay.has_scores().then_some(0);
            return Ok(Loaded {
                models: vec![Box::new(replay)],
                reasoner: 0,
                coder: Some(0),
                verifier,
            });
        }
        // Without a reasoner all three are the built-in ones.
        if self.reasoner.is_none() && task == Task::Code {
            bail!(
                "the built-in models solve word problems and write no code for them: name a --reasoner"
            );
        }
        let missing = self.reasoner.is_none().then_some(BUILTIN);
        let roles = [
            (&self.reasoner, Role::Reasoner),
            (&self.coder, Role::Coder),
            (&self.verifier, Role::Verifier),
        ];
        // A model that plays two roles is loaded once.
        let mut names: Vec<(&str, Role)> = Vec::new();
        let [reasoner, coder, verifier] = roles.map(|(name, role)| {
            let name = name.as_deref().or(missing)?;
            let same =
                |known: &(&str, Role)| known.0 == name && (name != BUILTIN || known.1 == role);
            Some(names.iter().position(same).unwrap_or_else(|| {
                names.push((name, role));
                names.len() - 1
            }))
        });
        let reasoner = reasoner.expect("it is named or built in");
        // Scoring has a cache of its own, also where the model draws as well.
        let draws_too = verifier.is_some_and(|index| index == reasoner || Some(index) == coder);
        let uses = names.len() as u64 + u64::from(draws_too);
        let models = self.file.load_all(&names, uses)?;
        let boxed = |model| -> Box<dyn LanguageModel> { Box::new(model) };
        Ok(Loaded {
            models: models.into_iter().map(boxed).collect(),
            reasoner,
            coder,
            verifier,
        })
    }

    fn until(&self) -> Until {
        match self.stop {
            StopArgument::Never => Until::All,
            StopArgument::Adaptive => Until::Settled {
                confidence: self.confidence,
            },
        }
    }

    fn sampling(&self) -> Sampling {
        let common = Sampling::default();
        let reasoner = self.reasoner.as_deref().map(models::base_and_adapter);
        let advised = reasoner.and_then(|(base, _)| manifest::find(base).ok());
        let advised = advised
            .map(|manifest| manifest.sampling)
            .unwrap_or_default();
        let tokens_max = self.max_tokens.map(|tokens| tokens as usize);
        Sampling {
            temperature: self
                .temperature
                .or(advised.temperature)
                .unwrap_or(common.temperature),
            top_k: self.top_k.or(advised.top_k).unwrap_or(common.top_k),
            top_p: self
                .top_p
                .map(|share| share as f32)
                .or(advised.top_p)
                .unwrap_or(common.top_p),
            min_p: self.min_p as f32,
            tokens_max: tokens_max
                .or(advised.tokens_max)
                .unwrap_or(common.tokens_max),
            repeats_max: self.max_repeats,
            stop: self
                .stop_string
                .iter()
                .filter(|stop| !stop.is_empty())
                .cloned()
                .collect(),
        }
    }

    /// What recorded samples chose: see `eval/README.md`.
    fn filter(&self, task: Task) -> Filter {
        self.filter.unwrap_or(match task {
            Task::Math => Filter::Soft,
            // A program that fails an example of its question cannot be right.
            Task::Code => Filter::Cotnpot,
        })
    }

    fn selector(&self, loaded: &Loaded) -> Selector {
        let default = if loaded.verifier.is_some() || self.code_mode == CodeMode::Roundtrip {
            Selector::Weighted
        } else {
            Selector::Majority
        };
        self.select.unwrap_or(default)
    }
}

/// Opens a recording and says on standard error which of its lines were left out.
#[expect(
    clippy::print_stderr,
    reason = "a warning, and the rest of the recording is used"
)]
fn open_replay(path: &Path) -> Result<Replay> {
    let replay = Replay::open(path)?;
    for damaged in replay.damaged() {
        eprintln!("rerank: left out {damaged}");
    }
    Ok(replay)
}

/// Opens the sandbox, with a progress bar while it is first built.
fn open_sandbox() -> Result<Sandbox> {
    with_sandbox_bar(|cache, report| Sandbox::open(cache, report))
}

/// Calls `open` with the user's cache folder and a progress bar.
fn with_sandbox_bar(
    open: impl FnOnce(&Path, &dyn Fn(&str, f32)) -> rerank::Result<Sandbox>,
) -> Result<Sandbox> {
    let bar = bar("sandbox", 100);
    let report = |phase: &str, share: f32| {
        bar.set_message(phase.to_owned());
        bar.set_position((share * 100.0) as u64);
    };
    let sandbox = open(&cache_folder()?, &report)?;
    bar.finish_and_clear();
    Ok(sandbox)
}

fn cache_folder() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    Sandbox::cache_directory(variable("XDG_CACHE_HOME"), variable("HOME"))
        .context("there is no cache folder: set HOME or XDG_CACHE_HOME")
}

/// A progress bar on standard error; hidden where that is no terminal.
fn bar(name: &str, length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} {elapsed} (left: {eta})")
            .expect("the template is valid");
    ProgressBar::new(length)
        .with_style(style)
        .with_prefix(name.to_owned())
}

/// A share of a whole.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("it must be between 0 and 1".to_owned())
    }
}

/// A sampling temperature.
fn temperature(text: &str) -> Result<f32, String> {
    let temperature: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=100.0).contains(&temperature) {
        Ok(temperature)
    } else {
        Err("it must be between 0 and 100".to_owned())
    }
}

/// Refuses to write over what is read, by whatever path it is named.
fn keep(inputs: &[&Path], out: &Path) -> Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    let same = |input: &&&Path| place(input).is_some() && place(input) == place(out);
    match inputs.iter().find(same) {
        Some(input) => bail!(
            "--out {} is {}, which is read: choose another name",
            out.display(),
            input.display()
        ),
        None => Ok(()),
    }
}

/// A file's bytes, or standard input's for `-`, unpacked and without a byte order mark.
fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return Ok(jsonl::read(path)?);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.and_then(|_| jsonl::unpacked(bytes))
        .context("cannot read standard input")
}

/// A file's text, or standard input's for `-`.
fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_bytes(path)?).with_context(|| format!("cannot read {}", path.display()))
}
