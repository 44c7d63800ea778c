//! Limit prices from quotes, exact and on tick.
//!
//! A limit lies between the mid and the far side of the quote, by a configured share, rounded
//! towards the market so that it does not lose by rounding what it meant to cross. Whether it is
//! sane is the gate's collar to say.

use market::instrument::TickRule;
use market::money::Price;
use market::quote::Side;

/// One leg of what is to be priced: its ratio, quote and tick rule.
pub(crate) struct QuotedLeg<'a> {
    pub(crate) ratio: i32,
    pub(crate) bid: Price,
    pub(crate) ask: Price,
    pub(crate) tick: &'a TickRule,
}

/// Net bid and ask of one bought unit; equal to the quote for a single instrument.
pub(crate) fn net_quote(legs: &[QuotedLeg<'_>]) -> Option<(Price, Price)> {
    let (mut bid, mut ask) = (0_i64, 0_i64);
    for leg in legs {
        let ratio = i64::from(leg.ratio);
        let (low, high) = if ratio > 0 { (leg.bid, leg.ask) } else { (leg.ask, leg.bid) };
        bid = bid.checked_add(low.micros().checked_mul(ratio)?)?;
        ask = ask.checked_add(high.micros().checked_mul(ratio)?)?;
    }
    Some((Price::from_micros(bid), Price::from_micros(ask)))
}

/// The limit of an order of `side`: `cross_percent` of the way from the mid to the far side.
///
/// A combo's limit is a multiple of the coarsest increment among its legs (and of the increment
/// that its own price would have), which every finer rule allows too.
pub(crate) fn limit(legs: &[QuotedLeg<'_>], side: Side, cross_percent: u32) -> Option<Price> {
    let (bid, ask) = net_quote(legs)?;
    let twice_mid = i128::from(bid.micros()) + i128::from(ask.micros());
    let width = i128::from(ask.micros()) - i128::from(bid.micros());
    let crossed = i128::from(side.sign()) * width * i128::from(cross_percent);
    let wanted = (twice_mid * 100 + crossed).div_euclid(200);
    let wanted = Price::from_micros(i64::try_from(wanted).ok()?);
    let [first, rest @ ..] = legs else {
        return None;
    };
    let round = |tick: Price| {
        let tick = tick.micros();
        let down = wanted.micros().div_euclid(tick) * tick;
        let exact = down == wanted.micros();
        Price::from_micros(if side == Side::Buy && !exact { down + tick } else { down })
    };
    let mid = |leg: &QuotedLeg<'_>| Price::from_micros(leg.bid.micros().midpoint(leg.ask.micros()));
    let mut tick = first.tick.increment(if rest.is_empty() { wanted } else { mid(first) });
    for leg in rest {
        tick = tick.max(leg.tick.increment(mid(leg)));
    }
    // Rounding can cross into a coarser band, once per band.
    let mut price = round(tick);
    while legs.iter().any(|leg| leg.tick.increment(price) > tick) {
        let coarser = legs.iter().map(|leg| leg.tick.increment(price));
        tick = coarser.max().unwrap_or(tick);
        price = round(tick);
    }
    Some(price)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    fn es() -> TickRule {
        TickRule::bands(vec![(Price::ZERO, price("0.05")), (price("10"), price("0.25"))]).unwrap()
    }

    fn leg<'a>(ratio: i32, bid: &str, ask: &str, tick: &'a TickRule) -> QuotedLeg<'a> {
        QuotedLeg { ratio, bid: price(bid), ask: price(ask), tick }
    }

    #[test]
    fn the_limit_crosses_the_configured_share_of_the_spread() {
        let tick = TickRule::flat(price("0.01"));
        let of = |side, percent| limit(&[leg(1, "1.00", "1.10", &tick)], side, percent);
        assert_eq!(of(Side::Buy, 0), Some(price("1.05")));
        assert_eq!(of(Side::Buy, 50), Some(price("1.08")));
        assert_eq!(of(Side::Sell, 50), Some(price("1.02")));
        assert_eq!(of(Side::Buy, 100), Some(price("1.10")));
        assert_eq!(of(Side::Sell, 120), Some(price("0.99")));
    }

    #[test]
    fn a_combo_is_priced_net_on_the_coarsest_tick() {
        let tick = es();
        let straddle = [leg(1, "8.00", "8.20", &tick), leg(1, "9.00", "9.20", &tick)];
        assert_eq!(net_quote(&straddle), Some((price("17.00"), price("17.40"))));
        // 17.30 is not allowed above 10, where the increment is 0.25.
        assert_eq!(limit(&straddle, Side::Buy, 50), Some(price("17.50")));
        let vertical = [leg(1, "12.00", "12.50", &tick), leg(-1, "9.00", "9.10", &tick)];
        assert_eq!(net_quote(&vertical), Some((price("2.90"), price("3.50"))));
        assert_eq!(limit(&vertical, Side::Sell, 50), Some(price("3.00")));
    }
}
