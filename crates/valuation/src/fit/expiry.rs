//! One expiry of a fit: its carry, the vols of its quotes, and their fair values.
//!
//! The carry (forward over underlying) is slow, the underlying fast: parity names the carry at each
//! moment, the carry takes it over within its error, and the forward follows the underlying's mid.
//! For an option on a future the future's mid is the forward and parity names the discount only.

use super::FitSettings;
use super::moment::{ExpiryNow, LineNow};
use super::premiums::Premiums;
use crate::early_exercise::ExerciseTerms;
use pricing::black::{ForwardContract, OptionKind};
use pricing::essvi::{Slice, SliceReport};
use pricing::fair_value::{
    FairInputs, FairScratch, FairValue, FairVol, InputErrors, fair_value, fair_vols,
};
use pricing::implied::implied_vol;
use pricing::parity::{
    AmericanParityFit, DiscountSource, ParityFit, ParityInputs, ParityResidual, ParitySettings,
    PremiumTerms, fit_american_parity, parity_residuals,
};
use pricing::svi::fit_svi;

/// A mid inside a half spread h has about this standard deviation, in h (uniform).
const HALF_SPREAD_TO_DEVIATION: f64 = 0.577_350_269_189_625_8;
/// How much of what a fit says is new about the carry enters at once.
const CARRY_GAIN: f64 = 0.2;
/// The gain of a fit that is surer than the carry so far.
const CARRY_GAIN_MOST: f64 = 0.8;
/// Points on which a raw SVI slice is tested for butterflies.
const SVI_POINTS: usize = 101;
/// Long expiries take pairs from further out: listed strikes lie further apart there.
const REACH: f64 = 0.3;
/// What deep in-the-money quotes know of their vol lies below the rounding of the premium.
const VEGA_LEAST: f64 = 1e-6;

/// What is slow about an expiry.
#[derive(Debug, Clone)]
pub(super) struct Carry {
    /// Forward over underlying.
    pub(super) ratio: f64,
    ratio_error: f64,
    /// Continuous annual rate and its error.
    rate: f64,
    rate_error: f64,
    named: bool,
    pub(super) premiums: Premiums,
}

/// One line's part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineFit {
    /// ln(strike / forward).
    pub log_moneyness: f64,
    /// European vol of the mid, where it names one that is worth having.
    pub vol: Option<f64>,
    /// Half the bid-ask spread in vol.
    pub half_width: f64,
    /// What early exercise adds.
    pub premium: f64,
    /// Vol by all other quotes.
    pub fair_vol: Option<FairVol>,
    /// Price by all other quotes.
    pub fair: Option<FairValue>,
}

impl LineFit {
    /// Standard deviation of the mid's vol.
    #[must_use]
    pub fn vol_error(&self) -> f64 {
        (HALF_SPREAD_TO_DEVIATION * self.half_width).max(1e-5)
    }
}

/// One expiry at one moment.
#[derive(Debug, Clone)]
pub struct ExpiryFit {
    /// Its key.
    pub key: i64,
    /// Years to expiry.
    pub years: f64,
    /// Underlying's mid, where it is quoted.
    pub spot: Option<f64>,
    /// Whether the options may be exercised early.
    pub american: bool,
    /// Forward price; NaN where neither underlying nor parity names one.
    pub forward: f64,
    /// Its standard error.
    pub forward_error: f64,
    /// Discount factor.
    pub discount: f64,
    /// Standard error of the rate behind it.
    pub rate_error: f64,
    /// The moment's own parity fit.
    pub parity: Option<ParityFit>,
    /// What each strike with both rights is off it, premiums taken out.
    pub residuals: Vec<ParityResidual>,
    /// The slice of the surface, if the expiry is in it.
    pub slice: Option<Slice>,
    /// In the order of the quotes.
    pub lines: Vec<LineFit>,
}

impl Carry {
    pub(super) fn new(own: &ExpiryNow, settings: &FitSettings) -> Self {
        let rate = settings.rate_guess;
        let ratio = match own.spot {
            Some(spot) if !own.on_future => {
                let grown = |cash: f64, left: f64| cash / spot.mid * libm::exp(rate * left);
                let paid = own.dividends.iter().map(|one| grown(one.cash, own.years - one.years));
                libm::exp(rate * own.years) - paid.sum::<f64>()
            }
            _ if own.on_future => 1.0,
            _ => libm::exp(rate * own.years),
        };
        let ratio_error = if own.on_future { 0.0 } else { settings.rate_guess_error * own.years };
        Self {
            ratio,
            ratio_error,
            rate,
            rate_error: settings.rate_guess_error,
            named: false,
            premiums: Premiums::default(),
        }
    }

    pub(super) fn fit(&mut self, own: &ExpiryNow, settings: &FitSettings) -> ExpiryFit {
        let (parity, residuals) = self.parity(own, settings);
        let fit = parity.as_ref().map(|found| found.fit);
        if let Some(fit) = &fit {
            self.follow(own, fit);
        }
        let (forward, forward_error) = match (own.spot, &fit) {
            (Some(spot), _) => {
                let quoted = HALF_SPREAD_TO_DEVIATION * spot.half_spread;
                let forward = spot.mid * self.ratio;
                (forward, libm::hypot(quoted, forward * self.ratio_error))
            }
            (None, Some(fit)) => (fit.forward, fit.forward_error),
            (None, None) => (f64::NAN, f64::NAN),
        };
        let mut found = ExpiryFit {
            key: own.key,
            years: own.years,
            spot: own.spot.map(|spot| spot.mid),
            american: own.american,
            forward,
            forward_error,
            discount: libm::exp(-self.rate * own.years),
            rate_error: self.rate_error,
            parity: fit,
            residuals,
            slice: None,
            lines: Vec::with_capacity(own.lines.len()),
        };
        for line in &own.lines {
            let of_line = found.line(own, line, settings, &mut self.premiums);
            found.lines.push(of_line);
        }
        found
    }

    fn parity(
        &mut self,
        own: &ExpiryNow,
        settings: &FitSettings,
    ) -> (Option<AmericanParityFit>, Vec<ParityResidual>) {
        let mut columns: [Vec<f64>; 5] = Default::default();
        let mut calls: Vec<&LineNow> =
            own.lines.iter().filter(|line| line.kind == OptionKind::Call).collect();
        calls.sort_unstable_by(|a, b| a.strike.total_cmp(&b.strike));
        let mut puts: Vec<&LineNow> =
            own.lines.iter().filter(|line| line.kind == OptionKind::Put).collect();
        puts.sort_unstable_by(|a, b| a.strike.total_cmp(&b.strike));
        let mut at = 0;
        for call in calls {
            while puts.get(at).is_some_and(|put| put.strike < call.strike) {
                at += 1;
            }
            let Some(put) = puts.get(at).filter(|put| put.strike == call.strike) else { continue };
            let row = [call.strike, call.bid, call.ask, put.bid, put.ask];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let [strike, call_bid, call_ask, put_bid, put_ask] = &columns;
        let inputs = ParityInputs { strike, call_bid, call_ask, put_bid, put_ask };
        let (rate_guess, rate_guess_error) = if self.named {
            (self.rate, self.rate_error.max(0.25 * settings.rate_guess_error))
        } else {
            (settings.rate_guess, settings.rate_guess_error)
        };
        let parity = ParitySettings {
            years: own.years,
            rate_guess,
            rate_guess_error,
            max_log_moneyness: settings.parity_max_log_moneyness.max(REACH * own.years.sqrt()),
            min_pairs: 1,
        };
        let spot = own.spot.map(|spot| spot.mid);
        let (ratio, premiums) = (self.ratio, &mut self.premiums);
        let found = fit_american_parity(&inputs, &parity, |terms: &PremiumTerms| {
            if !own.american {
                return 0.0;
            }
            let stock = (!own.on_future).then(|| spot.unwrap_or(terms.forward / ratio));
            premiums.of(&ExerciseTerms {
                spot: stock,
                dividends: &own.dividends,
                years: own.years,
                forward: terms.forward,
                forward_error: 0.0,
                discount: terms.discount,
                strike: terms.strike,
                kind: terms.kind,
                vol: terms.vol,
            })
        });
        let Ok(found) = found else { return (None, Vec::new()) };
        let take = |column: &[f64], own: &[f64]| -> Vec<f64> {
            column.iter().zip(own).map(|(quote, own)| (quote - own).max(0.0)).collect()
        };
        let european = [
            take(call_bid, &found.call_premium),
            take(call_ask, &found.call_premium),
            take(put_bid, &found.put_premium),
            take(put_ask, &found.put_premium),
        ];
        let [call_bid, call_ask, put_bid, put_ask] = &european;
        let inputs = ParityInputs { strike, call_bid, call_ask, put_bid, put_ask };
        let residuals = parity_residuals(&inputs, &found.fit).unwrap_or_default();
        (Some(found), residuals)
    }

    /// Takes over what a fit says, no faster than its error allows.
    fn follow(&mut self, own: &ExpiryNow, fit: &ParityFit) {
        if fit.discount_source == DiscountSource::Quotes {
            let rate = -libm::log(fit.discount) / own.years;
            let error = fit.discount_error / fit.discount / own.years;
            let gain = gain(self.rate_error, error);
            self.rate += gain * (rate - self.rate);
            self.rate_error = libm::hypot((1.0 - gain) * self.rate_error, gain * error);
            self.named = true;
        }
        let Some(spot) = own.spot.filter(|_| !own.on_future) else { return };
        let ratio = fit.forward / spot.mid;
        let quoted = HALF_SPREAD_TO_DEVIATION * spot.half_spread / spot.mid;
        let error = libm::hypot(fit.forward_error / fit.forward, quoted);
        let gain = gain(self.ratio_error, error);
        self.ratio += gain * (ratio - self.ratio);
        self.ratio_error = libm::hypot((1.0 - gain) * self.ratio_error, gain * error);
    }
}

/// Share of a new value that is taken over: by its variance against that of the old one, within
/// bounds that keep the old one moving.
fn gain(old_error: f64, new_error: f64) -> f64 {
    let (old, new) = (old_error * old_error, new_error * new_error);
    let share = old / (old + new);
    if share.is_finite() { share.clamp(CARRY_GAIN, CARRY_GAIN_MOST) } else { CARRY_GAIN }
}

impl ExpiryFit {
    fn contract(&self, line: &LineNow, vol: f64) -> ForwardContract {
        ForwardContract {
            forward: self.forward,
            strike: line.strike,
            years: self.years,
            vol,
            discount: self.discount,
            kind: line.kind,
        }
    }

    /// What the premium of an American line depends on.
    fn exercise<'a>(&self, own: &'a ExpiryNow, line: &LineNow, vol: f64) -> ExerciseTerms<'a> {
        let spot = own.spot.map_or(self.forward, |spot| spot.mid);
        ExerciseTerms {
            spot: (!own.on_future).then_some(spot),
            dividends: &own.dividends,
            years: own.years,
            forward: self.forward,
            forward_error: 0.0,
            discount: self.discount,
            strike: line.strike,
            kind: line.kind,
            vol,
        }
    }

    /// European vol of the mid: two turns of implying it and taking out the premium at it.
    fn line(
        &self,
        own: &ExpiryNow,
        line: &LineNow,
        settings: &FitSettings,
        premiums: &mut Premiums,
    ) -> LineFit {
        let (mid, half) = (0.5 * (line.bid + line.ask), 0.5 * (line.ask - line.bid));
        let mut of_line = LineFit {
            log_moneyness: libm::log(line.strike / self.forward),
            vol: None,
            half_width: f64::INFINITY,
            premium: 0.0,
            fair_vol: None,
            fair: None,
        };
        let implied = |premium: f64| {
            let price = (mid - premium) / self.discount;
            implied_vol(price, self.forward, line.strike, self.years, line.kind).ok()
        };
        let mut vol = implied(premiums.last(line.strike, line.kind)).or_else(|| implied(0.0));
        if own.american {
            for _ in 0..3 {
                let Some(at) = vol else { break };
                of_line.premium = premiums.of(&self.exercise(own, line, at));
                vol = implied(of_line.premium);
            }
        }
        let Some(vol) = vol else { return of_line };
        let Ok(greeks) = self.contract(line, vol).price_and_greeks() else { return of_line };
        let half = half.max(0.5 * line.tick);
        let width = half / greeks.vega;
        // Where exercise is worth more than the quote is wide, price says little about vol, and the
        // other right of the strike says it better.
        let inside = if line.kind.is_call() { 1.0 } else { -1.0 } * (self.forward - line.strike);
        if inside > 0.0 && of_line.premium > half {
            return of_line;
        }
        if greeks.vega > VEGA_LEAST * self.forward && width <= settings.half_width_most {
            of_line.vol = Some(vol);
            of_line.half_width = width;
        }
        of_line
    }

    /// Log-moneyness, vol and half width of the lines that have a vol.
    pub(super) fn columns(&self) -> [Vec<f64>; 3] {
        let mut columns: [Vec<f64>; 3] = Default::default();
        for line in &self.lines {
            if let Some(vol) = line.vol {
                let row = [line.log_moneyness, vol, line.half_width];
                columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
            }
        }
        columns
    }

    /// Fair vols and prices of all lines.
    pub(super) fn judge(
        &mut self,
        own: &ExpiryNow,
        report: &SliceReport,
        settings: &FitSettings,
        premiums: &mut Premiums,
        scratch: &mut FairScratch,
        fair: &mut Vec<Option<FairVol>>,
    ) {
        let Some(slice) = self.slice else { return };
        let of = |value: fn(&LineFit) -> f64| self.lines.iter().map(value).collect::<Vec<f64>>();
        let log_moneyness = of(|line| line.log_moneyness);
        let vol = of(|line| line.vol.unwrap_or(f64::NAN));
        let half_width = of(|line| line.half_width);
        let inputs = FairInputs {
            slice,
            report,
            model_error: settings.calibration.model_error,
            cutoff: settings.calibration.cutoff,
            years: self.years,
            log_moneyness: &log_moneyness,
            vol: &vol,
            half_width: &half_width,
        };
        if fair_vols(&inputs, &settings.fair, scratch, fair).is_err() {
            return;
        }
        for (at, line) in own.lines.iter().enumerate() {
            self.lines[at].fair_vol = fair[at];
            if let Some(of_vol) = fair[at] {
                let terms = self.exercise(own, line, of_vol.vol);
                let added = if own.american { premiums.of(&terms) } else { 0.0 };
                self.lines[at].fair = self.price(line, &of_vol, added, settings);
            }
        }
    }

    /// Raw SVI on the same quotes and weights: its residual in vol, and the least value of
    /// Durrleman's function between the outermost quotes. `None` where it can't be fitted.
    #[must_use]
    pub fn svi_check(&self, model_error: f64) -> Option<(f64, f64)> {
        let mut columns: [Vec<f64>; 3] = Default::default();
        for line in &self.lines {
            let Some(vol) = line.vol else { continue };
            let error = libm::hypot(line.vol_error(), model_error);
            let row = [
                line.log_moneyness,
                vol * vol * self.years,
                1.0 / (2.0 * vol * self.years * error),
            ];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let [k, variance, precision] = &columns;
        let found = fit_svi(k, variance, precision, None).ok()?;
        let (mut weights, mut squares) = (0.0, 0.0);
        for ((&k, variance), precision) in k.iter().zip(variance).zip(precision) {
            let vol = (variance / self.years).sqrt();
            let weight = precision * precision * variance * self.years;
            let model = found.slice.total_variance(k).max(0.0);
            let off = (model / self.years).sqrt() - vol;
            weights += weight;
            squares += weight * off * off;
        }
        let low = k.iter().copied().fold(f64::INFINITY, f64::min);
        let high = k.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let density = found.slice.durrleman_least(low, high, SVI_POINTS);
        Some(((squares / weights).sqrt(), density))
    }

    /// The price of a line at a vol, with this moment's forward, discount and errors, and a premium
    /// for early exercise that is known already.
    #[must_use]
    pub fn price(
        &self,
        line: &LineNow,
        vol: &FairVol,
        added: f64,
        settings: &FitSettings,
    ) -> Option<FairValue> {
        let errors = InputErrors {
            forward: self.forward_error,
            rate: self.rate_error,
            premium: settings.premium_error_share * added,
        };
        let mut fair = fair_value(&self.contract(line, vol.vol), vol, &errors, added).ok()?;
        if self.american {
            // Exercise is worth this now, whatever is uncertain about the rest.
            let spot = self.spot.unwrap_or(self.forward);
            let sign = if line.kind.is_call() { 1.0 } else { -1.0 };
            fair.price = fair.price.max(sign * (spot - line.strike));
        }
        Some(fair)
    }
}
