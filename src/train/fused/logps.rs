//! Log-probabilities of chosen tokens: output matrix, softmax and choice in one step.
//!
//! Only the rows that predict a token of a solution are multiplied with the vocabulary, a slice of
//! rows at a time, and again in the backward pass: no matrix `(tokens, vocabulary)` is kept.

use std::sync::Arc;

use burn::{
    backend::{Flex, flex::FlexTensor, ops::FloatTensorOps},
    tensor::Shape,
};
use rayon::prelude::*;

use super::{Operation, exp, floats, matrix, shape, sum};

/// Logits in memory at a time: 64 MiB.
const LOGITS_MAX: usize = 1 << 24;

/// Which token each row predicts.
#[derive(Clone, Debug)]
pub(crate) struct Logps {
    /// Row of the hidden states, and the token that follows it.
    pub targets: Arc<Vec<(usize, usize)>>,
}

/// Inputs: hidden states `(tokens, width)` and the output matrix `(vocabulary, width)`; the result
/// is `(targets, 1)`.
impl Operation<2> for Logps {
    /// The logarithm of each target's softmax denominator.
    type Kept = Vec<f32>;

    fn forward(&self, [hidden, output]: [&FlexTensor; 2]) -> (FlexTensor, Vec<f32>) {
        let mut logps = Vec::with_capacity(self.targets.len());
        let mut logsums = Vec::with_capacity(self.targets.len());
        self.each_slice(hidden, output, |targets, _, logits| {
            let [_, vocabulary] = shape(&logits);
            let rows = floats(&logits).par_chunks(vocabulary).zip(targets);
            let found: Vec<(f32, f32)> = rows
                .map(|(row, &(_, token))| {
                    let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
                    let (chunks, rest) = row.as_chunks::<16>();
                    let mut lanes = [0.0_f32; 16];
                    for chunk in chunks {
                        for (lane, x) in lanes.iter_mut().zip(chunk) {
                            *lane += exp(x - max);
                        }
                    }
                    let rest: f32 = rest.iter().map(|x| exp(x - max)).sum();
                    let logsum = max + (sum(&lanes) + rest).ln();
                    (row[token] - logsum, logsum)
                })
                .collect();
            logps.extend(found.iter().map(|found| found.0));
            logsums.extend(found.iter().map(|found| found.1));
        });
        (matrix(logps, [self.targets.len(), 1]), logsums)
    }

    fn backward(
        &self,
        [hidden, output]: [&FlexTensor; 2],
        logsums: Vec<f32>,
        gradient: &[f32],
        wanted: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let [_, width] = shape(hidden);
        let mut d_hidden = wanted[0].then(|| vec![0.0; floats(hidden).len()]);
        let mut d_output: Option<FlexTensor> = None;
        let mut done = 0;
        self.each_slice(hidden, output, |targets, rows, mut logits| {
            let vocabulary = shape(&logits)[1];
            // The gradient of a log-probability: one at the token, minus the softmax.
            let logsums = &logsums[done..done + targets.len()];
            let gradient = &gradient[done..done + targets.len()];
            done += targets.len();
            let each = logits.storage_mut::<f32>().par_chunks_mut(vocabulary);
            (each, targets, logsums, gradient).into_par_iter().for_each(
                |(row, &(_, token), logsum, &gradient)| {
                    for x in row.iter_mut() {
                        *x = -gradient * exp(*x - logsum);
                    }
                    row[token] += gradient;
                },
            );
            if let Some(d_hidden) = &mut d_hidden {
                let d_rows = Flex::float_matmul(logits.clone(), output.clone());
                let d_rows = floats(&d_rows).chunks(width);
                for (&(row, _), from) in targets.iter().zip(d_rows) {
                    let to = &mut d_hidden[row * width..(row + 1) * width];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                }
            }
            if wanted[1] {
                let d = Flex::float_matmul(logits.transpose(0, 1), rows);
                d_output = Some(match d_output.take() {
                    Some(sum) => Flex::float_add(sum, d),
                    None => d,
                });
            }
        });
        let d_output = d_output.map(|d| floats(&d.to_contiguous()).to_vec());
        [d_hidden, d_output]
    }
}

impl Logps {
    /// Computes the logits of a slice of targets at a time: `f(targets, rows, logits)`.
    fn each_slice(
        &self,
        hidden: &FlexTensor,
        output: &FlexTensor,
        mut f: impl FnMut(&[(usize, usize)], FlexTensor, FlexTensor),
    ) {
        let ([_, width], [vocabulary, _]) = (shape(hidden), shape(output));
        let hidden = floats(hidden);
        for targets in self.targets.chunks((LOGITS_MAX / vocabulary).max(1)) {
            let mut rows = Vec::with_capacity(targets.len() * width);
            for &(row, _) in targets {
                rows.extend_from_slice(&hidden[row * width..(row + 1) * width]);
            }
            let rows = matrix(rows, [targets.len(), width]);
            let logits = Flex::float_matmul(rows.clone(), output.transpose(0, 1));
            debug_assert_eq!(
                logits.layout().shape(),
                &Shape::new([targets.len(), vocabulary])
            );
            f(targets, rows, logits);
        }
    }
}
