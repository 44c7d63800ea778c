//! What can be set about a pricing book, and what it counts.
//!
//! Plain data, apart from the book so that configuration and metrics can name it. Where the numbers
//! come from (files) is left to the node.

use pricing::implied::NoVol;
use serde::{Deserialize, Serialize};

/// Settings of one product's book. Defaults suit listed US options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BookSettings {
    /// Continuous annual rate used where the quotes do not name one.
    pub rate_guess: f64,
    /// Standard error of that rate.
    pub rate_guess_error: f64,
    /// Pairs further than this from the money, in |ln(strike / forward)|, do not enter parity.
    pub parity_max_log_moneyness: f64,
    /// Seconds of market time between two parity fits of an expiry; between them the forward
    /// follows the underlying.
    pub parity_refit_seconds: u32,
    /// Seconds of market time after which an expiry is computed anew although its forward rests.
    pub full_recompute_seconds: u32,
    /// Seconds of market time between two fits of the surface; zero fits none.
    pub surface_refit_seconds: u32,
    /// Prior deviation, in vol, of the smile's cubics: larger follows the quotes more closely.
    pub smile_roughness: f64,
    /// Share of what early exercise adds that counts as its standard error.
    pub premium_error_share: f64,
    /// A quote stays fresh while the model value is within so many standard errors of it.
    pub fresh_standard_errors: f64,
    /// Or within so many ticks.
    pub fresh_ticks: f64,
    /// Or within so many of its own half spreads.
    pub fresh_half_spreads: f64,
    /// Weight kept per minute by the realised volatility.
    pub realised_decay: f64,
    /// Minutes of trading in a year; absent: 23 hours a day for futures, 6.5 for all others, on 252
    /// days.
    pub trading_minutes_per_year: Option<f64>,
}

impl Default for BookSettings {
    fn default() -> Self {
        Self {
            rate_guess: 0.01,
            rate_guess_error: 0.01,
            parity_max_log_moneyness: 0.15,
            parity_refit_seconds: 5,
            full_recompute_seconds: 60,
            surface_refit_seconds: 300,
            smile_roughness: 1.0,
            premium_error_share: 0.05,
            fresh_standard_errors: 2.0,
            fresh_ticks: 0.5,
            fresh_half_spreads: 0.5,
            realised_decay: 0.97,
            trading_minutes_per_year: None,
        }
    }
}

/// Why mids had no implied volatility, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RefusalCounts {
    /// The mid was not positive.
    pub no_price: u64,
    /// The mid had no time value.
    pub below_intrinsic: u64,
    /// The mid was worth more than any volatility gives.
    pub above_cap: u64,
    /// The option had expired.
    pub expired: u64,
    /// An input was not finite.
    pub not_finite: u64,
    /// Forward or strike was not positive.
    pub not_positive: u64,
    /// No forward could be had for the expiry.
    pub no_forward: u64,
}

impl RefusalCounts {
    /// The counts of two lives of a book together.
    #[must_use]
    pub const fn plus(&self, later: &Self) -> Self {
        Self {
            no_price: self.no_price + later.no_price,
            below_intrinsic: self.below_intrinsic + later.below_intrinsic,
            above_cap: self.above_cap + later.above_cap,
            expired: self.expired + later.expired,
            not_finite: self.not_finite + later.not_finite,
            not_positive: self.not_positive + later.not_positive,
            no_forward: self.no_forward + later.no_forward,
        }
    }

    pub(super) fn count(&mut self, reason: NoVol) {
        let counter = match reason {
            NoVol::NoPrice => &mut self.no_price,
            NoVol::BelowIntrinsic => &mut self.below_intrinsic,
            NoVol::AboveCap => &mut self.above_cap,
            NoVol::Expired => &mut self.expired,
            NoVol::NotFinite | NoVol::TooExtreme => &mut self.not_finite,
            NoVol::NotPositive => &mut self.not_positive,
        };
        *counter += 1;
    }
}

/// What a book has done since it was made; counters only rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BookCounts {
    /// Updates taken, of underlyings and options.
    pub quotes_seen: u64,
    /// Updates for lines that the book does not have, or that have expired.
    pub unknown_lines: u64,
    /// Updates of options that were two-sided and valid.
    pub two_sided: u64,
    /// Implied volatilities solved, for new quotes and for moved underlyings.
    pub implied_vols_solved: u64,
    /// Those not solved, by reason.
    pub refusals: RefusalCounts,
    /// New option quotes that were found fresh when they were first judged.
    pub fresh: u64,
    /// Of these, those with an implied volatility of their own.
    pub fresh_with_own_vol: u64,
    /// Early-exercise premiums solved.
    pub premiums_solved: u64,
    /// Surfaces fitted and published.
    pub surfaces_published: u64,
    /// Fits of the surface that were refused, as by a test for arbitrage.
    pub surfaces_refused: u64,
    /// Views published.
    pub views: u64,
}

impl BookCounts {
    /// The counts of two lives of a book together.
    #[must_use]
    pub const fn plus(&self, later: &Self) -> Self {
        Self {
            quotes_seen: self.quotes_seen + later.quotes_seen,
            unknown_lines: self.unknown_lines + later.unknown_lines,
            two_sided: self.two_sided + later.two_sided,
            implied_vols_solved: self.implied_vols_solved + later.implied_vols_solved,
            refusals: self.refusals.plus(&later.refusals),
            fresh: self.fresh + later.fresh,
            fresh_with_own_vol: self.fresh_with_own_vol + later.fresh_with_own_vol,
            premiums_solved: self.premiums_solved + later.premiums_solved,
            surfaces_published: self.surfaces_published + later.surfaces_published,
            surfaces_refused: self.surfaces_refused + later.surfaces_refused,
            views: self.views + later.views,
        }
    }
}
