//! The operations of [`super::fused`] composed from burn's own, for devices that those are not
//! written for. Same results; more passes over memory, and attention and the output hold their
//! scores and logits for the backward pass.

use burn::tensor::{Int, Tensor, TensorData, activation};

use super::fused::{Attention, Rotary};

/// See [`super::fused::rms_norm`].
pub(crate) fn rms_norm(x: Tensor<2>, weight: Tensor<2>, epsilon: f32) -> Tensor<2> {
    let mean = (x.clone() * x.clone()).mean_dim(1); // (tokens, 1)
    x * (mean + epsilon).sqrt().recip() * weight
}

/// See [`super::fused::swiglu`].
pub(crate) fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    activation::silu(gate) * up
}

/// Log-probability of each target's token: `(targets, 1)` from hidden states `(tokens, width)` and
/// the output matrix `(vocabulary, width)`.
pub(crate) fn logps(targets: &[(usize, usize)], hidden: Tensor<2>, output: Tensor<2>) -> Tensor<2> {
    let count = targets.len();
    let device = hidden.device();
    let column = |of: &dyn Fn(&(usize, usize)) -> usize| -> Vec<i32> {
        targets.iter().map(|target| of(target) as i32).collect()
    };
    let rows = TensorData::new(column(&|target| target.0), [count]);
    let rows: Tensor<1, Int> = Tensor::from_data(rows, &device);
    let tokens = TensorData::new(column(&|target| target.1), [count, 1]);
    let tokens: Tensor<2, Int> = Tensor::from_data(tokens, &device);
    let logits = hidden.select(0, rows).matmul(output.transpose()); // (targets, vocabulary)
    activation::log_softmax(logits, 1).gather(1, tokens)
}

/// Causal attention over packed problems: queries `(tokens, heads * size)`, keys and values
/// `(tokens, kv_heads * size)`; each problem by itself, so that the mask is of one problem.
pub(crate) fn attention(of: &Attention, q: Tensor<2>, k: Tensor<2>, v: Tensor<2>) -> Tensor<2> {
    let [tokens, width] = q.dims();
    let size = width / of.heads;
    let device = q.device();
    let (cos, sin) = angles(&of.rotary, &of.layout.positions);
    let pairs = of.rotary.dims / 2;
    let table =
        |values| Tensor::<3>::from_data(TensorData::new(values, [tokens, 1, pairs]), &device);
    let (cos, sin) = (table(cos), table(sin));
    let by_head = |x: Tensor<2>, heads: usize| x.reshape([tokens, heads, size]);
    let turned = |x| turned(&of.rotary, x, cos.clone(), sin.clone()).swap_dims(0, 1);
    let q = turned(by_head(q, of.heads)); // (heads, tokens, size)
    let k = turned(by_head(k, of.kv_heads)); // (kv_heads, tokens, size)
    let v = by_head(v, of.kv_heads).swap_dims(0, 1);
    let scale = (size as f32).sqrt().recip();

    let mut parts = Vec::with_capacity(of.layout.problems.len());
    for problem in &of.layout.problems {
        let rows = problem.all();
        let count = rows.len();
        let part = |x: &Tensor<3>| x.clone().narrow(1, rows.start, count);
        // Each key and value head serves several query heads.
        let shared = |x: Tensor<3>| {
            let x: Tensor<4> = x.unsqueeze_dim(1); // (kv_heads, 1, rows, size)
            x.repeat_dim(1, of.heads / of.kv_heads)
                .reshape([of.heads, count, size])
        };
        let mut mask = vec![HIDDEN; count * count];
        for row in rows.clone() {
            let seen = |from: usize| from.saturating_sub(rows.start)..row + 1 - rows.start;
            let own = problem
                .solutions
                .iter()
                .find(|solution| solution.contains(&row));
            let line = &mut mask[(row - rows.start) * count..][..count];
            match own {
                Some(solution) => {
                    line[..problem.prompt.len()].fill(0.0);
                    line[seen(solution.start)].fill(0.0);
                }
                None => line[seen(problem.prompt.start)].fill(0.0),
            }
        }
        let mask = Tensor::<3>::from_data(TensorData::new(mask, [1, count, count]), &device);
        let scores = part(&q).matmul(shared(part(&k)).transpose()) * scale + mask; // (heads, rows, rows)
        parts.push(activation::softmax(scores, 2).matmul(shared(part(&v))));
    }
    Tensor::cat(parts, 1)
        .swap_dims(0, 1)
        .reshape([tokens, width])
}

/// Added to the score of what a row must not see; its exponential is 0.
const HIDDEN: f32 = -1e30;

/// Rotates the heads of `x` `(tokens, heads, size)` by angles of `(tokens, 1, pairs)`.
fn turned(rotary: &Rotary, x: Tensor<3>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<3> {
    let [tokens, heads, size] = x.dims();
    let pairs = rotary.dims / 2;
    let (a, b) = if rotary.halves {
        (
            x.clone().narrow(2, 0, pairs),
            x.clone().narrow(2, pairs, pairs),
        )
    } else {
        let x: Tensor<4> = x
            .clone()
            .narrow(2, 0, 2 * pairs)
            .reshape([tokens, heads, pairs, 2]);
        let one = |place| {
            x.clone()
                .narrow(3, place, 1)
                .reshape([tokens, heads, pairs])
        };
        (one(0), one(1))
    };
    let (c, d): (Tensor<3>, Tensor<3>) = (
        a.clone() * cos.clone() - b.clone() * sin.clone(),
        a * sin + b * cos,
    );
    let turned = if rotary.halves {
        Tensor::cat(vec![c, d], 2)
    } else {
        Tensor::stack::<4>(vec![c, d], 3).reshape([tokens, heads, 2 * pairs])
    };
    match size - 2 * pairs {
        0 => turned,
        rest => Tensor::cat(vec![turned, x.narrow(2, 2 * pairs, rest)], 2),
    }
}

/// Cosines and sines of all pairs at each row's position.
fn angles(rotary: &Rotary, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let all = positions.iter().flat_map(|&position| rotary.at(position));
    all.copied().unzip()
}
