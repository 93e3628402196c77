//! Loss and gradients of a step: forward, objective, backward.

use std::{
    collections::BTreeMap,
    ops::{AddAssign, Range},
};

use burn::tensor::{Gradients, Int, Tensor, TensorData};

use super::{
    network::{Network, Rows, values},
    objective::{Logp, Objective, kto_reference_point, orm},
    pack::{Unit, pack, parts, split},
};

/// The outcome reward model's weights `(1, width)`.
pub(crate) const HEAD_WEIGHT: &str = "orm_head.weight";
/// Its bias `(1, 1)`.
pub(crate) const HEAD_BIAS: &str = "orm_head.bias";

/// A step's loss and what it does to the weights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// Mean over the objective's terms.
    pub loss: f64,
    /// By the names of the weights that are trained.
    pub gradients: BTreeMap<String, Tensor<2>>,
    /// Sums over the step's pairs.
    pub pairs: Pairs,
}

/// Sums over pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pairs {
    /// How many pairs.
    pub count: usize,
    /// Score of the chosen minus score of the rejected solution.
    pub margin: f64,
    /// Pairs whose chosen solution has the higher score.
    pub right: usize,
    /// Mean log-probability per token of the chosen solutions; the reward model has none.
    pub chosen: f64,
}

/// Computes a step over units, with at most about `tokens_max` rows in memory at a time. The
/// gradient is that of the mean over all terms, however the units are split; a problem that alone
/// has more rows is computed twice, in parts, and its prompt with each part.
///
/// `references` has the log-probabilities before training of each unit's solutions; it is empty
/// where the objective needs none. With `recompute`, only each block's input is kept for the
/// backward pass, and the block is computed again (arXiv 1604.06174).
pub(crate) fn step(
    network: &Network,
    objective: &Objective,
    units: &[&Unit],
    references: &[&[f64]],
    tokens_max: usize,
    recompute: bool,
) -> Step {
    let terms: usize = units.iter().map(|unit| objective.terms(unit)).sum();
    let mut total = Step::default();
    let mut done = 0;
    let groups = split(units, tokens_max);
    // KTO compares with a mean over the whole step, which a step in parts has to know beforehand.
    let kto = matches!(objective, Objective::Kto { .. });
    let z = (kto && groups.len() > 1).then(|| {
        let mut all = logps(network, objective, units, tokens_max);
        refer(&mut all, references);
        kto_reference_point(&all.concat())
    });
    for group in groups {
        let references = references.get(done..done + group.len()).unwrap_or(&[]);
        done += group.len();
        let terms = terms.max(1);
        let backward = |rows: &Rows, weigh: &mut dyn FnMut(&[f32]) -> Vec<f32>| match recompute {
            true => gradients_recomputed(network, objective, rows, weigh),
            false => gradients(network, objective, rows, weigh),
        };
        let mut seen = Seen::default();
        let parts = parts(&group, tokens_max);
        if let [whole] = &parts[..] {
            let found = backward(&rows_of(objective, whole), &mut |outputs| {
                seen = weigh(objective, &group, (references, z), outputs, terms);
                std::mem::take(&mut seen.gradients)
            });
            merge(&mut total.gradients, found);
        } else {
            // What a part adds depends on the others, so all are computed once without recording.
            let outputs = parts
                .iter()
                .flat_map(|part| plain(network, objective, part));
            let outputs: Vec<f32> = outputs.collect();
            seen = weigh(objective, &group, (references, z), &outputs, terms);
            let mut rest = seen.gradients.as_slice();
            for part in &parts {
                let rows = rows_of(objective, part);
                let (own, after) = rest.split_at(rows.targets.len());
                rest = after;
                merge(&mut total.gradients, backward(&rows, &mut |_| own.to_vec()));
            }
        }
        total.loss += seen.loss;
        total.pairs += seen.pairs;
    }
    total
}

/// Each solution's log-probability, or the reward model's value as its `sum`.
pub(crate) fn logps(
    network: &Network,
    objective: &Objective,
    units: &[&Unit],
    tokens_max: usize,
) -> Vec<Vec<Logp>> {
    let mut all = Vec::with_capacity(units.len());
    for group in split(units, tokens_max) {
        let parts = parts(&group, tokens_max);
        let outputs = parts
            .iter()
            .flat_map(|part| plain(network, objective, part));
        let outputs: Vec<f32> = outputs.collect();
        all.extend(of_solutions(objective, &group, &outputs));
    }
    all
}

fn rows_of(objective: &Objective, units: &[Unit]) -> Rows {
    let units: Vec<&Unit> = units.iter().collect();
    pack(&units, *objective == Objective::Orm)
}

/// The outputs, without recording.
fn plain(network: &Network, objective: &Objective, units: &[Unit]) -> Vec<f32> {
    let rows = rows_of(objective, units);
    values(outputs(network, objective, &rows, network.hidden(&rows)))
}

/// What a group of units adds to a step.
#[derive(Default)]
struct Seen {
    loss: f64,
    pairs: Pairs,
    /// The derivative of the loss by each output.
    gradients: Vec<f32>,
}

/// The objective on a group's outputs. `z` is KTO's reference point, where it is not the group's own.
fn weigh(
    objective: &Objective,
    group: &[&Unit],
    (references, z): (&[&[f64]], Option<f64>),
    outputs: &[f32],
    terms: usize,
) -> Seen {
    let mut seen = Seen::default();
    let mut all = of_solutions(objective, group, outputs);
    refer(&mut all, references);
    let z = z.unwrap_or_else(|| kto_reference_point(&all.concat()));
    let mut of_targets = targets(group).into_iter();
    for (unit, logps) in group.iter().zip(&all) {
        let (value, by_sum) = objective.loss(unit, logps, z);
        seen.loss += value / terms as f64;
        for (solution, by_sum) in unit.solutions.iter().zip(by_sum) {
            let range = of_targets.next().expect("a range for each solution");
            if *objective == Objective::Orm {
                let share = 1.0 / (range.len() * terms) as f64;
                for &output in &outputs[range] {
                    let (value, gradient) = orm(output.into(), solution.correct);
                    seen.loss += value * share;
                    seen.gradients.push((gradient * share) as f32);
                }
            } else {
                let gradient = (by_sum / terms as f64) as f32;
                seen.gradients.extend(range.map(|_| gradient));
            }
        }
        for &(chosen, rejected) in &unit.pairs {
            let margin = objective.score(&logps[chosen]) - objective.score(&logps[rejected]);
            seen.pairs += Pairs {
                count: 1,
                margin,
                right: usize::from(margin > 0.0),
                chosen: logps[chosen].mean(),
            };
        }
    }
    seen
}

/// Puts the log-probabilities before training beside those of now.
fn refer(all: &mut [Vec<Logp>], references: &[&[f64]]) {
    for (logps, references) in all.iter_mut().zip(references) {
        for (logp, &reference) in logps.iter_mut().zip(*references) {
            logp.reference = reference;
        }
    }
}

/// Where each solution's outputs stand.
fn targets(group: &[&Unit]) -> Vec<Range<usize>> {
    let mut end = 0;
    let lengths = group.iter().flat_map(|unit| &unit.solutions);
    lengths
        .map(|solution| {
            end += solution.tokens.len();
            end - solution.tokens.len()..end
        })
        .collect()
}

fn of_solutions(objective: &Objective, group: &[&Unit], outputs: &[f32]) -> Vec<Vec<Logp>> {
    let mut ranges = targets(group).into_iter();
    let mut next = || {
        let outputs = &outputs[ranges.next().expect("a range for each solution")];
        let (sum, tokens) = if *objective == Objective::Orm {
            // The value at the last token is the score.
            (outputs.last().map_or(0.0, |&x| f64::from(x)), 1)
        } else {
            (outputs.iter().map(|&x| f64::from(x)).sum(), outputs.len())
        };
        Logp {
            sum,
            tokens,
            reference: 0.0,
        }
    };
    let each = group.iter();
    each.map(|unit| unit.solutions.iter().map(|_| next()).collect())
        .collect()
}

/// What the network says of each target, `(targets, 1)`: its log-probability, or the reward model's
/// value at it.
fn outputs(network: &Network, objective: &Objective, rows: &Rows, hidden: Tensor<2>) -> Tensor<2> {
    if *objective != Objective::Orm {
        return network.logps_of(hidden, rows);
    }
    let weight = |name| network.weights[name].value.clone();
    let at: Vec<i32> = rows.targets.iter().map(|&(row, _)| row as i32).collect();
    let at: Tensor<1, Int> =
        Tensor::from_data(TensorData::new(at, [rows.targets.len()]), &hidden.device());
    let hidden = hidden.select(0, at); // (targets, width)
    hidden.matmul(weight(HEAD_WEIGHT).transpose()) + weight(HEAD_BIAS) // (targets, 1)
}

type ByName = BTreeMap<String, Tensor<2>>;

/// Forward and backward with every intermediate result kept.
fn gradients(
    network: &Network,
    objective: &Objective,
    rows: &Rows,
    weigh: &mut dyn FnMut(&[f32]) -> Vec<f32>,
) -> ByName {
    let tracked = network.tracked();
    let outputs = outputs(&tracked, objective, rows, tracked.hidden(rows));
    let by_output = weigh(&values(outputs.clone()));
    let by_output = column(by_output, &outputs);
    collect(&tracked, &(outputs * by_output).sum().backward())
}

/// Forward with each block's input kept, backward with each block computed again.
fn gradients_recomputed(
    network: &Network,
    objective: &Objective,
    rows: &Rows,
    weigh: &mut dyn FnMut(&[f32]) -> Vec<f32>,
) -> ByName {
    // 1. Forward, without recording.
    let mut inputs = Vec::with_capacity(network.config.layers);
    let mut x = network.embed(rows);
    for layer in 0..network.config.layers {
        inputs.push(x.clone());
        x = network.block(layer, x, &rows.layout);
    }
    // 2. The head, recorded.
    let tracked = network.tracked();
    let last = Tensor::from_inner(x).require_grad();
    let hidden = tracked.norm("output_norm", last.clone());
    let outputs = outputs(&tracked, objective, rows, hidden);
    let by_output = weigh(&values(outputs.clone()));
    let by_output = column(by_output, &outputs);
    let found = (outputs * by_output).sum().backward();
    let mut sums = collect(&tracked, &found);
    let mut dx = last.grad(&found).expect("the head depends on its input");
    // 3. The blocks, last to first.
    for layer in (0..network.config.layers).rev() {
        let input = inputs.pop().expect("one input for each block");
        let input = Tensor::from_inner(input).require_grad();
        let y = tracked.block(layer, input.clone(), &rows.layout);
        let found = (y * Tensor::from_inner(dx)).sum().backward();
        merge(&mut sums, collect(&tracked, &found));
        dx = input.grad(&found).expect("a block depends on its input");
    }
    // 4. The embeddings, which the output may share.
    if tracked.weights["token_embd.weight"].trained {
        let found = (tracked.embed(rows) * Tensor::from_inner(dx))
            .sum()
            .backward();
        merge(&mut sums, collect(&tracked, &found));
    }
    sums
}

fn column(numbers: Vec<f32>, like: &Tensor<2>) -> Tensor<2> {
    let shape = [numbers.len(), 1];
    Tensor::from_data(TensorData::new(numbers, shape), &like.device())
}

fn collect(tracked: &Network, found: &Gradients) -> ByName {
    let trained = tracked.weights.iter().filter(|(_, weight)| weight.trained);
    trained
        .filter_map(|(name, weight)| Some((name.clone(), weight.value.grad(found)?)))
        .collect()
}

fn merge(sums: &mut ByName, more: ByName) {
    for (name, gradient) in more {
        let sum = match sums.remove(&name) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        sums.insert(name, sum);
    }
}

impl AddAssign for Pairs {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.margin += other.margin;
        self.right += other.right;
        self.chosen += other.chosen;
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{
        model::{
            fixture::{self, Geometry},
            gguf::{Gguf, Tensor as Stored, Value},
        },
        train::{
            lora::Lora,
            network::values,
            pack::{Saved, Solution},
        },
    };

    /// A network of the shape and with the weights of `tests/cases/train/simpo_gradient.py`.
    fn by_formula(architecture: &str) -> Network {
        let geometry = Geometry {
            architecture: architecture.to_owned(),
            vocabulary: 11,
            width: 24,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            ffn: 40,
            context: 64,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
            tied: architecture == "qwen2",
        };
        let mut gguf = fixture::random_llama(&geometry, 0, Vec::new());
        for (t, tensor) in gguf.tensors.iter_mut().enumerate() {
            let norm = tensor.name.ends_with("norm.weight");
            let (base, scale) = if norm { (1.0, 0.2) } else { (0.0, 0.5) };
            for (i, value) in tensor.values.iter_mut().enumerate() {
                let angle = (i + 1) as f64 * (0.37 + 0.11 * t as f64);
                *value = (base + scale * angle.sin()) as f32;
            }
        }
        Network::new(gguf, architecture, &Device::flex()).unwrap()
    }

    fn unit(prompt: &[u32], solutions: &[&[u32]], pairs: &[(usize, usize)]) -> Unit {
        let correct = |i| pairs.iter().any(|&(chosen, _)| chosen == i);
        let solution = |(i, tokens): (usize, &&[u32])| Solution {
            tokens: tokens.to_vec(),
            correct: correct(i),
        };
        Unit {
            prompt: prompt.to_vec(),
            solutions: solutions.iter().enumerate().map(solution).collect(),
            pairs: pairs.to_vec(),
        }
    }

    fn simpo() -> Objective {
        Objective::from_name("simpo").unwrap()
    }

    #[test]
    fn other_devices_operations_give_the_same_numbers() {
        let units = [
            unit(&[1, 2, 3, 4], &[&[5, 6, 7], &[5, 8, 9, 10, 2]], &[(0, 1)]),
            unit(&[7], &[&[1, 2], &[3], &[4, 4, 4, 4]], &[(2, 0), (2, 1)]),
            unit(&[9, 8, 7, 6, 5, 4, 3], &[&[10, 1], &[10, 2]], &[(1, 0)]),
        ];
        let units: Vec<&Unit> = units.iter().collect();
        for architecture in ["llama", "qwen2"] {
            let of = |fused: bool, recompute: bool| {
                let mut network = by_formula(architecture);
                network.fused = fused;
                step(&network, &simpo(), &units, &[], 1000, recompute)
            };
            let expected = of(true, false);
            for found in [of(false, false), of(false, true)] {
                assert!(
                    (found.loss - expected.loss).abs() < 1e-5,
                    "{} {}",
                    found.loss,
                    expected.loss
                );
                assert_eq!(found.gradients.len(), expected.gradients.len());
                for (name, expected) in &expected.gradients {
                    let (ours, theirs) = (
                        values(found.gradients[name].clone()),
                        values(expected.clone()),
                    );
                    let largest = theirs.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                    for (a, b) in ours.iter().zip(&theirs) {
                        assert!((a - b).abs() <= 1e-4 * largest, "{name}: {a} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_through_the_network_are_pytorchs() {
        let unit = unit(
            &[1, 2, 3, 4],
            &[&[5, 6, 7], &[5, 8, 9, 10, 2], &[3, 1]],
            &[(0, 1), (0, 2)],
        );
        let expected = include_str!("../../tests/cases/train/simpo_gradient.txt");
        let mut found = Step::default();
        // By the hand-written operations, and by burn's own, which other devices compute with.
        for (fused, line) in [true, false]
            .into_iter()
            .flat_map(|fused| expected.lines().map(move |line| (fused, line)))
        {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |i: usize| words[i].parse::<f64>().unwrap();
            if words.len() == 2 {
                assert!(found.gradients.is_empty(), "{:?}", found.gradients.keys());
                let mut network = by_formula(words[0]);
                network.fused = fused;
                found = step(&network, &simpo(), &[&unit], &[], 1000, false);
                assert!(
                    (found.loss - number(1)).abs() < 1e-5,
                    "{line}: {}",
                    found.loss
                );
                continue;
            }
            let gradient = found.gradients.remove(words[0]).unwrap();
            // As the file has it: matrices are held transposed.
            let gradient = crate::train::network::unload(words[0], &gradient).values;
            let norm = gradient
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!((norm / number(1) - 1.0).abs() < 1e-4, "{line}: {norm}");
            let second = f64::from(gradient[1]);
            assert!(
                (second - number(2)).abs() < 1e-4 * number(1),
                "{line}: {second}"
            );
        }
        assert!(found.gradients.is_empty(), "{:?}", found.gradients.keys());
    }

    /// The largest difference of any gradient, in units of the largest gradient.
    fn difference(a: &Step, b: &Step) -> f32 {
        assert!(a.gradients.keys().eq(b.gradients.keys()));
        let (mut most, mut scale) = (0.0_f32, 0.0_f32);
        for (name, gradient) in &a.gradients {
            let other = values(b.gradients[name].clone());
            for (x, y) in values(gradient.clone()).iter().zip(other) {
                most = most.max((x - y).abs());
                scale = scale.max(x.abs());
            }
        }
        most / scale
    }

    /// Two problems whose solutions are each in several pairs; lengths that fill no tile.
    fn shared() -> [Unit; 2] {
        let text = |seed: u32, length: u32| -> Vec<u32> {
            (0..length)
                .map(|i| (seed * 7 + i * i * 3 + i * seed) % 11)
                .collect()
        };
        let solutions = [text(1, 19), text(2, 1), text(3, 33), text(4, 16)];
        let solutions: Vec<&[u32]> = solutions.iter().map(Vec::as_slice).collect();
        let all = [(0, 2), (0, 3), (1, 2), (1, 3)];
        let one = unit(&text(5, 21), &solutions, &all);
        let other = unit(&text(6, 3), &solutions[1..3], &[(1, 0)]);
        [one, other]
    }

    #[test]
    fn packed_gradients_are_those_of_single_pairs() {
        let units = shared();
        let units: Vec<&Unit> = units.iter().collect();
        let mut single = Vec::new();
        for whole in &units {
            for &(a, b) in &whole.pairs {
                let solutions = [&whole.solutions[a].tokens[..], &whole.solutions[b].tokens];
                single.push(unit(&whole.prompt, &solutions, &[(0, 1)]));
            }
        }
        let single: Vec<&Unit> = single.iter().collect();
        for architecture in ["llama", "qwen2"] {
            let network = by_formula(architecture);
            let packed = step(&network, &simpo(), &units, &[], 1000, false);
            // Every pair in a pass of its own, each with its own copy of the prompt.
            let pairwise = step(&network, &simpo(), &single, &[], 1, false);
            assert!((packed.loss - pairwise.loss).abs() < 1e-6);
            assert!(difference(&packed, &pairwise) < 1e-5);
            // The same in less memory: accumulated, a problem in parts, blocks computed again.
            for tokens_max in [1, 50, 80] {
                for recompute in [false, true] {
                    let split = step(&network, &simpo(), &units, &[], tokens_max, recompute);
                    assert!((packed.loss - split.loss).abs() < 1e-6);
                    assert!(difference(&packed, &split) < 1e-5);
                }
            }
        }
        let mut saved = Saved::default();
        units.iter().for_each(|unit| saved += unit.saved());
        let computed: usize = single
            .iter()
            .map(|unit| {
                2 * unit.prompt.len() + unit.solutions.iter().map(|s| s.tokens.len()).sum::<usize>()
            })
            .sum();
        assert_eq!(saved.pairwise, computed as u64);
        assert!(saved.tokens * 2 < saved.pairwise, "{saved:?}");
    }

    /// A network, and the log-probabilities that an objective compares with, `beyond` above its own.
    fn judged(objective: &Objective, units: &[&Unit], beyond: f64) -> (Network, Vec<Vec<f64>>) {
        let mut network = by_formula("llama");
        let references = crate::train::evaluate::references(&network, units, 1000);
        let mut beyond = (0..).map(|i| beyond * (1.0 + 0.1 * f64::from(i)));
        let mut higher = |logp: &f64| logp + beyond.next().expect("there is always a next");
        let references = references.iter();
        let references = references.map(|logps| logps.iter().map(&mut higher).collect());
        let references = references.collect();
        if *objective == Objective::Orm {
            network.add_head();
            let weight = network.weights.get_mut(HEAD_WEIGHT).unwrap();
            let numbers: Vec<f32> = (0..24).map(|i| 0.3 * (i as f32).sin()).collect();
            weight.value = Tensor::from_data(TensorData::new(numbers, [1, 24]), &Device::flex());
        }
        (network, references)
    }

    #[test]
    fn every_objectives_gradient_is_the_slope_of_its_loss() {
        let units = shared();
        let units: Vec<&Unit> = units.iter().collect();
        for name in Objective::NAMES.split(", ") {
            let objective = Objective::from_name(name).unwrap();
            // Below its references KTO's reference point is 0, a constant, as its gradient has it.
            let (network, references) = judged(&objective, &units, 3.0);
            let references: Vec<&[f64]> = references.iter().map(Vec::as_slice).collect();
            let at =
                |network: &Network| step(network, &objective, &units, &references, 1000, false);
            let gradients = at(&network).gradients;
            let square: f64 = gradients
                .values()
                .flat_map(|gradient| values(gradient.clone()))
                .map(|x| f64::from(x).powi(2))
                .sum();
            // Along the gradient, and along it with every third number's sign turned.
            for turned in [false, true] {
                let mut expected = 0.0;
                let mut directions = BTreeMap::new();
                for (name, gradient) in &gradients {
                    let mut numbers = values(gradient.clone());
                    for (i, x) in numbers.iter_mut().enumerate() {
                        let along = f64::from(*x) / square.sqrt();
                        let along = if turned && i % 3 == 0 { -along } else { along };
                        expected += along * f64::from(*x);
                        *x = along as f32;
                    }
                    let data = TensorData::new(numbers, gradient.shape());
                    let direction: Tensor<2> = Tensor::from_data(data, &Device::flex());
                    directions.insert(name, direction);
                }
                let moved = |by: f32| {
                    let mut moved = network.clone();
                    for (name, direction) in &directions {
                        let weight = moved.weights.get_mut(*name).unwrap();
                        weight.value = weight.value.clone() + direction.clone() * by;
                    }
                    at(&moved).loss
                };
                let slope = (moved(3e-3) - moved(-3e-3)) / 6e-3;
                assert!(
                    (slope / expected - 1.0).abs() < 0.02,
                    "{name}: {slope} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_step_in_parts_is_the_same_step_for_every_objective() {
        let units = shared();
        let units: Vec<&Unit> = units.iter().collect();
        for name in Objective::NAMES.split(", ") {
            let objective = Objective::from_name(name).unwrap();
            // Above its references KTO's reference point is a mean over all solutions of the step.
            let (network, references) = judged(&objective, &units, -3.0);
            let references: Vec<&[f64]> = references.iter().map(Vec::as_slice).collect();
            let of = |tokens_max, recompute| {
                step(
                    &network,
                    &objective,
                    &units,
                    &references,
                    tokens_max,
                    recompute,
                )
            };
            let whole = of(1000, false);
            for tokens_max in [1, 100] {
                let parts = of(tokens_max, true);
                assert!(
                    (whole.loss - parts.loss).abs() < 1e-5 * whole.loss.abs(),
                    "{name}"
                );
                assert!(difference(&whole, &parts) < 1e-5, "{name}");
            }
        }
    }

    #[test]
    fn each_objective_descends() {
        let units = shared();
        let units: Vec<&Unit> = units.iter().collect();
        for name in Objective::NAMES.split(", ") {
            let objective = Objective::from_name(name).unwrap();
            let mut network = by_formula("qwen2");
            let lora = Lora {
                rank: 3,
                alpha: 6.0,
                targets: super::super::lora::TARGETS.map(str::to_owned).to_vec(),
            };
            network.add_lora(&lora, 1).unwrap();
            if objective == Objective::Orm {
                network.add_head();
            }
            let references = super::super::evaluate::references(&network, &units, 1000);
            let references: Vec<&[f64]> = references.iter().map(Vec::as_slice).collect();
            let mut adam = super::super::adamw::AdamW::default();
            let mut losses = Vec::new();
            for _ in 0..30 {
                let step = step(&network, &objective, &units, &references, 1000, false);
                assert!(
                    step.gradients
                        .keys()
                        .all(|name| name.contains("lora") || name.starts_with("orm"))
                );
                losses.push(step.loss);
                let pace = super::super::adamw::Pace {
                    rate: 0.01,
                    decay: 0.0,
                    norm_max: 1.0,
                    optimiser: super::super::Optimiser::Adamw,
                };
                adam.step(&mut network, step.gradients, pace);
            }
            assert!(losses[29] < losses[0] - 0.01, "{name}: {losses:?}");
        }
    }

    #[test]
    fn an_unsupported_architecture_is_named() {
        let gguf = Gguf {
            metadata: vec![("general.architecture".into(), Value::String("mamba".into()))],
            tensors: vec![Stored::default()],
        };
        let error = Network::new(gguf, "x.gguf", &Device::flex()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "model x.gguf: architecture mamba cannot be trained; supported: llama, qwen2 (mistral files say llama)"
        );
    }
}
