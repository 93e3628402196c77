//! What training minimises: pure functions of log-probabilities, with their derivatives.
//!
//! Notation: `x` a problem, `y_w` a correct (chosen) and `y_l` an incorrect (rejected) solution,
//! `log pi(y|x)` the sum of the log-probabilities of the solution's tokens, `|y|` their number,
//! `ref` the network before training, `sigma` the logistic function.

use super::pack::Unit;
use crate::{Error, Result};

/// What is minimised. Numbers are the papers' symbols.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// [`simpo`].
    Simpo {
        /// Scale of the margin.
        beta: f64,
        /// Target margin gamma as a share of beta: above 2 almost no pair can reach it.
        gamma_ratio: f64,
        /// `max(0, 1 - margin)` in place of `-log sigma(margin)`.
        hinge: bool,
        /// Share of pairs taken to be labelled the wrong way round.
        label_smoothing: f64,
        /// Weight of the chosen solution's mean negative log-probability.
        sft_weight: f64,
    },
    /// [`dpo`].
    Dpo {
        /// Scale of the margin.
        beta: f64,
        /// Share of pairs taken to be labelled the wrong way round.
        label_smoothing: f64,
    },
    /// [`ipo`].
    Ipo {
        /// The margin aimed at is `1 / (2 beta)`.
        beta: f64,
    },
    /// [`kto`].
    Kto {
        /// Scale of the log-ratios.
        beta: f64,
        /// Weight of correct solutions.
        desirable: f64,
        /// Weight of incorrect solutions.
        undesirable: f64,
    },
    /// [`orpo`].
    Orpo {
        /// Weight of the odds ratio.
        lambda: f64,
    },
    /// [`sft`].
    Sft,
    /// [`orm`].
    Orm,
}

/// One solution's log-probability.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Logp {
    /// `log pi(y|x)`, in nats.
    pub sum: f64,
    /// `|y|`.
    pub tokens: usize,
    /// `log ref(y|x)`; only objectives that [need one](Objective::needs_reference) look at it.
    pub reference: f64,
}

impl Logp {
    /// `log pi(y|x) / |y|`, the score of SimPO.
    pub fn mean(&self) -> f64 {
        self.sum / self.tokens as f64
    }

    /// `log pi(y|x) - log ref(y|x)`.
    pub fn ratio(&self) -> f64 {
        self.sum - self.reference
    }
}

/// A loss and its derivatives by the chosen and the rejected solution's `sum`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairLoss {
    /// The loss.
    pub value: f64,
    /// Its derivative by `chosen.sum`.
    pub d_chosen: f64,
    /// Its derivative by `rejected.sum`.
    pub d_rejected: f64,
}

/// SimPO (arXiv 2405.14734, equation 6), with the official code's hinge, label smoothing `e` and
/// likelihood term `w`:
///
/// `m = beta (log pi(y_w|x) / |y_w| - log pi(y_l|x) / |y_l| - gamma / beta)`,
/// `-(1 - e) log sigma(m) - e log sigma(-m) - w log pi(y_w|x) / |y_w|`, or `max(0, 1 - m)` for the
/// first two terms.
pub fn simpo(
    chosen: &Logp,
    rejected: &Logp,
    (beta, gamma_ratio): (f64, f64),
    hinge: bool,
    label_smoothing: f64,
    sft_weight: f64,
) -> PairLoss {
    let margin = beta * (chosen.mean() - rejected.mean() - gamma_ratio);
    let (value, slope) = if hinge {
        (
            (1.0 - margin).max(0.0),
            if margin < 1.0 { -1.0 } else { 0.0 },
        )
    } else {
        smoothed(margin, label_smoothing)
    };
    let (w, l) = (chosen.tokens as f64, rejected.tokens as f64);
    PairLoss {
        value: value - sft_weight * chosen.mean(),
        d_chosen: (slope * beta - sft_weight) / w,
        d_rejected: -slope * beta / l,
    }
}

/// DPO (arXiv 2305.18290, equation 7), with the label smoothing `e` of conservative DPO:
///
/// `m = beta (log pi(y_w|x) / ref(y_w|x) - log pi(y_l|x) / ref(y_l|x))`,
/// `-(1 - e) log sigma(m) - e log sigma(-m)`.
pub fn dpo(chosen: &Logp, rejected: &Logp, beta: f64, label_smoothing: f64) -> PairLoss {
    let (value, slope) = smoothed(beta * (chosen.ratio() - rejected.ratio()), label_smoothing);
    PairLoss {
        value,
        d_chosen: slope * beta,
        d_rejected: -slope * beta,
    }
}

/// IPO (arXiv 2310.12036, equation 17) with log-ratios averaged over tokens, which its authors
/// recommend:
///
/// `(log(pi(y_w|x) / ref(y_w|x)) / |y_w| - log(pi(y_l|x) / ref(y_l|x)) / |y_l| - 1 / (2 beta))^2`.
pub fn ipo(chosen: &Logp, rejected: &Logp, beta: f64) -> PairLoss {
    let (w, l) = (chosen.tokens as f64, rejected.tokens as f64);
    let distance = chosen.ratio() / w - rejected.ratio() / l - 1.0 / (2.0 * beta);
    PairLoss {
        value: distance * distance,
        d_chosen: 2.0 * distance / w,
        d_rejected: -2.0 * distance / l,
    }
}

/// ORPO (arXiv 2403.07691, equation 6), with `p = exp(log pi(y|x) / |y|)`:
///
/// `-log pi(y_w|x) / |y_w| - lambda log sigma(log(p_w / (1 - p_w)) - log(p_l / (1 - p_l)))`.
pub fn orpo(chosen: &Logp, rejected: &Logp, lambda: f64) -> PairLoss {
    // log(1 - e^m), for m < 0; a certain solution (m = 0) would have infinite odds.
    let log_one_minus = |m: f64| (-m.exp_m1()).max(f64::MIN_POSITIVE).ln();
    let odds = |m: f64| m - log_one_minus(m);
    // d odds / d m = 1 / (1 - e^m).
    let slope_of = |m: f64| 1.0 / (-m.exp_m1()).max(f64::MIN_POSITIVE);
    let (mw, ml) = (chosen.mean(), rejected.mean());
    let (value, slope) = smoothed(odds(mw) - odds(ml), 0.0);
    PairLoss {
        value: lambda * value - mw,
        d_chosen: (lambda * slope * slope_of(mw) - 1.0) / chosen.tokens as f64,
        d_rejected: -lambda * slope * slope_of(ml) / rejected.tokens as f64,
    }
}

/// KTO (arXiv 2402.01306, equation 8), for one solution: the loss and its derivative by `sum`.
///
/// `w (1 - sigma(beta (r - z)))` for a correct and `w (1 - sigma(beta (z - r)))` for an incorrect
/// solution, with `r = log(pi(y|x) / ref(y|x))`. The paper estimates `z`, the divergence from the
/// reference, on answers to other questions; here it is [`kto_reference_point`].
pub fn kto(solution: &Logp, correct: bool, z: f64, beta: f64, weight: f64) -> (f64, f64) {
    let sign = if correct { 1.0 } else { -1.0 };
    let s = sigma(sign * beta * (solution.ratio() - z));
    (weight * (1.0 - s), -weight * sign * beta * s * (1.0 - s))
}

/// KTO's `z`: the mean log-ratio of the given solutions, at least 0. It has no gradient. Answers to
/// other questions, which the paper takes, would have to be computed for this alone.
pub fn kto_reference_point(solutions: &[Logp]) -> f64 {
    let sum: f64 = solutions.iter().map(Logp::ratio).sum();
    (sum / solutions.len().max(1) as f64).max(0.0)
}

/// Supervised fine-tuning on a correct solution, `-log pi(y_w|x)`: the loss, summed over tokens, and
/// its derivative by `sum`.
pub fn sft(solution: &Logp) -> (f64, f64) {
    (-solution.sum, -1.0)
}

/// An outcome reward model (arXiv 2110.14168): binary cross-entropy of the head's value `s` at one
/// token with the solution's label, and its derivative by `s`.
///
/// `-log sigma(s)` for a correct, `-log sigma(-s)` for an incorrect solution.
pub fn orm(s: f64, correct: bool) -> (f64, f64) {
    let label = if correct { 1.0 } else { 0.0 };
    (softplus(if correct { -s } else { s }), sigma(s) - label)
}

impl Objective {
    /// The names a user may give.
    pub const NAMES: &str = "simpo, dpo, ipo, kto, orpo, sft, orm";

    /// The objective of a name, with its authors' numbers.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists the names.
    pub fn from_name(name: &str) -> Result<Self> {
        Ok(match name {
            "simpo" => Self::Simpo {
                beta: 2.0,
                gamma_ratio: 0.5,
                hinge: false,
                label_smoothing: 0.0,
                sft_weight: 0.0,
            },
            "dpo" => Self::Dpo {
                beta: 0.1,
                label_smoothing: 0.0,
            },
            "ipo" => Self::Ipo { beta: 0.1 },
            "kto" => Self::Kto {
                beta: 0.1,
                desirable: 1.0,
                undesirable: 1.0,
            },
            "orpo" => Self::Orpo { lambda: 0.1 },
            "sft" => Self::Sft,
            "orm" => Self::Orm,
            _ => {
                return Err(Error::Unknown {
                    what: "objective",
                    name: name.to_owned(),
                    known: Self::NAMES.to_owned(),
                });
            }
        })
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Simpo { .. } => "simpo",
            Self::Dpo { .. } => "dpo",
            Self::Ipo { .. } => "ipo",
            Self::Kto { .. } => "kto",
            Self::Orpo { .. } => "orpo",
            Self::Sft => "sft",
            Self::Orm => "orm",
        }
    }

    /// Whether log-probabilities before training are part of the loss.
    pub fn needs_reference(&self) -> bool {
        matches!(self, Self::Dpo { .. } | Self::Ipo { .. } | Self::Kto { .. })
    }

    /// Whether [`Objective::score`] is a sum over a solution's tokens, not a mean.
    pub fn sums(&self) -> bool {
        matches!(self, Self::Dpo { .. } | Self::Kto { .. })
    }

    /// How many terms a unit adds to the sum that is averaged over a step: pairs, solutions, or the
    /// tokens of correct solutions.
    pub(crate) fn terms(&self, unit: &Unit) -> usize {
        match self {
            Self::Kto { .. } | Self::Orm => unit.solutions.len(),
            Self::Sft => {
                let correct = unit.solutions.iter().filter(|s| s.correct);
                correct.map(|s| s.tokens.len()).sum()
            }
            _ => unit.pairs.len(),
        }
    }

    /// The loss of a unit, summed over its terms, and its derivative by each solution's `sum`.
    ///
    /// `z` is KTO's [reference point](kto_reference_point).
    pub(crate) fn loss(&self, unit: &Unit, logps: &[Logp], z: f64) -> (f64, Vec<f64>) {
        let mut gradients = vec![0.0; logps.len()];
        let mut value = 0.0;
        let solutions = || unit.solutions.iter().zip(logps).enumerate();
        match *self {
            Self::Kto {
                beta,
                desirable,
                undesirable,
            } => {
                for (i, (solution, logp)) in solutions() {
                    let correct = solution.correct;
                    let weight = if correct { desirable } else { undesirable };
                    let (loss, gradient) = kto(logp, correct, z, beta, weight);
                    value += loss;
                    gradients[i] = gradient;
                }
            }
            Self::Sft => {
                for (i, (_, logp)) in solutions().filter(|(_, (solution, _))| solution.correct) {
                    let (loss, gradient) = sft(logp);
                    value += loss;
                    gradients[i] = gradient;
                }
            }
            _ => {
                for &(chosen, rejected) in &unit.pairs {
                    let loss = self.pair(&logps[chosen], &logps[rejected]);
                    value += loss.value;
                    gradients[chosen] += loss.d_chosen;
                    gradients[rejected] += loss.d_rejected;
                }
            }
        }
        (value, gradients)
    }

    fn pair(&self, chosen: &Logp, rejected: &Logp) -> PairLoss {
        match *self {
            Self::Simpo {
                beta,
                gamma_ratio,
                hinge,
                label_smoothing,
                sft_weight,
            } => simpo(
                chosen,
                rejected,
                (beta, gamma_ratio),
                hinge,
                label_smoothing,
                sft_weight,
            ),
            Self::Dpo {
                beta,
                label_smoothing,
            } => dpo(chosen, rejected, beta, label_smoothing),
            Self::Ipo { beta } => ipo(chosen, rejected, beta),
            Self::Orpo { lambda } => orpo(chosen, rejected, lambda),
            Self::Kto { .. } | Self::Sft | Self::Orm => PairLoss::default(),
        }
    }

    /// What a solution is ranked by, here and in inference.
    pub fn score(&self, logp: &Logp) -> f64 {
        match self {
            Self::Dpo { .. } | Self::Kto { .. } => logp.ratio(),
            Self::Ipo { .. } => logp.ratio() / logp.tokens as f64,
            _ => logp.mean(),
        }
    }
}

/// `-(1 - e) log sigma(m) - e log sigma(-m)` and its derivative by `m`.
fn smoothed(m: f64, e: f64) -> (f64, f64) {
    let value = (1.0 - e) * softplus(-m) + e * softplus(m);
    (value, sigma(m) - (1.0 - e))
}

fn sigma(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `log(1 + e^x)`, without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: loss and derivatives by chosen and rejected sum, for both pairs, as printed by
    /// `PyTorch` 2.15 (`l.backward()` in double precision):
    ///
    /// ```python
    /// cw, cl = tensor([-41.3, -18.2]), tensor([-55.1, -12.9])   # require gradients
    /// nw, nl = tensor([37., 20.]), tensor([45., 25.])
    /// rw, rl = tensor([-44.0, -17.5]), tensor([-54.0, -14.1])
    /// ls = F.logsigmoid
    /// def simpo(beta, ratio, hinge, e, w):
    ///     l = cw/nw - cl/nl - ratio
    ///     return (relu(1 - beta*l) if hinge else -ls(beta*l)*(1-e) - ls(-beta*l)*e) - w*cw/nw
    /// def dpo(beta, e):
    ///     l = beta*((cw-rw) - (cl-rl)); return -ls(l)*(1-e) - ls(-l)*e
    /// def ipo(beta): return ((cw-rw)/nw - (cl-rl)/nl - 1/(2*beta))**2
    /// def orpo(lam):
    ///     w, l = cw/nw, cl/nl
    ///     return -w - lam*ls((w-l) - (log1p(-exp(w)) - log1p(-exp(l))))
    /// ```
    #[track_caller]
    fn check(name: &str, loss: impl Fn(&Logp, &Logp) -> PairLoss, expected: [[f64; 3]; 2]) {
        let logp = |sum, tokens, reference| Logp {
            sum,
            tokens,
            reference,
        };
        let pairs = [
            (logp(-41.3, 37, -44.0), logp(-55.1, 45, -54.0)),
            (logp(-18.2, 20, -17.5), logp(-12.9, 25, -14.1)),
        ];
        for ((chosen, rejected), expected) in pairs.iter().zip(expected) {
            let PairLoss {
                value,
                d_chosen,
                d_rejected,
            } = loss(chosen, rejected);
            for (ours, theirs) in [value, d_chosen, d_rejected].iter().zip(expected) {
                assert!((ours - theirs).abs() < 1e-11, "{name}: {ours} {theirs}");
            }
        }
    }

    #[test]
    fn pair_losses_and_gradients_are_pytorchs() {
        check(
            "simpo",
            |w, l| simpo(w, l, (2.0, 0.5), false, 0.0, 0.0),
            [
                [1.159775156098, -0.037105044634, 0.030508592255],
                [1.942688612958, -0.085668189560, 0.068534551648],
            ],
        );
        check(
            "simpo, smoothed, with likelihood",
            |w, l| simpo(w, l, (2.5, 0.3), false, 0.1, 0.2),
            [
                [1.136622744377, -0.040379265797, 0.028756285210],
                [1.905959097951, -0.103756357292, 0.075005085834],
            ],
        );
        check(
            "simpo hinge",
            |w, l| simpo(w, l, (2.0, 0.5), true, 0.0, 0.0),
            [
                [1.783543543544, -0.054054054054, 0.044444444444],
                [2.788, -0.1, 0.08],
            ],
        );
        check(
            "dpo",
            |w, l| dpo(w, l, 0.1, 0.0),
            [
                [0.521089613866, -0.040612689707, 0.040612689707],
                [0.792652909299, -0.054735761814, 0.054735761814],
            ],
        );
        check(
            "dpo, smoothed",
            |w, l| dpo(w, l, 0.3, 0.1),
            [
                [0.391494622514, -0.042696108299, 0.042696108299],
                [0.961221511221, -0.161628952545, 0.161628952545],
            ],
        );
        check(
            "ipo",
            |w, l| ipo(w, l, 0.1),
            [
                [24.035315979042, -0.265004463923, 0.217892559226],
                [25.836889, -0.5083, 0.40664],
            ],
        );
        check(
            "orpo",
            |w, l| orpo(w, l, 0.1),
            [
                [1.177989737035, -0.028879121059, 0.001450375362],
                [1.026251848780, -0.055751717179, 0.006820224476],
            ],
        );
        // z = cat([cw-rw, cl-rl]).mean().clamp(min=0).detach()
        // 1*(1 - sigmoid(0.1*(cw-rw-z))) + 1.3*(1 - sigmoid(0.1*(z-(cl-rl))))
        let ratios = [2.7, -0.7, -1.1, 1.2].map(|sum| Logp {
            sum,
            ..Logp::default()
        });
        let z = kto_reference_point(&ratios);
        check(
            "kto",
            |w, l| {
                let (a, d_chosen) = kto(w, true, z, 0.1, 1.0);
                let (b, d_rejected) = kto(l, false, z, 0.1, 1.3);
                PairLoss {
                    value: a + b,
                    d_chosen,
                    d_rejected,
                }
            },
            [
                [1.043141756180, -0.024706651537, 0.032286389945],
                [1.202515934581, -0.024906445010, 0.032463008562],
            ],
        );
    }

    #[test]
    fn orm_and_sft_are_pytorchs() {
        // F.binary_cross_entropy_with_logits(tensor([1.7, -0.4]), tensor([1., 0.]), reduction="none")
        for (s, correct, loss, gradient) in [
            (1.7, true, 0.16778602938626594, -0.15446526508353475),
            (-0.4, false, 0.5130152523999526, 0.401312339887548),
        ] {
            let ours = orm(s, correct);
            assert!((ours.0 - loss).abs() < 1e-12 && (ours.1 - gradient).abs() < 1e-12);
        }
        let logp = Logp {
            sum: -3.5,
            tokens: 2,
            reference: 0.0,
        };
        assert_eq!(sft(&logp), (3.5, -1.0));
    }

    #[test]
    fn extreme_margins_stay_finite() {
        let logp = |sum| Logp {
            sum,
            tokens: 1,
            reference: 0.0,
        };
        for objective in Objective::NAMES.split(", ") {
            let objective = Objective::from_name(objective).unwrap();
            for (a, b) in [(-1e6, -1e-6), (-1e-6, -1e6), (0.0, -5.0)] {
                let loss = objective.pair(&logp(a), &logp(b));
                let all = [loss.value, loss.d_chosen, loss.d_rejected];
                assert!(all.iter().all(|x| x.is_finite()), "{objective:?} {loss:?}");
            }
        }
    }
}
