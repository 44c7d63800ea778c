//! The fit of one product at one moment: quotes in, forwards, surface and fair values out.
//!
//! Exists as one machine for the pricing actor, the command line and the judge over recorded days,
//! so that all three speak of the same numbers. It keeps what is slow between moments: the carry of
//! each expiry, the last surface as a warm start, the memory of each contract. A moment in which the
//! surface fails leaves the last one untouched. Quality gates stand before it; publishing, and how
//! often to fit, is left to its owner.
//!
//! American options: what early exercise adds is asked of the caller ([`ExerciseTerms`]), taken off
//! the quotes before vols are implied and added back to fair values.

mod expiry;
mod moment;

pub use expiry::{ExpiryFit, LineFit};
pub use moment::{ExpiryNow, LineNow, UnderlyingNow, expiries_of};

use expiry::Carry;
use pricing::black::OptionKind;
use pricing::essvi::{CalibrationSettings, Calibrator, Fitted, NoSurface, SliceQuotes};
use pricing::fair_value::{FairScratch, FairSettings, FairVol, Persistence, PersistenceSettings};
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
    /// The memory of each contract.
    pub persistence: PersistenceSettings,
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
            persistence: PersistenceSettings::default(),
        }
    }
}

/// What early exercise is asked to be worth for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExerciseTerms {
    /// The underlying's price now; for an option on a future it is the forward.
    pub spot: f64,
    /// Whether the underlying is a future.
    pub on_future: bool,
    /// Key of the expiry, for schedules of dividends.
    pub key: i64,
    /// Years to expiry.
    pub years: f64,
    /// Forward price.
    pub forward: f64,
    /// Discount factor.
    pub discount: f64,
    /// Strike.
    pub strike: f64,
    /// Call or put.
    pub kind: OptionKind,
    /// Annual vol.
    pub vol: f64,
}

/// Answers what early exercise adds to the European price; zero for European options.
pub type Premium<'a> = &'a dyn Fn(&ExerciseTerms) -> f64;

/// One product at one moment.
#[derive(Debug, Clone)]
pub struct MomentFit {
    /// The surface with its reports; slices in the order of those expiries that have one.
    pub fitted: Fitted,
    /// All expiries given, in the same order.
    pub expiries: Vec<ExpiryFit>,
}

/// The machine.
#[derive(Debug)]
pub struct ProductFit {
    settings: FitSettings,
    calibrator: Calibrator,
    carries: BTreeMap<i64, Carry>,
    memories: BTreeMap<u64, (f64, Persistence)>,
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

    /// What a contract's own earlier quotes add to the model's vol.
    #[must_use]
    pub fn memory(&self, id: u64) -> f64 {
        self.memories.get(&id).map_or(0.0, |(_, memory)| memory.level())
    }

    /// Fits the expiries of one moment, by rising years. `minutes` counts from any fixed instant.
    ///
    /// # Errors
    /// No surface: nothing usable is quoted, or years do not rise. Fair values of a refused moment
    /// do not exist; what earlier moments left stays.
    pub fn fit(
        &mut self,
        expiries: &[ExpiryNow],
        minutes: f64,
        premium: Premium<'_>,
    ) -> Result<MomentFit, NoSurface> {
        let mut fits: Vec<ExpiryFit> = Vec::with_capacity(expiries.len());
        for own in expiries {
            let carry =
                self.carries.entry(own.key).or_insert_with(|| Carry::new(own, &self.settings));
            fits.push(carry.fit(own, &self.settings, premium));
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
            fit.judge(own, report, &self.settings, premium, &mut self.scratch, &mut self.fair);
            for (line, of_line) in own.lines.iter().zip(&fit.lines) {
                if let (Some(vol), Some(fair)) = (of_line.vol, of_line.fair_vol) {
                    let noise = of_line.vol_error();
                    let (last, memory) =
                        self.memories.entry(line.id).or_insert((minutes, Persistence::default()));
                    let off = vol - fair.vol;
                    memory.observe(off, noise, minutes - *last, &self.settings.persistence);
                    *last = minutes;
                }
            }
        }
        Ok(MomentFit { fitted, expiries: fits })
    }

    /// Drops what is known of expiries that are over: those whose key is below `first`.
    pub fn forget_before(&mut self, first: i64) {
        self.carries.retain(|&key, _| key >= first);
    }
}
