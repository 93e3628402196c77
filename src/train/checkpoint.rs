//! The state of a run on disk: weights, optimiser and place, bit for bit.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::{
    adamw::AdamW,
    network::{Network, values},
};
use crate::{
    Error, Result,
    model::gguf::{self, Gguf, Precision, Value},
};

/// What a run needs to go on, beside the weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Place {
    /// Identifies options and data: a run goes on only with the same.
    pub fingerprint: String,
    /// Steps done.
    pub step: usize,
    /// Steps of the whole run.
    pub steps: usize,
    /// Correct solutions' log-probability per token before training; without held-out problems,
    /// chosen ones' in the first steps.
    pub logp_before: Option<f64>,
    /// Without held-out problems, a running mean of the chosen solutions'.
    pub logp_now: Option<f64>,
    /// The best evaluation's step, accuracy and pair accuracy.
    pub best: Option<(usize, f64, f64)>,
}

/// Writes the state to a temporary name, then renames it.
///
/// # Errors
/// [`Error::Write`] where the disk refuses, [`Error::Model`] for weights that are no numbers; the
/// old state is intact.
pub(crate) fn save(path: &Path, network: &Network, adam: &AdamW, place: &Place) -> Result<()> {
    let number = |n: usize| Value::U64(n as u64);
    let mut metadata = vec![
        ("run.fingerprint", Value::String(place.fingerprint.clone())),
        ("run.step", number(place.step)),
        ("run.steps", number(place.steps)),
        ("run.adam_steps", Value::U64(adam.steps)),
    ];
    if let Some(logp) = place.logp_before {
        metadata.push(("run.logp_before", Value::F64(logp)));
    }
    if let Some(logp) = place.logp_now {
        metadata.push(("run.logp_now", Value::F64(logp)));
    }
    if let Some((step, accuracy, pairs)) = place.best {
        metadata.push(("run.best_step", number(step)));
        metadata.push(("run.best_accuracy", Value::F64(accuracy)));
        metadata.push(("run.best_pair_accuracy", Value::F64(pairs)));
    }
    let mut tensors = Vec::new();
    for (name, weight) in network.weights.iter().filter(|(_, weight)| weight.trained) {
        let shape = weight.value.dims().to_vec();
        let mut add = |prefix: &str, values: Vec<f32>| {
            tensors.push(gguf::Tensor {
                name: format!("{prefix}{name}"),
                shape: shape.clone(),
                values,
            });
        };
        add("", values(weight.value.clone()));
        if let Some([first, second]) = adam.moments.get(name) {
            add("m.", first.clone());
            if !second.is_empty() {
                add("v.", second.clone());
            }
        }
    }
    let metadata = metadata
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    let state = Gguf {
        metadata: metadata.collect(),
        tensors,
    };
    if !state.fits(Precision::F32) {
        return Err(Error::Model {
            model: path.display().to_string(),
            reason: format!(
                "the weights are not numbers any more after step {}, try a lower learning rate; nothing was saved of them",
                place.step
            ),
        });
    }
    state.write(path, Precision::F32)
}

/// How far a saved state got, where there is one that can be read.
pub(crate) fn place(path: &Path) -> Option<Place> {
    place_in(&Gguf::read(path).ok()?)
}

/// Puts a saved state's weights into `network` and gives the rest.
///
/// # Errors
/// [`Error::Read`] or [`Error::Model`] where the file is not a state of this network.
pub(crate) fn load(path: &Path, network: &mut Network, device: &Device) -> Result<(AdamW, Place)> {
    let state = Gguf::read(path)?;
    let error = |reason: &str| Error::Model {
        model: path.display().to_string(),
        reason: reason.to_owned(),
    };
    let place = place_in(&state).ok_or_else(|| error("not the state of a training run"))?;
    let adam_steps = state.get("run.adam_steps").and_then(Value::as_usize);
    let mut adam = AdamW {
        steps: adam_steps.unwrap_or(0) as u64,
        ..AdamW::default()
    };
    for tensor in state.tensors {
        if let Some(name) = tensor.name.strip_prefix("m.") {
            adam.moments.entry(name.to_owned()).or_default()[0] = tensor.values;
        } else if let Some(name) = tensor.name.strip_prefix("v.") {
            adam.moments.entry(name.to_owned()).or_default()[1] = tensor.values;
        } else {
            let weight = network.weights.get_mut(&tensor.name);
            let weight = weight.ok_or_else(|| error("made for another network"))?;
            let shape = weight.value.dims();
            if shape.iter().product::<usize>() != tensor.values.len() {
                return Err(error("made for another network"));
            }
            weight.value = Tensor::from_data(TensorData::new(tensor.values, shape), device);
        }
    }
    Ok((adam, place))
}

fn place_in(state: &Gguf) -> Option<Place> {
    let number = |key: &str| state.get(key).and_then(Value::as_usize);
    let real = |key: &str| match state.get(key) {
        Some(Value::F64(x)) => Some(*x),
        _ => None,
    };
    let best = || {
        Some((
            number("run.best_step")?,
            real("run.best_accuracy")?,
            real("run.best_pair_accuracy")?,
        ))
    };
    let fingerprint = state.get("run.fingerprint").and_then(Value::as_str);
    Some(Place {
        fingerprint: fingerprint.unwrap_or_default().to_owned(),
        step: number("run.step")?,
        // States of earlier versions do not say, and may be unfinished.
        steps: number("run.steps").unwrap_or(usize::MAX),
        logp_before: real("run.logp_before"),
        logp_now: real("run.logp_now"),
        best: best(),
    })
}
