//! What a fitted moment looks like: one row per expiry, as text or JSON.

use market::lean::RecordedDay;
use market::time::Timestamp;
use pricing::arbitrage::ArbitrageReport;
use pricing::essvi::{CalibrationSettings, Slice, SliceReport, Surface};
use pricing::parity::{DiscountSource, PairVerdict};
use pricing::variance_index::{index_of, slice_variance};
use serde::Serialize;
use valuation::fit::{ExpiryFit, ExpiryNow, MomentFit};

/// Reach and panels of the model-free variance's integral.
const REACH: f64 = 10.0;
const PANELS: usize = 200;
/// The index's term, and minutes of a year.
const INDEX_DAYS: f64 = 30.0;
const MINUTES_PER_DAY: f64 = 1440.0;
const DAYS_PER_YEAR: f64 = 365.0;

/// One moment.
#[derive(Debug, Serialize)]
pub struct Report {
    schema_version: u32,
    symbol: String,
    day: String,
    time: String,
    /// The conditions against arbitrage bind somewhere.
    constrained: bool,
    steps: usize,
    arbitrage: ArbitrageReport,
    /// Model-free vol over 30 days from the slices, interpolated in total variance.
    index_30_days: Option<f64>,
    expiries: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    expiry: String,
    years: f64,
    forward: f64,
    forward_error: f64,
    rate: f64,
    rate_error: f64,
    rate_from_quotes: bool,
    parity: Parity,
    quotes: usize,
    surface: Option<Fit>,
    svi: Option<Svi>,
}

/// Call-put pairs by what their quotes say about the fitted line.
#[derive(Debug, Default, Serialize)]
struct Parity {
    inside: usize,
    rich: usize,
    cheap: usize,
    /// Median |residual| in half widths of the pair.
    residual_median: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Fit {
    slice: Slice,
    at_the_money_vol: f64,
    model_free_vol: Option<f64>,
    forward_vol: f64,
    report: SliceReport,
    /// Share of quotes whose bid-ask holds their leave-one-out fair value.
    fair_inside: f64,
}

/// The check: five free parameters on the same quotes.
#[derive(Debug, Serialize)]
struct Svi {
    residual_vol: f64,
    density_least: f64,
}

/// Describes a fit.
pub fn report(day: &RecordedDay, at: Timestamp, expiries: &[ExpiryNow], fit: &MomentFit) -> Report {
    let surface = &fit.fitted.surface;
    let rows = expiries.iter().zip(&fit.expiries).enumerate();
    Report {
        schema_version: 1,
        symbol: day.symbol.clone(),
        day: day.day.to_string(),
        time: at.to_string(),
        constrained: fit.fitted.constrained,
        steps: fit.fitted.steps,
        arbitrage: fit.fitted.arbitrage,
        index_30_days: index(surface),
        expiries: rows.map(|(index, (own, of_now))| row(index, own, of_now, fit)).collect(),
    }
}

fn index(surface: &Surface) -> Option<f64> {
    let term = INDEX_DAYS / DAYS_PER_YEAR;
    let last = surface.years().len().checked_sub(2)?;
    let near = surface.years().partition_point(|&own| own <= term).saturating_sub(1).min(last);
    let of = |at: usize| {
        let years = surface.years()[at];
        let variance = slice_variance(&surface.slices()[at], years, REACH, PANELS).ok()?;
        Some((variance, years * DAYS_PER_YEAR * MINUTES_PER_DAY))
    };
    index_of(of(near)?, of(near + 1)?, INDEX_DAYS * MINUTES_PER_DAY).ok()
}

fn row(index: usize, own: &ExpiryNow, of_now: &ExpiryFit, fit: &MomentFit) -> Row {
    let mut parity = Parity::default();
    let mut sizes = Vec::new();
    for residual in &of_now.residuals {
        match residual.verdict {
            PairVerdict::Inside => parity.inside += 1,
            PairVerdict::Rich => parity.rich += 1,
            PairVerdict::Cheap => parity.cheap += 1,
            PairVerdict::Unquoted => continue,
        }
        sizes.push(residual.residual.abs() / residual.half_width);
    }
    sizes.sort_unstable_by(f64::total_cmp);
    parity.residual_median = sizes.get(sizes.len() / 2).copied().filter(|own| own.is_finite());
    let model_error = CalibrationSettings::default().model_error;
    let at = fit.fitted.slices.iter().position(|report| report.expiry == index);
    Row {
        expiry: own.expiry.to_string(),
        years: own.years,
        forward: of_now.forward,
        forward_error: of_now.forward_error,
        rate: -of_now.discount.ln() / own.years,
        rate_error: of_now.rate_error,
        rate_from_quotes: of_now
            .parity
            .is_some_and(|parity| parity.discount_source == DiscountSource::Quotes),
        parity,
        quotes: own.lines.len(),
        surface: at.map(|at| of_slice(at, own, of_now, fit)),
        svi: at
            .and_then(|_| of_now.svi_check(model_error))
            .map(|(residual_vol, density_least)| Svi { residual_vol, density_least }),
    }
}

fn of_slice(at: usize, own: &ExpiryNow, of_now: &ExpiryFit, fit: &MomentFit) -> Fit {
    let surface = &fit.fitted.surface;
    let (slice, years) = (surface.slices()[at], surface.years()[at]);
    let before = if at == 0 { 0.0 } else { surface.years()[at - 1] };
    let judged = own.lines.iter().zip(&of_now.lines);
    let judged: Vec<bool> = judged
        .filter_map(|(line, of_line)| {
            of_line.fair.map(|fair| (line.bid..=line.ask).contains(&fair.price))
        })
        .collect();
    let inside = judged.iter().filter(|inside| **inside).count();
    Fit {
        slice,
        at_the_money_vol: (slice.theta / years).sqrt(),
        model_free_vol: slice_variance(&slice, years, REACH, PANELS).ok().map(f64::sqrt),
        forward_vol: surface.forward_variance(before, years).sqrt(),
        report: fit.fitted.slices[at],
        fair_inside: inside as f64 / judged.len().max(1) as f64,
    }
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{} {} at {}\n", self.symbol, self.day, self.time);
        text.push_str(
            "expiry      days     forward   rate %  pairs in/rich/cheap  quotes   atm %  fwd %  \
             rho    psi    resid  in %  fair in %   svi resid\n",
        );
        for row in &self.expiries {
            let guessed = if row.rate_from_quotes { ' ' } else { '*' };
            text.push_str(&format!(
                "{} {:>6.1} {:>11.3} {:>7.2}{guessed} {:>7}/{}/{}{:>16}",
                row.expiry,
                row.years * DAYS_PER_YEAR,
                row.forward,
                100.0 * row.rate,
                row.parity.inside,
                row.parity.rich,
                row.parity.cheap,
                row.quotes,
            ));
            match &row.surface {
                Some(fit) => text.push_str(&format!(
                    "{:>8.2}{:>7.2}{:>6.2}{:>7.3}{:>9.5}{:>6.0}{:>11.0}",
                    100.0 * fit.at_the_money_vol,
                    100.0 * fit.forward_vol,
                    fit.slice.rho,
                    fit.slice.psi,
                    fit.report.residual_vol,
                    100.0 * fit.report.inside,
                    100.0 * fit.fair_inside,
                )),
                None => text.push_str("   too few quotes for a slice"),
            }
            if let Some(svi) = &row.svi {
                let verdict = if svi.density_least < 0.0 { " (butterfly)" } else { "" };
                text.push_str(&format!("{:>12.5}{verdict}", svi.residual_vol));
            }
            text.push('\n');
        }
        text.push_str(&format!(
            "arbitrage: none at {} points; least density {:.3}, least rise of variance {:.1} %{}\n",
            self.arbitrage.points,
            self.arbitrage.density_least,
            100.0 * self.arbitrage.rise_least.min(1.0),
            if self.constrained { "; the conditions bind" } else { "" },
        ));
        if let Some(index) = self.index_30_days {
            text.push_str(&format!("model-free vol over 30 days: {:.2} %\n", 100.0 * index));
        }
        text.push_str("* rate from the settings: the quotes do not name one\n");
        text
    }
}
