//! The pricing book of one product: quotes in, immutable views out.
//!
//! Exists so that strategies, the gate and the risk book read the same numbers of the same moment.
//! Quotes only mark lines dirty; `recompute` prices what changed in one pass and publishes a view
//! in which unchanged expiries are the same `Arc` as before. Quality gates stand before it,
//! verdicts on orders behind it.
//!
//! Lines are dense indexes that never move, so a feed looks a contract up once.

mod chain;
mod forward;
mod greeks;
mod premiums;
mod regime;
mod settings;
mod surface;
mod verdict;

pub use settings::{BookCounts, BookSettings, RefusalCounts};

use crate::view::{ChainView, DataState, MarketView, RegimeView, UnderlyingLine};
use chain::{Chain, Scratch};
use forward::UnderlyingNow;
use market::corporate_action::DividendSchedule;
use market::instrument::{Catalog, ConId, Instrument, InstrumentKind};
use market::quote::Quote;
use market::time::{Date, Timestamp};
use regime::RealisedVol;
use std::collections::BTreeMap;
use std::sync::Arc;
use surface::BookSurface;

/// The nearest expiry beyond a week speaks for the product's implied volatility.
const WEEK_YEARS: f64 = 7.0 / 365.0;
/// Minutes of trading in a year on the stock exchanges, and on Globex.
const STOCK_MINUTES_PER_YEAR: f64 = 252.0 * 390.0;
const FUTURE_MINUTES_PER_YEAR: f64 = 252.0 * 1380.0;

/// What a feed says of one line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineUpdate {
    /// The last quote.
    pub quote: Quote,
    /// Both sides are there and the quality gates passed it.
    pub two_sided_valid: bool,
    /// The line is subscribed and confirmed live in this generation.
    pub live: bool,
}

/// Where a line's index points.
#[derive(Clone, Copy, Debug)]
enum Place {
    Underlying(usize),
    Option { chain: usize, at: usize },
    Gone,
}

#[derive(Debug)]
struct Underlying {
    line: UnderlyingLine,
    last_trade: Option<Timestamp>,
    valid: bool,
    touched: bool,
}

impl Underlying {
    fn now(&self) -> Option<UnderlyingNow> {
        let (bid, ask) = self.line.quote.both().filter(|_| self.valid)?;
        let (bid, ask) = (bid.to_f64(), ask.to_f64());
        Some(UnderlyingNow {
            mid: 0.5 * (bid + ask),
            half_spread: 0.5 * (ask - bid),
            state: self.line.state,
        })
    }
}

/// The machine; one per product symbol.
#[derive(Debug)]
pub struct PricingBook {
    symbol: String,
    settings: BookSettings,
    indexes: BTreeMap<ConId, u32>,
    places: Vec<Place>,
    underlyings: Vec<Underlying>,
    chains: Vec<Chain>,
    dividends: DividendSchedule,
    published: BTreeMap<(ConId, Date), Arc<ChainView>>,
    realised: RealisedVol,
    surface: BookSurface,
    scratch: Scratch,
    counts: BookCounts,
    version: u64,
    /// Something besides quotes changed (a listing, a restored view).
    changed: bool,
}

impl PricingBook {
    /// A book of all instruments of `symbol` in the catalog.
    #[must_use]
    pub fn new(symbol: &str, catalog: &Catalog, settings: BookSettings) -> Self {
        let own = || catalog.iter().filter(|instrument| instrument.symbol == symbol);
        let futures = own().any(|one| matches!(one.kind, InstrumentKind::Future(_)));
        let usual = if futures { FUTURE_MINUTES_PER_YEAR } else { STOCK_MINUTES_PER_YEAR };
        let minutes = settings.trading_minutes_per_year.unwrap_or(usual);
        let mut book = Self {
            symbol: symbol.to_owned(),
            realised: RealisedVol::new(settings.realised_decay, minutes),
            surface: BookSurface::new(),
            settings,
            indexes: BTreeMap::new(),
            places: Vec::new(),
            underlyings: Vec::new(),
            chains: Vec::new(),
            dividends: DividendSchedule::default(),
            published: BTreeMap::new(),
            scratch: Scratch::default(),
            counts: BookCounts::default(),
            version: 0,
            changed: false,
        };
        for instrument in own() {
            book.add_instrument(instrument);
        }
        book
    }

    /// With the stock's cash dividends, as announced or expected.
    #[must_use]
    pub fn with_dividends(mut self, dividends: DividendSchedule) -> Self {
        self.dividends = dividends;
        for chain in &mut self.chains {
            chain.set_dividends(&self.dividends);
        }
        self
    }

    /// The product's root symbol.
    #[must_use]
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// Adds a new listing and answers its line; `None` for another product's. The same one twice is
    /// the same line.
    pub fn add_instrument(&mut self, instrument: &Instrument) -> Option<u32> {
        if instrument.symbol != self.symbol {
            return None;
        }
        if let Some(&line) = self.indexes.get(&instrument.con_id) {
            return Some(line);
        }
        let line = self.places.len() as u32;
        self.indexes.insert(instrument.con_id, line);
        self.changed = true;
        match &instrument.kind {
            InstrumentKind::Stock | InstrumentKind::Index | InstrumentKind::Future(_) => {
                self.places.push(Place::Underlying(self.underlyings.len()));
                self.underlyings.push(Underlying {
                    line: UnderlyingLine {
                        con_id: instrument.con_id,
                        quote: Quote::empty(Timestamp::EPOCH),
                        state: DataState::NotLive,
                    },
                    last_trade: instrument.last_trade(),
                    valid: false,
                    touched: false,
                });
            }
            InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) => {
                let on_future = matches!(instrument.kind, InstrumentKind::FutureOption(_));
                let key = (terms.underlying, terms.expiry);
                let same = |chain: &Chain| (chain.underlying, chain.expiry) == key;
                let index = self.chains.iter().position(same).unwrap_or_else(|| {
                    let mut chain = Chain::new(terms, on_future);
                    chain.set_dividends(&self.dividends);
                    self.chains.push(chain);
                    self.chains.len() - 1
                });
                self.places.push(Place::Gone);
                self.chains[index].insert(line, instrument, terms);
                for (at, input) in self.chains[index].inputs.iter().enumerate() {
                    self.places[input.line as usize] = Place::Option { chain: index, at };
                }
            }
        }
        Some(line)
    }

    /// The line of an instrument.
    #[must_use]
    pub fn line_index(&self, con_id: ConId) -> Option<u32> {
        self.indexes.get(&con_id).copied()
    }

    /// What it has done so far.
    #[must_use]
    pub const fn counts(&self) -> &BookCounts {
        &self.counts
    }

    /// Takes updates by line; the last one of a line counts. Prices nothing.
    pub fn on_quotes(&mut self, updates: &[(u32, LineUpdate)]) {
        if !updates.is_empty() {
            self.surface.note_quotes();
        }
        for (line, update) in updates {
            self.counts.quotes_seen += 1;
            match self.places.get(*line as usize) {
                Some(&Place::Option { chain, at }) => {
                    let valid = self.chains[chain].quote(
                        at,
                        update.quote,
                        update.two_sided_valid,
                        update.live,
                    );
                    self.counts.two_sided += u64::from(valid);
                }
                Some(&Place::Underlying(index)) => {
                    let underlying = &mut self.underlyings[index];
                    underlying.valid = update.two_sided_valid && update.quote.both().is_some();
                    underlying.line.quote = update.quote;
                    underlying.line.state = match (update.live, underlying.valid) {
                        (false, _) => DataState::NotLive,
                        (true, false) => DataState::Flawed,
                        (true, true) => DataState::Fresh,
                    };
                    underlying.touched = true;
                }
                Some(Place::Gone) | None => self.counts.unknown_lines += 1,
            }
        }
    }

    /// Prices what changed and publishes; `None` when nothing did.
    pub fn recompute(&mut self, now: Timestamp) -> Option<Arc<MarketView>> {
        self.drop_expired(now);
        let mut changed = std::mem::take(&mut self.changed);
        for index in 0..self.underlyings.len() {
            if std::mem::take(&mut self.underlyings[index].touched) {
                changed = true;
                let id = self.underlyings[index].line.con_id;
                for chain in self.chains.iter_mut().filter(|chain| chain.underlying == id) {
                    chain.touched = true;
                }
            }
        }
        changed |= self.chains.iter().any(|chain| chain.touched);
        if !changed {
            return None;
        }
        self.version += 1;
        for chain in self.chains.iter_mut().filter(|chain| chain.touched) {
            let own = |line: &&Underlying| line.line.con_id == chain.underlying;
            let underlying = self.underlyings.iter().find(own).and_then(Underlying::now);
            chain.recompute(underlying, now, &self.settings, &mut self.scratch, &mut self.counts);
            let key = (chain.underlying, chain.expiry);
            self.published.insert(key, Arc::new(chain.view(self.version, now)));
        }
        let stamp = (self.version, now);
        self.surface.fit_when_due(&self.chains, stamp, &self.settings, &mut self.counts);
        self.counts.views += 1;
        Some(Arc::new(self.view(now)))
    }

    /// A warm start: takes over a view from before a restart. Nothing of it may be traded on until
    /// the feed has confirmed the lines.
    pub fn restore_from(&mut self, view: &MarketView) {
        if view.symbol != self.symbol {
            return;
        }
        self.version = self.version.max(view.version);
        self.changed = true;
        if let Some(annual) = view.regime.realised_vol {
            self.realised.resume(annual);
        }
        if let Some(surface) = &view.surface {
            self.surface.resume(surface);
        }
        for underlying in &mut self.underlyings {
            let id = underlying.line.con_id;
            if let Ok(at) = view.underlyings.binary_search_by_key(&id, |line| line.con_id) {
                underlying.line = view.underlyings[at];
                underlying.line.state = DataState::Stale;
            }
        }
        for chain in &mut self.chains {
            let key = (chain.underlying, chain.expiry);
            if let Some(old) = view.chains.get(&key) {
                chain.restore(old);
                chain.touched = false;
                self.published.insert(key, Arc::new(chain.view(self.version + 1, view.time)));
            }
        }
    }

    fn drop_expired(&mut self, now: Timestamp) {
        let over = |last: Option<Timestamp>| last.is_some_and(|last| last <= now);
        let mut gone = Vec::new();
        for chain in self.chains.iter().filter(|chain| over(Some(chain.last_trade))) {
            gone.extend(chain.inputs.iter().map(|input| input.line));
            self.published.remove(&(chain.underlying, chain.expiry));
        }
        for underlying in self.underlyings.iter().filter(|line| over(line.last_trade)) {
            gone.extend(self.indexes.get(&underlying.line.con_id));
        }
        if gone.is_empty() {
            return;
        }
        self.changed = true;
        self.chains.retain(|chain| !over(Some(chain.last_trade)));
        self.underlyings.retain(|line| !over(line.last_trade));
        for line in gone {
            self.places[line as usize] = Place::Gone;
        }
        for (index, chain) in self.chains.iter().enumerate() {
            for (at, input) in chain.inputs.iter().enumerate() {
                self.places[input.line as usize] = Place::Option { chain: index, at };
            }
        }
        for (index, underlying) in self.underlyings.iter().enumerate() {
            let line = self.indexes[&underlying.line.con_id];
            self.places[line as usize] = Place::Underlying(index);
        }
    }

    fn view(&mut self, now: Timestamp) -> MarketView {
        let mut underlyings: Vec<UnderlyingLine> =
            self.underlyings.iter().map(|underlying| underlying.line).collect();
        underlyings.sort_unstable_by_key(|line| line.con_id);
        let first = underlyings.first().map(|line| line.con_id);
        let sampled = self.underlyings.iter().find(|line| Some(line.line.con_id) == first);
        if let Some(line) = sampled.and_then(Underlying::now)
            && line.state == DataState::Fresh
        {
            self.realised.sample(now, line.mid);
        }
        MarketView {
            symbol: self.symbol.clone(),
            version: self.version,
            time: now,
            underlyings,
            chains: self.published.clone(),
            surface: self.surface.last(),
            regime: self.regime(),
        }
    }

    fn regime(&self) -> RegimeView {
        let (mut fresh, mut two_sided) = (0_u32, 0_u32);
        for line in self.published.values().flat_map(|chain| &chain.lines) {
            fresh += u32::from(line.state == DataState::Fresh);
            two_sided += u32::from(line.state <= DataState::Stale);
        }
        let with_vol = || self.published.values().filter(|chain| chain.at_the_money_vol.is_some());
        let by_years = |a: &&Arc<ChainView>, b: &&Arc<ChainView>| a.years.total_cmp(&b.years);
        let speaker = with_vol()
            .filter(|chain| chain.years > WEEK_YEARS)
            .min_by(by_years)
            .or_else(|| with_vol().max_by(by_years));
        RegimeView {
            realised_vol: self.realised.annual(),
            implied_vol: speaker.and_then(|chain| chain.at_the_money_vol),
            fresh_share: (two_sided > 0).then(|| f64::from(fresh) / f64::from(two_sided)),
        }
    }
}

#[cfg(test)]
mod tests;
