//! The risk book: what the account holds and may come to hold, per symbol, for metrics, the command
//! line and the breakers.
//!
//! These are published figures, in floats where they are only looked at; what is compared with a
//! limit is in whole thousandths. What can't be valued is named, and what it would enter is `None`.

use crate::exposure::Exposure;
use crate::figures::{Figures, fills_of};
use crate::limits::Limits;
use crate::margin::worst_margin_milli;
use crate::valuing::Valuing;
use crate::worst_case::{Interval, clamped};
use market::instrument::{Catalog, ConId};
use market::money::{Money, Price, Quantity};
use std::collections::{BTreeMap, BTreeSet};
use valuation::view::Markets;

/// The held position's sensitivities, times quantity and multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct NetGreeks {
    /// Shares.
    pub delta_shares: f64,
    /// Shares per unit of the underlying's price.
    pub gamma_shares: f64,
    /// Currency per point of volatility.
    pub vega_per_point: f64,
    /// Currency per calendar day.
    pub theta_per_day: f64,
    /// Currency per point of rate.
    pub rho_per_point: f64,
}

/// The extremes over all subsets of pending fills, thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// Thousandths of a share.
    pub delta_milli: Interval,
    /// Thousandths of currency per point.
    pub vega_milli: Interval,
    /// Shares that short options may leave uncovered.
    pub uncovered_shares: i64,
    /// Delta, vega or uncovered shares are outside their limit now, without any new order.
    pub outside_limits: bool,
}

/// One symbol.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolRisk {
    /// The version of its view; 0 without one.
    pub view_version: u64,
    /// Held sensitivities of what could be valued.
    pub greeks: NetGreeks,
    /// Market value of the held options; `None` when a mark is missing.
    pub premium: Option<Money>,
    /// Worst cases; `None` when a figure is missing.
    pub worst: Option<WorstCase>,
    /// Held or pending instruments that can't be valued.
    pub missing: Vec<ConId>,
}

/// All symbols.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RiskBook {
    /// By root symbol.
    pub symbols: BTreeMap<String, SymbolRisk>,
    /// The node's own margin estimate, worst case; `None` when something can't be valued.
    pub margin: Option<Money>,
    /// Instruments without reference data.
    pub unknown: Vec<ConId>,
}

/// The price per unit that an instrument is marked at: the quoted mid, else the model value.
#[must_use]
pub fn mark(catalog: &Catalog, markets: &Markets, con_id: ConId) -> Option<Price> {
    Valuing { catalog, markets }.mark(con_id).ok()
}

/// The unrealised result of positions with their average costs per unit, at the marks; `None` as
/// soon as one mark is missing.
#[must_use]
pub fn unrealised(
    catalog: &Catalog,
    markets: &Markets,
    positions: impl IntoIterator<Item = (ConId, Quantity, Price)>,
) -> Option<Money> {
    let valuing = Valuing { catalog, markets };
    let mut micros = 0_i128;
    for (con_id, quantity, cost) in positions {
        if quantity.is_zero() {
            continue;
        }
        let multiplier = valuing.instrument(con_id).ok()?.multiplier.0;
        let gain = i128::from(valuing.mark(con_id).ok()?.micros()) - i128::from(cost.micros());
        micros += gain * i128::from(quantity.0) * i128::from(multiplier);
    }
    i64::try_from(micros).ok().map(Money::from_micros)
}

impl RiskBook {
    /// The figures of `exposure` at these views.
    #[must_use]
    pub fn of(exposure: &Exposure, catalog: &Catalog, markets: &Markets, limits: &Limits) -> Self {
        let valuing = Valuing { catalog, markets };
        let fills = exposure.fills();
        let mut book = Self::default();
        let mut symbols = BTreeSet::new();
        for con_id in fills.instruments().collect::<BTreeSet<_>>() {
            match valuing.symbol(con_id) {
                Ok(symbol) => {
                    symbols.insert(symbol);
                }
                Err(_) => book.unknown.push(con_id),
            }
        }
        for symbol in symbols {
            let risk = symbol_risk(valuing, limits, exposure, symbol);
            book.symbols.insert(symbol.to_owned(), risk);
        }
        let margin = worst_margin_milli(valuing, &limits.margin, exposure).ok();
        book.margin = margin.map(|milli| Money::from_micros(milli.saturating_mul(1000)));
        book
    }
}

fn symbol_risk(
    valuing: Valuing<'_>,
    limits: &Limits,
    exposure: &Exposure,
    symbol: &str,
) -> SymbolRisk {
    let fills = exposure.fills();
    let mut greeks = NetGreeks::default();
    let mut premium = Some(0_i128);
    let mut missing = BTreeSet::new();
    for con_id in fills.instruments() {
        let of_symbol = valuing.symbol(con_id).is_ok_and(|own| own == symbol);
        if of_symbol && valuing.delta_milli(con_id).and(valuing.vega_milli(con_id)).is_err() {
            missing.insert(con_id);
        }
    }
    for (con_id, held) in &exposure.positions {
        let Ok(instrument) = valuing.instrument(*con_id) else {
            continue;
        };
        if instrument.symbol != symbol || held.is_zero() {
            continue;
        }
        let contracts = held.0 as f64 * f64::from(instrument.multiplier.0);
        if let Some(unit) = valuing.line(*con_id).ok().and_then(|line| line.greeks()) {
            greeks.delta_shares += unit.delta * contracts;
            greeks.gamma_shares += unit.gamma * contracts;
            greeks.vega_per_point += unit.vega / 100.0 * contracts;
            greeks.theta_per_day += unit.theta / 365.0 * contracts;
            greeks.rho_per_point += unit.rho / 100.0 * contracts;
        }
        if instrument.option().is_some() {
            let value = valuing.mark(*con_id).ok().map(|mark| {
                let contracts = i128::from(held.0) * i128::from(instrument.multiplier.0);
                i128::from(mark.micros()) * contracts
            });
            premium = premium.zip(value).map(|(sum, value)| sum + value);
        }
    }
    let of_symbol = fills_of(valuing, &fills, symbol);
    let figures = of_symbol.and_then(|fills| Figures::of(valuing, &fills)).ok();
    let view = valuing.markets.get(symbol);
    SymbolRisk {
        view_version: view.map_or(0, |view| view.version),
        greeks,
        premium: premium.map(|micros| Money::from_micros(clamped(micros))),
        worst: figures.map(|figures| worst_case(figures, limits, symbol)),
        missing: missing.into_iter().collect(),
    }
}

fn worst_case(figures: Figures, limits: &Limits, symbol: &str) -> WorstCase {
    let delta_max = limits.delta_max_shares.of(symbol).saturating_mul(1000);
    let vega_max = limits.vega_max_per_point.of(symbol).saturating_mul(1000);
    WorstCase {
        delta_milli: figures.delta,
        vega_milli: figures.vega,
        uncovered_shares: figures.uncovered_shares,
        outside_limits: figures.delta.worst() > delta_max
            || figures.vega.worst() > vega_max
            || figures.uncovered_shares > limits.short_naked_max_shares.of(symbol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, CALL_100, CALL_110, FUTURE, STOCK};

    #[test]
    fn figures_are_per_symbol_and_name_what_is_missing() {
        let positions = [(CALL_100, 2), (CALL_110, -2), (FUTURE, -1), (STOCK, 300)];
        let positions = positions.map(|(con_id, held)| (con_id, Quantity(held))).into();
        let exposure = Exposure { positions, pending: vec![] };
        let limits = Limits::default();
        let catalog = sample::catalog();
        let book = RiskBook::of(&exposure, &catalog, &sample::markets(), &limits);
        let sim = &book.symbols["SIM"];
        assert!((sim.greeks.delta_shares - (50.0 - 12.0 - 50.0)).abs() < 1e-9);
        // The calls cancel out, and a future has none.
        assert!(sim.greeks.rho_per_point.abs() < 1e-9);
        assert_eq!(sim.premium, Some(Money::from_units(2 * 50 * 3 - 2 * 25)));
        assert_eq!(sim.worst.unwrap().delta_milli, Interval::point(-12_000));
        assert!((book.symbols["STK"].greeks.delta_shares - 300.0).abs() < 1e-9);
        assert!(book.margin.is_some() && book.unknown.is_empty());

        let blind = sample::with_line(sample::view(), CALL_110, |line| line.greeks = None);
        let book = RiskBook::of(&exposure, &catalog, &blind, &limits);
        assert_eq!(book.symbols["SIM"].missing, [CALL_110]);
        assert_eq!(book.symbols["SIM"].worst, None);
    }

    #[test]
    fn the_unrealised_result_is_none_as_soon_as_one_mark_is_missing() {
        let catalog = sample::catalog();
        let held = [
            (CALL_100, Quantity(2), Price::from_units(2)),
            (FUTURE, Quantity(-1), Price::from_units(99)),
        ];
        let result = unrealised(&catalog, &sample::markets(), held);
        assert_eq!(result, Some(Money::from_units(100 - 50)));
        let blind = sample::with_line(sample::view(), CALL_100, |line| {
            line.quote.bid = None;
            line.fair = None;
        });
        assert_eq!(unrealised(&catalog, &blind, held), None);
    }
}
