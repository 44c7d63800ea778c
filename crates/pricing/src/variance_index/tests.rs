//! The index against published numbers and against itself.

use super::*;
use crate::essvi::Slice;

#[test]
fn derman_kamal_and_zous_example_comes_out() {
    // tests/reference/variance_swap_dkz1999.csv: S = 100, r = 5 %, three months of 365ths; 30 % at
    // a strike of 50, one point less per 5; the strip ends with 45 and 140.
    let vol = |strike: f64| 0.30 - 0.01 * (strike - 50.0) / 5.0;
    let puts: Vec<(f64, f64)> =
        (0..12).map(|at| 100.0 - 5.0 * f64::from(at)).map(|k| (k, vol(k))).collect();
    let calls: Vec<(f64, f64)> =
        (0..9).map(|at| 100.0 + 5.0 * f64::from(at)).map(|k| (k, vol(k))).collect();
    let text = include_str!("../../tests/reference/variance_swap_dkz1999.csv");
    let row = text.lines().last().unwrap();
    let published: f64 = row.rsplit(',').next().unwrap().parse().unwrap();
    let variance = replicated_variance(100.0, 0.05, 0.246575, 100.0, &puts, &calls).unwrap();
    // Published to five decimals.
    assert!((variance - published).abs() < 5e-6, "{variance} {published}");
}

#[test]
fn the_white_papers_interpolation_comes_out() {
    // Cboe VIX white paper (2019): 25 and 32 days, 13.69.
    let vol = index_of((0.0184629, 35_924.0), (0.0188210, 46_394.0), 43_200.0).unwrap();
    assert!((100.0 * vol - 13.69).abs() < 0.005, "{vol}");
}

#[test]
fn the_white_papers_near_term_comes_out_with_its_strip() {
    let text = include_str!("../../tests/reference/vix_white_paper_near_term.csv");
    let mut columns: [Vec<f64>; 5] = Default::default();
    for line in text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())) {
        let row = line.split(',').map(|cell| cell.parse::<f64>().unwrap());
        columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    let [strike, call_bid, call_ask, put_bid, put_ask] = &columns;
    let quotes = IndexQuotes { strike, call_bid, call_ask, put_bid, put_ask };
    let term = term_variance(&quotes, 0.0683486, 0.000305).unwrap();
    assert!((term.forward - 1962.89996).abs() < 5e-6, "{term:?}");
    assert_eq!(term.at_strike, 1960.0);
    assert!((term.variance - 0.0184629).abs() < 5e-8, "{term:?}");
}

/// Quotes of a flat vol at many strikes, `half` wide.
fn flat(vol: f64, step: f64, half: f64) -> [Vec<f64>; 5] {
    let strike: Vec<f64> = (1..=(400.0 / step) as i32).map(|at| step * f64::from(at)).collect();
    let price = |kind| {
        let of = move |&strike: &f64| {
            let contract =
                ForwardContract { forward: 101.0, strike, years: 0.25, vol, discount: 0.99, kind };
            contract.price_and_greeks().unwrap().price
        };
        strike.iter().map(of).collect::<Vec<f64>>()
    };
    let (call, put) = (price(OptionKind::Call), price(OptionKind::Put));
    let moved = |column: &[f64], by: f64| {
        let of = |own: &f64| if *own > half { own + by } else { 0.0 };
        column.iter().map(of).collect::<Vec<f64>>()
    };
    [moved(&call, -half), moved(&call, half), moved(&put, -half), moved(&put, half), strike]
}

fn quotes(columns: &[Vec<f64>; 5]) -> IndexQuotes<'_> {
    let [call_bid, call_ask, put_bid, put_ask, strike] = columns;
    IndexQuotes { strike, call_bid, call_ask, put_bid, put_ask }
}

#[test]
fn a_flat_vol_is_its_own_index_three_ways() {
    let rate = -libm::log(0.99) / 0.25;
    let term = term_variance(&quotes(&flat(0.2, 0.5, 1e-9)), 0.25, rate).unwrap();
    assert!((term.forward - 101.0).abs() < 1e-6 && term.at_strike == 101.0);
    assert!((term.variance - 0.04).abs() < 2e-5, "{term:?}");
    let slice = Slice { theta: 0.01, rho: 0.0, psi: 1e-9 };
    let variance = slice_variance(&slice, 0.25, 8.0, 200).unwrap();
    assert!((variance - 0.04).abs() < 1e-8, "{variance}");
}

#[test]
fn the_strip_ends_at_two_zero_bids_in_a_row_and_not_at_one() {
    let mut columns = flat(0.2, 1.0, 0.01);
    let rate = -libm::log(0.99) / 0.25;
    let whole = term_variance(&quotes(&columns), 0.25, rate).unwrap();
    let lane = |columns: &[Vec<f64>; 5], strike: f64| {
        columns[4].iter().position(|own| *own == strike).unwrap()
    };
    let at = lane(&columns, 80.0);
    columns[2][at] = 0.0;
    let one = term_variance(&quotes(&columns), 0.25, rate).unwrap();
    assert_eq!(one.strikes, whole.strikes - 1);
    columns[2][at - 1] = 0.0;
    let two = term_variance(&quotes(&columns), 0.25, rate).unwrap();
    let below = columns[4].iter().take(at + 1).filter(|strike| **strike > 0.0).count();
    assert!(two.strikes < one.strikes && below > 0);
    assert!(two.variance < whole.variance);
}

#[test]
fn unusable_input_has_its_reason() {
    let columns = flat(0.2, 1.0, 0.01);
    let good = quotes(&columns);
    assert_eq!(term_variance(&good, 0.0, 0.01), Err(NoIndex::BadParameter));
    assert_eq!(term_variance(&good, 0.25, f64::NAN), Err(NoIndex::BadParameter));
    let short = IndexQuotes { put_ask: &good.put_ask[1..], ..good };
    assert_eq!(term_variance(&short, 0.25, 0.01), Err(NoIndex::LengthMismatch));
    let mut turned = columns.clone();
    turned.iter_mut().for_each(|column| column.reverse());
    assert_eq!(term_variance(&quotes(&turned), 0.25, 0.01), Err(NoIndex::BadLane { lane: 1 }));
    let zeros = vec![0.0; columns[4].len()];
    let none = IndexQuotes { call_bid: &zeros, ..good };
    assert_eq!(term_variance(&none, 0.25, 0.01), Err(NoIndex::NoForward));
    assert_eq!(index_of((0.04, 2.0), (0.04, 1.0), 3.0), Err(NoIndex::NotSpanned));
    assert_eq!(
        replicated_variance(100.0, 0.0, 1.0, 100.0, &[(100.0, 0.2), (110.0, 0.2)], &[]),
        Err(NoIndex::BadLane { lane: 0 })
    );
}
