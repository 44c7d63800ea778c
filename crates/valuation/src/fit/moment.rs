//! What is quoted at one moment, as numbers: one list of lines per expiry.
//!
//! Exists so that the fit knows no instruments and its callers no arithmetic: catalog and quotes
//! in, numbers out. Only two-sided quotes that the gates let pass become lines.

use market::corporate_action::DividendSchedule;
use market::instrument::{Catalog, ConId, ExerciseStyle, InstrumentKind, OptionTerms, Right};
use market::quality::Gates;
use market::quote::Quote;
use market::time::{Date, Timestamp};
use pricing::black::OptionKind;
use pricing::dividends::CashDividend;
use std::collections::BTreeMap;

const DAYS_PER_YEAR: f64 = 365.0;

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
    /// The stock's cash dividends that go ex before expiry, by rising time.
    pub dividends: Vec<CashDividend>,
    /// The underlying, if it is quoted.
    pub spot: Option<UnderlyingNow>,
    /// The quotes.
    pub lines: Vec<LineNow>,
}

/// What does not change from moment to moment.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// All instruments of the product.
    pub catalog: &'a Catalog,
    /// What a quote must pass.
    pub gates: &'a Gates,
    /// The stock's cash dividends, as known.
    pub dividends: &'a DividendSchedule,
    /// The trading day.
    pub today: Date,
}

/// The expiries at `now`, by rising years, from the last quotes by contract, while the options
/// trade.
#[must_use]
pub fn expiries_of(
    terms_of_product: &Terms<'_>,
    quotes: &BTreeMap<ConId, Quote>,
    now: Timestamp,
) -> Vec<ExpiryNow> {
    let Terms { catalog, gates, dividends, today } = *terms_of_product;
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
        if terms.last_trade <= now || gates.flaw_of(tick, quote, now, true).is_some() {
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
                dividends: dividends_of(dividends, today, terms.expiry),
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

fn dividends_of(schedule: &DividendSchedule, today: Date, expiry: Date) -> Vec<CashDividend> {
    let ahead = schedule.between(today, expiry);
    ahead
        .map(|(ex_date, cash)| CashDividend {
            years: f64::from(today.days_until(ex_date)) / DAYS_PER_YEAR,
            cash: cash.to_f64(),
        })
        .collect()
}
