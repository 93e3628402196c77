//! How a user names a model of a hub: `hf:OWNER/NAME[/FILE.gguf][:QUANTISATION][@REVISION]`.

use std::{fmt, str::FromStr};

use super::{Kind, RemoteFile};
use crate::error::{Error, Result};

/// A model of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `OWNER/NAME`.
    pub repository: String,
    /// The file's path in the repository; of a split model, any of its parts.
    pub file: Option<String>,
    /// Where no file is named: the one whose name holds this, such as `Q8_0`. `Q4_K_M` where that
    /// is not named either, as in llama.cpp.
    pub quantisation: Option<String>,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            Error::Hub {
            file: text.to_owned(),
            reason: "a model of a hub is named hf:OWNER/NAME, hf:OWNER/NAME:Q8_0 or hf:OWNER/NAME/FILE.gguf, each with @REVISION or without".to_owned(),
        }
        };
        let name = text.strip_prefix("hf:").ok_or_else(refuse)?;
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        let (name, quantisation) = match name.split_once(':') {
            Some((name, quantisation)) => (name, Some(quantisation)),
            None => (name, None),
        };
        let mut parts = name.splitn(3, '/');
        let (owner, repository) = parts.next().zip(parts.next()).ok_or_else(refuse)?;
        let file = parts.next();
        let empty = [
            owner,
            repository,
            revision,
            file.unwrap_or("x"),
            quantisation.unwrap_or("x"),
        ]
        .contains(&"");
        let is_model = file.is_none_or(|file| file.to_lowercase().ends_with(".gguf"));
        if empty || !is_model || (file.is_some() && quantisation.is_some()) {
            return Err(refuse());
        }
        Ok(Self {
            repository: format!("{owner}/{repository}"),
            file: file.map(str::to_owned),
            quantisation: quantisation.map(str::to_owned),
            revision: revision.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "hf:{}", self.repository)?;
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        if let Some(quantisation) = &self.quantisation {
            write!(f, ":{quantisation}")?;
        }
        match self.revision.as_str() {
            "main" => Ok(()),
            revision => write!(f, "@{revision}"),
        }
    }
}

impl Address {
    /// One file of the repository.
    pub(super) fn file(&self, file: &str) -> RemoteFile {
        RemoteFile {
            kind: Kind::Model,
            repository: self.repository.clone(),
            revision: self.revision.clone(),
            file: file.to_owned(),
            sha256: None,
        }
    }
}

/// The file that an address without a file's name means; the first part of a split one.
pub(super) fn pick(files: &[String], address: &Address) -> Result<String> {
    let mut models: Vec<&String> = files
        .iter()
        .filter(|file| {
            let name = file.to_lowercase();
            // A projector is not a language model.
            name.ends_with(".gguf") && !name.contains("mmproj") && parts(file)[0] == **file
        })
        .collect();
    // One whole file before the parts of the same, then by name.
    models.sort_by_key(|file| (parts(file).len(), file.as_str()));
    let of = |quantisation: &str| models.iter().find(|file| is_of(file, quantisation));
    let found = match &address.quantisation {
        Some(quantisation) => of(quantisation),
        None => of("Q4_K_M").or_else(|| models.first().filter(|_| models.len() == 1)),
    };
    found.map(|file| (*file).clone()).ok_or_else(|| {
        let names: Vec<&str> = models.iter().map(|file| file.as_str()).collect();
        Error::Hub {
            file: address.to_string(),
            reason: match names.as_slice() {
                [] => "the repository holds no .gguf file: name one that does, most are called ...-GGUF".to_owned(),
                names => format!("no file is {}: name one of {}", address.quantisation.as_deref().unwrap_or("Q4_K_M"), names.join(", ")),
            },
        }
    })
}

/// Whether a file's name holds a quantisation: `Q4_K` is not `Q4_K_M`.
fn is_of(file: &str, quantisation: &str) -> bool {
    let (file, quantisation) = (file.to_lowercase(), quantisation.to_lowercase());
    let word = |character: char| character.is_alphanumeric() || character == '_';
    file.match_indices(&quantisation).any(|(place, _)| {
        let before = file[..place].chars().next_back();
        let after = file[place + quantisation.len()..].chars().next();
        !before.is_some_and(word) && !after.is_some_and(word)
    })
}

/// All parts of the model that a file belongs to, in order: `x-00002-of-00003.gguf` is one of three.
pub(in crate::model) fn parts(file: &str) -> Vec<String> {
    let split = || {
        let stem = file.strip_suffix(".gguf")?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (name, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        let count: usize = count
            .parse()
            .ok()
            .filter(|_| digits(count) && digits(number))?;
        let all = (1..=count).map(|number| format!("{name}-{number:05}-of-{count:05}.gguf"));
        Some(all.collect::<Vec<_>>()).filter(|all| !all.is_empty())
    };
    split().unwrap_or_else(|| vec![file.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_it_says() {
        for text in [
            "hf:a/b",
            "hf:a/b:Q8_0",
            "hf:a/b/c/d.gguf",
            "hf:a/b:q4_0@v1.0",
            "hf:a/b/c.gguf@0a1b",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(
            "hf:a/b@main".parse::<Address>().unwrap().to_string(),
            "hf:a/b"
        );
        for text in [
            "hf:",
            "hf:a",
            "hf:a/",
            "hf:a/b/",
            "hf:a/b/c.bin",
            "hf:a/b/c.gguf:Q8_0",
            "hf:a/b:",
            "hf:a/b@",
            "a/b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_quantisation_is_a_whole_word() {
        let files = [
            "README.md",
            "m-Q4_K.gguf",
            "m-Q4_K_M-00002-of-00002.gguf",
            "m-Q4_K_M-00001-of-00002.gguf",
            "mmproj-Q8_0.gguf",
            "m.q8_0.gguf",
        ];
        let files = files.map(str::to_owned);
        let picked = |text: &str| pick(&files, &text.parse().unwrap());
        assert_eq!(picked("hf:a/b").unwrap(), "m-Q4_K_M-00001-of-00002.gguf");
        assert_eq!(picked("hf:a/b:q4_k").unwrap(), "m-Q4_K.gguf");
        assert_eq!(picked("hf:a/b:Q8_0").unwrap(), "m.q8_0.gguf");
        let error = picked("hf:a/b:Q2_K").unwrap_err().to_string();
        assert!(
            error.contains("no file is Q2_K: name one of m-Q4_K.gguf, m.q8_0.gguf"),
            "{error}"
        );
        assert_eq!(parts("m-00001-of-00001.gguf").len(), 1);
        assert_eq!(parts("m-of-5.gguf"), ["m-of-5.gguf"]);
    }
}
