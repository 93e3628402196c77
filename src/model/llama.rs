//! GGUF models through llama.cpp, in process.
//!
//! In: conversations. Out: N continuations of each, or the log-probability of given ones. A
//! prompt is evaluated once, in KV stream 0, and its KV is copied to the stream of each of its
//! samples; all running samples take one decode step together. One stream per sample, because in
//! a unified cache every token attends over the cells of all samples (at N = 64: 548 against 328
//! tokens/s).
//!
//! Thin for now: prompts are not evaluated while samples decode, and scored continuations share
//! the prompt but not their own common prefixes.

use std::{
    collections::VecDeque,
    ffi::{CStr, c_char, c_void},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use llama_cpp_2::{
    llama_backend::LlamaBackend,
    model::{LlamaLoraAdapter, LlamaModel, params::LlamaModelParams},
    token::LlamaToken,
};
use sha2::{Digest, Sha256};

use self::run::Run;
use super::{
    Generated, Generation, LanguageModel, Message, Progress, Prompts, Request, Sampling, Scored,
    Usage, chat, draw::logprob, seed_for,
};
use crate::{
    error::{Error, Result},
    problem::{Question, Task},
    train::{Tokenize, lora::Head},
};

mod run;

/// What a model may use.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// CPU threads.
    pub threads: usize,
    /// Bytes of key-value cache; fewer samples run at once where it is small.
    pub kv_bytes_max: u64,
    /// Layers kept on the GPU, where the binary was built for one.
    pub gpu_layers: u32,
}

impl Default for Resources {
    /// One thread per physical core (a second thread on a core slows llama.cpp down), 2 GiB.
    fn default() -> Self {
        Self {
            threads: num_cpus::get_physical(),
            kv_bytes_max: 2 << 30,
            gpu_layers: u32::MAX,
        }
    }
}

/// A GGUF model, with a LoRA adapter or without.
pub struct LlamaCpp {
    name: String,
    files: Vec<PathBuf>,
    /// Behind a lock only because the bindings want `&mut` to put it on a context.
    adapter: Option<Mutex<LlamaLoraAdapter>>,
    model: LlamaModel,
    template: Option<String>,
    prompts: Prompts,
    /// A reward model's head, from the file that training left beside its adapter or model.
    head: Option<Head>,
    resources: Resources,
}

impl LlamaCpp {
    /// Loads `base`, and on it the LoRA adapter.
    ///
    /// # Errors
    /// A file that is missing, not GGUF, truncated, or of an architecture llama.cpp does not know.
    pub fn load(base: &Path, adapter_path: Option<&Path>, resources: Resources) -> Result<Self> {
        check_gguf(base)?;
        let parameters = LlamaModelParams::default().with_n_gpu_layers(resources.gpu_layers);
        Self::load_with(base, adapter_path, &parameters, resources)
    }

    fn load_with(
        base: &Path,
        adapter_path: Option<&Path>,
        parameters: &LlamaModelParams,
        resources: Resources,
    ) -> Result<Self> {
        let mut model = LlamaModel::load_from_file(backend(), base, parameters)
            .map_err(|_| failure(base, "llama.cpp cannot load it"))?;
        let adapter = adapter_path
            .map(|path| {
                check_gguf(path)?;
                let loaded = model.lora_adapter_init(path);
                loaded
                    .map(Mutex::new)
                    .map_err(|_| failure(path, "llama.cpp cannot put this adapter on its base"))
            })
            .transpose()?;
        let template = model
            .chat_template(None)
            .ok()
            .and_then(|template| template.to_string().ok());
        let prompts = Prompts::from_metadata(|key| model.meta_val_str(key).ok())?;
        let files: Vec<PathBuf> = [Some(base), adapter_path]
            .into_iter()
            .flatten()
            .map(Path::to_owned)
            .collect();
        let head = head_of(adapter_path.unwrap_or(base));
        let head = head.exists().then(|| Head::read(&head)).transpose()?;
        let names: Vec<String> = files
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Ok(Self {
            name: names.join("+"),
            files,
            adapter,
            model,
            template,
            prompts,
            head,
            resources,
        })
    }

    /// Puts other prompts, such as a manifest's, in the place of the model's own.
    pub fn set_prompts(&mut self, prompts: Prompts) {
        self.prompts = prompts;
    }

    /// Tokens of a conversation, the assistant's turn opened, with exactly one BOS where the model
    /// wants one.
    fn prompt(&self, messages: &[Message]) -> Result<Vec<LlamaToken>> {
        let vocab = self.model.vocab();
        let text_of =
            |token| String::from_utf8_lossy(&vocab.token_to_piece(token, true, None)).into_owned();
        let (bos, eos) = (vocab.bos(), vocab.eos());
        let text = chat::render(
            self.template.as_deref(),
            messages,
            &text_of(bos),
            &text_of(eos),
        )
        .map_err(|reason| self.error(reason))?;
        let mut tokens = vocab.tokenize(text.as_bytes(), true, true);
        if tokens.starts_with(&[bos, bos]) {
            // The template wrote one, the tokenizer another.
            tokens.remove(0);
        }
        Ok(tokens)
    }

    /// The token that ends an assistant's turn.
    fn end_of_turn(&self) -> LlamaToken {
        let vocab = self.model.vocab();
        let end_of_turn = vocab.eot();
        if end_of_turn.0 >= 0 {
            end_of_turn
        } else {
            vocab.eos()
        }
    }

    /// Bytes of keys and values for one token of one stream, in f16.
    fn kv_bytes_per_token(&self) -> u64 {
        let of_metadata = |key: &str| {
            let architecture = self.model.meta_val_str("general.architecture").ok()?;
            self.model
                .meta_val_str(&format!("{architecture}.attention.{key}"))
                .ok()?
                .parse::<u64>()
                .ok()
        };
        let head =
            u64::from(self.model.n_embd().unsigned_abs()) / u64::from(self.model.n_head().max(1));
        let key = of_metadata("key_length").unwrap_or(head);
        let value = of_metadata("value_length").unwrap_or(head);
        // Hybrid models say 0 where the first layer has no attention; then all heads are counted.
        let heads = match self.model.n_head_kv() {
            0 => self.model.n_head().max(1),
            heads => heads,
        };
        u64::from(self.model.n_layer()) * u64::from(heads) * (key + value).max(1) * 2
    }

    /// Checks that a prompt and `more` tokens fit the context the model was trained with.
    fn check_fits(&self, prompt: usize, more: usize) -> Result<()> {
        let (needed, allowed) = (prompt + more, self.model.n_ctx_train() as usize);
        if needed > allowed {
            return Err(Error::Context {
                model: self.name.clone(),
                needed,
                allowed,
            });
        }
        Ok(())
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        Error::Model {
            model: self.name.clone(),
            reason: reason.into(),
        }
    }
}

impl LanguageModel for LlamaCpp {
    fn name(&self) -> &str {
        &self.name
    }

    fn sha256(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for path in &self.files {
            let mut file = File::open(path).map_err(|source| Error::Read {
                path: path.clone(),
                source,
            })?;
            std::io::copy(&mut file, &mut hash).map_err(|source| Error::Read {
                path: path.clone(),
                source,
            })?;
        }
        Ok(format!("{:x}", hash.finalize()))
    }

    fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    fn parameters(&self) -> Option<u64> {
        Some(self.model.n_params())
    }

    fn generate(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
        progress: Progress,
    ) -> Result<Generated> {
        // 1. Tokens of every prompt; a question that cannot fit stops the run before it starts.
        let prompts = requests
            .iter()
            .map(|request| self.prompt(&request.messages))
            .collect::<Result<Vec<_>>>()?;
        // How many to draw of each: none where a candidate has made the prompt too long, which is
        // that candidate's bad luck and not the question's.
        let mut samples = Vec::new();
        for (request, prompt) in requests.iter().zip(&prompts) {
            match self.check_fits(prompt.len(), 1) {
                Ok(()) => samples.push(request.samples),
                Err(_) if request.candidate.is_some() => samples.push(0),
                Err(error) => return Err(error),
            }
        }
        let drawn_from = prompts
            .iter()
            .zip(&samples)
            .filter(|(_, samples)| **samples > 0);
        let longest = drawn_from
            .map(|(prompt, _)| prompt.len())
            .max()
            .unwrap_or(0);
        let cells = (longest + sampling.tokens_max).min(self.model.n_ctx_train() as usize);

        // 2. A context with room for as many samples at once as the budget allows.
        let all: usize = samples.iter().sum();
        let mut run = Run::new(self, all + 1, cells, true, false)?;

        // 3. Keep the streams full until everything is drawn.
        let mut waiting: VecDeque<(usize, usize)> = samples
            .iter()
            .enumerate()
            .flat_map(|(request, samples)| (0..*samples).map(move |sample| (request, sample)))
            .collect();
        let mut drawn: Vec<Vec<Option<Generation>>> =
            samples.iter().map(|samples| vec![None; *samples]).collect();
        let mut in_prompt_stream: Option<(usize, Vec<f32>)> = None;
        let mut done = 0;
        progress(0, all);
        while !(waiting.is_empty() && run.running.is_empty()) {
            while run.running.len() + 1 < run.streams
                && let Some((request, sample)) = waiting.pop_front()
            {
                if in_prompt_stream
                    .as_ref()
                    .is_none_or(|(held, _)| *held != request)
                {
                    in_prompt_stream = Some((request, run.evaluate(&prompts[request])?));
                }
                let (_, logits) = in_prompt_stream.as_ref().expect("it was just evaluated");
                let seed = seed_for(requests[request].seed, "sample", sample);
                run.start(
                    (request, sample),
                    prompts[request].len(),
                    logits,
                    sampling,
                    seed,
                )?;
            }
            run.step(sampling)?;
            for (request, sample, generation) in run.take_finished()? {
                drawn[request][sample] = Some(generation);
                done += 1;
                progress(done, all);
            }
        }
        let generations = drawn
            .into_iter()
            .map(|samples| {
                samples
                    .into_iter()
                    .map(|one| one.expect("all were drawn"))
                    .collect()
            })
            .collect();
        Ok(Generated {
            generations,
            usage: run.usage,
        })
    }

    fn score(
        &mut self,
        request: &Request,
        continuations: &[&str],
        progress: Progress,
    ) -> Result<Scored> {
        if self.head.is_some() {
            return self.head_scores(request, continuations, progress);
        }
        let (logprobs, usage) = self.logprobs(request, continuations, true, progress)?;
        let scores = logprobs
            .iter()
            .map(|logprob| logprob.map(|logprob| logprob.mean()))
            .collect();
        Ok(Scored { scores, usage })
    }
}

/// The log-probability of a text after a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logprob {
    /// Of all its tokens and the end of the turn, in nats.
    pub sum: f64,
    /// How many these are.
    pub tokens: usize,
}

impl Logprob {
    /// Per token, in nats.
    pub fn mean(&self) -> f64 {
        self.sum / self.tokens as f64
    }
}

impl LlamaCpp {
    /// Whether there is an adapter to switch off.
    pub fn has_adapter(&self) -> bool {
        self.adapter.is_some()
    }

    /// Whether there is a reward model's head.
    pub fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// The log-probability of each continuation, with the adapter or without it; `None` for one
    /// that does not fit the context.
    ///
    /// # Errors
    /// As [`LanguageModel::score`].
    pub fn logprobs(
        &self,
        request: &Request,
        continuations: &[&str],
        with_adapter: bool,
        progress: Progress,
    ) -> Result<(Vec<Option<Logprob>>, Usage)> {
        let (prompt, continuations, fits) = self.tokens_to_score(request, continuations)?;
        let mut run = Run::new(
            self,
            continuations.len() + 1,
            cells(&prompt, &continuations),
            with_adapter,
            false,
        )?;
        let first_logits = run.evaluate(&prompt)?;
        let mut sums: Vec<f64> = continuations
            .iter()
            .map(|tokens| logprob(&first_logits, index(tokens[0])))
            .collect();
        let wave = run.streams - 1;
        for (number, group) in continuations.chunks(wave).enumerate() {
            progress(number * wave, continuations.len());
            run.add_logprobs(prompt.len(), group, &mut sums[number * wave..])?;
        }
        progress(continuations.len(), continuations.len());
        run.usage.tokens_continued = continuations.iter().map(|tokens| tokens.len() as u64).sum();
        let logprobs = sums.iter().zip(&continuations);
        let logprobs = logprobs.map(|(sum, tokens)| Logprob {
            sum: *sum,
            tokens: tokens.len(),
        });
        Ok((spread(&fits, logprobs), run.usage))
    }

    /// The reward head's value at the end of each continuation (arXiv 2110.14168).
    fn head_scores(
        &self,
        request: &Request,
        continuations: &[&str],
        progress: Progress,
    ) -> Result<Scored> {
        let head = self.head.as_ref().expect("the caller has looked");
        let (prompt, continuations, fits) = self.tokens_to_score(request, continuations)?;
        let mut run = Run::new(
            self,
            continuations.len() + 1,
            cells(&prompt, &continuations),
            true,
            true,
        )?;
        run.evaluate(&prompt)?;
        let mut scores = Vec::new();
        let wave = run.streams - 1;
        for group in continuations.chunks(wave) {
            progress(scores.len(), continuations.len());
            let hidden = run.last_hidden(prompt.len(), group)?;
            scores.extend(hidden.iter().map(|hidden| head.score(hidden)));
        }
        progress(continuations.len(), continuations.len());
        run.usage.tokens_continued = continuations.iter().map(|tokens| tokens.len() as u64).sum();
        Ok(Scored {
            scores: spread(&fits, scores.into_iter()),
            usage: run.usage,
        })
    }

    /// Tokens of a prompt and of each continuation that fits the context, and which do; the end of
    /// the turn is part of what is scored, as it is of what is trained.
    #[expect(
        clippy::type_complexity,
        reason = "three lists that are taken apart at once"
    )]
    fn tokens_to_score(
        &self,
        request: &Request,
        continuations: &[&str],
    ) -> Result<(Vec<LlamaToken>, Vec<Vec<LlamaToken>>, Vec<bool>)> {
        let prompt = self.prompt(&request.messages)?;
        self.check_fits(prompt.len(), 1)?;
        let mut continuations: Vec<Vec<LlamaToken>> = continuations
            .iter()
            .map(|text| self.solution(text))
            .collect();
        let fit = |tokens: &Vec<LlamaToken>| self.check_fits(prompt.len(), tokens.len()).is_ok();
        let fits = continuations.iter().map(fit).collect();
        continuations.retain(fit);
        Ok((prompt, continuations, fits))
    }

    /// Tokens of a solution with the end of the turn.
    fn solution(&self, text: &str) -> Vec<LlamaToken> {
        let mut tokens = self.model.vocab().tokenize(text.as_bytes(), false, false);
        tokens.push(self.end_of_turn());
        tokens
    }
}

/// The file of the reward model's head that belongs to a model or an adapter.
fn head_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".head.gguf");
    PathBuf::from(name)
}

/// A model's tokenizer and chat template without its weights: what training needs to see the very
/// tokens that scoring will see.
pub struct Tokenizer {
    model: LlamaCpp,
    task: Task,
}

impl Tokenizer {
    /// Reads the tokenizer of a GGUF file; prompts are questions of `task`.
    ///
    /// # Errors
    /// As [`LlamaCpp::load`].
    pub fn open(path: &Path, task: Task) -> Result<Self> {
        check_gguf(path)?;
        let parameters = LlamaModelParams::default().with_vocab_only(true);
        Ok(Self {
            model: LlamaCpp::load_with(path, None, &parameters, Resources::default())?,
            task,
        })
    }

    /// As [`LlamaCpp::set_prompts`].
    pub fn set_prompts(&mut self, prompts: Prompts) {
        self.model.set_prompts(prompts);
    }
}

impl Tokenize for Tokenizer {
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        let question = Question {
            id: String::new(),
            text: prompt.to_owned(),
            task: self.task,
            interface: None,
        };
        let messages = self.model.prompts.solve(&question)?;
        Ok(ids(&self.model.prompt(&messages)?))
    }

    fn solution(&self, text: &str) -> Result<Vec<u32>> {
        Ok(ids(&self.model.model.vocab().tokenize(
            text.as_bytes(),
            false,
            false,
        )))
    }

    fn end(&self) -> Option<u32> {
        Some(self.model.end_of_turn().0.unsigned_abs())
    }
}

fn ids(tokens: &[LlamaToken]) -> Vec<u32> {
    tokens.iter().map(|token| token.0.unsigned_abs()).collect()
}

/// Puts the values of those that fit in their places.
fn spread<T>(fits: &[bool], mut values: impl Iterator<Item = T>) -> Vec<Option<T>> {
    fits.iter()
        .map(|fits| if *fits { values.next() } else { None })
        .collect()
}

/// KV cells that a prompt and its longest continuation need.
fn cells(prompt: &[LlamaToken], continuations: &[Vec<LlamaToken>]) -> usize {
    prompt.len() + continuations.iter().map(Vec::len).max().unwrap_or(0)
}

fn index(token: LlamaToken) -> usize {
    usize::try_from(token.0).expect("token ids are not negative")
}

/// What llama.cpp first complained of since this was last emptied.
static COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// llama.cpp, initialised once in a process, its messages kept from the terminal. Public for
/// programs that use the bindings beside this crate: llama.cpp refuses a second initialisation.
pub fn backend() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        let backend = LlamaBackend::init().expect("nobody else initialises llama.cpp");
        keep_complaints();
        backend
    })
}

/// Keeps an error message of llama.cpp, which the bindings reduce to "null result". The first one
/// names the cause; those that follow only say that something failed.
#[expect(
    unsafe_code,
    reason = "the bindings can drop messages or trace them, not hand them over"
)]
fn keep_complaints() {
    unsafe extern "C" fn keep(
        level: llama_cpp_sys_2::ggml_log_level,
        text: *const c_char,
        _: *mut c_void,
    ) {
        if level == llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR
            && let Ok(mut complaint) = COMPLAINT.lock()
            && complaint.is_empty()
        {
            // SAFETY: llama.cpp passes a string that ends in NUL and lives during the call.
            *complaint = unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned();
        }
    }
    // SAFETY: the callback keeps nothing of its arguments, and it is never unset.
    unsafe { llama_cpp_sys_2::llama_log_set(Some(keep), std::ptr::null_mut()) };
}

/// An error about a model file, with llama.cpp's own words.
fn failure(path: &Path, what: &str) -> Error {
    let complaint = COMPLAINT
        .lock()
        .map(|mut text| std::mem::take(&mut *text))
        .unwrap_or_default();
    // Behind the names of functions: "llama_model_load: error loading model: ...".
    let cause = complaint
        .trim()
        .rsplit_once("error loading model: ")
        .map_or(complaint.trim(), |(_, cause)| cause);
    let reason = if cause.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {cause}")
    };
    Error::Model {
        model: path.display().to_string(),
        reason,
    }
}

/// Says what is wrong with a file that cannot be a model, before llama.cpp is asked.
fn check_gguf(path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    let reason = match read {
        Ok(()) if &magic == b"GGUF" => return Ok(()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        Err(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => source.to_string(),
        _ => "it is not a GGUF file; convert it with llama.cpp's convert_hf_to_gguf.py".to_owned(),
    };
    Err(Error::Model {
        model: path.display().to_string(),
        reason,
    })
}
