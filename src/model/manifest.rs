//! Models that are known by a short name: the files under `models/`, one per family.
//!
//! A manifest says where a model's file is, under which licence, and how the model wants to be
//! asked. A hash stands there where it could be confirmed; elsewhere the hub tells it with each
//! download, and the first one is recorded (see [`super::hub`]).

use std::sync::LazyLock;

use serde::Deserialize;

use super::{Prompts, hub::Address};

/// One model.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What the command line calls it.
    pub name: String,
    /// The family it belongs to, and what that is good for.
    pub about: String,
    /// What it can be.
    pub roles: Vec<Role>,
    /// Its weights' number, as its makers write it: `7B`.
    pub parameters: String,
    /// The licence of its weights.
    pub licence: String,
    /// Tokens it was trained to hold.
    pub context: usize,
    /// Where it is.
    pub address: Address,
    /// Size of all its parts, where it is known.
    pub bytes: Option<u64>,
    /// SHA-256 of its parts, where they are known.
    pub sha256: Vec<String>,
    /// How it wants to be asked; `None` for its file's own prompts or the common ones.
    pub prompts: Option<Prompts>,
    /// How its makers draw from it.
    pub sampling: Preference,
}

/// Settings of [`super::Sampling`] that a model's makers advise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preference {
    /// Divides the logits.
    pub temperature: Option<f32>,
    /// Keeps the k most likely tokens.
    pub top_k: Option<usize>,
    /// Keeps the smallest set of tokens whose probability reaches this.
    pub top_p: Option<f32>,
    /// Most tokens of one continuation.
    pub tokens_max: Option<usize>,
}

/// What a model can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Samples candidates.
    Reasoner,
    /// Writes candidates as programs.
    Coder,
    /// Is trained to score candidates.
    Verifier,
}

impl Role {
    /// The role's name, as the command line and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reasoner => "reasoner",
            Self::Coder => "coder",
            Self::Verifier => "verifier",
        }
    }
}

/// All models of the manifests, in their order.
pub fn manifests() -> &'static [Manifest] {
    static ALL: LazyLock<Vec<Manifest>> = LazyLock::new(|| {
        let families = FILES.iter().map(|(name, text)| {
            toml::from_str::<Family>(text)
                .unwrap_or_else(|error| panic!("models/{name}.toml is wrong: {error}"))
        });
        families.flat_map(Family::manifests).collect()
    });
    &ALL
}

/// The model of this name.
pub fn find(name: &str) -> Option<&'static Manifest> {
    manifests().iter().find(|manifest| manifest.name == name)
}

const FILES: &[(&str, &str)] = &[
    (
        "qwen2.5-math",
        include_str!("../../models/qwen2.5-math.toml"),
    ),
    ("qwen2.5", include_str!("../../models/qwen2.5.toml")),
    (
        "qwen2.5-coder",
        include_str!("../../models/qwen2.5-coder.toml"),
    ),
    (
        "deepseek-r1-distill",
        include_str!("../../models/deepseek-r1-distill.toml"),
    ),
    ("llama-3", include_str!("../../models/llama-3.toml")),
    ("phi", include_str!("../../models/phi.toml")),
];

/// A file under `models/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    about: String,
    roles: Vec<Role>,
    licence: String,
    context: usize,
    prompts: Option<Prompts>,
    #[serde(default)]
    sampling: Preference,
    model: Vec<Member>,
}

/// A model of a family; what it says replaces what the family says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    name: String,
    parameters: String,
    repository: String,
    #[serde(default = "main")]
    revision: String,
    file: String,
    bytes: Option<u64>,
    #[serde(default)]
    sha256: Vec<String>,
    licence: Option<String>,
    context: Option<usize>,
}

fn main() -> String {
    "main".to_owned()
}

impl Family {
    fn manifests(self) -> Vec<Manifest> {
        let Self {
            about,
            roles,
            licence,
            context,
            prompts,
            sampling,
            model,
        } = self;
        let manifest = |member: Member| Manifest {
            name: member.name,
            about: about.clone(),
            roles: roles.clone(),
            parameters: member.parameters,
            licence: member.licence.unwrap_or_else(|| licence.clone()),
            context: member.context.unwrap_or(context),
            address: Address {
                repository: member.repository,
                file: Some(member.file),
                quantisation: None,
                revision: member.revision,
            },
            bytes: member.bytes,
            sha256: member.sha256,
            prompts: prompts.clone(),
            sampling,
        };
        model.into_iter().map(manifest).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_manifest_names_a_file_that_can_be_asked_for() {
        let mut names = HashSet::new();
        for manifest in manifests() {
            assert!(names.insert(&manifest.name), "{} twice", manifest.name);
            let address: Address = manifest.address.to_string().parse().unwrap();
            assert_eq!(address, manifest.address);
            if let Some(prompts) = &manifest.prompts {
                prompts.check().unwrap();
            }
            for hash in &manifest.sha256 {
                assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
        for role in [Role::Reasoner, Role::Coder, Role::Verifier] {
            assert!(
                manifests()
                    .iter()
                    .any(|manifest| manifest.roles.contains(&role))
            );
        }
    }
}
