//! American lines against the full solve: values and Greeks, on stocks with cash dividends too, at
//! once and after moves that the slopes have to follow.

use super::*;
use crate::book::premiums::{self, Renewed};
use market::corporate_action::DividendSchedule;
use pricing::american::{Accuracy, AmericanGreeks};
use pricing::black::SpotContract;
use pricing::dividends::{CashDividend, Exercise, price_and_greeks};

const CASH: f64 = 1.5;
const DAYS_TO_EX_DATE: u32 = 20;

fn american_catalog() -> Catalog {
    let mut american = Catalog::default();
    for one in catalog().iter() {
        let mut one = one.clone();
        if let InstrumentKind::Option(terms) = &mut one.kind {
            terms.style = ExerciseStyle::American;
        }
        american.insert(one).unwrap();
    }
    american
}

/// An ex-date between both expiries' start and end; midnight UTC.
fn schedule() -> DividendSchedule {
    let day = Date::new(2020, 9, 13).unwrap().plus_days(DAYS_TO_EX_DATE as i32);
    DividendSchedule::new([(day, Price::from_f64(CASH).unwrap())])
}

fn ahead(now: Timestamp) -> Vec<CashDividend> {
    // START is 12:26:40 UTC of 2020-09-13.
    let midnight = START.minus(Duration::from_secs(44_800));
    let ex = midnight.plus(Duration::from_secs(u64::from(DAYS_TO_EX_DATE) * 86_400));
    vec![CashDividend { years: now.years_until(ex), cash: CASH }]
}

fn solved(
    exercise: Exercise,
    terms: &OptionTerms,
    spot: f64,
    now: Timestamp,
    dividends: &[CashDividend],
) -> AmericanGreeks {
    let strike = terms.strike.to_f64();
    let contract = SpotContract {
        spot,
        strike,
        years: now.years_until(terms.last_trade),
        vol: true_vol(strike, 100.0),
        rate: RATE,
        dividend_yield: YIELD,
        kind: if terms.right == Right::Call { OptionKind::Call } else { OptionKind::Put },
    };
    price_and_greeks(exercise, &contract, dividends, Accuracy::Tight).unwrap()
}

/// Every line quoted around its American value.
fn quotes(
    catalog: &Catalog,
    book: &PricingBook,
    spot: f64,
    now: Timestamp,
    dividends: &[CashDividend],
) -> Vec<(u32, LineUpdate)> {
    let line = |one: &Instrument| book.line_index(one.con_id).unwrap();
    let quoted = |one: &Instrument| match one.option() {
        None => quote(spot, 0.005, now),
        Some(terms) => {
            let value = solved(Exercise::American, terms, spot, now, dividends).price;
            quote(value, (0.01 * value).max(0.0001), now)
        }
    };
    catalog.iter().map(|one| (line(one), quoted(one))).collect()
}

struct World {
    catalog: Catalog,
    book: PricingBook,
    dividends: bool,
}

impl World {
    fn new(dividends: bool) -> Self {
        Self::with(dividends, BookSettings::default())
    }

    fn with(dividends: bool, settings: BookSettings) -> Self {
        let catalog = american_catalog();
        let book = PricingBook::new("TEST", &catalog, settings);
        let own = if dividends { schedule() } else { DividendSchedule::default() };
        Self { catalog, book: book.with_dividends(own), dividends }
    }

    fn ahead(&self, now: Timestamp) -> Vec<CashDividend> {
        if self.dividends { ahead(now) } else { Vec::new() }
    }

    fn quoted_at(&mut self, spot: f64, now: Timestamp) -> Arc<MarketView> {
        let updates = quotes(&self.catalog, &self.book, spot, now, &self.ahead(now));
        self.book.on_quotes(&updates);
        self.book.recompute(now).unwrap()
    }

    /// Of each line between two strikes: its terms, what is published, and the full solve.
    fn compared(
        &self,
        view: &MarketView,
        spot: f64,
        now: Timestamp,
    ) -> Vec<(OptionTerms, OptionLine, AmericanGreeks)> {
        let dividends = self.ahead(now);
        let options = self.catalog.iter().filter_map(|one| Some((one, *one.option()?)));
        options
            .filter(|(_, terms)| (88..=112).contains(&(terms.strike.micros() / 1_000_000)))
            .map(|(one, terms)| {
                let exact = solved(Exercise::American, &terms, spot, now, &dividends);
                (terms, near(view, one.con_id.0), exact)
            })
            .collect()
    }
}

#[test]
fn american_lines_have_the_values_vols_and_greeks_of_the_full_solve() {
    for dividends in [false, true] {
        let mut world = World::new(dividends);
        world.quoted_at(100.0, START);
        // Premiums are solved at the vols of the first round and refined in the second.
        let now = START.plus(Duration::from_secs(61));
        let view = world.quoted_at(100.0, now);
        for (terms, line, exact) in world.compared(&view, 100.0, now) {
            let truth = true_vol(terms.strike.to_f64(), 100.0);
            let fair = line.fair.unwrap();
            assert_eq!(line.state, DataState::Fresh, "{line:?}");
            let error = (fair.price - exact.price).abs();
            assert!(error < (2.0 * fair.standard_error).min(0.03), "{fair:?} {exact:?}");
            let greeks = line.greeks.unwrap();
            assert!((greeks.delta - exact.delta).abs() < 0.02, "{greeks:?} {exact:?}");
            assert!((greeks.vega - exact.vega).abs() < 0.8, "{greeks:?} {exact:?}");
            assert!((greeks.theta - exact.theta).abs() < 1.5, "{greeks:?} {exact:?}");
            if let Some(vol) = line.implied_vol {
                assert!((vol - truth).abs() < 0.012, "{vol} {truth} {line:?}");
            }
        }
    }
}

#[test]
fn rho_is_that_of_the_full_solve_where_the_books_rate_is_the_true_one() {
    for dividends in [false, true] {
        let settings = BookSettings { rate_guess: RATE, ..BookSettings::default() };
        let mut world = World::with(dividends, settings);
        world.quoted_at(100.0, START);
        let now = START.plus(Duration::from_secs(61));
        let view = world.quoted_at(100.0, now);
        for (_, line, exact) in world.compared(&view, 100.0, now) {
            let rho = line.greeks.unwrap().rho;
            // A yield that is lost in the forward's error is taken as none, and deep puts feel it.
            assert!((rho - exact.rho).abs() < 0.4, "{rho} {exact:?} {line:?}");
        }
    }
}

#[test]
fn premiums_follow_a_spot_that_moves_without_being_solved_anew_each_time() {
    for dividends in [false, true] {
        let mut world = World::new(dividends);
        world.quoted_at(100.0, START);
        let mut now = START;
        let steps: [f64; 7] = [100.1, 100.25, 100.4, 100.3, 100.0, 99.7, 99.5];
        let before = world.book.counts().premiums_solved;
        for spot in steps {
            now = now.plus(Duration::from_secs(30));
            let view = world.quoted_at(spot, now);
            for (_, line, exact) in world.compared(&view, spot, now) {
                let fair = line.fair.unwrap();
                let error = (fair.price - exact.price).abs();
                assert!(error < (2.0 * fair.standard_error).min(0.03), "{fair:?} {exact:?}");
                assert_eq!(line.state, DataState::Fresh, "{line:?}");
            }
        }
        let solved = world.book.counts().premiums_solved - before;
        let lines = world.catalog.iter().filter(|one| one.option().is_some()).count() as u64;
        assert!(solved < lines * steps.len() as u64 / 2, "{solved} of {lines} lines");
    }
}

#[test]
fn a_put_best_exercised_is_worth_that_and_moves_with_its_stock() {
    let mut world = World::new(false);
    let view = world.quoted_at(100.0, START);
    let put = near(&view, 2000 + 120);
    let fair = put.fair.unwrap();
    assert!((fair.price - 20.0).abs() < 0.02, "{fair:?}");
    assert!((put.greeks.unwrap().delta + 1.0).abs() < 0.01, "{put:?}");
    assert_eq!((put.state, put.implied_vol), (DataState::Fresh, None));
}

#[test]
fn a_call_across_its_dividend_is_worth_more_than_the_european_one() {
    let mut world = World::new(true);
    let view = world.quoted_at(100.0, START);
    let call = near(&view, 1000 + 88);
    let terms = *world.catalog.get(ConId(1088)).unwrap().option().unwrap();
    let european = solved(Exercise::European, &terms, 100.0, START, &ahead(START)).price;
    assert!(call.fair.unwrap().price > european + 0.5, "{call:?} {european}");
    assert_eq!(call.state, DataState::Fresh);
}

#[test]
fn an_american_quote_does_not_vouch_for_itself() {
    let mut world = World::new(true);
    let before = world.quoted_at(100.0, START);
    let id = 2000 + 108;
    let line = world.book.line_index(ConId(id)).unwrap();
    let shifted = near(&before, id).quote.mid().unwrap().to_f64() + 0.80;
    world.book.on_quotes(&[(line, quote(shifted, 0.05, START))]);
    let after = world.book.recompute(START).unwrap();
    let (old, new) = (near(&before, id), near(&after, id));
    let difference = (old.fair.unwrap().price - new.fair.unwrap().price).abs();
    assert!(difference < 2e-3, "{difference}");
    assert_eq!((old.state, new.state), (DataState::Fresh, DataState::Stale));
}

#[test]
fn a_line_whose_premium_is_not_known_is_not_traded_on() {
    let mut chain = World::new(false).book.chains.remove(0);
    assert!(chain.inputs.iter().all(|input| input.early.is_unknown()));
    let at = chain.lines.iter().position(|line| line.con_id == ConId(1100)).unwrap();
    chain.quote(at, quote(2.5, 0.02, START).quote, true, true);
    // Without a volatility there is nothing to solve it at.
    let mut counts = BookCounts::default();
    let found = chain.renew_premiums(premiums::DUE_WORK, START, &mut counts);
    assert_eq!(found, Renewed::default());
    assert_eq!(counts.premiums_solved, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 4 } else { 48 }))]
    #[test]
    fn whatever_comes_american_lines_are_worth_what_exercise_pays(
        updates in prop::collection::vec(
            (0_u32..85, -1.0..130.0_f64, 0.0..5.0_f64, any::<bool>(), 0_u64..90_000),
            1..10,
        ),
    ) {
        let mut world = World::new(false);
        let mut now = START;
        world.quoted_at(100.0, now);
        for (line, mid, half_spread, live, seconds) in updates {
            now = now.plus(Duration::from_secs(seconds));
            let mut update = quote(mid, half_spread, now);
            update.live = live;
            world.book.on_quotes(&[(line, update)]);
            let Some(view) = world.book.recompute(now) else { continue };
            for chain in view.chains.values() {
                for line in &chain.lines {
                    if let Some(fair) = line.fair {
                        prop_assert!(fair.price.is_finite() && fair.price >= 0.0, "{line:?}");
                        prop_assert!(fair.standard_error.is_finite(), "{line:?}");
                    }
                    if let Some(greeks) = line.greeks {
                        prop_assert!(greeks.delta.is_finite() && greeks.vega.is_finite());
                    }
                }
            }
        }
    }
}
