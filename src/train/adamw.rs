//! AdamW (arXiv 1711.05101) with gradient clipping, one pass over memory for each weight; and Muon
//! (Jordan 2024, github.com/KellerJordan/Muon) for the matrices of the blocks.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::{
    network::{Network, Weight, values},
    options::Optimiser,
};

const BETA1: f64 = 0.9;
const EPSILON: f32 = 1e-8;

/// Running means of the gradients.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AdamW {
    /// Steps done.
    pub steps: u64,
    /// First and second moment of each trained weight, row by row; Muon has no second.
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
    /// What turns gradients into steps.
    pub optimiser: Optimiser,
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
        let second_kept = match pace.optimiser {
            Optimiser::Adamw => 0.999,
            Optimiser::Muon => 0.95_f64,
        };
        let root = (1.0 - second_kept.powi(steps)).sqrt().recip() as f32;
        let (beta1, beta2) = (BETA1 as f32, second_kept as f32);
        for (name, gradient) in gradients {
            let weight = network.weights.remove(&name);
            let Weight { value, trained } = weight.expect("gradients name weights");
            let [rows, columns] = value.dims();
            let keep = if rows > 1 {
                (1.0 - pace.rate * pace.decay) as f32
            } else {
                1.0
            };
            if pace.optimiser == Optimiser::Muon && rows > 1 && name.starts_with("blk.") {
                let momentum = &mut self.moments.entry(name.clone()).or_default()[0];
                momentum.resize(gradient.len(), 0.0);
                let value = muon(value, momentum, &gradient, pace);
                network.weights.insert(name, Weight { value, trained });
                continue;
            }
            let empty = || [vec![0.0; rows * columns], vec![0.0; rows * columns]];
            let [first, second] = self.moments.entry(name.clone()).or_insert_with(empty);
            // Computed here whatever the device: the gradient and the moments are here already, and
            // the CPU's numbers are handed over without a copy.
            let device = value.device();
            let mut numbers = values(value);
            let block = 1 << 14;
            (
                numbers.par_chunks_mut(block),
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
            let value = Tensor::from_data(TensorData::new(numbers, [rows, columns]), &device);
            network.weights.insert(name, Weight { value, trained });
        }
        norm
    }
}

/// Momentum of Muon.
const MOMENTUM: f32 = 0.95;

/// Moves a matrix by the nearest orthogonal matrix to its momentum, so that all directions are
/// learned at one pace. The step is as large as AdamW's usually are, by the factor of
/// arXiv 2502.16982, section 2.2, so that one learning rate serves both.
fn muon(value: Tensor<2>, momentum: &mut [f32], gradient: &[f32], pace: Pace) -> Tensor<2> {
    let [rows, columns] = value.dims();
    // Nesterov's look ahead: the gradient once more on top of the momentum.
    let ahead = momentum.iter_mut().zip(gradient).map(|(m, &g)| {
        *m = MOMENTUM * *m + g;
        g + MOMENTUM * *m
    });
    let ahead = TensorData::new(ahead.collect::<Vec<f32>>(), [rows, columns]);
    let direction = orthogonal(Tensor::from_data(ahead, &value.device()));
    let scale = 0.2 * (rows.max(columns) as f64).sqrt();
    value * (1.0 - pace.rate * pace.decay) - direction * (pace.rate * scale)
}

/// The orthogonal matrix nearest to `x`, roughly: Newton and Schulz's iteration with Jordan's
/// coefficients, which bring all singular values to between 0.7 and 1.2 in five rounds.
fn orthogonal(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let mut x = if rows > columns { x.transpose() } else { x };
    let norm: f32 = (x.clone() * x.clone()).sum().into_scalar();
    x = x / (norm.sqrt() + 1e-7);
    for _ in 0..5 {
        let a = x.clone().matmul(x.clone().transpose()); // (least, least)
        let b = a.clone() * -4.775 + a.clone().matmul(a) * 2.0315;
        x = x.clone() * 3.4445 + b.matmul(x);
    }
    if rows > columns { x.transpose() } else { x }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::{
        fixture::{self, Geometry},
        random::SplitMix,
    };

    #[test]
    fn steps_are_the_formula_in_tensor_operations() {
        let geometry = Geometry {
            layers: 1,
            width: 16,
            heads: 2,
            kv_heads: 1,
            ffn: 24,
            ..Geometry::bench_6m(20)
        };
        let gguf = fixture::random_llama(&geometry, 1, Vec::new());
        let mut network = Network::new(gguf, "fixture", &Device::flex()).unwrap();
        let pace = Pace {
            rate: 0.01,
            decay: 0.1,
            norm_max: 1.0,
            optimiser: Optimiser::Adamw,
        };
        let (mut adam, mut random) = (AdamW::default(), SplitMix::new(3));
        // Weight, first and second moment.
        let mut expected: BTreeMap<String, [Tensor<2>; 3]> = BTreeMap::new();
        for (name, weight) in &network.weights {
            let value = weight.value.clone();
            let zeros = value.zeros_like();
            expected.insert(name.clone(), [value, zeros.clone(), zeros]);
        }
        for steps in 1..=3 {
            let mut gradients: BTreeMap<String, Tensor<2>> = BTreeMap::new();
            for (name, weight) in &network.weights {
                let [rows, columns] = weight.value.dims();
                let numbers: Vec<f32> = (0..rows * columns).map(|_| random.normal()).collect();
                let data = TensorData::new(numbers, [rows, columns]);
                gradients.insert(name.clone(), Tensor::from_data(data, &Device::flex()));
            }
            let norm = adam.step(&mut network, gradients.clone(), pace);
            assert!(norm > pace.norm_max, "{norm}");
            let rate = pace.rate / (1.0 - 0.9_f64.powi(steps));
            let root = (1.0 - 0.999_f64.powi(steps)).sqrt();
            for (name, [w, m, v]) in &mut expected {
                let g = gradients[name].clone() / norm;
                let decay = if w.dims()[0] > 1 { pace.decay } else { 0.0 };
                *m = m.clone() * 0.9 + g.clone() * 0.1;
                *v = v.clone() * 0.999 + g.clone() * g * 0.001;
                let step = m.clone() / (v.clone().sqrt() / root + 1e-8) * rate;
                *w = w.clone() * (1.0 - pace.rate * decay) - step;
                let found = values(network.weights[name].value.clone());
                for (a, b) in found.iter().zip(values(w.clone())) {
                    assert!((a - b).abs() < 1e-5, "{name}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn orthogonal_matrices_keep_lengths() {
        let mut random = SplitMix::new(3);
        for [rows, columns] in [[24, 40], [40, 24]] {
            let x: Vec<f32> = (0..rows * columns).map(|_| random.normal()).collect();
            let x = Tensor::<2>::from_data(TensorData::new(x, [rows, columns]), &Device::flex());
            let y = orthogonal(x);
            let y = if rows > columns { y.transpose() } else { y };
            let squares = values(y.clone().matmul(y.transpose()));
            for (i, &square) in squares.iter().enumerate() {
                let (row, column) = (i / 24, i % 24);
                let expected = if row == column { 1.0 } else { 0.0 };
                assert!((square - expected).abs() < 0.5, "{row} {column}: {square}");
            }
        }
    }
}
