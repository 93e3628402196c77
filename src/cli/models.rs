//! `rerank models`: which models there are by name, and their files.

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use rerank::model::{
    Progress, Prompts,
    hub::{Address, Freshness, Hub},
    manifest::{self, Manifest, Role},
};
use serde_json::json;

use super::{cache_folder, loading::BUILTIN, warn};

/// List and download models, by name or from a hub
#[derive(Subcommand)]
#[command(
    after_help = "A model is named by its name in this list, as hf:OWNER/NAME (the Q4_K_M file), \
hf:OWNER/NAME:Q8_0 or hf:OWNER/NAME/FILE.gguf, each with @REVISION or without; every option that takes \
a model takes these too. Files are kept where huggingface_hub keeps them. HF_ENDPOINT, HF_HOME, HF_TOKEN \
and HF_HUB_OFFLINE are honoured."
)]
pub enum Command {
    List(List),
    Pull(Pull),
    Path(Where),
}

/// Show the models that have a name
#[derive(Args)]
#[command(after_help = "A size of — is told by the hub when the model is pulled.

Example:
  rerank models list --json")]
pub struct List {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

/// Download models; a download that was stopped goes on
#[derive(Args)]
#[command(after_help = "Examples:
  rerank models pull qwen2.5-math-1.5b qwen2.5-coder-1.5b
  rerank models pull hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0")]
pub struct Pull {
    /// Names of the list, or hf:OWNER/NAME[/FILE.gguf][:QUANTISATION][@REVISION]
    #[arg(required = true, value_name = "M")]
    models: Vec<String>,
    /// Ask the hub for a newer file where there is one here
    #[arg(long)]
    update: bool,
}

/// Print where a model's file is, for scripts; of a split model, its first part
#[derive(Args)]
#[command(after_help = "Example:
  llama-cli -m \"$(rerank models path qwen2.5-math-1.5b)\"")]
pub struct Where {
    /// A name of the list, hf:OWNER/NAME..., or a path
    #[arg(value_name = "M")]
    model: String,
}

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::List(arguments) => list(&arguments),
        Command::Pull(arguments) => {
            let freshness = match arguments.update {
                true => Freshness::Newest,
                false => Freshness::Cached,
            };
            for name in &arguments.models {
                let Named::Remote(address, sha256) = named(name)? else {
                    bail!(
                        "{name} is a file here; a name of `rerank models list` or hf:OWNER/NAME can be pulled"
                    );
                };
                let path = pull(&address, sha256, freshness)?;
                writeln!(stdout(), "{}", path.display())?;
            }
            Ok(())
        }
        Command::Path(arguments) => {
            let path = match named(&arguments.model)? {
                Named::File(path) if path.is_file() => path,
                Named::File(path) => bail!("there is no file {}", path.display()),
                Named::Remote(address, _) => hub()?.cached_model(&address).with_context(|| {
                    format!(
                        "{0} is not here yet: `rerank models pull {0}` downloads it",
                        arguments.model
                    )
                })?,
            };
            Ok(writeln!(stdout(), "{}", path.display())?)
        }
    }
}

/// The file of a model that the user named, downloaded where it is not here.
pub(super) fn file(name: &str) -> Result<PathBuf> {
    match named(name)? {
        Named::File(path) => Ok(path),
        Named::Remote(address, sha256) => pull(&address, sha256, Freshness::Cached),
    }
}

/// How a model's manifest words its prompts, if it has one that does.
pub(super) fn prompts(name: &str) -> Option<&'static Prompts> {
    manifest::find(name)?.prompts.as_ref()
}

/// A model's base and its adapter, as `BASE+ADAPTER` names them.
pub(super) fn base_and_adapter(name: &str) -> (&str, Option<&str>) {
    let end = match name.find(".gguf+") {
        Some(end) => Some(end + ".gguf".len()),
        // Without a file's name before it, a plus can only begin an adapter where a path cannot be
        // meant.
        None => name.find('+').filter(|end| !is_path(&name[..*end])),
    };
    match end {
        Some(end) => (&name[..end], Some(&name[end + 1..])),
        None => (name, None),
    }
}

enum Named {
    File(PathBuf),
    Remote(Address, &'static [String]),
}

fn is_path(name: &str) -> bool {
    !name.starts_with("hf:") && manifest::find(name).is_none()
}

fn named(name: &str) -> Result<Named> {
    if name.starts_with("hf:") {
        return Ok(Named::Remote(name.parse()?, &[]));
    }
    if name == BUILTIN {
        bail!(
            "the built-in models are no file and take no adapter; \
             the repository has their files under models/builtin"
        );
    }
    let path = Path::new(name);
    let looks_like_a_path = path.exists()
        || name.contains(['/', '\\'])
        || path
            .extension()
            .is_some_and(|extension| extension == "gguf");
    if looks_like_a_path {
        return Ok(Named::File(path.to_owned()));
    }
    let manifest = manifest::find(name).with_context(|| {
        let known = manifest::manifests().iter();
        let known: Vec<&str> = known.map(|manifest| manifest.name.as_str()).collect();
        format!(
            "unknown model {name:?}; known: {}, {BUILTIN}, a .gguf file, hf:OWNER/NAME",
            known.join(", ")
        )
    })?;
    Ok(Named::Remote(manifest.address.clone(), &manifest.sha256))
}

fn pull(address: &Address, sha256: &[String], freshness: Freshness) -> Result<PathBuf> {
    let hub = hub()?;
    let path = with_bytes_bar(&address.to_string(), |progress| {
        hub.model(address, sha256, freshness, progress)
    });
    Ok(path?)
}

/// Calls `download` with a progress bar that counts bytes.
pub(super) fn with_bytes_bar<T>(name: &str, download: impl FnOnce(Progress) -> T) -> T {
    let style = ProgressStyle::with_template(
        "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} (left: {eta})",
    )
    .expect("the template is valid");
    let bar = ProgressBar::new(0)
        .with_style(style)
        .with_prefix(name.to_owned());
    let output = download(&|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    output
}

/// The hub as this process's environment describes it.
pub(super) fn hub() -> Result<Hub> {
    let hub = Hub::new(&|name| std::env::var(name).ok());
    let hub = hub.context("there is no folder for downloads: set HOME or HF_HOME")?;
    let record = match cache_folder() {
        Ok(folder) => Some(folder.join("downloads.json")),
        Err(error) => {
            warn(&format!(
                "{error:#}; what is downloaded by the name of a branch is not compared with its first download"
            ));
            None
        }
    };
    Ok(Hub { record, ..hub })
}

fn list(arguments: &List) -> Result<()> {
    let hub = hub()?;
    let local = |manifest: &Manifest| hub.cached_model(&manifest.address);
    if arguments.json {
        let rows: Vec<_> = manifest::manifests()
            .iter()
            .map(|manifest| {
                json!({
                    "name": manifest.name,
                    "about": manifest.about,
                    "roles": manifest.roles,
                    "parameters": manifest.parameters,
                    "bytes": manifest.bytes,
                    "licence": manifest.licence,
                    "context": manifest.context,
                    "source": manifest.address.to_string(),
                    "sha256": manifest.sha256,
                    "path": local(manifest),
                })
            })
            .collect();
        return Ok(writeln!(
            stdout(),
            "{}",
            serde_json::to_string_pretty(&rows)?
        )?);
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "model",
        "can be",
        "parameters",
        "download",
        "context",
        "licence",
        "here",
    ]);
    for manifest in manifest::manifests() {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let roles: Vec<&str> = manifest.roles.iter().copied().map(Role::name).collect();
        let bytes = manifest.bytes.map_or("—".to_owned(), |bytes| {
            format!("{:.1} GB", bytes as f64 / 1e9)
        });
        table.add_row([
            Cell::new(&manifest.name),
            Cell::new(roles.join(", ")),
            right(manifest.parameters.clone()),
            right(bytes),
            right(manifest.context.to_string()),
            Cell::new(&manifest.licence),
            Cell::new(if local(manifest).is_some() { "yes" } else { "" }),
        ]);
    }
    Ok(writeln!(stdout(), "{table}")?)
}
