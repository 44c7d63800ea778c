//! What can be traded: stocks, indices, futures, options, options on futures, and combos of them,
//! with every term that moves money (multiplier, tick, exercise, settlement, deliverable).
//!
//! Words follow Interactive Brokers: an instrument's identity is its `con_id`; a combo (IB: BAG)
//! has legs and no identity of its own. Not here: prices (quote), trading days (session).

use crate::money::{Currency, Money, Multiplier, Price};
use crate::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// An instrument's identity, unique over all instruments (IB: conId).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConId(pub u32);

impl fmt::Display for ConId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "con {}", self.0)
    }
}

/// Call or put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Right {
    /// The right to buy at the strike.
    Call,
    /// The right to sell at the strike.
    Put,
}

/// When the holder may exercise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ExerciseStyle {
    /// On any day up to expiry.
    American,
    /// At expiry only.
    European,
}

/// What changes hands at exercise or expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Settlement {
    /// The difference to the settlement price, in cash.
    Cash,
    /// The deliverable against the strike.
    Physical,
}

/// Which price of the last day settles the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fixing {
    /// The opening price (trading stops the day before).
    Am,
    /// The closing price.
    Pm,
}

/// What one contract of a physically settled option delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deliverable {
    /// `multiplier` units of the underlying.
    Standard,
    /// After a corporate action: `units` of the underlying and `cash` per contract.
    Adjusted {
        /// Units of the underlying per contract.
        units: i64,
        /// Cash per contract, from the option's writer to its exerciser.
        cash: Money,
    },
}

/// The terms of an option, on a stock, an index or a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionTerms {
    /// The instrument that it is written on.
    pub underlying: ConId,
    /// Call or put.
    pub right: Right,
    /// Strike per unit of the underlying.
    pub strike: Price,
    /// The exchange day on which it expires (never a Saturday: the last trading day).
    pub expiry: Date,
    /// The instant at which trading ends.
    pub last_trade: Timestamp,
    /// When it may be exercised.
    pub style: ExerciseStyle,
    /// Cash or physical.
    pub settlement: Settlement,
    /// AM or PM settled.
    pub fixing: Fixing,
    /// What is delivered.
    pub deliverable: Deliverable,
}

/// The terms of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FutureTerms {
    /// The exchange day on which it expires.
    pub expiry: Date,
    /// The instant at which trading ends.
    pub last_trade: Timestamp,
    /// Cash or physical.
    pub settlement: Settlement,
    /// AM or PM settled.
    pub fixing: Fixing,
}

/// What kind of instrument it is (IB: secType STK, IND, FUT, OPT, FOP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstrumentKind {
    /// Shares.
    Stock,
    /// An index: quoted, never traded.
    Index,
    /// A future.
    Future(FutureTerms),
    /// An option on a stock or an index.
    Option(OptionTerms),
    /// An option on a future.
    FutureOption(OptionTerms),
}

/// The allowed price increments: from each threshold upwards, its increment (IB: market rule).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(Price, Price)>", into = "Vec<(Price, Price)>")]
pub struct TickRule(Vec<(Price, Price)>);

/// Why an instrument, a combo or a tick rule is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstrumentError {
    /// The bands are empty, unsorted or have an increment that is not positive.
    #[error("a tick rule needs rising thresholds from 0 and positive increments, got {0:?}")]
    TickRule(Vec<(Price, Price)>),
    /// The id is taken by another instrument.
    #[error("{con_id:?} is {existing} and can't become {new}; ids are never reused")]
    Duplicate {
        /// The id.
        con_id: ConId,
        /// Who has it.
        existing: String,
        /// Who wants it.
        new: String,
    },
    /// Combos have two to four legs.
    #[error("a combo has 2 to 4 legs, not {0}")]
    LegCount(usize),
    /// A ratio of zero or one instrument twice.
    #[error("{0:?} stands twice in the combo or has ratio 0")]
    Leg(ConId),
    /// The legs have a common factor that belongs into the order's quantity.
    #[error("the leg ratios share the factor {0}; divide them and multiply the quantity")]
    CommonFactor(u32),
    /// Nothing is known of this id.
    #[error("{0:?} is not in the catalog; load its reference data first")]
    Unknown(ConId),
}

impl TickRule {
    /// One increment at every price.
    ///
    /// # Panics
    /// If `increment` is not positive.
    #[must_use]
    pub fn flat(increment: Price) -> Self {
        assert!(increment > Price::ZERO, "a tick is positive");
        Self(vec![(Price::ZERO, increment)])
    }

    /// Bands of (from, increment); the first starts at zero.
    pub fn bands(bands: Vec<(Price, Price)>) -> Result<Self, InstrumentError> {
        let rising = bands.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let positive = bands.iter().all(|band| band.1 > Price::ZERO);
        let from_zero = bands.first().is_some_and(|band| band.0.is_zero());
        if rising && positive && from_zero {
            Ok(Self(bands))
        } else {
            Err(InstrumentError::TickRule(bands))
        }
    }

    /// The bands: from which price upwards, which increment.
    #[must_use]
    pub fn steps(&self) -> &[(Price, Price)] {
        &self.0
    }

    /// The increment at `price` (its size decides; a credit has the increment of the same debit).
    #[must_use]
    pub fn increment(&self, price: Price) -> Price {
        let magnitude = price.abs();
        let below = self.0.iter().take_while(|band| band.0 <= magnitude);
        below.last().map_or(self.0[0].1, |band| band.1)
    }

    /// The highest allowed price at or below `price`.
    #[must_use]
    pub fn round_down(&self, price: Price) -> Price {
        let tick = self.increment(price).micros();
        Price::from_micros(price.micros().div_euclid(tick) * tick)
    }

    /// The lowest allowed price at or above `price`.
    #[must_use]
    pub fn round_up(&self, price: Price) -> Price {
        -self.round_down(-price)
    }

    /// Whether an order may carry `price`.
    #[must_use]
    pub fn allows(&self, price: Price) -> bool {
        self.round_down(price) == price
    }
}

impl TryFrom<Vec<(Price, Price)>> for TickRule {
    type Error = InstrumentError;
    fn try_from(bands: Vec<(Price, Price)>) -> Result<Self, InstrumentError> {
        Self::bands(bands)
    }
}

impl From<TickRule> for Vec<(Price, Price)> {
    fn from(rule: TickRule) -> Self {
        rule.0
    }
}

/// One instrument with all of its terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Its identity.
    pub con_id: ConId,
    /// The root symbol that groups a product (`ES`, `GOOG`): roles and limits go by it.
    pub symbol: String,
    /// The full name, such as `ESH0` or `GOOG 20151224C750`.
    pub local_symbol: String,
    /// Where it trades.
    pub exchange: String,
    /// What it is quoted and settled in.
    pub currency: Currency,
    /// Units of the underlying per contract; 1 for stocks.
    pub multiplier: Multiplier,
    /// Allowed prices.
    pub tick: TickRule,
    /// The exchange's class within the product (weeklies and monthlies differ).
    pub trading_class: String,
    /// Its kind and terms.
    pub kind: InstrumentKind,
}

impl Instrument {
    /// The option terms, if it is an option on anything.
    #[must_use]
    pub const fn option(&self) -> Option<&OptionTerms> {
        match &self.kind {
            InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) => Some(terms),
            InstrumentKind::Stock | InstrumentKind::Index | InstrumentKind::Future(_) => None,
        }
    }

    /// When trading in it ends for good, if it does.
    #[must_use]
    pub const fn last_trade(&self) -> Option<Timestamp> {
        match &self.kind {
            InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) => {
                Some(terms.last_trade)
            }
            InstrumentKind::Future(terms) => Some(terms.last_trade),
            InstrumentKind::Stock | InstrumentKind::Index => None,
        }
    }

    /// Whether its full value is paid at the trade (stocks and options) or only its daily
    /// variation (futures).
    #[must_use]
    pub const fn is_margined_daily(&self) -> bool {
        matches!(self.kind, InstrumentKind::Future(_))
    }
}

/// One leg of a combo: how many contracts per unit of the combo, negative when sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leg {
    /// The instrument.
    pub con_id: ConId,
    /// Contracts bought (or, negative, sold) when one unit of the combo is bought.
    pub ratio: i32,
}

/// Two to four legs traded as one, at one net price; sorted, without a common factor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Leg>", into = "Vec<Leg>")]
pub struct Combo(Vec<Leg>);

impl Combo {
    /// A combo of `legs` in any order.
    pub fn new(mut legs: Vec<Leg>) -> Result<Self, InstrumentError> {
        legs.sort_unstable();
        if !(2..=4).contains(&legs.len()) {
            return Err(InstrumentError::LegCount(legs.len()));
        }
        let repeated = legs.windows(2).find(|pair| pair[0].con_id == pair[1].con_id);
        if let Some(pair) = repeated {
            return Err(InstrumentError::Leg(pair[0].con_id));
        }
        if let Some(leg) = legs.iter().find(|leg| leg.ratio == 0) {
            return Err(InstrumentError::Leg(leg.con_id));
        }
        let factor = legs.iter().fold(0, |acc, leg| common_divisor(acc, leg.ratio.unsigned_abs()));
        if factor > 1 {
            return Err(InstrumentError::CommonFactor(factor));
        }
        Ok(Self(legs))
    }

    /// The legs, by rising con id.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.0
    }
}

impl TryFrom<Vec<Leg>> for Combo {
    type Error = InstrumentError;
    fn try_from(legs: Vec<Leg>) -> Result<Self, InstrumentError> {
        Self::new(legs)
    }
}

impl From<Combo> for Vec<Leg> {
    fn from(combo: Combo) -> Self {
        combo.0
    }
}

const fn common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// What an order is for: one instrument, or a combo at a net price.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Contract {
    /// One instrument.
    Single(ConId),
    /// Legs traded together.
    Combo(Combo),
}

impl Contract {
    /// Its legs: one of ratio 1 for a single instrument.
    #[must_use]
    pub fn legs(&self) -> Vec<Leg> {
        match self {
            Self::Single(con_id) => vec![Leg { con_id: *con_id, ratio: 1 }],
            Self::Combo(combo) => combo.legs().to_vec(),
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(con_id) => write!(f, "{con_id}"),
            Self::Combo(combo) => {
                let legs: Vec<String> =
                    combo.0.iter().map(|leg| format!("{:+}x{}", leg.ratio, leg.con_id)).collect();
                f.write_str(&legs.join(" "))
            }
        }
    }
}

/// All instruments that are known, by id. Instruments are only ever added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    instruments: BTreeMap<ConId, Instrument>,
}

impl Catalog {
    /// Adds an instrument; the same one twice is fine.
    pub fn insert(&mut self, instrument: Instrument) -> Result<(), InstrumentError> {
        if let Some(existing) = self.instruments.get(&instrument.con_id) {
            if *existing == instrument {
                return Ok(());
            }
            return Err(InstrumentError::Duplicate {
                con_id: instrument.con_id,
                existing: existing.local_symbol.clone(),
                new: instrument.local_symbol,
            });
        }
        self.instruments.insert(instrument.con_id, instrument);
        Ok(())
    }

    /// The instrument of this id.
    pub fn get(&self, con_id: ConId) -> Result<&Instrument, InstrumentError> {
        self.instruments.get(&con_id).ok_or(InstrumentError::Unknown(con_id))
    }

    /// All instruments, by rising id.
    pub fn iter(&self) -> impl Iterator<Item = &Instrument> {
        self.instruments.values()
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instruments.len()
    }

    /// None are known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instruments.is_empty()
    }

    /// The options written on `underlying`, by rising id.
    pub fn options_on(&self, underlying: ConId) -> impl Iterator<Item = &Instrument> {
        let on_it = move |terms: &OptionTerms| terms.underlying == underlying;
        self.iter().filter(move |instrument| instrument.option().is_some_and(on_it))
    }

    /// The root symbol that limits and roles of this instrument go by.
    pub fn symbol(&self, con_id: ConId) -> Result<&str, InstrumentError> {
        self.get(con_id).map(|instrument| instrument.symbol.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(con_id: u32, ratio: i32) -> Leg {
        Leg { con_id: ConId(con_id), ratio }
    }

    #[test]
    fn combos_are_sorted_and_reduced() {
        let combo = Combo::new(vec![leg(9, -1), leg(4, 1)]).unwrap();
        assert_eq!(combo.legs(), [leg(4, 1), leg(9, -1)]);
        assert_eq!(Combo::new(vec![leg(1, 1)]), Err(InstrumentError::LegCount(1)));
        assert_eq!(Combo::new(vec![leg(1, 1), leg(1, -1)]), Err(InstrumentError::Leg(ConId(1))));
        assert_eq!(Combo::new(vec![leg(1, 2), leg(2, -4)]), Err(InstrumentError::CommonFactor(2)));
        assert_eq!(Combo::new(vec![leg(1, 0), leg(2, 1)]), Err(InstrumentError::Leg(ConId(1))));
    }

    #[test]
    fn ticks_change_with_the_price() {
        let price = |text| Price::parse(text).unwrap();
        let rule = TickRule::bands(vec![(Price::ZERO, price("0.05")), (price("3"), price("0.10"))])
            .unwrap();
        assert_eq!(rule.round_down(price("2.99")), price("2.95"));
        assert_eq!(rule.round_up(price("3.01")), price("3.10"));
        assert_eq!(rule.round_down(price("-0.07")), price("-0.10"));
        assert!(rule.allows(price("3.20")) && !rule.allows(price("3.15")));
        assert!(TickRule::bands(vec![(price("1"), price("1"))]).is_err());
    }
}
