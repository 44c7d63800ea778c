//! Forward price and discount factor of one expiry, between and at parity fits.
//!
//! The carry (forward over underlying) is slow, the underlying is fast: parity names the carry and
//! the discount every few seconds, and between fits the forward moves with the underlying's mid.
//! For an option on a future the future's mid is the forward, and parity names the discount only.
//!
//! After the first fit the carry moves by at most two standard errors per fit: option quotes that
//! rest while the underlying jumps would otherwise drag the forward along and vouch for themselves.

use super::chain::{Chain, Scratch};
use super::settings::BookSettings;
use crate::view::DataState;
use market::time::Timestamp;
use pricing::parity::{ParityFit, ParityInputs, ParitySettings, fit_parity};
use std::time::Duration;

/// Standard errors by which one fit may move the carry, and the least such step as a share.
const STEP_ERRORS: f64 = 2.0;
const LEAST_STEP: f64 = 2e-5;
/// A mid inside a half spread h has about this standard deviation, in h.
const HALF_SPREAD_TO_DEVIATION: f64 = 0.577_350_269_189_625_8;

/// What an expiry needs to know of its underlying.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderlyingNow {
    pub(super) mid: f64,
    pub(super) half_spread: f64,
    pub(super) state: DataState,
}

/// Forward and discount of one expiry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carry {
    on_future: bool,
    /// Forward over underlying.
    pub(super) ratio: f64,
    /// Discount factor to the expiry.
    pub(super) discount: f64,
    /// Standard error of the forward.
    pub(super) forward_error: f64,
    spot: f64,
    fit_error: f64,
    fitted: bool,
    tried: Option<Timestamp>,
}

impl Carry {
    pub(super) const fn new(on_future: bool) -> Self {
        Self {
            on_future,
            ratio: 1.0,
            discount: 1.0,
            forward_error: 0.0,
            spot: 0.0,
            fit_error: 0.0,
            fitted: false,
            tried: None,
        }
    }

    /// The forward price; zero as long as there is none.
    pub(super) fn forward(&self) -> f64 {
        self.spot * self.ratio
    }

    /// Forgets what was fitted to quotes whose premiums were not known.
    pub(super) const fn begin_anew(&mut self) {
        self.fitted = false;
        self.tried = None;
    }

    /// Whether the options are written on a future.
    pub(super) const fn is_on_future(&self) -> bool {
        self.on_future
    }

    /// The underlying's price; zero as long as there is none.
    pub(super) const fn spot(&self) -> f64 {
        self.spot
    }

    pub(super) fn restore(&mut self, forward: f64, discount: f64) {
        if forward > 0.0 && discount > 0.0 {
            self.spot = forward;
            self.ratio = 1.0;
            self.discount = discount;
        }
    }

    pub(super) fn update(
        &mut self,
        chain: &Chain,
        underlying: Option<UnderlyingNow>,
        now: Timestamp,
        settings: &BookSettings,
        scratch: &mut Scratch,
    ) {
        let pause = Duration::from_secs(u64::from(settings.parity_refit_seconds));
        let due = self.tried.is_none_or(|tried| now.since(tried) >= pause);
        let fit = if due || underlying.is_none() {
            self.tried = Some(now);
            fit(chain, settings, scratch)
        } else {
            None
        };
        if let Some(fit) = &fit {
            self.discount = fit.discount;
            self.fit_error = fit.forward_error;
        }
        match (underlying, fit) {
            (Some(line), fit) => {
                self.spot = line.mid;
                self.follow(line.mid, fit.as_ref(), chain.years, settings);
                let quoted = HALF_SPREAD_TO_DEVIATION * line.half_spread;
                let fitted = if self.on_future { 0.0 } else { self.fit_error };
                self.forward_error = (quoted * quoted + fitted * fitted).sqrt();
            }
            (None, Some(fit)) => {
                self.spot = fit.forward / self.ratio;
                self.forward_error = fit.forward_error;
            }
            (None, None) => {}
        }
    }

    fn follow(&mut self, mid: f64, fit: Option<&ParityFit>, years: f64, settings: &BookSettings) {
        if self.on_future {
            self.ratio = 1.0;
        } else if let Some(fit) = fit {
            let named = fit.forward / mid;
            let widest = (STEP_ERRORS * fit.forward_error / fit.forward).max(LEAST_STEP);
            self.ratio = if self.fitted {
                self.ratio + (named - self.ratio).clamp(-widest, widest)
            } else {
                named
            };
            self.fitted = true;
        } else if !self.fitted {
            self.ratio = libm::exp(settings.rate_guess * years);
        }
        if !self.fitted && fit.is_none() {
            self.discount = libm::exp(-settings.rate_guess * years);
        }
        if self.on_future && fit.is_some() {
            self.fitted = true;
        }
    }
}

fn fit(chain: &Chain, settings: &BookSettings, scratch: &mut Scratch) -> Option<ParityFit> {
    let [strike, call_bid, call_ask, put_bid, put_ask] = &mut scratch.parity;
    for column in [&mut *strike, call_bid, call_ask, put_bid, put_ask] {
        column.clear();
    }
    // Quotes with a premium do not name a rate: far in the money both kinds are worth exercise now
    // at any rate, and a rate of zero explains itself. It is then held at the guess.
    let mut premiums_matter = false;
    for &(call, put) in &chain.pairs {
        if let (Some(of_call), Some(of_put)) = (chain.valid_quote(call), chain.valid_quote(put)) {
            // Parity holds for the European part.
            let of = |at: u32| chain.inputs[at as usize].early.now().price;
            let half_spreads = 0.5 * (of_call.1 - of_call.0 + of_put.1 - of_put.0);
            premiums_matter |= of(call).max(of(put)) > half_spreads;
            strike.push(chain.inputs[call as usize].strike);
            call_bid.push(of_call.0 - of(call));
            call_ask.push(of_call.1 - of(call));
            put_bid.push(of_put.0 - of(put));
            put_ask.push(of_put.1 - of(put));
        }
    }
    let inputs = ParityInputs { strike, call_bid, call_ask, put_bid, put_ask };
    let parity = ParitySettings {
        years: chain.years,
        rate_guess: settings.rate_guess,
        rate_guess_error: if premiums_matter { 0.0 } else { settings.rate_guess_error },
        max_log_moneyness: settings.parity_max_log_moneyness,
        min_pairs: 2,
    };
    fit_parity(&inputs, &parity).ok()
}
