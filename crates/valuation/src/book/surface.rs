//! The product's volatility surface: when it is fitted, what is published, what a refusal leaves.
//!
//! A machine of its own beside the expiries: it is fitted to the vols that they have read from
//! their quotes (early exercise is already taken off), so it speaks of the same forwards as the
//! chains beside it and costs no option a second valuation. It is fitted anew when a pause of
//! market time is over and something was quoted since, sooner only when more expiries than at the
//! last try have quotes enough, as at the open. A fit that fails its tests, arbitrage above all,
//! leaves the last good surface with its age. Nothing of it flows back into fair values, which are
//! each expiry's own.

use super::chain::Chain;
use super::settings::{BookCounts, BookSettings};
use crate::view::{SurfaceExpiry, SurfaceView};
use market::instrument::ConId;
use market::time::{Date, Timestamp};
use pricing::essvi::{
    CalibrationSettings, Calibrator, Fitted, NoSurface, SliceQuotes, SliceReport,
};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// What of one expiry is fitted, one lane per quote that names a vol.
#[derive(Debug)]
pub(super) struct Columns {
    underlying: ConId,
    expiry: Date,
    last_trade: Timestamp,
    forward: f64,
    log_moneyness: Vec<f64>,
    vol: Vec<f64>,
    half_width: Vec<f64>,
}

impl Columns {
    fn of(chain: &Chain) -> Self {
        let mut own = Self {
            underlying: chain.underlying,
            expiry: chain.expiry,
            last_trade: chain.last_trade,
            forward: chain.carry.forward(),
            log_moneyness: Vec::with_capacity(chain.lines.len()),
            vol: Vec::with_capacity(chain.lines.len()),
            half_width: Vec::with_capacity(chain.lines.len()),
        };
        for [log_moneyness, vol, half_width] in chain.named_vols() {
            own.log_moneyness.push(log_moneyness);
            own.vol.push(vol);
            own.half_width.push(half_width);
        }
        own
    }
}

/// The machine.
#[derive(Debug)]
pub(super) struct BookSurface {
    calibrator: Calibrator,
    min_quotes: usize,
    last: Option<Arc<SurfaceView>>,
    /// The last try, and the expiries that had quotes enough.
    tried: Option<(Timestamp, usize)>,
    quoted: bool,
}

impl BookSurface {
    pub(super) fn new() -> Self {
        let settings = CalibrationSettings::default();
        Self {
            calibrator: Calibrator::new(settings),
            min_quotes: settings.min_quotes,
            last: None,
            tried: None,
            quoted: false,
        }
    }

    /// The last one that passed its tests.
    pub(super) fn last(&self) -> Option<Arc<SurfaceView>> {
        self.last.clone()
    }

    /// Something was quoted.
    pub(super) const fn note_quotes(&mut self) {
        self.quoted = true;
    }

    /// Goes on from the surface of an earlier life: it is published with its age until there is a
    /// new one, and the next fit starts from it.
    pub(super) fn resume(&mut self, view: &Arc<SurfaceView>) {
        let keys: Vec<i64> = view.expiries.iter().map(|own| own.report.key).collect();
        self.calibrator.resume(&keys, &view.surface);
        self.last = Some(Arc::clone(view));
    }

    /// Fits it when it is due. `version` is that of the view which it will be part of.
    pub(super) fn fit_when_due(
        &mut self,
        chains: &[Chain],
        (version, now): (u64, Timestamp),
        settings: &BookSettings,
        counts: &mut BookCounts,
    ) {
        let pause = Duration::from_secs(u64::from(settings.surface_refit_seconds));
        let quoted = |chain: &&Chain| chain.named >= self.min_quotes;
        let expiries = chains.iter().filter(quoted).count();
        let rests =
            self.tried.is_some_and(|(tried, had)| now.since(tried) < pause && expiries <= had);
        if pause.is_zero() || rests || !self.quoted || expiries == 0 {
            return;
        }
        let mut columns: Vec<Columns> = chains.iter().filter(quoted).map(Columns::of).collect();
        self.quoted = false;
        self.tried = Some((now, expiries));
        // A surface has one slice at a time: of two expiries that end together (on two futures,
        // say) the one with more quotes.
        columns.sort_by_key(|own| (own.last_trade, Reverse(own.vol.len()), own.underlying));
        columns.dedup_by_key(|own| own.last_trade);
        let quotes: Vec<SliceQuotes<'_>> = columns
            .iter()
            .map(|own| SliceQuotes {
                key: key(own.underlying, own.expiry),
                years: now.years_until(own.last_trade),
                log_moneyness: &own.log_moneyness,
                vol: &own.vol,
                half_width: &own.half_width,
            })
            .collect();
        let fitted = self.calibrator.fit(&quotes);
        self.settle(fitted, &columns, (version, now), counts);
    }

    /// Publishes what passed its tests; what did not leaves the last one as it is.
    pub(super) fn settle(
        &mut self,
        fitted: Result<Fitted, NoSurface>,
        columns: &[Columns],
        (version, time): (u64, Timestamp),
        counts: &mut BookCounts,
    ) {
        let Ok(fitted) = fitted else {
            counts.surfaces_refused += 1;
            return;
        };
        counts.surfaces_published += 1;
        let expiry = |report: &SliceReport| {
            let own = &columns[report.expiry];
            SurfaceExpiry {
                underlying: own.underlying,
                expiry: own.expiry,
                forward: own.forward,
                report: *report,
            }
        };
        self.last = Some(Arc::new(SurfaceView {
            expiries: fitted.slices.iter().map(expiry).collect(),
            surface: fitted.surface,
            arbitrage: fitted.arbitrage,
            constrained: fitted.constrained,
            version,
            time,
        }));
    }
}

/// Names an expiry from one fit to the next.
fn key(underlying: ConId, expiry: Date) -> i64 {
    let epoch = Date::parse("1970-01-01").expect("it is a day");
    (i64::from(underlying.0) << 24) + i64::from(epoch.days_until(expiry))
}
