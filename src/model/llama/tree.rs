//! Scores given continuations of one prompt: the prompt is evaluated once, and so is every
//! beginning that some of them share.
//!
//! Sorted by their tokens, continuations form a tree; each node is one token that is evaluated
//! once, in the sequences of all continuations that go through it. They share the cells of one
//! cache, and a token attends over those of its own sequences.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
    time::Instant,
};

use llama_cpp_2::token::LlamaToken;
use rayon::prelude::*;

use super::{
    Role,
    context::{BATCH_TOKENS_MAX, Context, ROWS, SEQUENCES_MAX, Shape},
    index,
};
use crate::{
    error::{Error, Result},
    model::{Request, Scored, Usage, Watch, draw::logprobs},
    train::lora::Head,
};

/// The sequence that holds the prompt.
const PROMPT: i32 = 0;
/// The sequence of tokens that nobody looks at.
const PADDING: i32 = SEQUENCES_MAX as i32 - 1;
/// Tokens of continuations that are evaluated at once. With fewer than 64 (ggml's `GGML_FA_TILE_Q`)
/// flash attention on a CPU goes through a token's own cells one by one, past those of others, so
/// that a score is the same in any company, bit by bit. With more it takes 64 cells at a time, and
/// where they lie decides how sums are rounded; quantised kernels, which round activations to 8
/// bits, made 0.002 nats a token of that, and 0.013 where the model was very sure.
const TOKENS_AT_ONCE: usize = 56;
const _: () = assert!(TOKENS_AT_ONCE.is_multiple_of(ROWS));
/// Tokens that are in the cache at once beside the prompt, unless one continuation alone has more:
/// enough to read the weights seldom, few enough that looking past each other's cells costs little.
const GROUP_TOKENS: usize = 1024;
/// llama.cpp rounds cells up to a multiple of this.
const CELLS_STEP: usize = 256;
/// Most bytes of logits that one call may produce.
const LOGITS_BYTES_MAX: usize = 256 << 20;

/// The log-probability of a text after a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logprob {
    /// Of all its tokens and the end of the turn, in nats.
    pub sum: f64,
    /// How many these are.
    pub tokens: usize,
}

impl Logprob {
    /// Per token, in nats.
    pub fn mean(&self) -> f64 {
        self.sum / self.tokens as f64
    }
}

/// A prompt and the continuations to score.
pub(super) struct Asked {
    prompt: Vec<LlamaToken>,
    /// Those that fit the context, sorted, each with its place in the caller's list.
    continuations: Vec<(Vec<LlamaToken>, usize)>,
    /// How many the caller gave.
    all: usize,
}

impl Role {
    /// Tokens of a prompt and of each continuation; the end of the turn is part of what is scored,
    /// as it is of what is trained.
    pub(super) fn asked(&self, request: &Request, continuations: &[&str]) -> Result<Asked> {
        let prompt = self.prompt(&request.messages)?;
        self.check_fits(prompt.len(), 1)?;
        let tokens = continuations.iter().map(|text| self.solution(text));
        let mut fitting: Vec<(Vec<LlamaToken>, usize)> = tokens
            .zip(0..)
            .filter(|(tokens, _)| self.check_fits(prompt.len(), tokens.len()).is_ok())
            .collect();
        fitting.sort();
        Ok(Asked {
            prompt,
            continuations: fitting,
            all: continuations.len(),
        })
    }
}

impl Asked {
    /// The log-probability of each continuation; `None` for one that does not fit.
    pub fn logprobs(
        &self,
        role: &Arc<Role>,
        context: &mut Option<Context>,
        adapted: bool,
        watch: Watch,
    ) -> Result<(Vec<Option<Logprob>>, Usage)> {
        let mut sums = vec![0.0; self.continuations.len()];
        let visit = |context: &Context, tree: &Tree, rows: &[Row]| {
            let logits: Vec<&[f32]> = rows.iter().map(|row| context.logits(row.place)).collect();
            let logprobs: Vec<Vec<f64>> = rows
                .par_iter()
                .zip(logits)
                .map(|(row, logits)| {
                    let next = tree.next(row.after).iter();
                    let tokens = next.map(|next| index(tree.nodes[*next].token));
                    logprobs(logits, tokens)
                })
                .collect();
            for (row, logprobs) in rows.iter().zip(logprobs) {
                for (next, logprob) in tree.next(row.after).iter().zip(logprobs) {
                    for through in tree.nodes[*next].through.clone() {
                        sums[tree.first + through] += logprob;
                    }
                }
            }
            Ok(())
        };
        let usage = self.walk(role, context, adapted, false, watch, visit)?;
        let logprobs = sums.iter().zip(&self.continuations);
        let logprobs = logprobs.map(|(sum, (tokens, _))| Logprob {
            sum: *sum,
            tokens: tokens.len(),
        });
        Ok((self.in_order(logprobs), usage))
    }

    /// The reward head's value at the end of each continuation (arXiv 2110.14168).
    pub fn head_scores(
        &self,
        role: &Arc<Role>,
        context: &mut Option<Context>,
        head: &Head,
        watch: Watch,
    ) -> Result<Scored> {
        let mut scores = vec![0.0; self.continuations.len()];
        let visit = |context: &Context, tree: &Tree, rows: &[Row]| {
            for row in rows {
                let Some(node) = row.after else { continue };
                for end in &tree.nodes[node].ends {
                    scores[tree.first + end] = head.score(context.hidden(row.place)?);
                }
            }
            Ok(())
        };
        let usage = self.walk(role, context, true, true, watch, visit)?;
        Ok(Scored {
            scores: self.in_order(scores.into_iter()),
            usage,
        })
    }

    /// Evaluates the prompt and then every token of the continuations once, and shows `visit` what
    /// came out after each.
    fn walk(
        &self,
        role: &Arc<Role>,
        slot: &mut Option<Context>,
        adapted: bool,
        hidden: bool,
        watch: Watch,
        mut visit: impl FnMut(&Context, &Tree, &[Row]) -> Result<()>,
    ) -> Result<Usage> {
        let all = self.continuations.len();
        if all == 0 {
            return Ok(Usage::default());
        }
        let going_on = |done| match watch(done, all) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        };
        let started = Instant::now();
        let mut shape = Shape {
            sequences: SEQUENCES_MAX,
            shared: true,
            cells: 1,
            hidden,
        };
        let cells_max = role.resources.kv_bytes_each() / shape.bytes(role.weights.bytes_per_cell());
        let cells_max = usize::try_from(cells_max).unwrap_or(usize::MAX);
        // Rounded up later, and then it must still be allowed.
        let group_max = (cells_max / CELLS_STEP * CELLS_STEP)
            .saturating_sub(self.prompt.len() + ROWS)
            .min(GROUP_TOKENS);
        let trees = Tree::grow(&self.continuations, group_max, !role.weights.is_recurrent());
        let largest = trees.iter().map(|tree| tree.nodes.len()).max().unwrap_or(0);
        shape.cells = (self.prompt.len() + largest + ROWS).next_multiple_of(CELLS_STEP);
        let context = context_of(role, slot, shape, adapted)?;
        // Where hidden states are asked for, every token has an output.
        let outputs_max = LOGITS_BYTES_MAX / (4 * role.weights.vocabulary());
        let prompt_max = match hidden {
            true => outputs_max.clamp(16, BATCH_TOKENS_MAX),
            false => BATCH_TOKENS_MAX,
        };
        let last = self.prompt.len() - 1;
        context.clear();
        for (place, token) in self.prompt.iter().enumerate() {
            if context.len() == prompt_max {
                going_on(0)?;
                context.decode()?;
                context.clear();
            }
            context.add(*token, place, &[PROMPT], hidden || place == last)?;
        }
        let after_prompt = Row {
            place: context.len() - 1,
            after: None,
        };
        going_on(0)?;
        context.decode()?;
        let mut usage = Usage {
            tokens_prompt: self.prompt.len() as u64,
            prompt: started.elapsed(),
            ..Usage::default()
        };
        for tree in &trees {
            visit(context, tree, &[after_prompt])?;
        }

        for tree in &trees {
            let sequences = 1..=i32::try_from(tree.len).expect("at most 254");
            for sequence in sequences.clone() {
                context.copy(PROMPT, sequence)?;
            }
            let mut rows = Vec::new();
            context.clear();
            for (index, node) in tree.nodes.iter().enumerate() {
                // After a last token nothing is predicted.
                if !hidden && node.next.is_empty() {
                    continue;
                }
                if context.len() == TOKENS_AT_ONCE {
                    going_on(tree.first)?;
                    decode(context)?;
                    visit(context, tree, &rows)?;
                    context.clear();
                    rows.clear();
                }
                rows.push(Row {
                    place: context.len(),
                    after: Some(index),
                });
                let through = node.through.clone().map(|place| place as i32 + 1);
                let through: Vec<i32> = through.collect();
                context.add(node.token, self.prompt.len() + node.depth, &through, true)?;
            }
            if !rows.is_empty() {
                going_on(tree.first)?;
                decode(context)?;
                visit(context, tree, &rows)?;
            }
            for sequence in sequences {
                context.forget(sequence, 0)?;
            }
        }
        // All is done: whether to go on is no question any more.
        let _ = watch(all, all);
        let tokens = self.continuations.iter().map(|(tokens, _)| tokens.len());
        usage.tokens_continued = tokens.sum::<usize>() as u64;
        usage.time = started.elapsed();
        Ok(usage)
    }

    /// Values of the sorted continuations in the caller's order.
    fn in_order<T>(&self, values: impl Iterator<Item = T>) -> Vec<Option<T>> {
        let mut ordered: Vec<Option<T>> = (0..self.all).map(|_| None).collect();
        for (value, (_, place)) in values.zip(&self.continuations) {
            ordered[*place] = Some(value);
        }
        ordered
    }
}

/// The context kept in `slot`, emptied, or a new one where that has another shape.
fn context_of<'a>(
    role: &Arc<Role>,
    slot: &'a mut Option<Context>,
    shape: Shape,
    adapted: bool,
) -> Result<&'a mut Context> {
    let bytes = shape.bytes(role.weights.bytes_per_cell());
    if bytes > role.resources.kv_bytes_each() {
        return Err(role.cache_too_small(bytes, "to score a candidate of this question", ""));
    }
    let fits =
        |kept: &Context| kept.shape.hidden == shape.hidden && kept.shape.cells >= shape.cells;
    match slot.take().filter(fits) {
        Some(mut kept) => {
            kept.forget_all()?;
            kept.adapt(adapted)?;
            Ok(slot.insert(kept))
        }
        None => Ok(slot.insert(Context::new(role, shape, adapted)?)),
    }
}

/// Evaluates the tokens of the batch, padded to a multiple of the rows of ggml's matrix kernels.
fn decode(context: &mut Context) -> Result<()> {
    let tokens = context.len();
    let padded = tokens.next_multiple_of(ROWS);
    for place in 0..padded - tokens {
        context.add(LlamaToken::new(0), place, &[PADDING], true)?;
    }
    context.decode()?;
    if padded > tokens {
        context.forget(PADDING, 0)?;
    }
    Ok(())
}

/// An output of the batch that was decoded: where it is, and the node it comes after; none for the
/// prompt's last token.
#[derive(Clone, Copy)]
struct Row {
    place: usize,
    after: Option<usize>,
}

/// The tokens of a group of neighbouring continuations, common beginnings once, each node after the
/// one it continues.
#[derive(Debug, PartialEq)]
struct Tree {
    /// Index of the group's first continuation.
    first: usize,
    /// Continuations in the group.
    len: usize,
    nodes: Vec<Node>,
    /// Nodes of first tokens.
    roots: Vec<usize>,
}

/// A token of one or more continuations.
#[derive(Debug, PartialEq)]
struct Node {
    token: LlamaToken,
    /// Tokens between it and the prompt.
    depth: usize,
    /// Those of the group's continuations that go through it.
    through: Range<usize>,
    /// Those that end with it.
    ends: Vec<usize>,
    /// The nodes that go on after it.
    next: Vec<usize>,
}

impl Tree {
    /// Trees of at most `nodes_max` nodes (or of one continuation) over sorted continuations.
    fn grow(
        continuations: &[(Vec<LlamaToken>, usize)],
        nodes_max: usize,
        share: bool,
    ) -> Vec<Self> {
        let mut trees: Vec<Self> = Vec::new();
        let mut path: Vec<usize> = Vec::new();
        for (index, (tokens, _)) in continuations.iter().enumerate() {
            let common = match index.checked_sub(1) {
                Some(before) if share => common(tokens, &continuations[before].0),
                _ => 0,
            };
            let fits = |tree: &Self| {
                // The prompt and the padding have sequences of their own.
                tree.len + 2 < SEQUENCES_MAX
                    && tree.nodes.len() + tokens.len() - common <= nodes_max
            };
            if !trees.last().is_some_and(fits) {
                path.clear();
                trees.push(Self {
                    first: index,
                    len: 0,
                    nodes: Vec::new(),
                    roots: Vec::new(),
                });
            }
            let tree = trees.last_mut().expect("there is one now");
            path.truncate(common);
            tree.add(tokens, &mut path);
        }
        trees
    }

    /// Adds a continuation that begins with the nodes of `path`.
    fn add(&mut self, tokens: &[LlamaToken], path: &mut Vec<usize>) {
        let place = self.len;
        for node in path.iter() {
            self.nodes[*node].through.end = place + 1;
        }
        for (depth, token) in tokens.iter().enumerate().skip(path.len()) {
            let node = self.nodes.len();
            match path.last() {
                Some(before) => self.nodes[*before].next.push(node),
                None => self.roots.push(node),
            }
            self.nodes.push(Node {
                token: *token,
                depth,
                through: place..place + 1,
                ends: Vec::new(),
                next: Vec::new(),
            });
            path.push(node);
        }
        let last = path.last().expect("a continuation has a token");
        self.nodes[*last].ends.push(place);
        self.len += 1;
    }

    /// The nodes that go on after a node, or after the prompt.
    fn next(&self, after: Option<usize>) -> &[usize] {
        after.map_or(&self.roots, |node| &self.nodes[node].next)
    }
}

/// How many tokens two continuations begin with in common.
fn common(a: &[LlamaToken], b: &[LlamaToken]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(texts: &[&[i32]]) -> Vec<(Vec<LlamaToken>, usize)> {
        let tokens = |text: &[i32]| text.iter().map(|id| LlamaToken::new(*id)).collect();
        let mut sorted: Vec<_> = texts.iter().map(|text| tokens(text)).zip(0..).collect();
        sorted.sort();
        sorted
    }

    #[test]
    fn common_beginnings_are_one_branch() {
        let continuations = sorted(&[&[1, 2, 3], &[5, 9], &[1, 2, 4, 9], &[1, 2, 3], &[1, 9]]);
        let trees = Tree::grow(&continuations, 100, true);
        assert_eq!(trees.len(), 1);
        let tokens: Vec<i32> = trees[0].nodes.iter().map(|node| node.token.0).collect();
        assert_eq!(tokens, [1, 2, 3, 4, 9, 9, 5, 9]);
        let through: Vec<_> = trees[0]
            .nodes
            .iter()
            .map(|node| node.through.clone())
            .collect();
        assert_eq!(through[..4], [0..4, 0..3, 0..2, 2..3]);
        assert_eq!(trees[0].roots, [0, 6]);
        assert_eq!(trees[0].nodes[2].ends, [0, 1]);
        assert_eq!(trees[0].nodes[1].next, [2, 3]);
    }

    #[test]
    fn trees_are_cut_where_they_grow_too_large() {
        let continuations = sorted(&[&[1, 2, 3], &[1, 2, 4], &[1, 2, 5], &[7, 8, 9, 10, 11, 12]]);
        let sizes = |share| -> Vec<(usize, usize)> {
            let trees = Tree::grow(&continuations, 4, share);
            trees
                .iter()
                .map(|tree| (tree.first, tree.nodes.len()))
                .collect()
        };
        assert_eq!(sizes(true), [(0, 4), (2, 3), (3, 6)]);
        assert_eq!(sizes(false), [(0, 3), (1, 3), (2, 3), (3, 6)]);
    }
}
