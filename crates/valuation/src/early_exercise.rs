//! What early exercise adds to an option: American less European, by the pricing room.
//!
//! Exists because vols, forwards and smiles are European: the premium is taken off a quote before
//! they are read from it, and added back to values and Greeks.
//!
//! Stocks pay cash dividends in the spot model; what the forward is off spot, rate and dividends is
//! borrow, taken as a yield. An option on a future has its rate as yield. What can't be priced has
//! no premium: the quote is then taken as European, and its error is in the residuals.

use pricing::american::{self, AmericanGreeks};
use pricing::black::{OptionKind, SpotContract};
use pricing::dividends::{self, CashDividend, Exercise};

/// Standard errors of the forward within which there is no borrow.
const BORROW_ERRORS: f64 = 2.0;
/// Newton steps for the borrow yield: the forward is all but linear in it.
const STEPS: usize = 4;

/// What a premium depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExerciseTerms<'a> {
    /// The stock's price now; `None` for an option on a future.
    pub spot: Option<f64>,
    /// Dividends that go ex before expiry, by rising time.
    pub dividends: &'a [CashDividend],
    /// Years to expiry.
    pub years: f64,
    /// Forward price.
    pub forward: f64,
    /// Its standard error: borrow that is lost in two of them is taken as none.
    pub forward_error: f64,
    /// Discount factor.
    pub discount: f64,
    /// Strike.
    pub strike: f64,
    /// Call or put.
    pub kind: OptionKind,
    /// Annual vol.
    pub vol: f64,
}

/// Beyond these moves of spot and vol (as shares) and of time an expansion stands for nothing,
/// whatever its slopes say.
const SPOT_STEP: f64 = 0.02;
const VOL_STEP: f64 = 0.25;
const YEARS_STEP: f64 = 1.0 / 365.0;
/// Where the method does not tell how a premium follows the forward, spot held, it is taken to
/// change by up to this per unit.
const UNTOLD_BY_FORWARD: f64 = 0.3;

/// A premium with its slopes where it was solved, which stands for it nearby. It has a gamma of its
/// own; third derivatives, and second ones that mix, are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expansion {
    spot: f64,
    vol: f64,
    years: f64,
    /// Forward over spot.
    carry: f64,
    /// Change of the premium per unit of the forward, spot held, where the method tells it.
    by_forward: Option<f64>,
    around: Added,
    /// Vega of the European option over that of the American one; none where exercise is best now,
    /// or as good as: no price names a vol there.
    share: Option<f64>,
}

/// What a premium depends on and changes by the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// The underlying's price.
    pub spot: f64,
    /// Annual vol.
    pub vol: f64,
    /// Years to expiry.
    pub years: f64,
    /// Forward over spot.
    pub carry: f64,
}

/// What early exercise adds to price and Greeks, per unit of the spot, per 1.00 of vol or rate, per
/// year.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Added {
    /// To the price; never negative.
    pub price: f64,
    /// To the delta.
    pub delta: f64,
    /// To the gamma.
    pub gamma: f64,
    /// To the vega.
    pub vega: f64,
    /// To the theta.
    pub theta: f64,
    /// To the rho, in the sense of `UnitGreeks`.
    pub rho: f64,
}

/// Within this of one an option's vega is the European one's, however far the vol is away.
const EUROPEAN_SHARE: f64 = 0.1;
/// An American option that keeps less of its vega than this share names no vol.
const LEAST_VEGA_SHARE: f64 = 0.02;

impl Expansion {
    /// Solves for the premium; none where it can't be priced.
    #[must_use]
    pub fn solve(terms: &ExerciseTerms<'_>) -> Option<Self> {
        let (american, european) = both_styles(terms)?;
        let keeps = american.vega / european.vega;
        let named = !american.exercise_now && keeps > LEAST_VEGA_SHARE && keeps.is_finite();
        let around = Added {
            price: american.price - european.price,
            delta: american.delta - european.delta,
            gamma: american.gamma - european.gamma,
            vega: american.vega - european.vega,
            theta: american.theta - european.theta,
            rho: rho(terms, &american) - rho(terms, &european),
        };
        let spot = terms.spot.unwrap_or(terms.forward);
        // The forward falls by itself times the years per 1.00 of yield.
        let by_forward = match terms.spot {
            None => Some(0.0),
            Some(_) => american
                .yield_rho
                .zip(european.yield_rho)
                .map(|(american, european)| (european - american) / (terms.years * terms.forward)),
        };
        let Added { price, delta, gamma, vega, theta, rho } = around;
        let found = [price, delta, gamma, vega, theta, rho, by_forward.unwrap_or(0.0)];
        found.iter().all(|value| value.is_finite()).then_some(Self {
            spot,
            vol: terms.vol,
            years: terms.years,
            carry: terms.forward / spot,
            by_forward,
            around,
            share: named.then_some(1.0 / keeps),
        })
    }

    /// The premium at a moment nearby.
    #[must_use]
    pub fn at(&self, moment: &Moment) -> Added {
        let Moment { spot, vol, years, carry } = *moment;
        let (moved, change) = (spot - self.spot, vol - self.vol);
        let Added { price, delta, gamma, vega, theta, .. } = self.around;
        let of_carry = self.by_forward.unwrap_or(0.0) * (carry - self.carry) * spot;
        let grown = moved * (delta + 0.5 * gamma * moved) + vega * change + of_carry;
        Added {
            price: (price + grown + theta * (self.years - years)).max(0.0),
            delta: delta + gamma * moved,
            ..self.around
        }
    }

    /// Exercise is best now, or as good as: the option is worth that, or its European one.
    #[must_use]
    pub const fn is_exercised(&self) -> bool {
        self.share.is_none()
    }

    /// The vol that it was solved at.
    #[must_use]
    pub const fn vol(&self) -> f64 {
        self.vol
    }

    /// The vol of an American price, from the one that its price less the premium at
    /// [`Expansion::vol`] has as a European: one step of Newton's method. None where the price of
    /// an exercised option names no vol, and where that step is too long to be believed.
    #[must_use]
    pub fn american_vol(&self, european: f64) -> Option<f64> {
        let share = self.share?;
        let vol = self.vol + share * (european - self.vol);
        let near = (vol - self.vol).abs() <= VOL_STEP * self.vol;
        let follows = (share - 1.0).abs() <= EUROPEAN_SHARE;
        (vol > 0.0 && (near || follows)).then_some(vol)
    }

    /// Whether it is too far away to stand for the premium at this moment within `tolerance` of
    /// price. What the expansion leaves out is put at its last terms times the move
    /// over the scale on which they change: a deviation of the spot, the vol, the time left.
    #[must_use]
    pub fn is_due(&self, moment: &Moment, tolerance: f64) -> bool {
        let Moment { spot, vol, years, carry } = *moment;
        let Self { spot: from, vol: at_vol, years: at_years, around, .. } = *self;
        let deviation = from * at_vol * at_years.sqrt();
        let (moved, change, passed) =
            ((spot - from).abs(), (vol - at_vol).abs(), (years - at_years).abs());
        let drifted = (carry - self.carry).abs() * from;
        let left_out = around.gamma.abs() * moved * moved * moved / deviation
            + around.vega.abs() * change * (change / at_vol + moved / deviation)
            + around.theta.abs() * passed * (passed / years.max(passed) + moved / deviation)
            + self.by_forward.map_or(UNTOLD_BY_FORWARD * drifted, |slope| {
                slope.abs() * drifted * (drifted + moved) / deviation
            });
        let near = moved.max(drifted) <= SPOT_STEP * from
            && change <= VOL_STEP * at_vol
            && passed <= YEARS_STEP
            && left_out <= tolerance;
        !near
    }
}

/// What early exercise adds; never negative.
#[must_use]
pub fn premium(terms: &ExerciseTerms<'_>) -> f64 {
    let prices = both_styles(terms).map(|(american, european)| american.price - european.price);
    prices.filter(|premium| premium.is_finite()).map_or(0.0, |premium| premium.max(0.0))
}

/// The American option and the European one. Across cash dividends, rates below zero and borrow of
/// the sign that only finite differences can price are left out (the forward has them): they would
/// cost tens of milliseconds an option for less than a tick.
fn both_styles(terms: &ExerciseTerms<'_>) -> Option<(AmericanGreeks, AmericanGreeks)> {
    let contract = contract(terms);
    let cash = if terms.spot.is_some() { terms.dividends } else { &[] };
    let priced = |exercise| {
        dividends::price_and_greeks(exercise, &contract, cash, american::Accuracy::Fast).ok()
    };
    Some((priced(Exercise::American)?, priced(Exercise::European)?))
}

/// Per 1.00 of the rate; a future's yield moves with it.
fn rho(terms: &ExerciseTerms<'_>, greeks: &AmericanGreeks) -> f64 {
    let of_yield = greeks.yield_rho.filter(|_| terms.spot.is_none());
    greeks.rho + of_yield.unwrap_or(0.0)
}

fn contract(terms: &ExerciseTerms<'_>) -> SpotContract {
    let named = -libm::log(terms.discount) / terms.years;
    let (spot, rate, dividend_yield) = match (terms.spot, terms.dividends) {
        (None, _) => (terms.forward, named, named),
        (Some(spot), []) => (spot, named, borrow(terms, spot, named)),
        (Some(spot), _) => {
            let (rate, found) = (named.max(0.0), borrow(terms, spot, named.max(0.0)));
            (spot, rate, if terms.kind.is_call() { found.min(0.0) } else { found.max(0.0) })
        }
    };
    SpotContract {
        spot,
        strike: terms.strike,
        years: terms.years,
        vol: terms.vol,
        rate,
        dividend_yield,
        kind: terms.kind,
    }
}

/// The vol of an American price without cash dividends, solved in full: above what exercise pays
/// there always is one. `terms` are those of its premium; their vol is not read.
#[must_use]
pub fn implied_vol(price: f64, terms: &ExerciseTerms<'_>) -> Option<f64> {
    if terms.spot.is_some() && !terms.dividends.is_empty() {
        return None;
    }
    american::implied::implied_vol(price, &contract(terms), american::Accuracy::Fast).ok()
}

/// The yield at which spot, rate and dividends give the forward.
fn borrow(terms: &ExerciseTerms<'_>, spot: f64, rate: f64) -> f64 {
    let without = terms.dividends.iter().fold(spot * libm::exp(rate * terms.years), |f, paid| {
        f - paid.cash * libm::exp(rate * (terms.years - paid.years))
    });
    if (without - terms.forward).abs() <= BORROW_ERRORS * terms.forward_error {
        return 0.0;
    }
    if terms.dividends.is_empty() {
        return rate - libm::log(terms.forward / spot) / terms.years;
    }
    let mut found = 0.0;
    for _ in 0..STEPS {
        let carry = rate - found;
        let mut forward = spot * libm::exp(carry * terms.years);
        let mut slope = -terms.years * forward;
        for dividend in terms.dividends {
            let left = terms.years - dividend.years;
            let grown = dividend.cash * libm::exp(carry * left);
            forward -= grown;
            slope += left * grown;
        }
        found -= (forward - terms.forward) / slope;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(dividends: &[CashDividend]) -> ExerciseTerms<'_> {
        ExerciseTerms {
            spot: Some(70.0),
            dividends,
            years: 0.5,
            forward: 69.9,
            forward_error: 0.0,
            discount: 0.99,
            strike: 60.0,
            kind: OptionKind::Call,
            vol: 0.2,
        }
    }

    #[test]
    fn a_call_is_exercised_for_a_dividend_and_not_without() {
        let cash = [CashDividend { years: 0.2, cash: 0.8 }];
        assert!(premium(&terms(&cash)) > 0.05);
        let none = ExerciseTerms { forward: 70.0 / 0.99, ..terms(&[]) };
        assert!(premium(&none) < 1e-6);
        let put = ExerciseTerms { kind: OptionKind::Put, strike: 80.0, ..none };
        assert!(premium(&put) > 0.05);
    }

    #[test]
    fn borrow_is_what_spot_rate_and_dividends_leave_open() {
        let cash = [CashDividend { years: 0.2, cash: 0.8 }];
        let own = terms(&cash);
        let rate = -libm::log(own.discount) / own.years;
        let found = borrow(&own, 70.0, rate);
        let carry = rate - found;
        let forward = 70.0 * libm::exp(carry * 0.5) - 0.8 * libm::exp(carry * 0.3);
        assert!((forward - own.forward).abs() < 1e-9);
    }

    #[test]
    fn what_can_not_be_priced_has_no_premium() {
        assert_eq!(premium(&ExerciseTerms { vol: f64::NAN, ..terms(&[]) }), 0.0);
        assert_eq!(premium(&ExerciseTerms { strike: -1.0, ..terms(&[]) }), 0.0);
    }
}
