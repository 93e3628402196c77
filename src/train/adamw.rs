//! AdamW (arXiv 1711.05101) with gradient clipping, one pass over memory for each weight.

use std::collections::BTreeMap;

use burn::{backend::Flex, tensor::Tensor};
use rayon::prelude::*;

use super::network::{Network, Weight, values};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// Running means of the gradients.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AdamW {
    /// Steps done.
    pub steps: u64,
    /// First and second moment of each trained weight, row by row.
    pub moments: BTreeMap<String, [Vec<f32>; 2]>,
}

/// How far a step goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Learning rate.
    pub rate: f64,
    /// Share of a matrix taken off per unit of learning rate; vectors are never decayed.
    pub decay: f64,
    /// The gradient's norm over all weights is cut to this; 0 for no limit.
    pub norm_max: f64,
}

impl AdamW {
    /// Moves the weights; gives the gradient's norm before it was cut. Where that is not a number,
    /// nothing is moved.
    pub(crate) fn step(
        &mut self,
        network: &mut Network,
        gradients: BTreeMap<String, Tensor<2>>,
        pace: Pace,
    ) -> f64 {
        let gradients: Vec<(String, Vec<f32>)> = gradients
            .into_iter()
            .map(|(name, gradient)| (name, values(gradient)))
            .collect();
        let squares = gradients.iter().map(|(_, gradient)| {
            // Fixed blocks, so that the sum does not depend on how many cores there are.
            let blocks = gradient.par_chunks(1 << 14).map(|block| {
                block
                    .iter()
                    .map(|&x| f64::from(x) * f64::from(x))
                    .sum::<f64>()
            });
            blocks.collect::<Vec<f64>>().iter().sum::<f64>()
        });
        let norm = squares.sum::<f64>().sqrt();
        if !norm.is_finite() {
            return norm;
        }
        let cut = if pace.norm_max > 0.0 && norm > pace.norm_max {
            pace.norm_max / norm
        } else {
            1.0
        } as f32;
        self.steps += 1;
        let steps = self.steps as i32;
        let rate = (pace.rate / (1.0 - BETA1.powi(steps))) as f32;
        let root = (1.0 - BETA2.powi(steps)).sqrt().recip() as f32;
        let (beta1, beta2) = (BETA1 as f32, BETA2 as f32);
        for (name, gradient) in gradients {
            let weight = network.weights.remove(&name);
            let Weight { value, trained } = weight.expect("gradients name weights");
            let [rows, columns] = value.dims();
            let keep = if rows > 1 {
                (1.0 - pace.rate * pace.decay) as f32
            } else {
                1.0
            };
            let empty = || [vec![0.0; rows * columns], vec![0.0; rows * columns]];
            let [first, second] = self.moments.entry(name.clone()).or_insert_with(empty);
            let value = value.try_into_primitive::<Flex>();
            let mut value = value.expect("the trainer runs on Flex").to_contiguous();
            let block = 1 << 14;
            (
                value.storage_mut::<f32>().par_chunks_mut(block),
                first.par_chunks_mut(block),
                second.par_chunks_mut(block),
                gradient.par_chunks(block),
            )
                .into_par_iter()
                .for_each(|(w, m, v, g)| {
                    for i in 0..w.len() {
                        let g = g[i] * cut;
                        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                        w[i] = w[i] * keep - rate * m[i] / (v[i].sqrt() * root + EPSILON);
                    }
                });
            let value = Tensor::from_primitive::<Flex>(value);
            network.weights.insert(name, Weight { value, trained });
        }
        norm
    }
}
