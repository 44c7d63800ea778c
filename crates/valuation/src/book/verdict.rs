//! Whether a line may be traded on, and what stands in where its expiry names no model value.

use super::chain::{Chain, Input};
use super::settings::BookSettings;
use crate::view::{DataState, UnitGreeks};
use market::time::Timestamp;
use pricing::black::{ForwardContract, OptionKind};

impl Chain {
    /// Whether a line may be traded on.
    pub(super) fn judge(
        &self,
        at: usize,
        spot_is_fresh: bool,
        now: Timestamp,
        settings: &BookSettings,
    ) -> DataState {
        let (line, input) = (&self.lines[at], &self.inputs[at]);
        if input.last_trade <= now {
            return DataState::NotLive;
        }
        if !input.live {
            // A line taken over from before a restart stays what it was called until it is heard
            // of.
            return if input.dirty || line.state != DataState::Stale {
                DataState::NotLive
            } else {
                DataState::Stale
            };
        }
        let (true, Some((bid, ask))) = (input.valid, line.quote.both()) else {
            return DataState::Flawed;
        };
        // Without what early exercise adds, the model value is not this option's.
        if !spot_is_fresh || input.early.is_unknown() {
            return DataState::Stale;
        }
        let error = line.fair.map_or(0.0, |fair| fair.standard_error);
        let model = line.fair.map(|fair| fair.price).or_else(|| self.value_at_quoted_vol(input));
        let tick = input.tick.increment(ask).to_f64();
        let (bid, ask): (f64, f64) = (bid.to_f64(), ask.to_f64());
        let tolerance = (settings.fresh_standard_errors * error)
            .max(settings.fresh_ticks * tick)
            .max(settings.fresh_half_spreads * 0.5 * (ask - bid));
        match model {
            Some(value) if value >= bid - tolerance && value <= ask + tolerance => DataState::Fresh,
            Some(_) | None => DataState::Stale,
        }
    }

    /// Where neither the mid nor the other quotes name a volatility, Greeks follow the one that the
    /// quote implied when it came.
    pub(super) fn greeks_of_last_resort(&mut self) {
        for at in 0..self.lines.len() {
            if self.lines[at].greeks.is_none()
                && let Some((_, greeks)) = self.at_quoted_vol(&self.inputs[at])
            {
                self.lines[at].greeks = Some(greeks);
            }
        }
    }

    /// The value now at the volatility that the quote implied when it came: the judge of last
    /// resort where the expiry has too few quotes for a smile.
    fn value_at_quoted_vol(&self, input: &Input) -> Option<f64> {
        self.at_quoted_vol(input).map(|(price, _)| price)
    }

    fn at_quoted_vol(&self, input: &Input) -> Option<(f64, UnitGreeks)> {
        if input.quoted_vol.is_nan() {
            return None;
        }
        let contract = ForwardContract {
            forward: self.carry.forward(),
            strike: input.strike,
            years: self.years,
            vol: input.quoted_vol,
            discount: self.carry.discount,
            kind: if input.is_call { OptionKind::Call } else { OptionKind::Put },
        };
        let european = contract.price_and_greeks().ok()?;
        let added = input.early.at_vol(input.quoted_vol);
        let of_forward =
            [european.delta, european.gamma, european.vega, european.theta, european.rho];
        let exercise = self.exercise_value(input);
        let price = input.early.price(european.price, input.quoted_vol, exercise);
        Some((price, self.unit_greeks(of_forward, &added)))
    }
}
