//! One expiry of a pricing book: from quotes to volatilities, Greeks, fair values and verdicts.
//!
//! The order is: forward and discount (forward.rs), own volatility and Greeks of what changed, one
//! smile over all live quotes, the leave-one-out fair value of each line, the verdict on each line
//! (verdict.rs).
//! Publishing is left to the book.
//!
//! Vols, forward and smile are European. What early exercise adds to an American option
//! (`premiums.rs`) is taken off its quote before they are read from it and added back to its value
//! and Greeks. AM and PM settled options of one day share an expiry here, and with it the later end
//! of trading as their time to expiry.

use super::forward::{Carry, UnderlyingNow};
use super::greeks::of_lane;
use super::premiums::{DUE_WORK, Early, FIRST_WORK};
use super::settings::{BookCounts, BookSettings};
use crate::view::{ChainView, DataState, FairValue, OptionLine};
use market::instrument::{ConId, Instrument, OptionTerms, Right, TickRule};
use market::money::Price;
use market::quote::Quote;
use market::time::{Date, Timestamp};
use pricing::black::{EuropeanGreeks, EuropeanInputs};
use pricing::implied::{ImpliedInputs, NoVol, implied_vols};
use pricing::smile::{Smile, SmileInputs};
use std::time::Duration;

/// A mid inside a quote of half width h has about this standard deviation, in h (uniform).
const HALF_SPREAD_TO_DEVIATION: f64 = 0.577_350_269_189_625_8;
/// A quote that leaves its volatility open by more than this (0.30 of vol) says nothing about it.
const WIDEST_VOL_ERROR: f64 = 0.3;
const NARROWEST_VOL_ERROR: f64 = 1e-5;
/// Premiums that were not known are solved so many times, each at the forward and the vols that the
/// last ones have given.
const FIRST_ROUNDS: usize = 3;

/// Columns that every expiry borrows in turn, so that pricing a quote allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    lanes: Vec<u32>,
    price: Vec<f64>,
    forward: Vec<f64>,
    strike: Vec<f64>,
    years: Vec<f64>,
    discount: Vec<f64>,
    is_call: Vec<bool>,
    vol: Vec<f64>,
    error: Vec<f64>,
    log_moneyness: Vec<f64>,
    solved: Vec<Result<f64, NoVol>>,
    greeks: EuropeanGreeks,
    pub(super) parity: [Vec<f64>; 5],
}

/// What the book knows of a line beyond what it publishes.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Its index in the book.
    pub(super) line: u32,
    pub(super) strike: f64,
    pub(super) is_call: bool,
    pub(super) valid: bool,
    pub(super) live: bool,
    pub(super) dirty: bool,
    pub(super) last_trade: Timestamp,
    /// What early exercise adds.
    pub(super) early: Early,
    log_strike: f64,
    pub(super) tick: TickRule,
    /// The volatility that the last quote implied when it came: it moves on with the underlying
    /// while the quote rests.
    pub(super) quoted_vol: f64,
    /// Of the own volatility.
    vega: f64,
    /// The lines of the same right at the strikes next to its own.
    beside: [Option<u32>; 2],
    /// Where it stands in the smile of this round.
    in_smile: Option<u32>,
}

/// One expiry on one underlying.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) underlying: ConId,
    pub(super) expiry: Date,
    pub(super) last_trade: Timestamp,
    pub(super) lines: Vec<OptionLine>,
    pub(super) inputs: Vec<Input>,
    /// Positions of the call and the put of each strike that has both.
    pub(super) pairs: Vec<(u32, u32)>,
    pub(super) carry: Carry,
    pub(super) at_the_money_vol: Option<f64>,
    pub(super) years: f64,
    /// Change of the forward per unit of the underlying: cash dividends do not grow with it.
    pub(super) growth: f64,
    /// The annual rate of that growth.
    pub(super) carry_rate: f64,
    /// Change of the forward per 1.00 of the rate.
    pub(super) forward_by_rate: f64,
    /// Cash dividends of the stock, by rising ex-date: midnight UTC before it trades without.
    pub(super) dividends: Vec<(Timestamp, f64)>,
    /// How many quotes name a volatility.
    pub(super) named: usize,
    /// Where the next renewal of premiums begins.
    pub(super) next_renewal: usize,
    pub(super) touched: bool,
    /// All of it was computed then, at this forward and discount.
    computed: Option<(Timestamp, f64, f64)>,
}

impl Chain {
    pub(super) fn new(terms: &OptionTerms, on_future: bool) -> Self {
        Self {
            underlying: terms.underlying,
            expiry: terms.expiry,
            last_trade: terms.last_trade,
            lines: Vec::new(),
            inputs: Vec::new(),
            pairs: Vec::new(),
            carry: Carry::new(on_future),
            at_the_money_vol: None,
            years: 0.0,
            growth: 1.0,
            carry_rate: 0.0,
            forward_by_rate: 0.0,
            dividends: Vec::new(),
            named: 0,
            next_renewal: 0,
            touched: false,
            computed: None,
        }
    }

    /// Adds an option in its place by con id.
    pub(super) fn insert(&mut self, line: u32, instrument: &Instrument, terms: &OptionTerms) {
        let id = instrument.con_id;
        let at = self.lines.partition_point(|known| known.con_id < id);
        let strike = terms.strike.to_f64();
        let fresh = OptionLine {
            con_id: id,
            right: terms.right,
            strike: terms.strike,
            quote: Quote::empty(Timestamp::EPOCH),
            state: DataState::NotLive,
            implied_vol: None,
            fair: None,
            greeks: None,
        };
        self.lines.insert(at, fresh);
        let input = Input {
            line,
            strike,
            is_call: terms.right == Right::Call,
            valid: false,
            live: false,
            dirty: false,
            last_trade: terms.last_trade,
            early: Early::of(terms.style),
            log_strike: libm::log(strike),
            tick: instrument.tick.clone(),
            quoted_vol: f64::NAN,
            vega: 0.0,
            beside: [None; 2],
            in_smile: None,
        };
        self.inputs.insert(at, input);
        self.last_trade = self.last_trade.max(terms.last_trade);
        self.pair_up();
        self.touched = true;
        self.computed = None;
    }

    fn pair_up(&mut self) {
        let mut order: Vec<u32> = (0..self.lines.len() as u32).collect();
        order.sort_by_key(|&at| {
            let line = &self.lines[at as usize];
            (line.strike, line.right, line.con_id)
        });
        for right in [Right::Call, Right::Put] {
            let of_right = order.iter().filter(|at| self.lines[**at as usize].right == right);
            let column: Vec<u32> = of_right.copied().collect();
            for (index, &at) in column.iter().enumerate() {
                let below = index.checked_sub(1).map(|below| column[below]);
                self.inputs[at as usize].beside = [below, column.get(index + 1).copied()];
            }
        }
        self.pairs.clear();
        for neighbours in order.windows(2) {
            let [call, put] = [neighbours[0], neighbours[1]].map(|at| &self.lines[at as usize]);
            if call.strike == put.strike && call.right != put.right {
                self.pairs.push((neighbours[0], neighbours[1]));
            }
        }
    }

    pub(super) fn quote(&mut self, at: usize, quote: Quote, two_sided: bool, live: bool) -> bool {
        let valid = two_sided && quote.both().is_some();
        let input = &mut self.inputs[at];
        input.valid = valid;
        input.live = live;
        input.dirty = true;
        self.lines[at].quote = quote;
        self.touched = true;
        valid
    }

    /// Takes over what an earlier view said, as stale.
    pub(super) fn restore(&mut self, view: &ChainView) {
        for (line, input) in self.lines.iter_mut().zip(&mut self.inputs) {
            if let Some(old) = view.line(line.con_id) {
                *line = *old;
                line.state = match old.state {
                    DataState::Fresh | DataState::Stale => DataState::Stale,
                    flawed_or_not_live => flawed_or_not_live,
                };
                input.valid = old.quote.both().is_some() && old.state <= DataState::Stale;
                input.quoted_vol = old.implied_vol.unwrap_or(f64::NAN);
                input.vega = old.greeks.map_or(0.0, |greeks| greeks.vega);
            }
        }
        self.at_the_money_vol = view.at_the_money_vol;
        self.years = view.years;
        self.carry.restore(view.forward, view.discount);
    }

    pub(super) fn view(&self, version: u64, time: Timestamp) -> ChainView {
        ChainView {
            underlying: self.underlying,
            expiry: self.expiry,
            last_trade: self.last_trade,
            years: self.years,
            forward: self.carry.forward(),
            discount: self.carry.discount,
            at_the_money_vol: self.at_the_money_vol,
            lines: self.lines.clone(),
            version,
            time,
        }
    }

    /// Computes what the touched quotes or the underlying have changed.
    pub(super) fn recompute(
        &mut self,
        underlying: Option<UnderlyingNow>,
        now: Timestamp,
        settings: &BookSettings,
        scratch: &mut Scratch,
        counts: &mut BookCounts,
    ) {
        self.touched = false;
        self.years = now.years_until(self.last_trade);
        let mut carry = self.carry;
        carry.update(self, underlying, now, settings, scratch);
        self.take_carry(carry, now);
        let has_forward = self.carry.forward() > 0.0;
        if has_forward {
            let all = self.moved_since_computed(now, settings);
            let mut smile = self.value(all, settings, scratch, counts);
            let mut renewed = self.renew_premiums(DUE_WORK, now, counts);
            let rounds = if renewed.unknown > 0 { FIRST_ROUNDS } else { 0 };
            for _ in 0..rounds {
                // New premiums change the forward and the vols that they were solved at.
                self.expand_premiums();
                let mut carry = self.carry;
                carry.begin_anew();
                carry.update(self, underlying, now, settings, scratch);
                self.take_carry(carry, now);
                smile = self.value(true, settings, scratch, counts);
                renewed = self.renew_premiums(FIRST_WORK, now, counts);
                if !renewed.any() {
                    break;
                }
            }
            if renewed.any() {
                smile = self.value(true, settings, scratch, counts);
            }
            self.vols_of_exercised(now, counts);
            self.greeks_of_last_resort();
            self.at_the_money_vol = smile
                .and_then(|smile| smile.fair_vol_at(0.0).ok())
                .map(|fair| fair.vol)
                .or_else(|| self.vol_next_to_the_money());
        } else {
            counts.refusals.no_forward +=
                self.inputs.iter().filter(|input| input.dirty).count() as u64;
        }
        let spot_is_fresh = underlying.is_some_and(|line| line.state == DataState::Fresh);
        for at in 0..self.lines.len() {
            self.lines[at].state = self.judge(at, spot_is_fresh, now, settings);
            if self.inputs[at].dirty {
                let fresh = self.lines[at].state == DataState::Fresh;
                counts.fresh += u64::from(fresh);
                let own = self.lines[at].implied_vol.is_some();
                counts.fresh_with_own_vol += u64::from(fresh && own);
                self.inputs[at].dirty = false;
            }
        }
    }

    fn take_carry(&mut self, carry: Carry, now: Timestamp) {
        self.carry = carry;
        let cash: f64 = self.dividends_ahead(now).map(|dividend| dividend.cash).sum();
        let spot = carry.spot();
        self.growth = carry.ratio + if spot > 0.0 { cash / spot } else { 0.0 };
        self.carry_rate = libm::log(self.growth) / self.years;
        self.forward_by_rate = self.forward_by_rate(now);
    }

    /// Vols, Greeks and fair values, with the premiums that are known.
    fn value(
        &mut self,
        all: bool,
        settings: &BookSettings,
        scratch: &mut Scratch,
        counts: &mut BookCounts,
    ) -> Option<Smile> {
        self.expand_premiums();
        self.own_vols(all, scratch, counts);
        let smile = self.smile(settings, scratch);
        self.fair_values(smile.as_ref(), settings, scratch);
        smile
    }

    fn moved_since_computed(&mut self, now: Timestamp, settings: &BookSettings) -> bool {
        let (forward, discount) = (self.carry.forward(), self.carry.discount);
        let longest = Duration::from_secs(u64::from(settings.full_recompute_seconds));
        let all = self.computed.is_none_or(|(time, old_forward, old_discount)| {
            old_forward != forward || old_discount != discount || now.since(time) >= longest
        });
        if all {
            self.computed = Some((now, forward, discount));
        }
        all
    }

    /// Volatility of the mid and Greeks at it, for `all` lines or those with a new quote.
    fn own_vols(&mut self, all: bool, scratch: &mut Scratch, counts: &mut BookCounts) {
        scratch.lanes.clear();
        scratch.price.clear();
        let discount = self.carry.discount;
        for (at, input) in self.inputs.iter_mut().enumerate() {
            if !(all || input.dirty) {
                continue;
            }
            let line = &mut self.lines[at];
            // What a resting quote of an option best exercised implied when it came is kept.
            if input.dirty || !input.early.is_exercised() {
                line.implied_vol = None;
            }
            line.greeks = None;
            input.vega = 0.0;
            if input.dirty {
                input.quoted_vol = f64::NAN;
            }
            if input.valid
                && let Some((bid, ask)) = line.quote.both()
            {
                let european = 0.5 * (bid.to_f64() + ask.to_f64()) - input.early.now().price;
                scratch.lanes.push(at as u32);
                scratch.price.push(european / discount);
            }
        }
        self.fill_terms(scratch);
        scratch.solved.clear();
        scratch.solved.resize(scratch.lanes.len(), Err(NoVol::NoPrice));
        let inputs = ImpliedInputs {
            undiscounted_price: &scratch.price,
            forward: &scratch.forward,
            strike: &scratch.strike,
            years: &scratch.years,
            is_call: &scratch.is_call,
        };
        implied_vols(&inputs, &mut scratch.solved).expect("columns are filled lane by lane");
        scratch.vol.clear();
        for (lane, &at) in scratch.lanes.iter().enumerate() {
            let early = &self.inputs[at as usize].early;
            let solved = scratch.solved[lane]
                .and_then(|vol| early.american_vol(vol).ok_or(NoVol::BelowIntrinsic));
            match solved {
                Ok(vol) => {
                    counts.implied_vols_solved += 1;
                    scratch.vol.push(vol);
                    self.lines[at as usize].implied_vol = Some(vol);
                    let input = &mut self.inputs[at as usize];
                    if input.dirty {
                        input.quoted_vol = vol;
                    }
                }
                Err(reason) => {
                    counts.refusals.count(reason);
                    scratch.vol.push(f64::NAN);
                }
            }
        }
        fill_greeks(scratch);
        for (lane, &at) in scratch.lanes.iter().enumerate() {
            if scratch.greeks.refusal[lane].is_none() {
                let added = self.inputs[at as usize].early.at_vol(scratch.vol[lane]);
                let greeks = self.unit_greeks(of_lane(&scratch.greeks, lane), &added);
                self.lines[at as usize].greeks = Some(greeks);
                self.inputs[at as usize].vega = greeks.vega;
            }
        }
    }

    /// The columns that each lane shares with its expiry, for the lanes in `scratch.lanes`.
    fn fill_terms(&self, scratch: &mut Scratch) {
        let lanes = scratch.lanes.len();
        for (column, value) in [
            (&mut scratch.forward, self.carry.forward()),
            (&mut scratch.years, self.years),
            (&mut scratch.discount, self.carry.discount),
        ] {
            column.clear();
            column.resize(lanes, value);
        }
        scratch.strike.clear();
        scratch.is_call.clear();
        for &at in &scratch.lanes {
            scratch.strike.push(self.inputs[at as usize].strike);
            scratch.is_call.push(self.inputs[at as usize].is_call);
        }
    }

    /// One smile over all live, valid quotes that have a volatility.
    fn smile(&mut self, settings: &BookSettings, scratch: &mut Scratch) -> Option<Smile> {
        scratch.log_moneyness.clear();
        scratch.vol.clear();
        scratch.error.clear();
        let log_forward = libm::log(self.carry.forward());
        for (line, input) in self.lines.iter().zip(&mut self.inputs) {
            input.in_smile = None;
            let Some((vol, half_width)) = vol_and_half_width(line, input) else { continue };
            let error = HALF_SPREAD_TO_DEVIATION * half_width;
            if error <= WIDEST_VOL_ERROR {
                input.in_smile = Some(scratch.vol.len() as u32);
                scratch.log_moneyness.push(input.log_strike - log_forward);
                scratch.vol.push(vol);
                scratch.error.push(error.max(NARROWEST_VOL_ERROR));
            }
        }
        self.named = scratch.vol.len();
        let inputs = SmileInputs {
            log_moneyness: &scratch.log_moneyness,
            vol: &scratch.vol,
            vol_error: &scratch.error,
        };
        Smile::fit(&inputs, settings.smile_roughness).ok()
    }

    /// Log-moneyness, vol and half its bid-ask spread in vol, of each quote in the smile.
    pub(super) fn named_vols(&self) -> impl Iterator<Item = [f64; 3]> + '_ {
        let log_forward = libm::log(self.carry.forward());
        let lines = self.lines.iter().zip(&self.inputs);
        lines.filter(|(_, input)| input.in_smile.is_some()).filter_map(move |(line, input)| {
            let (vol, half_width) = vol_and_half_width(line, input)?;
            Some([input.log_strike - log_forward, vol, half_width])
        })
    }

    /// Each line's value by the other quotes; Greeks from it where the line has no own volatility.
    fn fair_values(
        &mut self,
        smile: Option<&Smile>,
        settings: &BookSettings,
        scratch: &mut Scratch,
    ) {
        scratch.lanes.clear();
        scratch.vol.clear();
        scratch.error.clear();
        let log_forward = libm::log(self.carry.forward());
        // Beyond the outermost quotes that name a volatility the smile goes on flat, with the error
        // that it has there.
        let quoted = &scratch.log_moneyness;
        let lowest = quoted.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = quoted.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let beyond = |smile: &Smile, k: f64| {
            let there = smile.fair_vol_at(k).ok()?;
            let vol = match (k < lowest, k > highest) {
                (true, _) => smile.fair_vol_at(lowest).ok()?.vol,
                (_, true) => smile.fair_vol_at(highest).ok()?.vol,
                (false, false) => there.vol,
            };
            Some((vol, there.standard_error))
        };
        for (at, input) in self.inputs.iter().enumerate() {
            self.lines[at].fair = None;
            let fair = smile.and_then(|smile| match input.in_smile {
                Some(index) => {
                    let fair = smile.fair_vol_without(index as usize).ok()?;
                    Some((fair.vol, fair.standard_error))
                }
                None => beyond(smile, input.log_strike - log_forward),
            });
            if let Some((vol, standard_error)) = fair {
                scratch.lanes.push(at as u32);
                scratch.vol.push(vol);
                scratch.error.push(standard_error);
            }
        }
        self.fill_terms(scratch);
        fill_greeks(scratch);
        for (lane, &at) in scratch.lanes.iter().enumerate() {
            if scratch.greeks.refusal[lane].is_some() {
                continue;
            }
            let input = &self.inputs[at as usize];
            let added = input.early.at_vol(scratch.vol[lane]);
            let greeks = self.unit_greeks(of_lane(&scratch.greeks, lane), &added);
            let of_vol = greeks.vega * scratch.error[lane];
            let of_forward = greeks.delta / self.growth * self.carry.forward_error;
            let of_premium = settings.premium_error_share * added.price;
            let squares = of_vol * of_vol + of_forward * of_forward + of_premium * of_premium;
            let fair = FairValue {
                price: input.early.price(
                    scratch.greeks.price[lane],
                    scratch.vol[lane],
                    self.exercise_value(input),
                ),
                standard_error: squares.sqrt().max(self.common_error(input)),
                vol: scratch.vol[lane],
            };
            if self.lines[at as usize].greeks.is_none() {
                self.lines[at as usize].greeks = Some(greeks);
            }
            let line = &mut self.lines[at as usize];
            line.fair = (fair.price.is_finite() && fair.standard_error.is_finite()).then_some(fair);
        }
    }

    /// The error that neighbouring quotes have in common: their makers share models and
    /// inventories, so a smile can't average it out. Its own quote has no say in it.
    fn common_error(&self, input: &Input) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for at in input.beside.into_iter().flatten() {
            if let Some((bid, ask)) = self.valid_quote(at) {
                sum += 0.5 * (ask - bid);
                count += 1.0;
            }
        }
        if count == 0.0 { 0.0 } else { HALF_SPREAD_TO_DEVIATION * sum / count }
    }

    /// What exercise now pays whoever may.
    pub(super) fn exercise_value(&self, input: &Input) -> f64 {
        let sign = if input.is_call { 1.0 } else { -1.0 };
        (sign * (self.carry.spot() - input.strike)).max(0.0)
    }

    fn vol_next_to_the_money(&self) -> Option<f64> {
        let forward = self.carry.forward();
        let distance = |at: &usize| (self.inputs[*at].strike - forward).abs();
        (0..self.lines.len())
            .filter(|&at| self.lines[at].implied_vol.is_some())
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .and_then(|at| self.lines[at].implied_vol)
    }

    /// Bid and ask of a line as floats, when it is two-sided and valid.
    pub(super) fn valid_quote(&self, at: u32) -> Option<(f64, f64)> {
        let both = self.lines[at as usize].quote.both()?;
        let (bid, ask): (Price, Price) = both;
        self.inputs[at as usize].valid.then(|| (bid.to_f64(), ask.to_f64()))
    }
}

/// The vol that a line's own quote names, and half its bid-ask spread in vol.
fn vol_and_half_width(line: &OptionLine, input: &Input) -> Option<(f64, f64)> {
    let (vol, (bid, ask)) = line.implied_vol.zip(line.quote.both())?;
    let tick = input.tick.increment(ask).to_f64();
    let half_spread = (0.5 * (ask.to_f64() - bid.to_f64())).max(0.5 * tick);
    let named = input.live && input.valid && input.vega > 0.0;
    named.then(|| (vol, half_spread / input.vega))
}

fn fill_greeks(scratch: &mut Scratch) {
    let inputs = EuropeanInputs {
        forward: &scratch.forward,
        strike: &scratch.strike,
        years: &scratch.years,
        vol: &scratch.vol,
        discount: &scratch.discount,
        is_call: &scratch.is_call,
    };
    scratch.greeks.fill(&inputs).expect("columns are filled lane by lane");
}
