//! The limits that the gate compares: an order's own (size, premium, collars, rates) and the
//! account's worst case with it (margin, uncovered shorts, delta, vega, the day's loss).
//!
//! Every comparison leaves a [`LimitSeen`] in the evidence before it answers, in whole thousandths.

use super::{Facts, Gate, GateInput, denied, unavailable};
use crate::collar::{self, Distance, NoDistance, Width};
use crate::evidence::{GateEvidence, LimitSeen};
use crate::exposure::Exposure;
use crate::figures::{Figures, fills_of, legs_of};
use crate::margin::{premium_micros, worst_margin_milli};
use crate::worst_case::clamped;
use market::instrument::InstrumentKind;
use market::money::{Money, Price};
use trading::denial::{Denial, DenialCode};

pub(super) fn thousandths(milli: i64) -> String {
    Price::from_micros(milli.saturating_mul(1000)).to_string()
}

/// Keeps the comparison as evidence and denies when it is outside, or further outside.
fn compare(evidence: &mut GateEvidence, code: DenialCode, seen: LimitSeen) -> Result<(), Denial> {
    let outside = seen.after_milli > seen.bound_milli && seen.after_milli > seen.before_milli;
    let sentence = format!(
        "{} would be {} at worst, its limit is {} (now {})",
        seen.limit,
        thousandths(seen.after_milli),
        thousandths(seen.bound_milli),
        thousandths(seen.before_milli)
    );
    evidence.limits.push(seen);
    if outside { denied(code, sentence) } else { Ok(()) }
}

fn seen(limit: String, before_milli: i64, after_milli: i64, bound_milli: i64) -> LimitSeen {
    LimitSeen { limit, before_milli, after_milli, bound_milli }
}

fn count(limit: &str, before: usize, bound: u32) -> LimitSeen {
    let before_milli = before as i64 * 1000;
    seen(limit.to_owned(), before_milli, before_milli + 1000, i64::from(bound) * 1000)
}

fn money_milli(money: Money) -> i64 {
    money.micros().div_euclid(1000)
}

impl Gate {
    pub(super) fn check_reducing(
        &mut self,
        facts: &Facts<'_>,
        input: &GateInput<'_>,
        evidence: &mut GateEvidence,
    ) -> Result<(), Denial> {
        let own = &self.limits.risk_reducing;
        let most = (own.quantity_max_contracts, own.quantity_max_shares);
        check_quantity(facts, most, evidence)?;
        let rate = self.reducing_rate.count(input.now.process);
        let seen = count("reducing_orders_per_second", rate, own.orders_per_second_max);
        compare(evidence, DenialCode::OrderRate, seen)?;
        let quote = Width {
            multiple: own.collar_quote_half_spreads,
            ticks_min: own.collar_quote_ticks_min,
        };
        let model = Width {
            multiple: own.collar_model_standard_errors,
            ticks_min: own.collar_model_ticks_min,
        };
        check_collars(facts, input, (quote, model, NoModel::QuoteAlone), evidence)
    }

    pub(super) fn check_full(
        &mut self,
        facts: &Facts<'_>,
        input: &GateInput<'_>,
        evidence: &mut GateEvidence,
    ) -> Result<(), Denial> {
        let limits = &self.limits;
        let most = (limits.quantity_max_contracts, limits.quantity_max_shares);
        check_quantity(facts, most, evidence)?;
        let premium = premium_micros(facts.valuing, &facts.pending).map_err(unavailable)?;
        let premium = clamped((premium.abs() + 999).div_euclid(1000));
        let premium = seen("premium".to_owned(), 0, premium, money_milli(limits.premium_max));
        compare(evidence, DenialCode::PremiumLimit, premium)?;
        let quote = Width {
            multiple: limits.collar_quote_half_spreads,
            ticks_min: limits.collar_quote_ticks_min,
        };
        let model = Width {
            multiple: limits.collar_model_standard_errors,
            ticks_min: limits.collar_model_ticks_min,
        };
        check_collars(facts, input, (quote, model, NoModel::Denied), evidence)?;
        self.check_margin(facts, input, evidence)?;
        let figures = self.figures(facts, input)?;
        for (symbol, before, after) in &figures {
            let naked = seen(
                format!("short_naked/{symbol}"),
                before.uncovered_shares.saturating_mul(1000),
                after.uncovered_shares.saturating_mul(1000),
                self.limits.short_naked_max_shares.of(symbol).saturating_mul(1000),
            );
            compare(evidence, DenialCode::ShortNaked, naked)?;
        }
        if input.is_modify_of_remaining.is_none() && self.sent.contains(input.order) {
            let sentence = format!(
                "the same order was cleared less than {} ms ago",
                self.limits.duplicate_window_ms
            );
            return denied(DenialCode::DuplicateIntent, sentence);
        }
        let rate = self.rate.count(input.now.process);
        let rate = count("orders_per_second", rate, self.limits.orders_per_second_max);
        compare(evidence, DenialCode::OrderRate, rate)?;
        let open = input.exposure.open_orders(&input.order.contract, input.order.side);
        let open = count("open_orders_per_side", open, self.limits.open_orders_per_side_max);
        compare(evidence, DenialCode::OpenOrders, open)?;
        self.check_greeks(&figures, evidence)?;
        self.check_daily_loss(input, evidence)
    }

    fn check_margin(
        &self,
        facts: &Facts<'_>,
        input: &GateInput<'_>,
        evidence: &mut GateEvidence,
    ) -> Result<(), Denial> {
        let rates = &self.limits.margin;
        let estimate = |exposure: &Exposure| {
            worst_margin_milli(facts.valuing, rates, exposure).map_err(unavailable)
        };
        let without = estimate(input.exposure)?;
        let mut exposure = input.exposure.clone();
        exposure.pending.push(facts.pending.clone());
        let added = estimate(&exposure)?.saturating_sub(without).max(0);
        let used = money_milli(input.margin_used).saturating_add(1).max(without);
        let bound = money_milli(self.limits.margin_max);
        let margin = seen("margin".to_owned(), used, used.saturating_add(added), bound);
        compare(evidence, DenialCode::MarginLimit, margin)
    }

    /// Per symbol of the order: the figures without and with it.
    fn figures<'a>(
        &self,
        facts: &Facts<'a>,
        input: &GateInput<'_>,
    ) -> Result<Vec<(&'a str, Figures, Figures)>, Denial> {
        let all = input.exposure.fills();
        let of_symbol = |symbol: &'a str| {
            let fills = fills_of(facts.valuing, &all, symbol)?;
            let legs = legs_of(facts.valuing, &facts.legs, symbol)?;
            let before = Figures::of(facts.valuing, &fills)?;
            let after = Figures::of(facts.valuing, &fills.with_possible(legs))?;
            Ok((symbol, before, after))
        };
        facts.symbols.iter().map(|symbol| of_symbol(symbol).map_err(unavailable)).collect()
    }

    fn check_greeks(
        &self,
        figures: &[(&str, Figures, Figures)],
        evidence: &mut GateEvidence,
    ) -> Result<(), Denial> {
        for (symbol, before, after) in figures {
            let delta = self.limits.delta_max_shares.of(symbol).saturating_mul(1000);
            let vega = self.limits.vega_max_per_point.of(symbol).saturating_mul(1000);
            let rows = [
                ("delta", DenialCode::DeltaLimit, before.delta, after.delta, delta),
                ("vega", DenialCode::VegaLimit, before.vega, after.vega, vega),
            ];
            for (name, code, before, after, bound) in rows {
                let limit = format!("{name}/{symbol}");
                let sentence = format!(
                    "{limit} would be {} to {} at worst, its limit is {} on either side",
                    thousandths(after.low),
                    thousandths(after.high),
                    thousandths(bound)
                );
                evidence.limits.push(seen(limit, before.worst(), after.worst(), bound));
                let skipped = name == "delta" && mutation::active("skip_delta_limit");
                if after.breaches(before, bound) && !skipped {
                    return denied(code, sentence);
                }
            }
        }
        Ok(())
    }

    fn check_daily_loss(
        &self,
        input: &GateInput<'_>,
        evidence: &mut GateEvidence,
    ) -> Result<(), Denial> {
        let Some(loss) = input.day.loss_milli() else {
            let sentence = "the day's unrealised result is not known".to_owned();
            return denied(DenialCode::RiskUnavailable, sentence);
        };
        let bound = money_milli(self.limits.daily_loss_max);
        evidence.limits.push(seen("daily_loss".to_owned(), loss, loss, bound));
        if loss >= bound {
            let (lost, most) = (thousandths(loss), thousandths(bound));
            let sentence = format!("the day's loss is {lost}, its limit is {most}");
            return denied(DenialCode::DailyLoss, sentence);
        }
        Ok(())
    }
}

fn check_quantity(
    facts: &Facts<'_>,
    (contracts_max, shares_max): (i64, i64),
    evidence: &mut GateEvidence,
) -> Result<(), Denial> {
    for (con_id, quantity) in &facts.legs {
        let instrument = facts.valuing.instrument(*con_id).map_err(unavailable)?;
        let (unit, most) = match instrument.kind {
            InstrumentKind::Stock => ("shares", shares_max),
            _ => ("contracts", contracts_max),
        };
        let limit = format!("quantity_{unit}/{con_id}");
        let size = quantity.abs().saturating_mul(1000);
        let size = seen(limit, 0, size, most.saturating_mul(1000));
        compare(evidence, DenialCode::QuantityLimit, size)?;
    }
    Ok(())
}

/// What becomes of an order whose contract has no model value, as where too few quotes name a
/// volatility.
#[derive(Clone, Copy)]
enum NoModel {
    /// It is denied.
    Denied,
    /// The quoted mid alone bounds it: who lowers risk isn't locked in by a thin market.
    QuoteAlone,
}

fn check_collars(
    facts: &Facts<'_>,
    input: &GateInput<'_>,
    (quote, model, no_model): (Width, Width, NoModel),
    evidence: &mut GateEvidence,
) -> Result<(), Denial> {
    let priced = (&input.order.contract, input.order.side, input.order.limit);
    let as_seen = |name: &str, distance: Distance| {
        seen(name.to_owned(), 0, distance.after_milli, distance.bound_milli)
    };
    let distance =
        collar::from_quote(facts.valuing, priced, quote).map_err(|cause| match cause {
            NoDistance::Missing(sentence) => Denial::new(DenialCode::StaleData, sentence),
            NoDistance::Unavailable(cause) => unavailable(cause),
        })?;
    compare(evidence, DenialCode::CollarQuote, as_seen("collar_quote", distance))?;
    let distance = match (collar::from_model(facts.valuing, priced, model), no_model) {
        (Ok(distance), _) => distance,
        (Err(NoDistance::Missing(_)), NoModel::QuoteAlone) => None,
        (Err(NoDistance::Missing(sentence)), NoModel::Denied) => {
            return denied(DenialCode::CollarModel, sentence);
        }
        (Err(NoDistance::Unavailable(cause)), _) => return Err(unavailable(cause)),
    };
    match distance {
        Some(distance) => {
            compare(evidence, DenialCode::CollarModel, as_seen("collar_model", distance))
        }
        None => Ok(()),
    }
}
