//! Operations whose gradient is written by hand, because composed from tensor operations they cost
//! several passes over memory: each is one pass forward and one backward, on all cores.
//!
//! All are exact (no approximation beyond `f32` rounding) and deterministic: work is split by row
//! or by head, never by core count, so a run repeats bit for bit.

mod attention;
mod logps;

use std::{fmt::Debug, marker::PhantomData};

use burn::{
    backend::{
        Autodiff, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    tensor::{Tensor, TensorData},
};
use rayon::prelude::*;

pub(crate) use attention::{Attention, Layout, Rotary};
pub(crate) use logps::Logps;

/// A function of `N` matrices and its gradient.
pub(crate) trait Operation<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs beside the inputs.
    type Kept: Clone + Debug + Send + 'static;

    /// The result, and what the backward pass needs.
    fn forward(&self, inputs: [&FlexTensor; N]) -> (FlexTensor, Self::Kept);

    /// The gradients of the inputs that are `wanted`, given the result's.
    fn backward(
        &self,
        inputs: [&FlexTensor; N],
        kept: Self::Kept,
        gradient: &[f32],
        wanted: [bool; N],
    ) -> [Option<Vec<f32>>; N];
}

/// Applies an operation, recording it where any input is tracked.
pub(crate) fn apply<O: Operation<N>, const N: usize>(
    operation: O,
    inputs: [Tensor<2>; N],
) -> Tensor<2> {
    if !inputs[0].device().is_autodiff() {
        let inputs = inputs.map(|input| {
            let primitive = input.try_into_primitive::<Flex>();
            primitive.expect("the trainer runs on Flex").to_contiguous()
        });
        let (output, _) = operation.forward(inputs.each_ref());
        return Tensor::from_primitive::<Flex>(output);
    }
    let inputs = inputs.map(|input| {
        let primitive = input.try_into_primitive::<Autodiff<Flex>>();
        primitive.expect("the trainer runs on Flex").into_parts()
    });
    let mut guards = Vec::with_capacity(N);
    let inputs = inputs.map(|(primitive, guard)| {
        guards.push(guard);
        primitive.to_contiguous()
    });
    let guards = guards.try_into().expect("one guard for each input");
    let (output, kept) = operation.forward(inputs.each_ref());
    let step = Step::<O, N>(PhantomData);
    let output = match step
        .prepare::<NoCheckpointing>(guards)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prepared) => prepared.finish((operation, inputs, kept), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

#[derive(Debug)]
struct Step<O, const N: usize>(PhantomData<O>);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O, N> {
    type State = (O, [FlexTensor; N], O::Kept);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (operation, inputs, kept) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = operation.backward(inputs.each_ref(), kept, floats(&gradient), wanted);
        for ((parent, gradient), input) in ops.parents.into_iter().zip(gradients).zip(&inputs) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, matrix(gradient, shape(input)));
            }
        }
    }
}

/// Root-mean-square norm (arXiv 1910.07467) of each row of `x` `(tokens, width)`, scaled by
/// `weight` `(1, width)`.
pub(crate) fn rms_norm(x: Tensor<2>, weight: Tensor<2>, epsilon: f32) -> Tensor<2> {
    apply(RmsNorm { epsilon }, [x, weight])
}

#[derive(Clone, Debug)]
struct RmsNorm {
    epsilon: f32,
}

impl Operation<2> for RmsNorm {
    /// The reciprocal root mean square of each row.
    type Kept = Vec<f32>;

    fn forward(&self, [x, weight]: [&FlexTensor; 2]) -> (FlexTensor, Vec<f32>) {
        let [tokens, width] = shape(x);
        let (x, weight) = (floats(x), floats(weight));
        let mut y = vec![0.0; x.len()];
        let mut scales = vec![0.0; tokens];
        (y.par_chunks_mut(width), x.par_chunks(width), &mut scales)
            .into_par_iter()
            .for_each(|(y, x, scale)| {
                *scale = (dot(x, x) / width as f32 + self.epsilon).sqrt().recip();
                for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                    *y = x * *scale * w;
                }
            });
        (matrix(y, [tokens, width]), scales)
    }

    fn backward(
        &self,
        [x, weight]: [&FlexTensor; 2],
        scales: Vec<f32>,
        gradient: &[f32],
        wanted: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let [_, width] = shape(x);
        let (x, weight) = (floats(x), floats(weight));
        let dx = wanted[0].then(|| {
            let mut dx = vec![0.0; x.len()];
            let rows = (dx.par_chunks_mut(width), x.par_chunks(width));
            (rows.0, rows.1, gradient.par_chunks(width), &scales)
                .into_par_iter()
                .for_each(|(dx, x, dy, &scale)| {
                    for ((dx, dy), w) in dx.iter_mut().zip(dy).zip(weight) {
                        *dx = dy * w * scale;
                    }
                    let along = dot(dx, x) * scale * scale / width as f32;
                    for (dx, x) in dx.iter_mut().zip(x) {
                        *dx -= along * x;
                    }
                });
            dx
        });
        let dw = wanted[1].then(|| {
            let mut dw = vec![0.0; width];
            let rows = x.chunks(width).zip(gradient.chunks(width)).zip(&scales);
            for ((x, dy), scale) in rows {
                for ((dw, x), dy) in dw.iter_mut().zip(x).zip(dy) {
                    *dw += x * dy * scale;
                }
            }
            dw
        });
        [dx, dw]
    }
}

/// `silu(gate) * up` (arXiv 2002.05202), both `(tokens, ffn)`.
pub(crate) fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    apply(SwiGlu, [gate, up])
}

#[derive(Clone, Debug)]
struct SwiGlu;

impl Operation<2> for SwiGlu {
    type Kept = ();

    fn forward(&self, [gate, up]: [&FlexTensor; 2]) -> (FlexTensor, ()) {
        let [tokens, ffn] = shape(gate);
        let mut y = vec![0.0; tokens * ffn];
        let rows = (floats(gate).par_chunks(ffn), floats(up).par_chunks(ffn));
        (y.par_chunks_mut(ffn), rows.0, rows.1)
            .into_par_iter()
            .for_each(|(y, gate, up)| {
                for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                    *y = gate * sigmoid(*gate) * up;
                }
            });
        (matrix(y, [tokens, ffn]), ())
    }

    fn backward(
        &self,
        [gate, up]: [&FlexTensor; 2],
        (): (),
        gradient: &[f32],
        _: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let [tokens, ffn] = shape(gate);
        let mut d_gate = vec![0.0; tokens * ffn];
        let mut d_up = vec![0.0; tokens * ffn];
        let inputs = (floats(gate).par_chunks(ffn), floats(up).par_chunks(ffn));
        let outputs = (d_gate.par_chunks_mut(ffn), d_up.par_chunks_mut(ffn));
        (
            outputs.0,
            outputs.1,
            inputs.0,
            inputs.1,
            gradient.par_chunks(ffn),
        )
            .into_par_iter()
            .for_each(|(d_gate, d_up, gate, up, dy)| {
                for i in 0..d_gate.len() {
                    let s = sigmoid(gate[i]);
                    d_up[i] = dy[i] * gate[i] * s;
                    d_gate[i] = dy[i] * up[i] * s * (1.0 + gate[i] * (1.0 - s));
                }
            });
        [Some(d_gate), Some(d_up)]
    }
}

/// A contiguous tensor's values.
fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous 32-bit floats")
}

/// A matrix's rows and columns.
fn shape(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1]]
}

fn matrix(values: Vec<f32>, shape: [usize; 2]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Inner product in 16 lanes: the compiler may not reorder a plain sum of floats.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut lanes = [0.0_f32; 16];
    for (a, b) in a.iter().zip(b) {
        for i in 0..16 {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Sum in 16 lanes.
fn sum(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<16>();
    let mut lanes = [0.0_f32; 16];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `e^x` to 2 units in the last place, in a form the compiler turns into vector instructions;
/// the standard library's is a call for each number. Below -87 it gives 0 or nearly 0.
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.3, 88.0);
    // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    // ln 2 in two parts (Cody and Waite), so that the remainder is exact.
    let r = (-whole).mul_add(355.0 / 512.0, x);
    let r = (-whole).mul_add(-2.121_944_4e-4, r);
    // Taylor's coefficients up to r^7 / 7!: |r| <= 0.347.
    let mut p = 1.0 / 5040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = r.mul_add(p, coefficient);
    }
    let scale = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    p * f32::from_bits(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_the_exponential() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 3e-7, "exp({x}) = {ours}");
        }
        assert!(exp(-1000.0) < 1e-37);
    }
}
