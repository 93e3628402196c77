//! GGUF models through llama.cpp, in process.
//!
//! In: conversations. Out: N continuations of each, or the log-probability of given ones. [`run`]
//! draws: it keeps a batch of samples of any number of requests decoding, each in its own KV
//! stream. [`tree`] scores: the question once, and common beginnings of candidates once.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use llama_cpp_2::{model::params::LlamaModelParams, token::LlamaToken};
use sha2::{Digest, Sha256};

pub use self::backend::{backend, time_inside};
pub use self::tree::Logprob;
use self::{context::Context, run::Run, weights::Weights};
use super::{
    Finished, LanguageModel, Message, Prompts, Request, Sampling, Scored, Ticket, Usage, Watch,
    chat, hub::parts,
};
use crate::{
    error::{Error, Result},
    model::gguf::Gguf,
    train::{
        lora::Head,
        objective::{Logp, Objective},
    },
};

mod backend;
mod context;
mod memory;
mod run;
mod running;
mod tokenizer;
mod tree;
mod weights;

pub use tokenizer::Tokenizer;

/// What a model may use.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// CPU threads.
    pub threads: usize,
    /// Bytes of key-value cache of all contexts together; fewer samples run at once where they are
    /// few. Weights and what llama.cpp computes in come on top.
    pub kv_bytes_max: u64,
    /// Contexts among which these bytes are divided equally: one for each model that draws, and one
    /// more for each that scores. All are kept while the process lasts, since questions are at
    /// different stages at the same time.
    pub kv_contexts: u64,
    /// Layers kept on the GPU, where the binary was built for one.
    pub gpu_layers: u32,
    /// Whether a text must not depend on what else runs at the time, at some cost in speed.
    pub deterministic: bool,
}

impl Default for Resources {
    /// One thread per physical core (a second thread on a core slows llama.cpp down), and a
    /// quarter of the memory that is free, as [`free_bytes`] finds it.
    fn default() -> Self {
        Self {
            threads: num_cpus::get_physical(),
            kv_bytes_max: memory::free_bytes() / 4,
            kv_contexts: 1,
            gpu_layers: u32::MAX,
            deterministic: false,
        }
    }
}

impl Resources {
    /// Bytes of key-value cache that one context may take.
    fn kv_bytes_each(&self) -> u64 {
        self.kv_bytes_max / self.kv_contexts.max(1)
    }
}

pub use memory::free_bytes;

/// A GGUF model, with a LoRA adapter or without.
pub struct LlamaCpp {
    role: Arc<Role>,
    drawing: Run,
    /// Kept from one question to the next.
    scoring: Option<Context>,
    /// A reward model's head, from the file that training left beside its adapter or model.
    head: Option<Head>,
    /// What its adapter, or without one itself, was trained for, where the file says it.
    objective: Option<Objective>,
    prompts: Prompts,
}

/// What a model is to the contexts that work for it.
struct Role {
    name: String,
    files: Vec<PathBuf>,
    weights: Arc<Weights>,
    /// Which of the weights' adapters is its own.
    adapter: Option<usize>,
    resources: Resources,
}

impl LlamaCpp {
    /// Loads `base`, and on it the LoRA adapter.
    ///
    /// # Errors
    /// A file that is missing, not GGUF, truncated, or of an architecture llama.cpp does not know.
    pub fn load(base: &Path, adapter: Option<&Path>, resources: Resources) -> Result<Self> {
        let mut roles = Self::load_roles(base, &[adapter], resources)?;
        Ok(roles.swap_remove(0))
    }

    /// Loads `base` once for several roles, each with an adapter of its own or without.
    ///
    /// # Errors
    /// As [`LlamaCpp::load`]; a reward model without its head.
    pub fn load_roles(
        base: &Path,
        adapters: &[Option<&Path>],
        resources: Resources,
    ) -> Result<Vec<Self>> {
        let parameters = LlamaModelParams::default().with_n_gpu_layers(resources.gpu_layers);
        let roles = Self::load_with(base, adapters, &parameters, resources)?;
        let headless = |role: &&Self| role.objective == Some(Objective::Orm) && !role.has_head();
        if let Some(Self { role, .. }) = roles.iter().find(headless) {
            let trained = role.files.last().expect("a role has its base");
            return Err(Error::Model {
                model: trained.display().to_string(),
                reason: format!(
                    "it is an outcome reward model without its head: put {} beside it",
                    head_of(trained).display()
                ),
            });
        }
        Ok(roles)
    }

    fn load_with(
        base: &Path,
        adapters: &[Option<&Path>],
        parameters: &LlamaModelParams,
        resources: Resources,
    ) -> Result<Vec<Self>> {
        let files: Vec<PathBuf> = adapters.iter().flatten().map(PathBuf::from).collect();
        let weights = Arc::new(Weights::read(base, &files, parameters)?);
        let prompts = Prompts::from_metadata(|key| weights.model.meta_val_str(key).ok())?;
        let mut loaded = 0;
        let roles = adapters.iter().map(|adapter| {
            let beside = head_of(adapter.unwrap_or(base));
            let beside = beside.exists().then_some(beside);
            let head = beside.as_deref().map(Head::read).transpose()?;
            let objective = match adapter {
                Some(adapter) => objective_of(adapter),
                None => weights.model.meta_val_str(OBJECTIVE).ok(),
            };
            let objective = objective.and_then(|name| Objective::from_name(&name).ok());
            let mut files: Vec<PathBuf> = [Some(base), *adapter]
                .into_iter()
                .flatten()
                .map(Path::to_owned)
                .collect();
            let names: Vec<String> = files
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            // Not part of the name, but of what scores depend on.
            files.extend(beside);
            let adapter = adapter.map(|_| {
                loaded += 1;
                loaded - 1
            });
            let role = Arc::new(Role {
                name: names.join("+"),
                files,
                weights: Arc::clone(&weights),
                adapter,
                resources,
            });
            Ok(Self {
                drawing: Run::new(Arc::clone(&role)),
                role,
                scoring: None,
                head,
                objective,
                prompts: prompts.clone(),
            })
        });
        roles.collect()
    }

    /// Puts other prompts, such as a manifest's, in the place of the model's own.
    pub fn set_prompts(&mut self, prompts: Prompts) {
        self.prompts = prompts;
    }

    /// Whether there is an adapter to switch off.
    pub fn has_adapter(&self) -> bool {
        self.role.adapter.is_some()
    }

    /// Whether there is a reward model's head.
    pub fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// What its adapter, or without one itself, was trained for, where the file says it.
    pub fn objective(&self) -> Option<&Objective> {
        self.objective.as_ref()
    }

    /// Whether it was trained for its rise over a base that cannot be had from it: as a whole model,
    /// not as an adapter. Then it scores by the mean log-probability.
    pub fn lacks_base(&self) -> bool {
        !self.has_adapter() && self.objective.is_some_and(|one| one.needs_reference())
    }

    /// The log-probability of each continuation, with the adapter or without it; `None` for one
    /// that does not fit the context.
    ///
    /// # Errors
    /// As [`LanguageModel::score`].
    pub fn logprobs(
        &mut self,
        request: &Request,
        continuations: &[&str],
        adapted: bool,
        watch: Watch,
    ) -> Result<(Vec<Option<Logprob>>, Usage)> {
        let asked = self.role.asked(request, continuations)?;
        asked.logprobs(&self.role, &mut self.scoring, adapted, watch)
    }
}

impl Role {
    /// Tokens of a conversation, the assistant's turn opened, with exactly one BOS where the model
    /// wants one.
    fn prompt(&self, messages: &[Message]) -> Result<Vec<LlamaToken>> {
        let vocab = self.weights.model.vocab();
        let text_of =
            |token| String::from_utf8_lossy(&vocab.token_to_piece(token, true, None)).into_owned();
        let (bos, eos) = (vocab.bos(), vocab.eos());
        let text = chat::render(
            self.weights.template.as_deref(),
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
        if tokens.is_empty() {
            return Err(
                self.error("the conversation has no tokens, so there is nothing to continue")
            );
        }
        Ok(tokens)
    }

    /// Tokens of a solution with the end of the turn.
    fn solution(&self, text: &str) -> Vec<LlamaToken> {
        let vocab = self.weights.model.vocab();
        let mut tokens = vocab.tokenize(text.as_bytes(), false, false);
        tokens.push(self.end_of_turn());
        tokens
    }

    /// The token that ends an assistant's turn.
    fn end_of_turn(&self) -> LlamaToken {
        let vocab = self.weights.model.vocab();
        let end_of_turn = vocab.eot();
        if end_of_turn.0 >= 0 {
            end_of_turn
        } else {
            vocab.eos()
        }
    }

    /// Tokens of the context the model was trained with.
    fn context_tokens(&self) -> usize {
        self.weights.model.n_ctx_train() as usize
    }

    /// Checks that a prompt and `more` tokens fit the context.
    fn check_fits(&self, prompt: usize, more: usize) -> Result<()> {
        let (needed, allowed) = (prompt + more, self.context_tokens());
        if needed > allowed {
            return Err(Error::Context {
                model: self.name.clone(),
                needed,
                allowed,
            });
        }
        Ok(())
    }

    /// Says that what is to be done needs more bytes of key-value cache than there are for it.
    fn cache_too_small(&self, needed: u64, what: &str, instead: &str) -> Error {
        let Resources {
            kv_bytes_max,
            kv_contexts,
            ..
        } = self.resources;
        let allowed = match kv_contexts {
            0 | 1 => format!("{kv_bytes_max} are allowed"),
            parts => format!(
                "of the {kv_bytes_max} that are allowed it has one part in {parts}, because every \
                 model that draws has one and every model that scores has one"
            ),
        };
        let enough = needed.saturating_mul(kv_contexts.max(1));
        self.error(format!(
            "{needed} bytes of key-value cache are needed {what}, and {allowed}; allow {enough} with \
             --kv-budget{instead}"
        ))
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
        &self.role.name
    }

    fn sha256(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for path in self.role.files.iter().flat_map(|path| all_parts(path)) {
            let read = File::open(&path).and_then(|mut file| std::io::copy(&mut file, &mut hash));
            read.map_err(Error::read(&path))?;
        }
        Ok(format!("{:x}", hash.finalize()))
    }

    fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    fn parameters(&self) -> Option<u64> {
        Some(self.role.weights.model.n_params())
    }

    fn submit(&mut self, request: &Request, sampling: &Sampling) -> Result<Ticket> {
        let prompt = self.role.prompt(&request.messages)?;
        let fits = self.role.check_fits(prompt.len(), 1);
        // None are drawn where a candidate has made the prompt too long, which is that
        // candidate's bad luck and not the question's.
        let samples = match fits {
            Ok(()) => request.samples,
            Err(_) if request.candidate.is_some() => 0,
            Err(error) => return Err(error),
        };
        let samples = request.first..request.first + samples;
        Ok(self.drawing.submit(prompt, samples, request.seed, sampling))
    }

    fn step(&mut self) -> Result<Vec<Finished>> {
        self.drawing.step()
    }

    fn cancel(&mut self, ticket: u64) -> Vec<Finished> {
        self.drawing.cancel(ticket)
    }

    fn pending(&self) -> usize {
        self.drawing.pending()
    }

    fn score(&mut self, request: &Request, continuations: &[&str], watch: Watch) -> Result<Scored> {
        let asked = self.role.asked(request, continuations)?;
        if let Some(head) = &self.head {
            return asked.head_scores(&self.role, &mut self.scoring, head, watch);
        }
        let (logprobs, mut usage) = asked.logprobs(&self.role, &mut self.scoring, true, watch)?;
        let compares =
            self.has_adapter() && self.objective.is_some_and(|one| one.needs_reference());
        let Some(objective) = self.objective.filter(|_| compares) else {
            let scores = logprobs.iter();
            let scores = scores.map(|logprob| logprob.map(|logprob| logprob.mean()));
            return Ok(Scored {
                scores: scores.collect(),
                usage,
            });
        };
        // As in training: how much likelier the adapter has made a solution.
        let (of_base, more) = asked.logprobs(&self.role, &mut self.scoring, false, watch)?;
        usage += more;
        let scores = logprobs.iter().zip(&of_base).map(|(adapted, base)| {
            let (adapted, base) = ((*adapted)?, (*base)?);
            Some(objective.score(&Logp {
                sum: adapted.sum,
                tokens: adapted.tokens,
                reference: base.sum,
            }))
        });
        Ok(Scored {
            scores: scores.collect(),
            usage,
        })
    }
}

/// A model's file, or where that is a part of a split model, all of them.
pub fn all_parts(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map_or_else(
        || vec![path.to_owned()],
        |name| {
            let names = parts(name).into_iter();
            names.map(|name| path.with_file_name(name)).collect()
        },
    )
}

/// The key under which training writes what it was for.
const OBJECTIVE: &str = "rerank.objective";

/// What an adapter was trained for; one that was made elsewhere does not tell.
fn objective_of(adapter: &Path) -> Option<String> {
    let metadata = Gguf::read_metadata(adapter).ok()?;
    let (_, value) = metadata.into_iter().find(|(key, _)| key == OBJECTIVE)?;
    value.as_str().map(str::to_owned)
}

/// The file of the reward model's head that belongs to a model or an adapter.
fn head_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".head.gguf");
    PathBuf::from(name)
}

fn index(token: LlamaToken) -> usize {
    usize::try_from(token.0).expect("token ids are not negative")
}
