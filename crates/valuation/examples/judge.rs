//! Judges fair values on a recorded day: leave-one-out, and one minute ahead beside a baseline.
//!
//! `cargo run --release -p valuation --example judge -- DIR YYYY-MM-DD` prints the tables of
//! docs/pricing-surface.md. Judged are option quotes that changed in the minute. Leave-one-out: the
//! value by all other quotes of the minute. One minute ahead: everything from the minute before, only
//! the underlying's price is new, for ours and for the baseline (the contract's own last vol). The
//! errors are |value - mid| in half spreads; means are of errors capped at ten.

use market::instrument::ConId;
use market::lean::{BadRows, Day, RecordedDay};
use market::quality::Gates;
use market::quote::Quote;
use market::time::{Date, Timestamp};
use pricing::fair_value::FairVol;
use pricing::parity::PairVerdict;
use std::collections::BTreeMap;
use std::path::Path;
use valuation::fit::{
    ExpiryFit, ExpiryNow, FitSettings, LineNow, MomentFit, ProductFit, Terms, expiries_of,
};

const CAP: f64 = 10.0;
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
        format!("{inside:.1} | {:.2} | {mean:.2}", median(&self.errors))
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

/// What the minute before left.
struct Before {
    expiries: BTreeMap<i64, ExpiryFit>,
    lines: BTreeMap<u64, (FairVol, f64)>,
    ratios: BTreeMap<i64, f64>,
}

#[derive(Default)]
struct Verdict {
    minutes: usize,
    published: usize,
    refused: BTreeMap<String, usize>,
    constrained: usize,
    density_least: f64,
    pairs: [usize; 3],
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
    let [folder, day] = arguments.as_slice() else {
        eprintln!("usage: judge DIR YYYY-MM-DD");
        std::process::exit(2);
    };
    let day = Date::parse(day).expect("a day such as 2020-01-06");
    let day =
        Day::load(Path::new(folder), day, None, BadRows::SkipAndCount).expect("a readable day");
    let verdict = judge(&day);
    print(&day, &verdict);
}

fn judge(day: &RecordedDay) -> Verdict {
    let mut product = ProductFit::new(FitSettings::default());
    let mut quotes: BTreeMap<ConId, Quote> = BTreeMap::new();
    let (gates, dividends) = (Gates::default(), &day.dividends);
    let terms = Terms { catalog: &day.catalog, gates: &gates, dividends, today: day.day };
    let mut verdict = Verdict { density_least: f64::INFINITY, ..Verdict::default() };
    let mut before: Option<Before> = None;
    for step in &day.steps {
        quotes.extend(step.quotes.iter().copied());
        if !day.calendar.is_open(step.time) {
            before = None;
            continue;
        }
        let expiries = expiries_of(&terms, &quotes, step.time);
        verdict.minutes += 1;
        let ratios: BTreeMap<i64, f64> = expiries
            .iter()
            .filter_map(|own| Some((own.key, product.carry_ratio(own.key)?)))
            .collect();
        let fit = match product.fit(&expiries) {
            Ok(fit) => fit,
            Err(refusal) => {
                *verdict.refused.entry(refusal.to_string()).or_default() += 1;
                before = None;
                continue;
            }
        };
        verdict.published += 1;
        verdict.constrained += usize::from(fit.fitted.constrained);
        verdict.density_least = verdict.density_least.min(fit.fitted.arbitrage.density_least);
        compare(&mut verdict, &product, &expiries, &fit, before.as_ref(), step.time);
        before = Some(remember(&product, &expiries, fit, ratios));
    }
    verdict
}

fn compare(
    verdict: &mut Verdict,
    product: &ProductFit,
    expiries: &[ExpiryNow],
    fit: &MomentFit,
    before: Option<&Before>,
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
        let ahead = before.and_then(|before| {
            let mut of_then = before.expiries.get(&own.key)?.clone();
            of_then.forward = own.spot?.mid * before.ratios.get(&own.key)?;
            of_then.years = own.years;
            Some((before, of_then))
        });
        for (line, of_line) in own.lines.iter().zip(&of_now.lines) {
            if line.quoted != now {
                continue;
            }
            let z = of_line.log_moneyness / slice.theta.sqrt();
            for tally in verdict.tallies(own, z) {
                if let Some(fair) = of_line.fair {
                    let half = 0.5 * (line.ask - line.bid);
                    tally.spreads.push(2.0 * half);
                    tally.left_out.add(fair.price, line);
                    let error = fair.standard_error.hypot(0.577 * half);
                    tally.standard.push((0.5 * (line.bid + line.ask) - fair.price) / error);
                }
                let Some((before, of_then)) = &ahead else { continue };
                let Some((model, last)) = before.lines.get(&line.id) else { continue };
                let price = |vol: f64| {
                    let vol = FairVol { vol, ..*model };
                    of_then.price(own, line, &vol, product.settings())
                };
                if let (Some(ours), Some(theirs)) = (price(model.vol), price(*last)) {
                    tally.ahead.add(ours.price, line);
                    tally.last_vol.add(theirs.price, line);
                }
            }
        }
    }
}

fn remember(
    product: &ProductFit,
    expiries: &[ExpiryNow],
    fit: MomentFit,
    ratios: BTreeMap<i64, f64>,
) -> Before {
    let mut before = Before { expiries: BTreeMap::new(), lines: BTreeMap::new(), ratios };
    for (own, of_now) in expiries.iter().zip(fit.expiries) {
        if let Some(ratio) = product.carry_ratio(own.key) {
            before.ratios.insert(own.key, ratio);
        }
        for (line, of_line) in own.lines.iter().zip(&of_now.lines) {
            if let (Some(fair), Some(vol)) = (of_line.fair_vol, of_line.vol) {
                let model = FairVol { vol: fair.vol + product.memory(line.id), ..fair };
                before.lines.insert(line.id, (model, vol));
            }
        }
        before.expiries.insert(own.key, of_now);
    }
    before
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
    for (name, tally) in BUCKETS.iter().zip(&verdict.buckets) {
        println!("{}", tally.row(name));
    }
}
