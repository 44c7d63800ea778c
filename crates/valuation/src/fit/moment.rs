//! What is quoted at one moment, as numbers: one list of lines per expiry.
//!
//! Exists so that the fit knows no instruments and its callers no arithmetic: catalog and quotes in,
//! numbers out. Only two-sided quotes that the gates let pass become lines.

use market::instrument::{Catalog, ConId, ExerciseStyle, InstrumentKind, OptionTerms, Right};
use market::quality::Gates;
use market::quote::Quote;
use market::time::{Date, Timestamp};
use pricing::black::OptionKind;
use std::collections::BTreeMap;

/// The underlying at the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnderlyingNow {
    /// Mid price.
    pub mid: f64,
    /// Half the bid-ask spread.
    pub half_spread: f64,
}

/// One two-sided option quote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineNow {
    /// Names the contract.
    pub id: u64,
    /// Strike.
    pub strike: f64,
    /// Call or put.
    pub kind: OptionKind,
    /// Best bid.
    pub bid: f64,
    /// Best ask.
    pub ask: f64,
    /// Price step at the ask.
    pub tick: f64,
    /// When the quote was made.
    pub quoted: Timestamp,
}

/// One expiry.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpiryNow {
    /// Days since 1970-01-01 of the expiry.
    pub key: i64,
    /// The expiry.
    pub expiry: Date,
    /// What the options are written on.
    pub underlying: ConId,
    /// Years (of 365 days) until trading ends.
    pub years: f64,
    /// Whether the options are written on a future.
    pub on_future: bool,
    /// Whether they may be exercised early.
    pub american: bool,
    /// The underlying, if it is quoted.
    pub spot: Option<UnderlyingNow>,
    /// The quotes.
    pub lines: Vec<LineNow>,
}

/// The expiries of a catalog at `now`, by rising years, from the last quotes by contract. `open` says
/// whether the options trade.
#[must_use]
pub fn expiries_of(
    catalog: &Catalog,
    quotes: &BTreeMap<ConId, Quote>,
    gates: &Gates,
    now: Timestamp,
    open: bool,
) -> Vec<ExpiryNow> {
    let mut expiries: BTreeMap<(Timestamp, ConId), ExpiryNow> = BTreeMap::new();
    for instrument in catalog.iter() {
        let (terms, on_future): (&OptionTerms, bool) = match &instrument.kind {
            InstrumentKind::Option(terms) => (terms, false),
            InstrumentKind::FutureOption(terms) => (terms, true),
            InstrumentKind::Stock | InstrumentKind::Index | InstrumentKind::Future(_) => continue,
        };
        let Some(quote) = quotes.get(&instrument.con_id) else { continue };
        let Some((bid, ask)) = quote.both() else { continue };
        let tick = instrument.tick.increment(ask);
        if terms.last_trade <= now || gates.flaw_of(tick, quote, now, open).is_some() {
            continue;
        }
        let own = expiries.entry((terms.last_trade, terms.underlying)).or_insert_with(|| {
            let epoch = Date::parse("1970-01-01").expect("it is a day");
            ExpiryNow {
                key: i64::from(epoch.days_until(terms.expiry)),
                expiry: terms.expiry,
                underlying: terms.underlying,
                years: now.years_until(terms.last_trade),
                on_future,
                american: terms.style == ExerciseStyle::American,
                spot: quotes.get(&terms.underlying).and_then(|quote| {
                    let (bid, ask) = quote.both().map(|(b, a)| (b.to_f64(), a.to_f64()))?;
                    let sound = ask >= bid && bid > 0.0;
                    sound.then_some(UnderlyingNow {
                        mid: 0.5 * (bid + ask),
                        half_spread: 0.5 * (ask - bid),
                    })
                }),
                lines: Vec::new(),
            }
        });
        own.lines.push(LineNow {
            id: u64::from(instrument.con_id.0),
            strike: terms.strike.to_f64(),
            kind: if terms.right == Right::Call { OptionKind::Call } else { OptionKind::Put },
            bid: bid.to_f64(),
            ask: ask.to_f64(),
            tick: tick.to_f64(),
            quoted: quote.time,
        });
    }
    expiries.into_values().collect()
}
