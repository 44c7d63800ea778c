//! Between the broker's words and ours, whole values at a time. Nothing is invented: what can't be
//! said exactly in our words (a fraction of a contract, a time without a zone) is an error, and
//! what an error hides is found by reconciliation.

use super::contracts::{ContractBook, wire_id};
use crate::port::WrittenOrder;
use ibapi::contracts::{
    ComboLeg, Contract as WireContract, Currency as WireCurrency, Exchange, LegAction,
    SecurityType, Symbol,
};
use ibapi::orders::{
    Action as WireAction, CommissionReport, Execution, ExecutionData, ExecutionSide,
    Order as WireOrder, OrderData, OrderStatusKind, TimeInForce as WireTimeInForce,
};
use market::instrument::{Combo, ConId, Contract, Instrument, InstrumentKind, Leg};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use trading::id::{ExecId, OrderId, PermId};
use trading::order::{Order, TimeInForce};
use trading::report::{ComboExecution, CompletedOrder, EndState, Fill, OpenOrder, Report};

/// The most that an order number may be: above it the library counts its own requests.
pub const ORDER_ID_MAX: i64 = 1_499_999_999;

/// A value that has no exact word on the other side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// No terms are known for it.
    #[error("{0:?} has no known terms; resolve its contract first")]
    UnknownContract(ConId),
    /// Too large for the protocol.
    #[error("{0} is no order number of the protocol")]
    OrderId(i64),
    /// Not a whole number of contracts or shares.
    #[error("{what} {text} is no whole number")]
    Fraction {
        /// Of what.
        what: &'static str,
        /// As it was told.
        text: String,
    },
    /// Not a price or an amount.
    #[error("{what} {text} is no amount")]
    Amount {
        /// Of what.
        what: &'static str,
        /// As it was told.
        text: String,
    },
    /// A time that can't be placed.
    #[error("`{0}` is no time with a zone")]
    Time(String),
    /// A combo that is none of ours.
    #[error("a combo of the broker: {0}")]
    Combo(String),
    /// Terms that we don't trade, or that aren't complete.
    #[error("con {con_id} can't be traded: {reason}")]
    Terms {
        /// The broker's number.
        con_id: i32,
        /// Why.
        reason: String,
    },
}

/// What an order is for, in the broker's words. Combos are guaranteed: they carry no routing tags.
///
/// # Errors
/// A contract whose terms aren't in `book`.
pub fn wire_contract(
    contract: &Contract,
    book: &ContractBook,
) -> Result<WireContract, TranslateError> {
    let instrument = |con_id| book.get(con_id).ok_or(TranslateError::UnknownContract(con_id));
    match contract {
        Contract::Single(con_id) => {
            let instrument = instrument(*con_id)?;
            Ok(WireContract {
                contract_id: wire_id(*con_id),
                symbol: Symbol(instrument.symbol.clone()),
                security_type: security_type(&instrument.kind),
                exchange: Exchange(route(&instrument).to_owned()),
                currency: WireCurrency(instrument.currency.code().to_owned()),
                ..WireContract::default()
            })
        }
        Contract::Combo(combo) => {
            let mut legs = Vec::new();
            let mut first = None;
            for leg in combo.legs() {
                let instrument = instrument(leg.con_id)?;
                legs.push(ComboLeg {
                    contract_id: wire_id(leg.con_id),
                    ratio: leg.ratio.abs(),
                    action: if leg.ratio > 0 { LegAction::Buy } else { LegAction::Sell },
                    exchange: route(&instrument).to_owned(),
                    ..ComboLeg::default()
                });
                first.get_or_insert(instrument);
            }
            let first = first.ok_or_else(|| TranslateError::Combo("it has no legs".to_owned()))?;
            Ok(WireContract {
                // A combo without a symbol is answered with 321.
                symbol: Symbol(first.symbol.clone()),
                security_type: SecurityType::Spread,
                exchange: Exchange(route(&first).to_owned()),
                currency: WireCurrency(first.currency.code().to_owned()),
                combo_legs: legs,
                ..WireContract::default()
            })
        }
    }
}

const fn security_type(kind: &InstrumentKind) -> SecurityType {
    match kind {
        InstrumentKind::Stock => SecurityType::Stock,
        InstrumentKind::Index => SecurityType::Index,
        InstrumentKind::Future(_) => SecurityType::Future,
        InstrumentKind::Option(_) => SecurityType::Option,
        InstrumentKind::FutureOption(_) => SecurityType::FuturesOption,
    }
}

/// Stocks and options are routed by the broker; the rest trades where it is listed.
fn route(instrument: &Instrument) -> &str {
    match instrument.kind {
        InstrumentKind::Stock | InstrumentKind::Option(_) => "SMART",
        InstrumentKind::Index | InstrumentKind::Future(_) | InstrumentKind::FutureOption(_) => {
            &instrument.exchange
        }
    }
}

/// The number of an order as the protocol carries it.
///
/// # Errors
/// A number that the protocol has no room for, or that is not a client's.
pub fn wire_order_id(order_id: OrderId) -> Result<i32, TranslateError> {
    let fits = (1..=ORDER_ID_MAX).contains(&order_id.0);
    let wire = i32::try_from(order_id.0).ok().filter(|_| fits);
    wire.ok_or(TranslateError::OrderId(order_id.0))
}

/// Our order in the broker's words.
///
/// # Errors
/// An order number that the protocol has no room for.
pub fn wire_order(order: &Order) -> Result<WireOrder, TranslateError> {
    Ok(WireOrder {
        order_id: wire_order_id(order.order_id)?,
        action: match order.side {
            Side::Buy => WireAction::Buy,
            Side::Sell => WireAction::Sell,
        },
        total_quantity: order.quantity.0 as f64,
        order_type: "LMT".to_owned(),
        limit_price: Some(order.limit.to_f64()),
        tif: match order.time_in_force {
            TimeInForce::Day => WireTimeInForce::Day,
            TimeInForce::GoodTillCanceled => WireTimeInForce::GoodTillCanceled,
            TimeInForce::ImmediateOrCancel => WireTimeInForce::ImmediateOrCancel,
        },
        account: order.account.0.clone(),
        order_ref: order.key.to_string(),
        transmit: true,
        ..WireOrder::default()
    })
}

/// The order as the wire carries it, read back for whoever checks it; none if it carries something
/// that no order of ours has.
#[must_use]
pub fn written(contract: &WireContract, order: &WireOrder) -> Option<WrittenOrder> {
    let legs = our_contract(contract).ok()?.legs().to_vec();
    Some(WrittenOrder {
        order_id: i64::from(order.order_id),
        reference: order.order_ref.clone(),
        account: order.account.clone(),
        legs: legs.iter().map(|leg| (leg.con_id, leg.ratio)).collect(),
        side: match order.action {
            WireAction::Buy => Side::Buy,
            WireAction::Sell => Side::Sell,
            WireAction::SellShort | WireAction::SellLong => return None,
        },
        quantity: whole("a quantity", order.total_quantity).ok()?.0,
        limit: order.limit_price.and_then(Price::from_f64)?,
        time_in_force: match order.tif {
            WireTimeInForce::Day => TimeInForce::Day,
            WireTimeInForce::GoodTillCanceled => TimeInForce::GoodTillCanceled,
            WireTimeInForce::ImmediateOrCancel => TimeInForce::ImmediateOrCancel,
            _ => return None,
        },
    })
}

/// What an order of the broker is for.
///
/// # Errors
/// A combo that can't be ours, or a contract without a number.
pub fn our_contract(contract: &WireContract) -> Result<Contract, TranslateError> {
    if !is_combo(contract) {
        return Ok(Contract::Single(our_id(contract.contract_id)?));
    }
    let mut legs = Vec::new();
    for leg in &contract.combo_legs {
        let sign = match leg.action {
            LegAction::Buy => 1,
            LegAction::Sell | LegAction::SellShort => -1,
        };
        if leg.ratio <= 0 {
            return Err(TranslateError::Combo(format!("a leg's ratio is {}", leg.ratio)));
        }
        legs.push(Leg { con_id: our_id(leg.contract_id)?, ratio: sign * leg.ratio });
    }
    let combo = Combo::new(legs).map_err(|error| TranslateError::Combo(error.to_string()))?;
    Ok(Contract::Combo(combo))
}

/// Whether it is a combo (BAG).
#[must_use]
pub fn is_combo(contract: &WireContract) -> bool {
    contract.security_type == SecurityType::Spread
}

fn our_id(con_id: i32) -> Result<ConId, TranslateError> {
    let positive = u32::try_from(con_id).ok().filter(|con_id| *con_id > 0);
    positive
        .map(ConId)
        .ok_or_else(|| TranslateError::Terms { con_id, reason: "it has no number".to_owned() })
}

/// Whole contracts or shares.
///
/// # Errors
/// A fraction.
pub fn whole(what: &'static str, value: f64) -> Result<Quantity, TranslateError> {
    // 2^53: beyond it an f64 no longer holds every whole number.
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        Ok(Quantity(value as i64))
    } else {
        Err(TranslateError::Fraction { what, text: value.to_string() })
    }
}

fn price(what: &'static str, value: f64) -> Result<Price, TranslateError> {
    Price::from_f64(value).ok_or_else(|| TranslateError::Amount { what, text: value.to_string() })
}

const fn side(action: WireAction) -> Side {
    match action {
        WireAction::Buy => Side::Buy,
        WireAction::Sell | WireAction::SellShort | WireAction::SellLong => Side::Sell,
    }
}

/// An order number as we may use it: only our own client's mean anything to us.
#[must_use]
pub fn own_order_id(order_id: i32, client: i32, own: i32) -> OrderId {
    let ours = client == own && order_id > 0 || mutation::active("own_every_number");
    OrderId(if ours { i64::from(order_id) } else { 0 })
}

/// A working order.
///
/// # Errors
/// Terms that we have no words for.
pub fn open_order(
    data: &OrderData,
    filled: f64,
    own_client: i32,
) -> Result<OpenOrder, TranslateError> {
    let order = &data.order;
    Ok(OpenOrder {
        order_id: own_order_id(data.order_id, order.client_id, own_client),
        perm_id: PermId(order.perm_id),
        reference: order.order_ref.clone(),
        contract: our_contract(&data.contract)?,
        side: side(order.action),
        quantity: whole("an order's size", order.total_quantity)?,
        filled: whole("an order's fills", filled)?,
        limit: price("an order's limit", order.limit_price.unwrap_or_default())?,
    })
}

/// How an order ended, if it has.
#[must_use]
pub fn end_state(status: &OrderStatusKind) -> Option<EndState> {
    match status {
        OrderStatusKind::Filled => Some(EndState::Filled),
        OrderStatusKind::Cancelled | OrderStatusKind::ApiCancelled => Some(EndState::Canceled),
        OrderStatusKind::Inactive => Some(EndState::Inactive),
        OrderStatusKind::ApiPending
        | OrderStatusKind::PendingSubmit
        | OrderStatusKind::PendingCancel
        | OrderStatusKind::PreSubmitted
        | OrderStatusKind::Submitted
        | OrderStatusKind::Unknown(_) => None,
    }
}

/// An ended order. `None` for one that the broker lists here and says works.
///
/// # Errors
/// A fraction of a contract.
pub fn completed_order(data: &OrderData) -> Result<Option<CompletedOrder>, TranslateError> {
    let words = data.order_state.completed_status.to_ascii_lowercase();
    let Some(end) = end_state(&data.order_state.status) else { return Ok(None) };
    let end = match end {
        EndState::Canceled if words.contains("expired") => EndState::Expired,
        EndState::Inactive if words.contains("reject") => EndState::Rejected,
        end => end,
    };
    Ok(Some(CompletedOrder {
        perm_id: PermId(data.order.perm_id),
        reference: data.order.order_ref.clone(),
        end,
        filled: whole("an order's fills", data.order.filled_quantity)?,
    }))
}

/// An execution: of a combo's line, which only checks, or of one contract, which books.
///
/// # Errors
/// A time, a size or a price that we have no words for.
pub fn execution(
    data: &ExecutionData,
    own_client: i32,
    combo_leg: bool,
) -> Result<Report, TranslateError> {
    let Execution { execution_id, order_id, client_id, perm_id, shares, .. } = &data.execution;
    let exec_id = ExecId(execution_id.clone());
    let order_id = own_order_id(*order_id, *client_id, own_client);
    let perm_id = PermId(*perm_id);
    let quantity = whole("an execution's size", *shares)?;
    if quantity.0 <= 0 {
        let text = shares.to_string();
        return Err(TranslateError::Amount { what: "an execution's size", text });
    }
    let price = price("an execution's price", data.execution.price)?;
    if is_combo(&data.contract) {
        let combo = ComboExecution { exec_id, order_id, perm_id, quantity, price };
        return Ok(Report::ComboExecution(combo));
    }
    Ok(Report::Execution(Fill {
        exec_id,
        order_id,
        perm_id,
        reference: data.execution.order_reference.clone(),
        con_id: our_id(data.contract.contract_id)?,
        side: match data.execution.side {
            ExecutionSide::Bought => Side::Buy,
            ExecutionSide::Sold => Side::Sell,
        },
        quantity,
        price,
        time: time(&data.execution.time)?,
        combo_leg,
    }))
}

/// What an execution cost.
///
/// # Errors
/// An amount or a currency that is none.
pub fn fee(report: &CommissionReport) -> Result<Report, TranslateError> {
    let amount = |text: String| TranslateError::Amount { what: "a commission", text };
    Ok(Report::Fee {
        exec_id: ExecId(report.execution_id.clone()),
        amount: Money::from_f64(report.commission)
            .ok_or_else(|| amount(report.commission.to_string()))?,
        currency: Currency::try_from(report.currency.clone())
            .map_err(|_| amount(report.currency.clone()))?,
    })
}

/// `20261120 10:30:00 US/Eastern`, or `20261120-10:30:00`, which is UTC.
///
/// # Errors
/// Any other text. A time without a zone is the gateway machine's own, which we don't know.
pub fn time(text: &str) -> Result<Timestamp, TranslateError> {
    parse_time(text).ok_or_else(|| TranslateError::Time(text.to_owned()))
}

fn parse_time(text: &str) -> Option<Timestamp> {
    let mut parts = text.split_ascii_whitespace();
    let first = parts.next()?;
    let (day, clock, zone) = match first.split_once('-') {
        Some((day, clock)) => (day, clock, parts.next().unwrap_or("UTC")),
        None => (first, parts.next()?, parts.next()?),
    };
    if parts.next().is_some() {
        return None;
    }
    let moment = jiff::civil::DateTime::strptime("%Y%m%d %H:%M:%S", format!("{day} {clock}"));
    let zoned = moment.ok()?.in_tz(zone).ok()?;
    let nanos = i64::try_from(zoned.timestamp().as_nanosecond()).ok()?;
    Some(Timestamp::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_need_a_zone() {
        let ten_thirty_utc = Timestamp::from_seconds(1_795_170_600);
        assert_eq!(time("20261120 10:30:00 UTC"), Ok(ten_thirty_utc));
        assert_eq!(time("20261120-10:30:00"), Ok(ten_thirty_utc));
        assert_eq!(time("20261120 05:30:00 US/Eastern"), Ok(ten_thirty_utc));
        for wrong in ["", "20261120", "20261120 10:30:00", "20261320 10:30:00 UTC", "x y z w"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fractions_are_refused() {
        assert_eq!(whole("a size", -3.0), Ok(Quantity(-3)));
        for wrong in [0.5, f64::NAN, f64::INFINITY, 1e300] {
            assert!(whole("a size", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_of_other_clients_are_not_ours() {
        assert_eq!(own_order_id(7, 3, 3), OrderId(7));
        assert_eq!(own_order_id(7, 4, 3), OrderId(0));
        assert_eq!(own_order_id(-7, 3, 3), OrderId(0));
        assert!(wire_order_id(OrderId(ORDER_ID_MAX)).is_ok());
        for wrong in [0, -1, ORDER_ID_MAX + 1] {
            assert!(wire_order_id(OrderId(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn combos_keep_their_legs_and_signs() {
        let leg = |contract_id, ratio, action| ComboLeg {
            contract_id,
            ratio,
            action,
            ..ComboLeg::default()
        };
        let wire = WireContract {
            security_type: SecurityType::Spread,
            combo_legs: vec![leg(9, 1, LegAction::Sell), leg(4, 2, LegAction::Buy)],
            ..WireContract::default()
        };
        let legs = vec![Leg { con_id: ConId(4), ratio: 2 }, Leg { con_id: ConId(9), ratio: -1 }];
        assert_eq!(our_contract(&wire), Ok(Contract::Combo(Combo::new(legs).unwrap())));
    }

    #[test]
    fn a_damaged_combo_is_refused() {
        let leg = |contract_id, ratio| ComboLeg { contract_id, ratio, ..ComboLeg::default() };
        for ratio in [0, -1, i32::MIN] {
            let wire = WireContract {
                security_type: SecurityType::Spread,
                combo_legs: vec![leg(9, 1), ComboLeg { action: LegAction::Sell, ..leg(4, ratio) }],
                ..WireContract::default()
            };
            assert!(our_contract(&wire).is_err(), "{ratio}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_broker_says_is_translated_or_refused(
            numbers in any::<(i32, i32, i64)>(),
            amounts in any::<(f64, f64, Option<f64>)>(),
            texts in ("\\PC{0,20}", "[0-9]{8}[ -][0-9:]{6,8}( [A-Za-z/]{2,12})?"),
            legs in prop::collection::vec(any::<(i32, i32, bool)>(), 0..6),
        ) {
            let legs = legs.into_iter().map(|(contract_id, ratio, buys)| ComboLeg {
                contract_id,
                ratio,
                action: if buys { LegAction::Buy } else { LegAction::Sell },
                ..ComboLeg::default()
            });
            let combo_legs: Vec<_> = legs.collect();
            let security_type =
                if combo_legs.is_empty() { SecurityType::Option } else { SecurityType::Spread };
            let contract = WireContract {
                contract_id: numbers.0, security_type, combo_legs, ..WireContract::default()
            };
            let order = WireOrder {
                order_id: numbers.1,
                perm_id: numbers.2,
                total_quantity: amounts.0,
                filled_quantity: amounts.1,
                limit_price: amounts.2,
                order_ref: texts.0.clone(),
                ..WireOrder::default()
            };
            let execution_id = texts.0.clone();
            let time = texts.1.clone();
            let shown = Execution {
                execution_id, time, shares: amounts.0, price: amounts.1, ..Execution::default()
            };
            let data = OrderData { order, contract: contract.clone(), ..OrderData::default() };
            let _ = open_order(&data, amounts.1, 0);
            let _ = completed_order(&data);
            let shown = ExecutionData { execution: shown, contract, ..ExecutionData::default() };
            if let Ok(Report::Execution(fill)) = execution(&shown, 0, false) {
                prop_assert!(fill.quantity.0 > 0 && fill.quantity.0 as f64 == amounts.0);
            }
            let _ = fee(&CommissionReport {
                execution_id: texts.0.clone(),
                commission: amounts.0,
                currency: texts.0,
                ..CommissionReport::default()
            });
        }
    }
}
