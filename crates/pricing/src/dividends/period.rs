//! The exercise boundary of a put between two dates, the later of which is an ex-date.
//!
//! Exists because a cash dividend changes when a put is exercised: not in the last
//! ln(1 + cash / strike) / rate years before the ex-date, in which waiting for the drop earns more
//! than the interest on the strike; and before that, below a boundary that solves the same kind of
//! integral equation as in `american`, with the value just before the drop in place of the final
//! payoff. Solved by collocation of ln(boundary) in the root of the time since exercise became
//! worthwhile, by Newton's method. Needs a yield of zero: with one, the boundary grows from nothing
//! in a layer that the polynomials miss. Ignores exercise of a stock worth less than its dividend.

use super::payoff::{Jet, Line, Market, Payoff};
use crate::american::boundary::{NotConverged, eliminate};
use crate::american::lane::{DENSITY_AT_ZERO, cdf, exp, gauss, ln};
use crate::american::normalised::Normalised;
use crate::american::premium::{Flows, Tick};
use crate::american::scheme::{Scheme, radau};
use crate::lanes::{Kernel, dispatch};
use std::sync::LazyLock;

const NODES: usize = 8;
const POINTS: usize = 8;
const ELEMENTS: usize = NODES * POINTS;
const LAST: usize = 32;
/// Newton steps of the whole boundary, and of each first guess.
const STEPS: usize = 30;
const GUESSES: usize = 12;
/// Wanted size of the last residual, a relative error of the value of waiting.
const TOLERANCE: f64 = 1e-5;
/// Share of full exercise that the first guess takes for the interest earned.
const TYPICAL_INTEREST: f64 = 0.3;
/// The smallest value of waiting told from none.
const NOTHING: f64 = 1e-280;

static SCHEME: LazyLock<Scheme<NODES, POINTS, ELEMENTS, LAST>> =
    LazyLock::new(|| Scheme::with_nodes(radau(NODES), TOLERANCE));

/// A put from a date to the next ex-date.
#[derive(Debug, Clone)]
pub(super) struct Period {
    market: Market,
    /// The put just before the ex-date, and the years until then.
    payoff: Payoff,
    years: f64,
    exercise: Option<Exercise>,
}

#[derive(Debug, Clone)]
struct Exercise {
    /// ln(boundary) at the start of the period.
    log_boundary: f64,
    flows: Box<Flows<LAST>>,
}

impl Period {
    /// Solves the boundary. Fails where it does not converge, and if exercise is worthwhile at all
    /// although the stock has a yield.
    pub fn solve(market: &Market, payoff: Payoff, years: f64) -> Result<Self, NotConverged> {
        let waiting = waiting(market, &payoff);
        let exercise = if waiting >= years {
            None
        } else if market.dividend_yield == 0.0 {
            Some(solve(market, &payoff, years, waiting)?)
        } else {
            return Err(NotConverged);
        };
        Ok(Self { market: *market, payoff, years, exercise })
    }

    /// The line that the value follows at low spots.
    pub fn line(&self) -> Line {
        if self.exercise.is_some() {
            Line::strike(1.0)
        } else {
            self.payoff.line.discounted(&self.market, self.years)
        }
    }

    /// ln of the spot at or below which it is exercised at the start of the period.
    pub fn log_boundary(&self) -> f64 {
        self.exercise.as_ref().map_or(f64::NEG_INFINITY, |exercise| exercise.log_boundary)
    }

    /// Value, delta and gamma at the start of the period.
    pub fn value(&self, spot: f64) -> Tick {
        if ln(spot) <= self.log_boundary() {
            return Tick { value: 1.0 - spot, delta: -1.0, gamma: 0.0 };
        }
        let Jet { value, delta, gamma, .. } =
            self.payoff.expectation(&self.market, self.years, spot);
        let Some(exercise) = &self.exercise else {
            return Tick { value, delta, gamma };
        };
        let premium = dispatch(Premium(&exercise.flows, spot));
        Tick {
            value: value + premium.value,
            delta: delta + premium.delta,
            gamma: gamma + premium.gamma,
        }
    }
}

struct Premium<'a>(&'a Flows<LAST>, f64);

impl Kernel for Premium<'_> {
    type Output = Tick;

    #[inline(always)]
    fn run(self) -> Tick {
        if self.0.is_wide() { self.0.tick::<true>(self.1) } else { self.0.tick::<false>(self.1) }
    }
}

/// Years before the ex-date in which waiting earns more than exercise: the strike's interest does
/// not make up for the level of the payoff.
pub(super) fn waiting(market: &Market, payoff: &Payoff) -> f64 {
    if market.rate > 0.0 { libm::log(payoff.line.level) / market.rate } else { f64::INFINITY }
}

/// Years before the ex-date at each node, and since exercise became worthwhile.
struct Times {
    before: [f64; NODES],
    since: [f64; NODES],
}

fn solve(
    market: &Market,
    payoff: &Payoff,
    years: f64,
    waiting: f64,
) -> Result<Exercise, NotConverged> {
    let scheme = &*SCHEME;
    let window = years - waiting;
    let since = scheme.root_time.map(|root| window * root * root);
    let times = Times { before: since.map(|time| waiting + time), since };
    let mut call = payoff.clone();
    call.is_call = true;
    let mut log_boundary = guess(market, &call, &times);
    for _ in 0..STEPS {
        let mut waits = [Jet::default(); NODES];
        for i in 0..NODES {
            waits[i] = call.expectation(market, times.before[i], exp(log_boundary[i]));
        }
        let equations =
            Equations { market, scheme, window, times: &times, log_boundary, waits: &waits };
        let (residual, mut jacobian) = dispatch(equations);
        let worst = residual.iter().fold(0.0_f64, |worst, x| worst.max(x.abs()));
        if !(worst < f64::INFINITY) {
            return Err(NotConverged);
        }
        let mut sides = [residual];
        eliminate(&mut jacobian, &mut sides)?;
        for i in 0..NODES {
            let longest = market.vol * times.before[i].sqrt();
            log_boundary[i] -= sides[0][i].clamp(-longest, longest);
            log_boundary[i] = log_boundary[i].clamp(-600.0, -1e-12);
        }
        if worst < TOLERANCE {
            let flows = flows(market, scheme, window, &log_boundary);
            if !flows.is_finite() {
                return Err(NotConverged);
            }
            let log_boundary = log_boundary[0];
            return Ok(Exercise { log_boundary, flows: Box::new(flows) });
        }
    }
    Err(NotConverged)
}

/// Where the value of waiting is a typical share of the interest that exercise earns.
fn guess(market: &Market, call: &Payoff, times: &Times) -> [f64; NODES] {
    let mut level = -0.02;
    std::array::from_fn(|i| {
        let interest = TYPICAL_INTEREST * -libm::expm1(-market.rate * times.since[i]);
        let longest = 6.0 * market.vol * times.before[i].sqrt();
        for _ in 0..GUESSES {
            let spot = exp(level);
            let wait = call.expectation(market, times.before[i], spot);
            let value = wait.value.max(NOTHING);
            let slope = wait.delta.max(0.0) * spot / value;
            let step = (ln(value) - ln(interest)) / slope.max(1.0);
            level = (level - step.clamp(-longest, longest)).clamp(-600.0, -1e-6);
            if step.abs() < 0.02 * longest {
                break;
            }
        }
        level
    })
}

struct Equations<'a> {
    market: &'a Market,
    scheme: &'a Scheme<NODES, POINTS, ELEMENTS, LAST>,
    window: f64,
    times: &'a Times,
    log_boundary: [f64; NODES],
    /// The call and the remainder at the boundary: the value of waiting to the ex-date.
    waits: &'a [Jet; NODES],
}

impl Kernel for Equations<'_> {
    /// ln(interest) - ln(value of waiting), and column k of its derivatives by
    /// ln(boundary) at node k.
    type Output = ([f64; NODES], [[f64; NODES]; NODES]);

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Market { rate, vol, .. } = *self.market;
        let root_window = self.window.sqrt();
        let mut earlier = [0.0; ELEMENTS];
        for k in 0..NODES {
            for e in 0..ELEMENTS {
                earlier[e] =
                    self.scheme.interpolation[k][e].mul_add(self.log_boundary[k], earlier[e]);
            }
        }
        let (mut level, mut root, mut step) = ([0.0; ELEMENTS], [0.0; ELEMENTS], [0.0; ELEMENTS]);
        for j in 0..POINTS {
            for i in 0..NODES {
                level[j * NODES + i] = self.log_boundary[i];
                root[j * NODES + i] = root_window * self.scheme.root_time[i] * self.scheme.sine[j];
                step[j * NODES + i] = self.times.since[i] * self.scheme.step[j];
            }
        }
        let (mut income, mut slope) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
        for e in 0..ELEMENTS {
            let time = root[e] * root[e];
            let total_vol = vol * root[e];
            let inverse = 1.0 / total_vol;
            let down = rate.mul_add(time, level[e] - earlier[e]).mul_add(inverse, -0.5 * total_vol);
            let gauss_down = gauss(down);
            let paid = rate * step[e] * exp(-rate * time);
            income[e] = paid * cdf(down, gauss_down);
            slope[e] = paid * DENSITY_AT_ZERO * gauss_down * inverse;
        }
        let (mut interest, mut by_interest) = ([0.0; NODES], [0.0; NODES]);
        for j in 0..POINTS {
            for i in 0..NODES {
                interest[i] += income[j * NODES + i];
                by_interest[i] += slope[j * NODES + i];
            }
        }
        let (mut residual, mut diagonal) = ([0.0; NODES], [0.0; NODES]);
        for i in 0..NODES {
            let wait = self.waits[i].value;
            let wait = if wait > NOTHING { wait } else { NOTHING };
            residual[i] = ln(interest[i]) - ln(wait);
            let spot = exp(self.log_boundary[i]);
            diagonal[i] = by_interest[i] / interest[i] - spot * self.waits[i].delta / wait;
        }
        let mut jacobian = [[0.0; NODES]; NODES];
        for k in 0..NODES {
            for j in 0..POINTS {
                for i in 0..NODES {
                    let e = j * NODES + i;
                    jacobian[k][i] =
                        slope[e].mul_add(-self.scheme.interpolation[k][e], jacobian[k][i]);
                }
            }
            for i in 0..NODES {
                jacobian[k][i] /= interest[i];
            }
            jacobian[k][k] += diagonal[k];
        }
        (residual, jacobian)
    }
}

/// The premium of exercise seen from the start of the period.
fn flows(
    market: &Market,
    scheme: &Scheme<NODES, POINTS, ELEMENTS, LAST>,
    window: f64,
    log_boundary: &[f64; NODES],
) -> Flows<LAST> {
    let option = Normalised {
        rate: market.rate * window,
        dividend_yield: market.dividend_yield * window,
        vol: market.vol * window.sqrt(),
    };
    let mut last = [0.0; LAST];
    for (weights, level) in scheme.last_interpolation.iter().zip(log_boundary) {
        for p in 0..LAST {
            last[p] = weights[p].mul_add(*level, last[p]);
        }
    }
    last[LAST - 1] = 0.0;
    let mut flows =
        Flows::new(&option, &scheme.last_sine, &scheme.last_step, &last, log_boundary[0]);
    flows.without_european();
    flows
}
