//! Immutable views of one product's market: the underlyings, a chain per expiry, and the regime.
//!
//! A view is swapped in whole, with version and time, so that a decision and its record speak of
//! the same numbers. Prices from models are f64 here; whoever records or compares them turns them
//! into micro-units first.

use market::instrument::{ConId, Right};
use market::money::Price;
use market::quote::Quote;
use market::time::{Date, Timestamp};
use pricing::arbitrage::ArbitrageReport;
use pricing::essvi::{Slice, SliceReport, Surface};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Sensitivities of one unit of an instrument (not times its multiplier).
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct UnitGreeks {
    /// Per unit of the underlying's price.
    pub delta: f64,
    /// Delta per unit of the underlying's price.
    pub gamma: f64,
    /// Price per 1.00 of volatility (one point is a hundredth of it).
    pub vega: f64,
    /// Price per year.
    pub theta: f64,
    /// Price per 1.00 of the rate: of a stock or an index its price, dividends and borrow are held,
    /// of a future its price.
    pub rho: f64,
}

/// A model value that was not fitted with the quote it is compared to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FairValue {
    /// Price per unit.
    pub price: f64,
    /// One standard error of it, per unit.
    pub standard_error: f64,
    /// The volatility behind it.
    pub vol: f64,
}

/// Whether a line's data may be traded on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataState {
    /// Live, two-sided, valid, and it still contains the model value.
    Fresh,
    /// Live and valid, but the model value has left the quote: it is old at this underlying price.
    Stale,
    /// Not two-sided, or it failed a quality gate.
    Flawed,
    /// Not subscribed, not confirmed live in this generation, or its farm is down.
    NotLive,
}

/// One option of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptionLine {
    /// The option.
    pub con_id: ConId,
    /// Call or put.
    pub right: Right,
    /// Strike per unit.
    pub strike: Price,
    /// The last quote.
    pub quote: Quote,
    /// Whether it may be traded on.
    pub state: DataState,
    /// Implied volatility of the mid; `None` where there is no two-sided mid or no solution.
    pub implied_vol: Option<f64>,
    /// Model value from the other quotes of the expiry.
    pub fair: Option<FairValue>,
    /// At the implied volatility, else at the model's.
    pub greeks: Option<UnitGreeks>,
}

/// One expiry's options.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainView {
    /// What they are written on.
    pub underlying: ConId,
    /// The expiry day.
    pub expiry: Date,
    /// When trading in them ends.
    pub last_trade: Timestamp,
    /// Years (of 365 days) until then.
    pub years: f64,
    /// Forward price for that day, from put-call parity where it can be had.
    pub forward: f64,
    /// Discount factor to that day.
    pub discount: f64,
    /// Volatility at the forward.
    pub at_the_money_vol: Option<f64>,
    /// The options, by rising con id.
    pub lines: Vec<OptionLine>,
    /// Rises with each publication of the book.
    pub version: u64,
    /// The market time that it describes.
    pub time: Timestamp,
}

impl ChainView {
    /// The line of one option.
    #[must_use]
    pub fn line(&self, con_id: ConId) -> Option<&OptionLine> {
        let found = self.lines.binary_search_by_key(&con_id, |line| line.con_id);
        found.ok().map(|index| &self.lines[index])
    }
}

/// One underlying (a stock, an index or a future).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnderlyingLine {
    /// It.
    pub con_id: ConId,
    /// The last quote.
    pub quote: Quote,
    /// Whether it may be traded on (for an index: whether it may be valued with).
    pub state: DataState,
}

/// What the regime checks look at.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct RegimeView {
    /// Realised volatility of the first underlying, exponentially weighted, per year.
    pub realised_vol: Option<f64>,
    /// At-the-money implied volatility of the nearest expiry beyond a week (else the last one).
    pub implied_vol: Option<f64>,
    /// Share of two-sided option quotes that are fresh, 0 to 1; `None` where none is two-sided, as
    /// outside the session.
    pub fresh_share: Option<f64>,
}

/// One expiry's part of a [`SurfaceView`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceExpiry {
    /// What its options are written on.
    pub underlying: ConId,
    /// The expiry day.
    pub expiry: Date,
    /// The forward at the fit: log-moneyness is ln(strike / forward).
    pub forward: f64,
    /// How the slice came out.
    pub report: SliceReport,
}

/// A product's volatility surface: the last one that passed the tests for static arbitrage.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfaceView {
    /// Total variance by log-moneyness and time, in eSSVI slices by rising time to expiry.
    pub surface: Surface,
    /// What each slice is of.
    pub expiries: Vec<SurfaceExpiry>,
    /// What the tests on a grid found.
    pub arbitrage: ArbitrageReport,
    /// The expiries alone would not have made a surface: the conditions bind somewhere.
    pub constrained: bool,
    /// The version of the view that it came with: rises from surface to surface.
    pub version: u64,
    /// The market time of its quotes.
    pub time: Timestamp,
}

impl SurfaceView {
    /// The slice of an expiry.
    #[must_use]
    pub fn slice(&self, underlying: ConId, expiry: Date) -> Option<&Slice> {
        self.at(underlying, expiry).map(|at| &self.surface.slices()[at])
    }

    /// Annual vol of an expiry at ln(strike / forward). Between fits a moneyness keeps its vol.
    #[must_use]
    pub fn vol(&self, underlying: ConId, expiry: Date, log_moneyness: f64) -> Option<f64> {
        let at = self.at(underlying, expiry)?;
        let variance = self.surface.slices()[at].total_variance(log_moneyness);
        Some((variance / self.surface.years()[at]).sqrt())
    }

    /// How old it is; zero before its time.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.time)
    }

    fn at(&self, underlying: ConId, expiry: Date) -> Option<usize> {
        let of = |own: &SurfaceExpiry| (own.underlying, own.expiry) == (underlying, expiry);
        self.expiries.iter().position(of)
    }
}

/// Everything about one product at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct MarketView {
    /// The product's root symbol.
    pub symbol: String,
    /// Rises with each publication.
    pub version: u64,
    /// The market time that it describes.
    pub time: Timestamp,
    /// The underlyings, by rising con id.
    pub underlyings: Vec<UnderlyingLine>,
    /// The chains by underlying and expiry.
    pub chains: BTreeMap<(ConId, Date), Arc<ChainView>>,
    /// The surface, once one has been fitted.
    pub surface: Option<Arc<SurfaceView>>,
    /// The regime.
    pub regime: RegimeView,
}

/// One instrument's line in a [`MarketView`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Line<'a> {
    /// An underlying.
    Underlying(&'a UnderlyingLine),
    /// An option, with its chain.
    Option(&'a OptionLine, &'a ChainView),
}

impl Line<'_> {
    /// The last quote.
    #[must_use]
    pub const fn quote(&self) -> &Quote {
        match self {
            Self::Underlying(line) => &line.quote,
            Self::Option(line, _) => &line.quote,
        }
    }

    /// Whether it may be traded on.
    #[must_use]
    pub const fn state(&self) -> DataState {
        match self {
            Self::Underlying(line) => line.state,
            Self::Option(line, _) => line.state,
        }
    }

    /// Sensitivities per unit; an underlying has a delta of one.
    #[must_use]
    pub const fn greeks(&self) -> Option<UnitGreeks> {
        match self {
            Self::Underlying(_) => {
                Some(UnitGreeks { delta: 1.0, gamma: 0.0, vega: 0.0, theta: 0.0, rho: 0.0 })
            }
            Self::Option(line, _) => line.greeks,
        }
    }
}

impl MarketView {
    /// The line of an instrument, if this product has it.
    #[must_use]
    pub fn line(&self, con_id: ConId) -> Option<Line<'_>> {
        if let Ok(index) = self.underlyings.binary_search_by_key(&con_id, |line| line.con_id) {
            return Some(Line::Underlying(&self.underlyings[index]));
        }
        let mut chains = self.chains.values();
        chains.find_map(|chain| chain.line(con_id).map(|line| Line::Option(line, chain)))
    }
}

/// The views of all products, by root symbol.
pub type Markets = BTreeMap<String, Arc<MarketView>>;
