//! Causal attention over packed problems, with rotary positions and without a mask in memory.
//!
//! A problem is a prompt and its solutions, one after another in the rows of the batch. A solution
//! sees the prompt and itself, so the prompt's keys and values serve all of them, and no row is
//! padding. Scores are computed for a few queries at a time and again in the backward pass (as in
//! FlashAttention, arXiv 2205.14135), so memory grows with the tokens, not with their square.

use std::{array::from_fn, ops::Range, sync::Arc};

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;
use wide::f32x16;

use super::{Operation, dot, exp, floats, matrix, shape, sum};

/// Numbers in a vector register; all blocks are padded with zeros to multiples of it.
const LANES: usize = 16;

/// Queries whose scores are in memory at a time.
const TILE: usize = 16;

/// The geometry of the heads, and the problems in the rows.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Rotations for every position.
    pub rotary: Arc<Rotary>,
    /// Where each problem lies.
    pub layout: Arc<Layout>,
}

/// Where problems lie in the rows of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The problems, one after another.
    pub problems: Vec<Rows>,
    /// Each row's position in its text.
    pub positions: Vec<usize>,
}

/// The rows of one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The prompt, at positions from 0.
    pub prompt: Range<usize>,
    /// The solutions, one after another, each at positions from the prompt's length.
    pub solutions: Vec<Range<usize>>,
}

impl Layout {
    /// Appends a problem of a prompt and solutions of these many tokens.
    pub(crate) fn push(&mut self, prompt: usize, solutions: impl IntoIterator<Item = usize>) {
        let start = self.positions.len();
        self.positions.extend(0..prompt);
        let prompt = start..self.positions.len();
        let mut ranges = Vec::new();
        for tokens in solutions {
            let start = self.positions.len();
            self.positions.extend(prompt.len()..prompt.len() + tokens);
            ranges.push(start..self.positions.len());
        }
        self.problems.push(Rows {
            prompt,
            solutions: ranges,
        });
    }
}

impl Rows {
    /// The prompt's rows and the solutions'.
    pub(crate) fn all(&self) -> Range<usize> {
        self.prompt.start..self.solutions.last().unwrap_or(&self.prompt).end
    }
}

/// Rotary position embedding (arXiv 2104.09864).
#[derive(Debug)]
pub(crate) struct Rotary {
    /// Numbers of a head that are rotated, in pairs; the rest passes through.
    pub dims: usize,
    /// Whether pair `i` is `(i, i + dims / 2)`, as in qwen2, or `(2 i, 2 i + 1)`, as in llama.
    pub halves: bool,
    /// Cosine and sine for each position and pair.
    table: Vec<(f32, f32)>,
}

impl Rotary {
    /// The table for `positions` positions; `factors` divide each pair's frequency (Llama 3.1's
    /// `rope_freqs`).
    pub(crate) fn new(
        dims: usize,
        halves: bool,
        base: f32,
        factors: Option<&[f32]>,
        positions: usize,
    ) -> Self {
        let pairs = dims / 2;
        let frequency = |pair: usize| {
            let factor = factors.map_or(1.0, |factors| factors[pair]);
            f64::from(base).powf(-2.0 * pair as f64 / dims as f64) / f64::from(factor)
        };
        let frequencies: Vec<f64> = (0..pairs).map(frequency).collect();
        let angles = (0..positions * pairs).map(|i| (i / pairs) as f64 * frequencies[i % pairs]);
        Self {
            dims,
            halves,
            table: angles
                .map(|angle| (angle.cos() as f32, angle.sin() as f32))
                .collect(),
        }
    }

    /// Cosine and sine of each pair at a position.
    pub(crate) fn at(&self, position: usize) -> &[(f32, f32)] {
        let pairs = self.dims / 2;
        &self.table[position * pairs..(position + 1) * pairs]
    }

    /// Turns one head's numbers to a position.
    fn turn(&self, head: &mut [f32], position: usize) {
        self.rotate(head, position, 1.0);
    }

    /// Turns them back.
    fn turn_back(&self, head: &mut [f32], position: usize) {
        self.rotate(head, position, -1.0);
    }

    fn rotate(&self, head: &mut [f32], position: usize, direction: f32) {
        let pairs = self.dims / 2;
        for (i, &(cos, sin)) in self.at(position).iter().enumerate() {
            let (a, b) = if self.halves {
                (i, i + pairs)
            } else {
                (2 * i, 2 * i + 1)
            };
            let (x, y, sin) = (head[a], head[b], sin * direction);
            head[a] = x * cos - y * sin;
            head[b] = x * sin + y * cos;
        }
    }
}

impl Operation<3> for Attention {
    /// The result `(tokens, heads * size)`, and for each row and head the logarithm of its
    /// softmax's denominator.
    type Kept = (FlexTensor, Arc<Vec<f32>>);

    fn forward(&self, [q, k, v]: [&FlexTensor; 3]) -> (FlexTensor, Self::Kept) {
        let [tokens, width] = shape(q);
        let size = width / self.heads;
        let wide = padded(size);
        let (q, k, v) = (floats(q), floats(k), floats(v));
        let parts = self.each_part(size, |part| {
            for segment in self.segments(part, size, k, v) {
                let stride = segment.stride;
                for (block, head) in self.query_heads(part.kv_head).enumerate() {
                    let queries = self.gather_turned(q, width, &segment.rows, head, size);
                    for tile in (0..segment.rows.len()).step_by(TILE) {
                        let seen = segment.seen_by(tile);
                        let mut p = segment.scores(&queries[tile * wide..], tile, size);
                        let logsums = segment.softmax(&mut p, tile);
                        let mut y = vec![0.0; TILE * wide];
                        multiply(
                            (&mut y, wide),
                            (&p, stride, 1),
                            (&segment.values, wide),
                            [TILE, wide, seen],
                        );
                        let first = segment.rows.start + tile - part.start;
                        let count = TILE.min(segment.rows.len() - tile);
                        part.logsums[block][first..first + count]
                            .copy_from_slice(&logsums[..count]);
                        let to = &mut part.queries[block][first * size..];
                        for (to, from) in to.chunks_mut(size).zip(y.chunks(wide)).take(count) {
                            to.copy_from_slice(&from[..size]);
                        }
                    }
                }
            }
        });
        let mut y = vec![0.0; tokens * width];
        let mut logsums = vec![0.0; tokens * self.heads];
        for part in &parts {
            for (block, head) in self.query_heads(part.kv_head).enumerate() {
                spread(&mut y, width, part.start, head, size, &part.queries[block]);
                spread(
                    &mut logsums,
                    self.heads,
                    part.start,
                    head,
                    1,
                    &part.logsums[block],
                );
            }
        }
        let y = matrix(y, [tokens, width]);
        (y.clone(), (y, Arc::new(logsums)))
    }

    fn backward(
        &self,
        [q, k, v]: [&FlexTensor; 3],
        (y, logsums): Self::Kept,
        gradient: &[f32],
        _: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let ([tokens, width], [_, kv_width]) = (shape(q), shape(k));
        let size = width / self.heads;
        let wide = padded(size);
        let scale = (size as f32).sqrt().recip();
        let (q, k, v) = (floats(q), floats(k), floats(v));
        let parts = self.each_part(size, |part| {
            let problem = part.problem;
            for segment in self.segments(part, size, k, v) {
                let stride = segment.stride;
                let keys = transposed(&segment.keys_t, stride);
                let values_t = transposed(&segment.values, wide);
                let mut d_keys = vec![0.0; stride * wide];
                let mut d_values = vec![0.0; stride * wide];
                for (block, head) in self.query_heads(part.kv_head).enumerate() {
                    let rows = &segment.rows;
                    let queries = self.gather_turned(q, width, rows, head, size);
                    let dy = gather(gradient, width, rows, head, size);
                    let y = gather(floats(&y), width, rows, head, size);
                    for tile in (0..rows.len()).step_by(TILE) {
                        let seen = segment.seen_by(tile);
                        let of_tile = tile * wide..(tile + TILE) * wide;
                        let (queries, dy) = (&queries[of_tile.clone()], &dy[of_tile.clone()]);
                        let y = &y[of_tile];
                        // 1. The probabilities again, from the kept denominators.
                        let mut p = segment.scores(queries, tile, size);
                        for (i, p) in p.chunks_mut(stride).enumerate() {
                            let limit = segment.limit(tile + i);
                            // Rows that pad the tile have no denominator and no gradient.
                            if tile + i < rows.len() {
                                let logsum = logsums[(rows.start + tile + i) * self.heads + head];
                                p[..limit].iter_mut().for_each(|p| *p = exp(*p - logsum));
                            }
                            p[limit..].fill(0.0);
                        }
                        // 2. Values: P^T dY.
                        multiply(
                            (&mut d_values, wide),
                            (&p, 1, stride),
                            (dy, wide),
                            [seen, wide, TILE],
                        );
                        // 3. Scores: P (dY V^T - sum(dY Y)), times the scale of the scores.
                        let mut ds = vec![0.0; TILE * stride];
                        multiply(
                            (&mut ds, stride),
                            (dy, wide, 1),
                            (&values_t, stride),
                            [TILE, seen, wide],
                        );
                        for (i, (ds, p)) in ds.chunks_mut(stride).zip(p.chunks(stride)).enumerate()
                        {
                            let row = i * wide..(i + 1) * wide;
                            let along = dot(&dy[row.clone()], &y[row]);
                            for (ds, p) in ds.iter_mut().zip(p) {
                                *ds = p * (*ds - along) * scale;
                            }
                        }
                        // 4. Queries and keys: dS K and dS^T Q.
                        let mut dq = vec![0.0; TILE * wide];
                        multiply(
                            (&mut dq, wide),
                            (&ds, stride, 1),
                            (&keys, wide),
                            [TILE, wide, seen],
                        );
                        multiply(
                            (&mut d_keys, wide),
                            (&ds, 1, stride),
                            (queries, wide),
                            [seen, wide, TILE],
                        );
                        let first = rows.start + tile - part.start;
                        let to = part.queries[block][first * size..].chunks_mut(size);
                        for (i, (to, from)) in to.zip(dq.chunks(wide)).enumerate() {
                            if tile + i < rows.len() {
                                to.copy_from_slice(&from[..size]);
                            }
                        }
                    }
                }
                let own = segment.rows.start - part.start;
                let seen = (0..segment.before).chain(own..own + segment.rows.len());
                for (row, from) in seen.zip(0..) {
                    let (to, from) = (
                        row * size..(row + 1) * size,
                        from * wide..from * wide + size,
                    );
                    add(&mut part.keys[to.clone()], &d_keys[from.clone()]);
                    add(&mut part.values[to], &d_values[from]);
                }
            }
            // Gradients of turned numbers are turned back.
            let positions = &self.layout.positions[self.layout.problems[problem].all()];
            for block in part.queries.iter_mut().chain([&mut part.keys]) {
                for (row, &position) in block.chunks_mut(size).zip(positions) {
                    self.rotary.turn_back(row, position);
                }
            }
        });
        let mut dq = vec![0.0; tokens * width];
        let mut dk = vec![0.0; tokens * kv_width];
        let mut dv = vec![0.0; tokens * kv_width];
        for part in &parts {
            for (block, head) in self.query_heads(part.kv_head).enumerate() {
                spread(&mut dq, width, part.start, head, size, &part.queries[block]);
            }
            spread(
                &mut dk,
                kv_width,
                part.start,
                part.kv_head,
                size,
                &part.keys,
            );
            spread(
                &mut dv,
                kv_width,
                part.start,
                part.kv_head,
                size,
                &part.values,
            );
        }
        [Some(dq), Some(dk), Some(dv)]
    }
}

/// A problem's part of the result or of the gradients, for one key head. Rows are counted from the
/// problem's first.
struct Part {
    problem: usize,
    kv_head: usize,
    /// The problem's first row.
    start: usize,
    /// A block `(rows, size)` for each query head.
    queries: Vec<Vec<f32>>,
    /// One number a row for each query head.
    logsums: Vec<Vec<f32>>,
    /// Gradients `(rows, size)`.
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// A prompt or a solution, with all keys and values that its queries see, for one key head.
struct Segment {
    /// Its rows in the batch.
    rows: Range<usize>,
    /// Keys of the prompt before its own: none for the prompt itself.
    before: usize,
    /// Keys it sees, padded.
    stride: usize,
    /// Turned keys, transposed: `(size, stride)`, padded.
    keys_t: Vec<f32>,
    /// Values: `(stride, size)`, padded.
    values: Vec<f32>,
}

impl Segment {
    /// Keys that its `i`-th query sees.
    fn limit(&self, i: usize) -> usize {
        (self.before + i + 1).min(self.before + self.rows.len())
    }

    /// Keys that any query of a tile sees, padded.
    fn seen_by(&self, tile: usize) -> usize {
        padded(self.limit(tile + TILE - 1))
    }

    /// The scaled scores of a tile's queries, `(TILE, stride)`.
    fn scores(&self, queries: &[f32], tile: usize, size: usize) -> Vec<f32> {
        let (wide, seen) = (padded(size), self.seen_by(tile));
        let mut scores = vec![0.0; TILE * self.stride];
        multiply(
            (&mut scores, self.stride),
            (queries, wide, 1),
            (&self.keys_t, self.stride),
            [TILE, seen, wide],
        );
        let scale = (size as f32).sqrt().recip();
        scores.iter_mut().for_each(|score| *score *= scale);
        scores
    }

    /// Turns scores into probabilities; gives the logarithm of each row's denominator.
    fn softmax(&self, scores: &mut [f32], tile: usize) -> [f32; TILE] {
        let mut logsums = [0.0; TILE];
        for (i, row) in scores.chunks_mut(self.stride).enumerate() {
            let (row, unseen) = row.split_at_mut(self.limit(tile + i));
            unseen.fill(0.0);
            let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            row.iter_mut().for_each(|x| *x = exp(*x - max));
            let sum = sum(row);
            row.iter_mut().for_each(|x| *x /= sum);
            logsums[i] = max + sum.ln();
        }
        logsums
    }
}

impl Attention {
    /// Does the work of every problem and key head on all cores.
    fn each_part(&self, size: usize, work: impl Fn(&mut Part) + Sync) -> Vec<Part> {
        let count = self.layout.problems.len() * self.kv_heads;
        let parts = (0..count).into_par_iter().map(|i| {
            let (problem, kv_head) = (i / self.kv_heads, i % self.kv_heads);
            let rows = self.layout.problems[problem].all();
            let heads = self.heads / self.kv_heads;
            let mut part = Part {
                problem,
                kv_head,
                start: rows.start,
                queries: vec![vec![0.0; rows.len() * size]; heads],
                logsums: vec![vec![0.0; rows.len()]; heads],
                keys: vec![0.0; rows.len() * size],
                values: vec![0.0; rows.len() * size],
            };
            work(&mut part);
            part
        });
        parts.collect()
    }

    fn query_heads(&self, kv_head: usize) -> Range<usize> {
        let each = self.heads / self.kv_heads;
        kv_head * each..(kv_head + 1) * each
    }

    /// The prompt, then each solution.
    fn segments(&self, part: &Part, size: usize, k: &[f32], v: &[f32]) -> Vec<Segment> {
        let Rows { prompt, solutions } = &self.layout.problems[part.problem];
        let wide = padded(size);
        let width = self.kv_heads * size;
        let prompt_keys = self.gather_turned(k, width, prompt, part.kv_head, size);
        let prompt_values = gather(v, width, prompt, part.kv_head, size);
        let segment = |rows: &Range<usize>, before: usize| {
            let count = before + rows.len();
            let stride = padded(count);
            let join = |of_prompt: &[f32], own: Vec<f32>| {
                let mut joined = Vec::with_capacity((stride + TILE) * wide);
                joined.extend_from_slice(&of_prompt[..before * wide]);
                joined.extend(own);
                joined.resize(stride * wide, 0.0);
                joined
            };
            let own_keys = self.gather_turned(k, width, rows, part.kv_head, size);
            let keys = join(&prompt_keys, own_keys);
            let own_values = gather(v, width, rows, part.kv_head, size);
            Segment {
                rows: rows.clone(),
                before,
                stride,
                keys_t: transposed(&keys, wide),
                values: join(&prompt_values, own_values),
            }
        };
        std::iter::once(segment(prompt, 0))
            .chain(solutions.iter().map(|rows| segment(rows, prompt.len())))
            .collect()
    }

    /// As [`gather`], turned to the rows' positions.
    fn gather_turned(
        &self,
        x: &[f32],
        width: usize,
        rows: &Range<usize>,
        head: usize,
        size: usize,
    ) -> Vec<f32> {
        let mut block = gather(x, width, rows, head, size);
        let positions = &self.layout.positions[rows.clone()];
        for (row, &position) in block.chunks_mut(padded(size)).zip(positions) {
            self.rotary.turn(row, position);
        }
        block
    }
}

/// One head's numbers of consecutive rows, padded with zeros to whole tiles and lanes.
fn gather(x: &[f32], width: usize, rows: &Range<usize>, head: usize, size: usize) -> Vec<f32> {
    let wide = padded(size);
    let mut block = vec![0.0; rows.len().next_multiple_of(TILE) * wide];
    for (to, row) in block.chunks_mut(wide).zip(rows.clone()) {
        let from = row * width + head * size;
        to[..size].copy_from_slice(&x[from..from + size]);
    }
    block
}

/// Writes a block `(rows, size)` into the columns of a head, from row `start` on.
fn spread(y: &mut [f32], width: usize, start: usize, head: usize, size: usize, block: &[f32]) {
    for (row, from) in block.chunks(size).enumerate() {
        let to = (start + row) * width + head * size;
        y[to..to + size].copy_from_slice(from);
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// A matrix of `columns` columns, transposed.
fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    let mut y = vec![0.0; x.len()];
    for (i, row) in x.chunks(columns).enumerate() {
        for (j, &value) in row.iter().enumerate() {
            y[j * rows + i] = value;
        }
    }
    y
}

/// `c += a b` for a small `a` `(m, k)` and `b` `(k, n)`; `m` and `n` are multiples of [`ROWS`] and
/// [`LANES`]. Matrices come with the distance of their rows, and `a` also with that of its columns,
/// one of which is 1, so that it may be transposed. The general routine behind tensor products
/// costs more to enter than these take to compute.
fn multiply(
    (c, c_row): (&mut [f32], usize),
    (a, a_row, a_column): (&[f32], usize, usize),
    (b, b_row): (&[f32], usize),
    [m, n, k]: [usize; 3],
) {
    for i in (0..m).step_by(ROWS) {
        for j in (0..n).step_by(LANES) {
            let sums = if a_column == 1 {
                let rows: [&[f32]; ROWS] = from_fn(|r| &a[(i + r) * a_row..][..k]);
                products(k, |p| from_fn(|r| rows[r][p]), &b[j..], b_row)
            } else {
                let column = |p: usize| *a[p * a_column + i..].first_chunk().expect("m rows");
                products(k, column, &b[j..], b_row)
            };
            for (r, sums) in sums.iter().enumerate() {
                add(&mut c[(i + r) * c_row + j..][..LANES], sums.as_array());
            }
        }
    }
}

/// Rows of a product that are summed at a time, each in one vector register.
const ROWS: usize = 8;

/// `k` columns of [`ROWS`] numbers times `k` rows of [`LANES`] numbers.
#[inline(always)]
fn products(
    k: usize,
    column: impl Fn(usize) -> [f32; ROWS],
    b: &[f32],
    b_row: usize,
) -> [f32x16; ROWS] {
    let mut sums = [f32x16::ZERO; ROWS];
    for p in 0..k {
        let b: &[f32; LANES] = b[p * b_row..].first_chunk().expect("n lanes");
        let (a, b) = (column(p), f32x16::from(*b));
        for r in 0..ROWS {
            sums[r] = f32x16::splat(a[r]).mul_add(b, sums[r]);
        }
    }
    sums
}
