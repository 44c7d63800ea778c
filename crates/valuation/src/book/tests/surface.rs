//! The surface beside the chains: what it says, when it is fitted, what a refusal leaves.

use super::*;
use crate::view::SurfaceView;
use pricing::essvi::NoSurface;

const PAUSE: Duration = Duration::from_secs(300);

fn surface(view: &MarketView) -> Arc<SurfaceView> {
    Arc::clone(view.surface.as_ref().unwrap())
}

/// One option quoted again as it was.
fn stir(book: &mut PricingBook, view: &MarketView, now: Timestamp) -> Arc<MarketView> {
    let again = Quote { time: now, ..near(view, 1096).quote };
    let update = LineUpdate { quote: again, two_sided_valid: true, live: true };
    book.on_quotes(&[(book.line_index(ConId(1096)).unwrap(), update)]);
    book.recompute(now).unwrap()
}

#[test]
fn it_gives_the_volatilities_of_the_market_back_by_expiry() {
    let (_, book, view) = running();
    let own = surface(&view);
    assert_eq!((own.time, own.version, own.expiries.len()), (START, view.version, 2));
    assert_eq!((book.counts().surfaces_published, book.counts().surfaces_refused), (1, 0));
    assert!(own.arbitrage.points > 0 && own.arbitrage.density_least >= 0.0);
    assert!(own.arbitrage.rise_least >= 0.0);
    for ((underlying, expiry), chain) in &view.chains {
        let at = own.expiries.iter().find(|own| own.expiry == *expiry).unwrap();
        assert_eq!(at.forward, chain.forward);
        for strike in [92.0_f64, 96.0, 100.0, 104.0, 108.0] {
            let vol = own.vol(*underlying, *expiry, libm::log(strike / chain.forward)).unwrap();
            let truth = true_vol(strike, 100.0);
            assert!((vol - truth).abs() < 0.01, "{strike}: {vol} {truth}");
        }
        let at_the_money = own.slice(*underlying, *expiry).unwrap().theta / chain.years;
        assert!((at_the_money.sqrt() - chain.at_the_money_vol.unwrap()).abs() < 0.005);
    }
    assert_eq!(own.vol(ConId(1), Date::new(2020, 9, 13).unwrap(), 0.0), None);
}

#[test]
fn it_is_fitted_once_a_pause_and_only_to_what_was_quoted_since() {
    let (_, mut book, first) = running();
    let within = stir(&mut book, &first, START.plus(PAUSE / 2));
    assert!(Arc::ptr_eq(&surface(&first), &surface(&within)), "within the pause");
    let after = stir(&mut book, &first, START.plus(PAUSE));
    assert_eq!(book.counts().surfaces_published, 2);
    assert_eq!(surface(&after).time, START.plus(PAUSE));
    assert!(surface(&after).version > surface(&first).version);
    // Another listing changes the view, but nothing is quoted.
    book.add_instrument(&option(9000, Right::Call, 101, 60));
    let later = START.plus(3 * PAUSE);
    let listed = book.recompute(later).unwrap();
    assert!(Arc::ptr_eq(&surface(&after), &surface(&listed)), "nothing was quoted");
    assert_eq!(surface(&listed).age(later), 2 * PAUSE);
}

#[test]
fn zero_seconds_fit_none() {
    let catalog = catalog();
    let settings = BookSettings { surface_refit_seconds: 0, ..BookSettings::default() };
    let mut book = PricingBook::new("TEST", &catalog, settings);
    book.on_quotes(&market(&catalog, &book, 100.0, START));
    assert_eq!(book.recompute(START).unwrap().surface, None);
    assert_eq!(book.counts().surfaces_published + book.counts().surfaces_refused, 0);
}

#[test]
fn a_refused_fit_leaves_the_last_good_surface_with_its_age() {
    let (_, mut book, first) = running();
    let now = START.plus(PAUSE);
    let falls = NoSurface::FallingVariance { index: 1, log_moneyness: 0.1, value: 0.01 };
    book.surface.settle(Err(falls), &[], (7, now), &mut book.counts);
    assert_eq!((book.counts().surfaces_published, book.counts().surfaces_refused), (1, 1));
    let view = book.recompute(last_trade(30)).unwrap();
    assert!(Arc::ptr_eq(&surface(&first), &surface(&view)));
    assert_eq!(surface(&view).age(view.time), view.time.since(START));
}

#[test]
fn a_market_with_too_few_quotes_is_no_refusal() {
    let (_, mut book, first) = running();
    // Four quotes of each expiry are left.
    let now = START.plus(PAUSE);
    let spoiled = |id: &u32| !(96..=98).contains(&(*id % 1000));
    let bases = [1000, 2000, 3000, 4000].into_iter();
    for id in bases.flat_map(|base| STRIKES.step_by(2).map(move |at| base + at)).filter(spoiled) {
        let quote = near(&first, id).quote;
        let update = LineUpdate { quote, two_sided_valid: false, live: true };
        book.on_quotes(&[(book.line_index(ConId(id)).unwrap(), update)]);
    }
    let thin = book.recompute(now).unwrap();
    assert!(near(&thin, 1096).implied_vol.is_some(), "it still names a vol");
    assert_eq!((book.counts().surfaces_published, book.counts().surfaces_refused), (1, 0));
    assert!(Arc::ptr_eq(&surface(&first), &surface(&thin)));
    assert_eq!(surface(&thin).age(now), PAUSE);
}

#[test]
fn an_expiry_that_becomes_quoted_does_not_wait_for_the_pause() {
    let catalog = catalog();
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    let all = market(&catalog, &book, 100.0, START);
    let early = all.iter().filter(|(line, _)| {
        let id = catalog.iter().find(|one| book.line_index(one.con_id) == Some(*line));
        id.is_some_and(|one| one.con_id.0 < 3000)
    });
    let early: Vec<(u32, LineUpdate)> = early.copied().collect();
    book.on_quotes(&early);
    assert_eq!(surface(&book.recompute(START).unwrap()).expiries.len(), 1);
    let later = START.plus(Duration::from_secs(1));
    book.on_quotes(&market(&catalog, &book, 100.0, later));
    assert_eq!(surface(&book.recompute(later).unwrap()).expiries.len(), 2);
    let again = START.plus(Duration::from_secs(2));
    book.on_quotes(&market(&catalog, &book, 100.0, again));
    assert_eq!(surface(&book.recompute(again).unwrap()).time, later, "now it does");
}

#[test]
fn a_silent_market_is_no_refusal() {
    let catalog = catalog();
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    let stock = book.line_index(ConId(1)).unwrap();
    book.on_quotes(&[(stock, quote(100.0, 0.005, START))]);
    assert_eq!(book.recompute(START).unwrap().surface, None);
    assert_eq!(book.counts().surfaces_refused, 0);
}

#[test]
fn a_restarted_book_publishes_the_old_surface_until_it_has_a_new_one() {
    let (catalog, _, before) = running();
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    book.restore_from(&before);
    let later = START.plus(PAUSE);
    let warm = book.recompute(later).unwrap();
    assert!(Arc::ptr_eq(&surface(&before), &surface(&warm)), "nothing was quoted yet");
    book.on_quotes(&market(&catalog, &book, 100.0, later));
    let fresh = surface(&book.recompute(later).unwrap());
    assert!(fresh.time == later && fresh.version > surface(&before).version);
}

#[test]
fn the_same_quotes_give_the_same_bits() {
    let run = || {
        let (catalog, mut book, first) = running();
        let mut views = vec![first];
        for step in 1..6_u32 {
            let now = START.plus(step * PAUSE);
            let spot = 100.0 + 0.2 * f64::from(step);
            book.on_quotes(&market(&catalog, &book, spot, now));
            views.push(book.recompute(now).unwrap());
        }
        let bits = |view: &Arc<MarketView>| {
            let own = surface(view);
            let slices = own.surface.slices().iter();
            slices.map(|own| [own.theta, own.rho, own.psi].map(f64::to_bits)).collect::<Vec<_>>()
        };
        views.iter().map(bits).collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(first, run());
    assert!(first.windows(2).all(|pair| pair[0] != pair[1]), "each minute has its own");
}

#[test]
fn of_two_expiries_that_end_together_the_better_quoted_one_has_the_slice() {
    let mut catalog = Catalog::default();
    let future = |id: u32| {
        let terms = FutureTerms {
            expiry: Date::new(2020, 12, 18).unwrap(),
            last_trade: last_trade(90),
            settlement: Settlement::Cash,
            fixing: Fixing::Am,
        };
        instrument(id, InstrumentKind::Future(terms))
    };
    catalog.insert(future(1)).unwrap();
    catalog.insert(future(2)).unwrap();
    for (base, underlying, step) in [(1000, 1, 4), (3000, 2, 2)] {
        for strike in STRIKES.step_by(step) {
            for (more, right) in [(0, Right::Call), (1000, Right::Put)] {
                let mut one = option(base + more + strike, right, strike, 30);
                let terms = OptionTerms { underlying: ConId(underlying), ..*one.option().unwrap() };
                one.kind = InstrumentKind::FutureOption(terms);
                catalog.insert(one).unwrap();
            }
        }
    }
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    book.on_quotes(&market(&catalog, &book, 100.0, START));
    let view = book.recompute(START).unwrap();
    let underlyings: Vec<ConId> =
        surface(&view).expiries.iter().map(|own| own.underlying).collect();
    assert_eq!((view.chains.len(), underlyings), (2, vec![ConId(2)]));
}
