//! Quality gates: from a raw line message to an exact [`Quote`] with a typed verdict.
//!
//! Why: a float, a sentinel or an absurd width must never reach pricing or an order unnamed. The
//! gates look at one message and the clock, nothing else. Not here: whether a quote still contains
//! the model's value (valuation), whether a line is subscribed and live (the feed).
//!
//! Which verdicts may be traded: only [`Verdict::Sound`]: two-sided, uncrossed, not locked, not a
//! stub, in session and young enough. Every other verdict that can still carries the quote,
//! because it is information (a one-sided quote bounds a price, a locked one names it).

use crate::money::Price;
use crate::quote::{Level, Quote, RawQuote, Side};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why a quote may not be traded. A quote has the first flaw that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flaw {
    /// A price that is infinite, negative other than the sentinel -1, or out of range, or a size
    /// that is infinite or beyond 2^32.
    NotFinite,
    /// Older than [`Gates::max_age`] when judged.
    Stale,
    /// The exchange is closed for this line.
    OutOfSession,
    /// Neither side is quoted.
    Empty,
    /// Only this side is quoted (a bid alone is `Buy`).
    OneSided(Side),
    /// The bid lies above the ask.
    Crossed,
    /// Bid and ask are equal: a valid price, but nobody can say who moves next.
    Locked,
    /// Wider than any maker means it, such as 58.00 x 100.00 before the open.
    Stub,
}

impl Flaw {
    /// All flaws, in the order of [`Flaw::index`].
    pub const ALL: [Self; 9] = [
        Self::NotFinite,
        Self::Stale,
        Self::OutOfSession,
        Self::Empty,
        Self::OneSided(Side::Buy),
        Self::OneSided(Side::Sell),
        Self::Crossed,
        Self::Locked,
        Self::Stub,
    ];

    /// Its place in [`Flaw::ALL`] and in [`FlawCounts`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NotFinite => 0,
            Self::Stale => 1,
            Self::OutOfSession => 2,
            Self::Empty => 3,
            Self::OneSided(Side::Buy) => 4,
            Self::OneSided(Side::Sell) => 5,
            Self::Crossed => 6,
            Self::Locked => 7,
            Self::Stub => 8,
        }
    }

    /// Its stable name in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::Stale => "stale",
            Self::OutOfSession => "out_of_session",
            Self::Empty => "empty",
            Self::OneSided(Side::Buy) => "bid_only",
            Self::OneSided(Side::Sell) => "ask_only",
            Self::Crossed => "crossed",
            Self::Locked => "locked",
            Self::Stub => "stub",
        }
    }
}

/// What the gates say about one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// May be traded.
    Sound(Quote),
    /// May not be traded; the quote is information all the same.
    Flawed(Flaw, Quote),
    /// No quote can be read from it ([`Flaw::NotFinite`]).
    Unreadable,
}

impl Verdict {
    /// Two-sided, uncrossed, not locked, not a stub, in session and young enough.
    #[must_use]
    pub const fn is_tradable(&self) -> bool {
        matches!(self, Self::Sound(_))
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub const fn flaw(&self) -> Option<Flaw> {
        match self {
            Self::Sound(_) => None,
            Self::Flawed(flaw, _) => Some(*flaw),
            Self::Unreadable => Some(Flaw::NotFinite),
        }
    }

    /// The exact quote, if one can be read.
    #[must_use]
    pub const fn quote(&self) -> Option<Quote> {
        match self {
            Self::Sound(quote) | Self::Flawed(_, quote) => Some(*quote),
            Self::Unreadable => None,
        }
    }
}

/// How many quotes were sound and how many had which flaw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlawCounts {
    sound: u64,
    flawed: [u64; Flaw::ALL.len()],
}

impl FlawCounts {
    /// Counts one verdict.
    pub const fn add(&mut self, verdict: &Verdict) {
        match verdict.flaw() {
            None => self.sound += 1,
            Some(flaw) => self.flawed[flaw.index()] += 1,
        }
    }

    /// Quotes without a flaw.
    #[must_use]
    pub const fn sound(&self) -> u64 {
        self.sound
    }

    /// Quotes with this flaw.
    #[must_use]
    pub const fn of(&self, flaw: Flaw) -> u64 {
        self.flawed[flaw.index()]
    }

    /// All quotes judged.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sound + self.flawed.iter().sum::<u64>()
    }
}

/// One message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawLine {
    /// The instrument's price increment near its price.
    pub tick: Price,
    /// What the line says.
    pub quote: RawQuote,
}

/// The gates' settings. A quote is a stub when its width exceeds both bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// The age beyond which a quote is stale when judged. It guards replays and delayed queues; on
    /// a line that sends on change only, age says nothing, so set it far above the quiet spells.
    pub max_age: Duration,
    /// Widest spread in thousandths of the mid price.
    pub stub_per_mille_of_mid: u32,
    /// Spreads of at most this many ticks are never stubs, however cheap the instrument.
    pub stub_floor_ticks: u32,
}

impl Default for Gates {
    /// An hour; half of the mid price; 20 ticks.
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(3600),
            stub_per_mille_of_mid: 500,
            stub_floor_ticks: 20,
        }
    }
}

impl Gates {
    /// Judges one message of a line whose instrument moves in steps of `tick`.
    ///
    /// NaN, -1 and 0 are an absent side, and so is a price at which the size is 0. An unknown size
    /// (NaN or negative) keeps its price with size 0; fractions of a contract are cut off.
    #[must_use]
    pub fn judge(
        &self,
        tick: Price,
        raw: &RawQuote,
        now: Timestamp,
        session_open: bool,
    ) -> Verdict {
        let bid = read_level(raw.bid, raw.bid_size);
        let ask = read_level(raw.ask, raw.ask_size);
        let (Ok(bid), Ok(ask)) = (bid, ask) else {
            return Verdict::Unreadable;
        };
        let quote = Quote { bid, ask, time: raw.time };
        match self.flaw_of(tick, &quote, now, session_open) {
            None => Verdict::Sound(quote),
            Some(flaw) => Verdict::Flawed(flaw, quote),
        }
    }

    /// The same gates for a quote that is already exact (a replay's); never
    /// [`Flaw::NotFinite`].
    #[must_use]
    pub fn flaw_of(
        &self,
        tick: Price,
        quote: &Quote,
        now: Timestamp,
        session_open: bool,
    ) -> Option<Flaw> {
        if now.since(quote.time) > self.max_age {
            return Some(Flaw::Stale);
        }
        if !session_open {
            return Some(Flaw::OutOfSession);
        }
        match (quote.bid, quote.ask) {
            (None, None) => Some(Flaw::Empty),
            (Some(_), None) => Some(Flaw::OneSided(Side::Buy)),
            (None, Some(_)) => Some(Flaw::OneSided(Side::Sell)),
            (Some(bid), Some(ask)) => self.flaw_of_prices(tick, bid.price, ask.price),
        }
    }

    /// Judges a batch taken at one instant: one verdict a line is appended to `into` and counted.
    /// It allocates only if `into` lacks the room.
    pub fn judge_all(
        &self,
        lines: &[RawLine],
        now: Timestamp,
        session_open: bool,
        counts: &mut FlawCounts,
        into: &mut Vec<Verdict>,
    ) {
        into.reserve(lines.len());
        for line in lines {
            let verdict = self.judge(line.tick, &line.quote, now, session_open);
            counts.add(&verdict);
            into.push(verdict);
        }
    }

    fn flaw_of_prices(&self, tick: Price, bid: Price, ask: Price) -> Option<Flaw> {
        if bid > ask {
            return Some(Flaw::Crossed);
        }
        if bid == ask {
            return Some(Flaw::Locked);
        }
        let (bid, ask) = (i128::from(bid.micros()), i128::from(ask.micros()));
        let width = ask - bid;
        let floor = i128::from(tick.micros()) * i128::from(self.stub_floor_ticks);
        // width > mid * share, without the division: mid is half the sum, the share thousandths.
        let share = (bid + ask) * i128::from(self.stub_per_mille_of_mid);
        (width > floor && width * 2000 > share).then_some(Flaw::Stub)
    }
}

struct NotAPrice;

fn read_level(price: f64, size: f64) -> Result<Option<Level>, NotAPrice> {
    if price.is_nan() || price == -1.0 || price == 0.0 || size == 0.0 {
        return Ok(None);
    }
    if price < 0.0 || size > f64::from(u32::MAX) {
        return Err(NotAPrice);
    }
    let price = Price::from_f64(price).ok_or(NotAPrice)?;
    // `as` maps NaN and negative sizes to 0, which is what an unknown size is kept as.
    let size = size as u32;
    Ok((!price.is_zero()).then_some(Level { price, size }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK: Price = Price::from_micros(50_000);
    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn raw(bid: f64, ask: f64) -> RawQuote {
        RawQuote { bid, ask, bid_size: 10.0, ask_size: 7.0, time: NOW }
    }

    fn flaw(bid: f64, ask: f64) -> Option<Flaw> {
        Gates::default().judge(TICK, &raw(bid, ask), NOW, true).flaw()
    }

    #[test]
    fn every_flaw_is_named() {
        assert_eq!(flaw(10.0, 10.5), None);
        assert_eq!(flaw(58.0, 100.0), Some(Flaw::Stub));
        assert_eq!(flaw(0.05, 0.50), None, "cheap options are wide in per cent");
        assert_eq!(flaw(10.5, 10.0), Some(Flaw::Crossed));
        assert_eq!(flaw(10.0, 10.0), Some(Flaw::Locked));
        assert_eq!(flaw(-1.0, 10.0), Some(Flaw::OneSided(Side::Sell)));
        assert_eq!(flaw(10.0, f64::NAN), Some(Flaw::OneSided(Side::Buy)));
        assert_eq!(flaw(0.0, -1.0), Some(Flaw::Empty));
        for not_a_price in [f64::INFINITY, f64::NEG_INFINITY, -3.0, 1e300] {
            assert_eq!(flaw(not_a_price, 10.0), Some(Flaw::NotFinite));
            assert_eq!(flaw(10.0, not_a_price), Some(Flaw::NotFinite));
        }
        let closed = Gates::default().judge(TICK, &raw(10.0, 10.5), NOW, false);
        assert_eq!(closed.flaw(), Some(Flaw::OutOfSession));
        let late = NOW.plus(Duration::from_secs(3601));
        let old = Gates::default().judge(TICK, &raw(10.0, 10.5), late, true);
        assert_eq!(old.flaw(), Some(Flaw::Stale));
    }

    #[test]
    fn a_one_sided_quote_is_kept_as_information() {
        let verdict = Gates::default().judge(TICK, &raw(-1.0, 0.05), NOW, true);
        let quote = verdict.quote().unwrap();
        assert!(!verdict.is_tradable() && quote.bid.is_none());
        assert_eq!(quote.ask, Some(Level { price: TICK, size: 7 }));
    }

    #[test]
    fn a_price_without_size_is_nobody_and_an_unknown_size_is_zero() {
        let mut message = raw(10.0, 10.5);
        message.bid_size = 0.0;
        message.ask_size = f64::NAN;
        let quote = Gates::default().judge(TICK, &message, NOW, true).quote().unwrap();
        assert_eq!((quote.bid, quote.ask.unwrap().size), (None, 0));
        message.bid_size = f64::INFINITY;
        let verdict = Gates::default().judge(TICK, &message, NOW, true);
        assert_eq!(verdict, Verdict::Unreadable);
    }

    #[test]
    fn each_flaw_has_its_own_place_and_name() {
        for (place, flaw) in Flaw::ALL.into_iter().enumerate() {
            assert_eq!(flaw.index(), place);
            let namesakes = Flaw::ALL.iter().filter(|other| other.name() == flaw.name());
            assert_eq!(namesakes.count(), 1);
        }
    }

    fn any_price() -> impl Strategy<Value = f64> {
        prop_oneof![
            (0_i64..20_000).prop_map(|ticks| ticks as f64 * 0.05),
            any::<f64>(),
            Just(-1.0),
            Just(f64::NAN),
        ]
    }

    proptest! {
        #[test]
        fn only_two_sided_quotes_with_a_positive_plausible_width_are_tradable(
            bid in any_price(), ask in any_price(), size in any::<f64>(),
            open in any::<bool>(), age in 0_u64..10_000,
        ) {
            let gates = Gates::default();
            let message = RawQuote { bid_size: size, ..raw(bid, ask) };
            let now = NOW.plus(Duration::from_secs(age));
            let verdict = gates.judge(TICK, &message, now, open);
            let width = ask - bid;
            if verdict.is_tradable() {
                prop_assert!(open && age <= 3600 && bid > 0.0 && width > 0.0);
                let (bid, ask) = verdict.quote().unwrap().both().unwrap();
                prop_assert!(bid < ask);
                let plausible = (ask - bid).to_f64() <= f64::max(1.0, 0.5 * (ask + bid).to_f64());
                prop_assert!(plausible);
            }
            prop_assert_eq!(verdict.is_tradable(), verdict.flaw().is_none());
        }

        #[test]
        fn a_batch_says_what_single_judgements_say(
            prices in prop::collection::vec((any_price(), any_price()), 0..50),
        ) {
            let gates = Gates::default();
            let lines: Vec<RawLine> = prices
                .iter()
                .map(|(bid, ask)| RawLine { tick: TICK, quote: raw(*bid, *ask) })
                .collect();
            let (mut counts, mut verdicts) = (FlawCounts::default(), Vec::new());
            gates.judge_all(&lines, NOW, true, &mut counts, &mut verdicts);
            prop_assert_eq!(counts.total(), lines.len() as u64);
            for (line, verdict) in lines.iter().zip(&verdicts) {
                prop_assert_eq!(*verdict, gates.judge(line.tick, &line.quote, NOW, true));
            }
            for flaw in Flaw::ALL {
                let named = verdicts.iter().filter(|verdict| verdict.flaw() == Some(flaw));
                prop_assert_eq!(counts.of(flaw), named.count() as u64);
            }
        }
    }
}
