//! Judges fair values on a recorded day: leave-one-out, and one minute ahead beside a baseline.
//!
//! `cargo run --release -p valuation --example judge -- DIR YYYY-MM-DD RATE` prints the tables of
//! docs/pricing-surface.md. Judged are option quotes that changed in the minute. Leave-one-out: the
//! value by all other quotes of the minute. One minute ahead: everything from the minute before,
//! only the underlying's price is new, for ours and for the baseline (the contract's own last vol).
//! The errors are |value - mid| in half spreads; means are of errors capped at ten.

use market::instrument::ConId;
use market::lean::{BadRows, Day, RecordedDay};
use market::quality::Gates;
use market::quote::Quote;
use market::time::{Date, Timestamp};
use pricing::essvi::SliceReport;
use pricing::fair_value::FairVol;
use pricing::parity::PairVerdict;
use std::collections::BTreeMap;
use std::path::Path;
use valuation::fit::{
    ExpiryFit, ExpiryNow, FitSettings, LineNow, MomentFit, ProductFit, Terms, expiries_of,
};

const CAP: f64 = 10.0;
/// The default of the surface's calibration.
const MODEL_ERROR: f64 = 0.001;
const BUCKETS: [&str; 5] = ["below -1.5", "-1.5 to -0.5", "-0.5 to 0.5", "0.5 to 1.5", "above 1.5"];

/// Errors of one way to value, in half spreads.
#[derive(Default, Clone)]
struct Way {
    inside: usize,
    errors: Vec<f64>,
}

impl Way {
    fn add(&mut self, value: f64, line: &LineNow) {
        let (mid, half) = (0.5 * (line.bid + line.ask), 0.5 * (line.ask - line.bid));
        self.inside += usize::from(value >= line.bid && value <= line.ask);
        self.errors.push((value - mid).abs() / half.max(0.25 * line.tick));
    }

    fn cells(&self) -> String {
        let count = self.errors.len().max(1) as f64;
        let mean = self.errors.iter().map(|own| own.min(CAP)).sum::<f64>() / count;
        let inside = 100.0 * self.inside as f64 / count;
        format!("{inside:.2} | {:.3} | {mean:.3}", median(&self.errors))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[derive(Default, Clone)]
struct Tally {
    spreads: Vec<f64>,
    left_out: Way,
    ahead: Way,
    last_vol: Way,
    /// (mid - fair) over the joint standard error.
    standard: Vec<f64>,
}

impl Tally {
    const HEAD: &str = "| quotes | median spread | leave-one-out: inside % | median | mean | z | \
                        ahead: quotes | inside % | median | mean | \
                        last vol: inside % | median | mean |";

    fn row(&self, name: &str) -> String {
        let mut squares: Vec<f64> = self.standard.iter().map(|own| own.abs()).collect();
        squares.sort_unstable_by(f64::total_cmp);
        let z = squares.get(squares.len() * 68 / 100).copied().unwrap_or(f64::NAN);
        format!(
            "| {name} | {} | {:.2} | {} | {z:.2} | {} | {} | {} |",
            self.left_out.errors.len(),
            median(&self.spreads),
            self.left_out.cells(),
            self.ahead.errors.len(),
            self.ahead.cells(),
            self.last_vol.cells(),
        )
    }
}

/// What the minute before left: its expiries, and each contract's last vol with the model's error
/// and its premium for early exercise.
#[derive(Default)]
struct Before {
    expiries: BTreeMap<i64, ExpiryFit>,
    lines: BTreeMap<u64, (FairVol, f64)>,
}

/// What it foretells for the new price of the underlying.
#[derive(Default)]
struct Ahead {
    /// With the forward that the underlying's new mid gives at the last carry.
    expiries: BTreeMap<i64, ExpiryFit>,
    /// Ours, and the last vol.
    vols: BTreeMap<u64, ([FairVol; 2], f64)>,
}

/// The surface itself, and raw SVI on the same quotes: in-sample, a diagnostic only.
#[derive(Default, Clone)]
struct InSample {
    vol: Vec<f64>,
    surface: Vec<f64>,
    inside: Vec<f64>,
    svi: Vec<f64>,
    svi_butterflies: usize,
}

impl InSample {
    fn add(&mut self, of_now: &ExpiryFit, report: &SliceReport) {
        let Some(slice) = of_now.slice else { return };
        self.vol.push((slice.theta / of_now.years).sqrt());
        self.surface.push(report.residual_vol);
        self.inside.push(report.inside);
        if let Some((residual, density)) = of_now.svi_check(MODEL_ERROR) {
            self.svi.push(residual);
            self.svi_butterflies += usize::from(density < 0.0);
        }
    }
}

#[derive(Default)]
struct Verdict {
    minutes: usize,
    published: usize,
    refused: BTreeMap<String, usize>,
    constrained: usize,
    density_least: f64,
    pairs: [usize; 3],
    in_sample: BTreeMap<Date, InSample>,
    expiries: BTreeMap<Date, Tally>,
    buckets: [Tally; 5],
    all: Tally,
}

impl Verdict {
    fn tallies(&mut self, own: &ExpiryNow, z: f64) -> [&mut Tally; 3] {
        let bucket = match z {
            _ if z < -1.5 => 0,
            _ if z < -0.5 => 1,
            _ if z < 0.5 => 2,
            _ if z < 1.5 => 3,
            _ => 4,
        };
        let of_expiry = self.expiries.entry(own.expiry).or_default();
        [of_expiry, &mut self.buckets[bucket], &mut self.all]
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, day, rate] = arguments.as_slice() else {
        eprintln!("usage: judge DIR YYYY-MM-DD RATE");
        std::process::exit(2);
    };
    let rate_guess = rate.parse().expect("a continuous annual rate such as 0.0155");
    let settings = FitSettings { rate_guess, ..FitSettings::default() };
    let day = Date::parse(day).expect("a day such as 2020-01-06");
    let day =
        Day::load(Path::new(folder), day, None, BadRows::SkipAndCount).expect("a readable day");
    let verdict = judge(&day, settings);
    print(&day, &verdict);
}

fn judge(day: &RecordedDay, settings: FitSettings) -> Verdict {
    let mut product = ProductFit::new(settings);
    let mut quotes: BTreeMap<ConId, Quote> = BTreeMap::new();
    let (gates, dividends) = (Gates::default(), &day.dividends);
    let terms = Terms { catalog: &day.catalog, gates: &gates, dividends, today: day.day };
    let mut verdict = Verdict { density_least: f64::INFINITY, ..Verdict::default() };
    let mut before = Before::default();
    for step in &day.steps {
        quotes.extend(step.quotes.iter().copied());
        if !day.calendar.is_open(step.time) {
            before = Before::default();
            continue;
        }
        let expiries = expiries_of(&terms, &quotes, step.time);
        verdict.minutes += 1;
        let ahead = foretell(&product, &expiries, before);
        before = Before::default();
        let fit = match product.fit(&expiries) {
            Ok(fit) => fit,
            Err(refusal) => {
                *verdict.refused.entry(refusal.to_string()).or_default() += 1;
                continue;
            }
        };
        verdict.published += 1;
        verdict.constrained += usize::from(fit.fitted.constrained);
        verdict.density_least = verdict.density_least.min(fit.fitted.arbitrage.density_least);
        for report in &fit.fitted.slices {
            let of_expiry = verdict.in_sample.entry(expiries[report.expiry].expiry).or_default();
            of_expiry.add(&fit.expiries[report.expiry], report);
        }
        compare(&mut verdict, product.settings(), &expiries, &fit, &ahead, step.time);
        for (own, of_now) in expiries.iter().zip(fit.expiries) {
            for (line, of_line) in own.lines.iter().zip(&of_now.lines) {
                if let (Some(fair), Some(vol)) = (of_line.fair_vol, of_line.vol) {
                    before.lines.insert(line.id, (FairVol { vol, ..fair }, of_line.premium));
                }
            }
            before.expiries.insert(own.key, of_now);
        }
    }
    verdict
}

fn foretell(product: &ProductFit, expiries: &[ExpiryNow], before: Before) -> Ahead {
    let mut ahead = Ahead::default();
    for own in expiries {
        let (Some(spot), Some(ratio)) = (own.spot, product.carry_ratio(own.key)) else { continue };
        let Some(of_then) = before.expiries.get(&own.key) else { continue };
        let forward = spot.mid * ratio;
        ahead.expiries.insert(
            own.key,
            ExpiryFit { forward, spot: Some(spot.mid), years: own.years, ..of_then.clone() },
        );
        for line in &own.lines {
            if let (Some((last, premium)), Some(vol)) =
                (before.lines.get(&line.id), product.foretold(line.id, forward))
            {
                ahead.vols.insert(line.id, ([FairVol { vol, ..*last }, *last], *premium));
            }
        }
    }
    ahead
}

fn compare(
    verdict: &mut Verdict,
    settings: &FitSettings,
    expiries: &[ExpiryNow],
    fit: &MomentFit,
    ahead: &Ahead,
    now: Timestamp,
) {
    for (own, of_now) in expiries.iter().zip(&fit.expiries) {
        for residual in &of_now.residuals {
            match residual.verdict {
                PairVerdict::Inside => verdict.pairs[0] += 1,
                PairVerdict::Rich => verdict.pairs[1] += 1,
                PairVerdict::Cheap => verdict.pairs[2] += 1,
                PairVerdict::Unquoted => {}
            }
        }
        let Some(slice) = of_now.slice else { continue };
        let of_then = ahead.expiries.get(&own.key);
        for (line, of_line) in own.lines.iter().zip(&of_now.lines) {
            if line.quoted != now {
                continue;
            }
            let foretold = of_then.zip(ahead.vols.get(&line.id)).and_then(|(of_then, known)| {
                let (vols, premium) = known;
                let price = |vol: &FairVol| of_then.price(line, vol, *premium, settings);
                let [ours, last] = [price(&vols[0]), price(&vols[1])];
                Some((ours?.price, last?.price))
            });
            let z = of_line.log_moneyness / slice.theta.sqrt();
            for tally in verdict.tallies(own, z) {
                if let Some(fair) = of_line.fair {
                    let half = 0.5 * (line.ask - line.bid);
                    tally.spreads.push(2.0 * half);
                    tally.left_out.add(fair.price, line);
                    let error = fair.standard_error.hypot(0.577 * half);
                    tally.standard.push((0.5 * (line.bid + line.ask) - fair.price) / error);
                }
                if let Some((ours, last)) = foretold {
                    tally.ahead.add(ours, line);
                    tally.last_vol.add(last, line);
                }
            }
        }
    }
}

fn print(day: &RecordedDay, verdict: &Verdict) {
    println!("### {} {}\n", day.symbol, day.day);
    println!(
        "{} minutes, {} surfaces published ({} where the conditions bind), refused: {:?}; least \
         density {:.3}. Parity pairs inside / rich / cheap: {:?}.\n",
        verdict.minutes,
        verdict.published,
        verdict.constrained,
        verdict.refused,
        verdict.density_least,
        verdict.pairs,
    );
    let rule = |first: &str| {
        println!("| {first} {}", Tally::HEAD);
        println!("|---{}", "|---".repeat(13) + "|");
    };
    rule("expiry");
    for (expiry, tally) in &verdict.expiries {
        println!("{}", tally.row(&expiry.to_string()));
    }
    println!("{}\n", verdict.all.row("all"));
    rule("moneyness (deviations)");
    let buckets = BUCKETS.iter().zip(&verdict.buckets);
    for (name, tally) in buckets.filter(|(_, tally)| !tally.left_out.errors.is_empty()) {
        println!("{}", tally.row(name));
    }
    println!(
        "\n| expiry (in-sample medians) | vol at the money % | surface residual % | inside % | \
         raw SVI residual % | SVI minutes with butterflies |\n|---|---|---|---|---|---|"
    );
    for (expiry, own) in &verdict.in_sample {
        println!(
            "| {expiry} | {:.2} | {:.3} | {:.0} | {:.3} | {} of {} |",
            100.0 * median(&own.vol),
            100.0 * median(&own.surface),
            100.0 * median(&own.inside),
            100.0 * median(&own.svi),
            own.svi_butterflies,
            own.svi.len(),
        );
    }
}
