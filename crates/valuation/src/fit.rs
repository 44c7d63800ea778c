//! The fit of one product at one moment: quotes in, forwards, surface and fair values out.
//!
//! Exists as one machine for the command line and the judge over recorded days, which have quotes
//! and nothing else. (The node's book has read vols and premiums from its quotes before it fits the
//! same surface to them: `book/surface.rs`.) It keeps what is slow between moments: the carry of
//! each expiry, the last surface as a warm start, the memory of each contract. A moment in which
//! the surface fails leaves the last one untouched. Quality gates stand before it; publishing, and
//! how often to fit, is left to its owner.
//!
//! American options: what early exercise adds (`early_exercise.rs`) is taken off the quotes before
//! vols are implied and added back to fair values.

mod expiry;
mod moment;
mod premiums;

pub use expiry::{ExpiryFit, LineFit};
pub use moment::{ExpiryNow, LineNow, Terms, UnderlyingNow, expiries_of};

use expiry::Carry;
use market::time::Timestamp;
use pricing::essvi::{CalibrationSettings, Calibrator, Fitted, NoSurface, Slice, SliceQuotes};
use pricing::fair_value::{FairScratch, FairSettings, FairVol, Persistence, Reversion, Seen};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What shapes the fit of a product.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitSettings {
    /// Continuous annual rate used where the quotes do not name one.
    pub rate_guess: f64,
    /// Standard error of that rate.
    pub rate_guess_error: f64,
    /// Pairs further than this from the money, in |ln(strike / forward)|, do not enter parity.
    pub parity_max_log_moneyness: f64,
    /// Quotes that leave their vol open by more than this (half spread over vega) are left out.
    pub half_width_most: f64,
    /// Share of the early-exercise premium that counts as its standard error.
    pub premium_error_share: f64,
    /// The surface.
    pub calibration: CalibrationSettings,
    /// Fair vols.
    pub fair: FairSettings,
}

impl Default for FitSettings {
    fn default() -> Self {
        Self {
            rate_guess: 0.01,
            rate_guess_error: 0.01,
            parity_max_log_moneyness: 0.15,
            half_width_most: 0.5,
            premium_error_share: 0.1,
            calibration: CalibrationSettings::default(),
            fair: FairSettings::default(),
        }
    }
}

/// One product at one moment.
#[derive(Debug, Clone)]
pub struct MomentFit {
    /// The surface with its reports; slices in the order of those expiries that have one.
    pub fitted: Fitted,
    /// All expiries given, in the same order.
    pub expiries: Vec<ExpiryFit>,
}

#[derive(Debug, Clone, Copy)]
struct Memory {
    key: i64,
    third: u8,
    quoted: Timestamp,
    /// Forward, and slope of vol in log-moneyness, at the last look.
    forward: f64,
    slope: f64,
    own: Persistence,
}

/// The machine.
#[derive(Debug)]
pub struct ProductFit {
    settings: FitSettings,
    calibrator: Calibrator,
    carries: BTreeMap<i64, Carry>,
    memories: BTreeMap<u64, Memory>,
    /// By expiry and third of its strikes.
    reversions: BTreeMap<(i64, u8), Reversion>,
    scratch: FairScratch,
    fair: Vec<Option<FairVol>>,
}

impl ProductFit {
    /// Without a past.
    #[must_use]
    pub fn new(settings: FitSettings) -> Self {
        Self {
            settings,
            calibrator: Calibrator::new(settings.calibration),
            carries: BTreeMap::new(),
            memories: BTreeMap::new(),
            reversions: BTreeMap::new(),
            scratch: FairScratch::default(),
            fair: Vec::new(),
        }
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &FitSettings {
        &self.settings
    }

    /// Forward over underlying of an expiry, as the last moments left it.
    #[must_use]
    pub fn carry_ratio(&self, key: i64) -> Option<f64> {
        self.carries.get(&key).map(|carry| carry.ratio)
    }

    /// The vol to expect of a contract's next quote, by its own past as well as the others', should
    /// the forward of its expiry become `forward`.
    #[must_use]
    pub fn foretold(&self, id: u64, forward: f64) -> Option<f64> {
        let memory = self.memories.get(&id)?;
        let reversion = self.reversions.get(&(memory.key, memory.third))?;
        let moved = libm::log(forward / memory.forward);
        memory.own.foretold(reversion, -memory.slope * moved)
    }

    /// Fits the expiries of one moment, by rising years.
    ///
    /// # Errors
    /// No surface: nothing usable is quoted, or years do not rise. Fair values of a refused moment
    /// do not exist; what earlier moments left stays.
    pub fn fit(&mut self, expiries: &[ExpiryNow]) -> Result<MomentFit, NoSurface> {
        let mut fits: Vec<ExpiryFit> = Vec::with_capacity(expiries.len());
        for own in expiries {
            let carry =
                self.carries.entry(own.key).or_insert_with(|| Carry::new(own, &self.settings));
            fits.push(carry.fit(own, &self.settings));
        }
        let columns: Vec<[Vec<f64>; 3]> = fits.iter().map(ExpiryFit::columns).collect();
        let quotes: Vec<SliceQuotes<'_>> = expiries
            .iter()
            .zip(&columns)
            .map(|(own, [log_moneyness, vol, half_width])| SliceQuotes {
                key: own.key,
                years: own.years,
                log_moneyness,
                vol,
                half_width,
            })
            .collect();
        let fitted = self.calibrator.fit(&quotes)?;
        for (slice, report) in fitted.surface.slices().iter().zip(&fitted.slices) {
            let (own, fit) = (&expiries[report.expiry], &mut fits[report.expiry]);
            fit.slice = Some(*slice);
            let carry = self.carries.get_mut(&own.key).expect("each expiry given has a carry");
            let premiums = &mut carry.premiums;
            fit.judge(own, report, &self.settings, premiums, &mut self.scratch, &mut self.fair);
            remember(own, fit, slice, &mut self.memories, &mut self.reversions);
        }
        Ok(MomentFit { fitted, expiries: fits })
    }

    /// Drops what is known of expiries that are over: those whose key is below `first`.
    pub fn forget_before(&mut self, first: i64) {
        self.carries.retain(|&key, _| key >= first);
        self.reversions.retain(|&(key, _), _| key >= first);
        self.memories.retain(|_, memory| memory.key >= first);
    }
}

/// Lets the contracts of an expiry learn from its fair vols.
fn remember(
    own: &ExpiryNow,
    fit: &ExpiryFit,
    slice: &Slice,
    memories: &mut BTreeMap<u64, Memory>,
    reversions: &mut BTreeMap<(i64, u8), Reversion>,
) {
    for third in 0..3 {
        reversions.entry((own.key, third)).or_default().settle();
    }
    let deviation = slice.theta.sqrt();
    for (line, of_line) in own.lines.iter().zip(&fit.lines) {
        let (Some(vol), Some(fair)) = (of_line.vol, of_line.fair_vol) else { continue };
        let third = match of_line.log_moneyness / deviation {
            z if z < -1.0 => 0,
            z if z > 1.0 => 2,
            _ => 1,
        };
        let curve = slice.curve(of_line.log_moneyness);
        let slope = 0.5 * curve.slope / (curve.value * own.years).sqrt();
        let place = Memory {
            key: own.key,
            third,
            quoted: line.quoted,
            forward: fit.forward,
            slope,
            own: Persistence::default(),
        };
        let memory = memories.entry(line.id).or_insert(place);
        let seen = Seen {
            vol,
            model: fair.vol,
            noise: of_line.vol_error(),
            sticky: -memory.slope * libm::log(fit.forward / memory.forward),
            fresh: line.quoted > memory.quoted,
        };
        let mut learned = memory.own;
        learned.observe(seen, reversions.entry((own.key, third)).or_default());
        *memory = Memory { own: learned, ..place };
    }
}

#[cfg(test)]
mod tests;
