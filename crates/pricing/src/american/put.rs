//! A normalised American put (strike 1, expiry 1) in whatever regime its rates put it.
//!
//! Exists so that callers see one thing with a value at every spot: a solved boundary, an option
//! never exercised early, or one whose vol is too small to matter. Regimes (rate r, yield q):
//!
//! - r <= 0 and q >= r: interest on the strike never outweighs what is lost, so exercise waits
//!   until expiry: European;
//! - r > 0, or r = 0 > q: one boundary;
//! - q < r < 0: exercise pays between two boundaries (L. Andersen and M. Lake, "Fast American
//!   option pricing: the double-boundary case", Wilmott 2021): see `two_boundaries`;
//! - vol below `CERTAIN`: the spot follows its forward, the best moment is known in closed form.

use super::boundary::{NotConverged, solve};
use super::normalised::Normalised;
use super::premium::{Flows, Slopes, Tick};
use super::scheme::{FAST, REFERENCE, Scheme, TIGHT};
use super::{Accuracy, ErrorClass};
use crate::lanes::{Kernel, dispatch};

/// Total vols below this are treated as none: the value lost is at most 0.4 of it times the spot.
const CERTAIN: f64 = 1e-7;
/// Below this they are treated as none if the collocation fails, with the class saying so.
const NEARLY_CERTAIN: f64 = 1e-2;
/// How much of ln(boundary) a polynomial may miss, times rate * years (what exercise is worth),
/// before the next scheme takes over. Over 21,000 random options the error was below 1e-4 (fast)
/// and 2e-5 (tight) per 100 wherever this held.
const ROUGH: f64 = 3e-5;

/// Whether the option lies in the box in which the error classes were measured: rates times years
/// to 3 in size, vol times root of years to 6.5, and rates that do not drown the vol.
fn is_tested(option: &Normalised) -> bool {
    let rates = option.rate.abs().max(option.dividend_yield.abs());
    rates <= 3.0 && option.vol <= 6.5 && rates <= 50.0 * option.vol
}

/// A put ready to be valued at any spot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Put {
    option: Normalised,
    state: State,
    /// Class of the values.
    pub error: ErrorClass,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    European(Box<Flows<8>>),
    Fast(Box<Flows<16>>),
    Tight(Box<Flows<32>>),
    Reference(Box<Flows<64>>),
    Certain,
}

struct Solve<'a, const N: usize, const L: usize, const E: usize, const P: usize> {
    option: &'a Normalised,
    scheme: &'a Scheme<N, L, E, P>,
    sensitivities: bool,
}

impl<const N: usize, const L: usize, const E: usize, const P: usize> Kernel
    for Solve<'_, N, L, E, P>
{
    type Output = Result<Flows<P>, NotConverged>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        solve(self.option, self.scheme, self.sensitivities)
    }
}

fn collocate<const N: usize, const L: usize, const E: usize, const P: usize>(
    option: &Normalised,
    scheme: &Scheme<N, L, E, P>,
    sensitivities: bool,
) -> Result<Box<Flows<P>>, NotConverged> {
    dispatch(Solve { option, scheme, sensitivities }).map(Box::new)
}

/// The fast scheme's flows where they hold to its class, for curves in vol.
pub(super) fn collocate_fast(option: &Normalised) -> Option<Box<Flows<16>>> {
    let one_boundary = option.rate > 0.0 || (option.rate == 0.0 && option.dividend_yield < 0.0);
    if !(one_boundary && is_tested(option)) {
        return None;
    }
    collocate(option, &FAST, false).ok().filter(|flows| flows.roughness * option.rate < ROUGH)
}

struct TickTask<'a, const P: usize>(&'a Flows<P>, f64);

impl<const P: usize> Kernel for TickTask<'_, P> {
    type Output = Tick;

    #[inline(always)]
    fn run(self) -> Tick {
        if self.0.is_wide() { self.0.tick::<true>(self.1) } else { self.0.tick::<false>(self.1) }
    }
}

struct SlopesTask<'a, const P: usize>(&'a Flows<P>, f64);

impl<const P: usize> Kernel for SlopesTask<'_, P> {
    type Output = Slopes;

    #[inline(always)]
    fn run(self) -> Slopes {
        if self.0.is_wide() {
            self.0.slopes::<true>(self.1)
        } else {
            self.0.slopes::<false>(self.1)
        }
    }
}

impl Put {
    /// Solves the boundary. Fails only where no method of this file applies.
    pub fn solve(
        option: Normalised,
        accuracy: Accuracy,
        sensitivities: bool,
    ) -> Result<Self, NotConverged> {
        let Normalised { rate, dividend_yield, vol } = option;
        if vol < CERTAIN {
            return Ok(Self { option, state: State::Certain, error: ErrorClass::Tight });
        }
        if rate <= 0.0 && dividend_yield >= rate {
            let (sine, step) = ([1.0; 8], [0.0; 8]);
            let flows = Flows::new(&option, &sine, &step, &[0.0; 8], f64::NEG_INFINITY);
            return Ok(Self {
                option,
                state: State::European(Box::new(flows)),
                error: ErrorClass::Exact,
            });
        }
        if rate < 0.0 {
            return Err(NotConverged);
        }
        let solved = if !is_tested(&option) {
            Self::reference(option, sensitivities, ErrorClass::Coarse)
        } else if accuracy == Accuracy::Fast {
            Self::fast(option, sensitivities)
        } else if accuracy == Accuracy::Tight {
            Self::tight(option, sensitivities, ErrorClass::Tight)
        } else {
            Self::reference(option, sensitivities, ErrorClass::Reference)
        };
        if solved.is_err() && vol < NEARLY_CERTAIN {
            return Ok(Self { option, state: State::Certain, error: ErrorClass::Coarse });
        }
        solved
    }

    fn fast(option: Normalised, sensitivities: bool) -> Result<Self, NotConverged> {
        match collocate(&option, &FAST, sensitivities) {
            Ok(flows) if flows.roughness * option.rate < ROUGH => {
                Ok(Self { option, state: State::Fast(flows), error: ErrorClass::Fast })
            }
            _ => Self::tight(option, sensitivities, ErrorClass::Fast),
        }
    }

    fn tight(
        option: Normalised,
        sensitivities: bool,
        error: ErrorClass,
    ) -> Result<Self, NotConverged> {
        match collocate(&option, &TIGHT, sensitivities) {
            Ok(flows) if flows.roughness * option.rate < ROUGH => {
                Ok(Self { option, state: State::Tight(flows), error })
            }
            _ => Self::reference(option, sensitivities, error),
        }
    }

    fn reference(
        option: Normalised,
        sensitivities: bool,
        error: ErrorClass,
    ) -> Result<Self, NotConverged> {
        let flows = collocate(&option, &REFERENCE, sensitivities)?;
        Ok(Self { option, state: State::Reference(flows), error })
    }

    /// What was solved.
    pub fn option(&self) -> &Normalised {
        &self.option
    }

    /// ln of the boundary now; minus infinity if there is none.
    pub fn log_boundary(&self) -> f64 {
        match &self.state {
            State::European(_) | State::Certain => f64::NEG_INFINITY,
            State::Fast(flows) => flows.log_boundary,
            State::Tight(flows) => flows.log_boundary,
            State::Reference(flows) => flows.log_boundary,
        }
    }

    /// Whether exercise now is best at this spot.
    pub fn is_exercised(&self, spot: f64) -> bool {
        match self.state {
            State::Certain => spot < 1.0 && self.certain(spot).0 == 0.0,
            _ => libm::log(spot) <= self.log_boundary(),
        }
    }

    /// Value, delta and gamma.
    pub fn tick(&self, spot: f64) -> Tick {
        if self.is_exercised(spot) {
            return Tick { value: 1.0 - spot, delta: -1.0, gamma: 0.0 };
        }
        let mut tick = match &self.state {
            State::European(flows) => dispatch(TickTask(flows, spot)),
            State::Fast(flows) => dispatch(TickTask(flows, spot)),
            State::Tight(flows) => dispatch(TickTask(flows, spot)),
            State::Reference(flows) => dispatch(TickTask(flows, spot)),
            State::Certain => {
                let (time, value) = self.certain(spot);
                let held = value > 0.0;
                let fade = libm::exp(-self.option.dividend_yield * time);
                Tick { value, delta: if held { -fade } else { 0.0 }, gamma: 0.0 }
            }
        };
        if !matches!(self.state, State::European(_)) {
            tick.value = tick.value.max(1.0 - spot);
        }
        tick.value = tick.value.max(0.0);
        tick
    }

    /// Derivatives by vol, rate and yield; zero where exercise is due.
    pub fn slopes(&self, spot: f64) -> Slopes {
        if self.is_exercised(spot) {
            return Slopes::default();
        }
        match &self.state {
            State::European(flows) => dispatch(SlopesTask(flows, spot)),
            State::Fast(flows) => dispatch(SlopesTask(flows, spot)),
            State::Tight(flows) => dispatch(SlopesTask(flows, spot)),
            State::Reference(flows) => dispatch(SlopesTask(flows, spot)),
            State::Certain => {
                let (time, value) = self.certain(spot);
                let Normalised { rate, dividend_yield, .. } = self.option;
                let held = if value > 0.0 { time } else { 0.0 };
                Slopes {
                    vol: 0.0,
                    rate: -held * libm::exp(-rate * time),
                    dividend_yield: held * spot * libm::exp(-dividend_yield * time),
                }
            }
        }
    }

    /// Best exercise time and value when nothing is random.
    fn certain(&self, spot: f64) -> (f64, f64) {
        let Normalised { rate, dividend_yield, .. } = self.option;
        let value = |time: f64| libm::exp(-rate * time) - spot * libm::exp(-dividend_yield * time);
        let ratio = rate / (dividend_yield * spot);
        let inner = if ratio > 0.0 { libm::log(ratio) / (rate - dividend_yield) } else { 0.0 };
        let inner = if inner.is_finite() { inner.clamp(0.0, 1.0) } else { 0.0 };
        [0.0, inner, 1.0]
            .into_iter()
            .map(|time| (time, value(time)))
            .fold((1.0, 0.0), |best, next| if next.1 > best.1 { next } else { best })
    }
}
