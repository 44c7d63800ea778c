//! Orders between IB's words and the exchange's.
//!
//! What the exchange doesn't act on (the order's own text, routing, algorithm names) is kept beside
//! it as its client worded it, so that it can be told back after a restart. Conditions, trailing
//! and pegged orders, later starts and least quantities are refused: an order that is accepted
//! behaves as it says.

use crate::catalog;
use crate::message::contract::Contract;
use crate::message::order::{Order, OrderState, PlaceOrderRequest};
use crate::stamp;
use exchange::exchange::{Preview, Refusal};
use exchange::{
    EndState, Exchange, GroupRule, Instructions, NewOrder, OpenOrder, OrderGroup, OrderKind, Stage,
    Ticket, TimeInForce,
};
use market::instrument;
use market::money::{Money, Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use prost::Message;

fn refuse<T>(code: u32, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, text: text.into() })
}

fn invalid<T>(what: &str) -> Result<T, Refusal> {
    refuse(321, format!("Error validating request: {what}"))
}

/// The books keep an order as its client worded it, for good: words beyond this are no order.
const LONGEST_ORDER: usize = 16 * 1024;

/// The order of a request, as the exchange takes it.
///
/// # Errors
/// With IB's code for what it asks wrongly or what is not served.
pub fn ticket_of(
    exchange: &Exchange,
    client: i32,
    account: &str,
    request: &PlaceOrderRequest,
    now: Timestamp,
) -> Result<Ticket, Refusal> {
    let order = &request.order;
    let length = request.encoded_len();
    if length > LONGEST_ORDER {
        return invalid(&format!("an order of {length} bytes, the longest has {LONGEST_ORDER}"));
    }
    if !order.account.is_empty() && order.account != account {
        return invalid(&format!("account {} is not of this session", order.account));
    }
    if !order.conditions.is_empty() {
        return refuse(387, "Unsupported order type: conditions are not simulated");
    }
    if !order.good_after_time.is_empty() {
        return refuse(387, "Unsupported order type: good-after times are not simulated");
    }
    if order.min_quantity.is_some_and(|least| least > 0) {
        return refuse(387, "Unsupported order type: least quantities are not simulated");
    }
    if order.cash_quantity.is_some_and(|amount| amount != 0.0) {
        return refuse(387, "Unsupported order type: cash quantities are not simulated");
    }
    let side = match order.action.as_str() {
        "BUY" => Side::Buy,
        "SELL" | "SSHORT" => Side::Sell,
        other => return invalid(&format!("action `{other}`")),
    };
    let quantity = units(&order.total_quantity)?;
    let contract = catalog::resolve(exchange, &request.contract, now)?;
    let kind = kind(order)?;
    let limit =
        if kind.has_limit() { price("limit price", order.limit_price)? } else { Price::ZERO };
    let (time_in_force, whole_only, good_till) = force(order)?;
    let ticket = Ticket {
        order: NewOrder {
            client_order_id: i64::from(request.order_id),
            reference: order.order_ref.clone(),
            contract,
            side,
            quantity: Quantity(quantity),
            limit,
            time_in_force,
        },
        instructions: Instructions {
            client,
            kind,
            held: order.transmit == Some(false),
            parent: (order.parent_id != 0).then_some(i64::from(order.parent_id)),
            group: group(order),
            whole_only: whole_only || order.all_or_none,
            good_till,
            memo: memo(request),
        },
    };
    Ok(ticket)
}

fn units(text: &str) -> Result<i64, Refusal> {
    let whole = text.trim_end_matches('0').strip_suffix('.').unwrap_or(text);
    match whole.parse() {
        Ok(units) => Ok(units),
        Err(_) => invalid(&format!("size `{text}` is no whole number")),
    }
}

fn price(name: &str, value: Option<f64>) -> Result<Price, Refusal> {
    match value.and_then(Price::from_f64) {
        Some(price) => Ok(price),
        None => invalid(&format!("the order needs a {name}")),
    }
}

fn kind(order: &Order) -> Result<OrderKind, Refusal> {
    match order.order_type.as_str() {
        "LMT" => Ok(OrderKind::Limit),
        "MKT" => Ok(OrderKind::Market),
        "STP" => Ok(OrderKind::Stop { trigger: price("stop price", order.aux_price)? }),
        "STP LMT" | "STPLMT" => {
            Ok(OrderKind::StopLimit { trigger: price("stop price", order.aux_price)? })
        }
        other => refuse(387, format!("Unsupported order type `{other}`: it is not simulated")),
    }
}

type Force = (TimeInForce, bool, Option<Timestamp>);

fn force(order: &Order) -> Result<Force, Refusal> {
    Ok(match order.tif.as_str() {
        "" | "DAY" => (TimeInForce::Day, false, None),
        "GTC" => (TimeInForce::GoodTillCanceled, false, None),
        "IOC" => (TimeInForce::ImmediateOrCancel, false, None),
        "FOK" => (TimeInForce::ImmediateOrCancel, true, None),
        "GTD" => {
            let Some(end) = stamp::parse(&order.good_till_date) else {
                return invalid(&format!("good-till date `{}`", order.good_till_date));
            };
            (TimeInForce::GoodTillCanceled, false, Some(end))
        }
        other => return invalid(&format!("time in force `{other}` is not simulated")),
    })
}

fn group(order: &Order) -> Option<OrderGroup> {
    if order.oca_group.is_empty() {
        return None;
    }
    let rule = match order.oca_type {
        1 => GroupRule::CancelOthers,
        _ => GroupRule::ReduceOthers,
    };
    Some(OrderGroup { name: order.oca_group.clone(), rule })
}

/// The request as text: protobuf in hexadecimal.
fn memo(request: &PlaceOrderRequest) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    let bytes = request.encode_to_vec();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

fn of_memo(memo: &str) -> Option<PlaceOrderRequest> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = memo.as_bytes().chunks(2).map(byte).collect();
    PlaceOrderRequest::decode(bytes?.as_slice()).ok()
}

/// An order as its client hears of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The client's number.
    pub order_id: i32,
    /// What it is for.
    pub contract: Contract,
    /// Its terms.
    pub order: Order,
}

/// An order of the books in IB's words.
pub fn told(exchange: &Exchange, account: &str, open: &OpenOrder) -> Told {
    let worded = of_memo(&open.instructions.memo);
    let contract = match &open.contract {
        instrument::Contract::Single(con_id) => {
            exchange.instrument(*con_id).map(catalog::contract_of)
        }
        instrument::Contract::Combo(_) => worded.as_ref().map(|worded| worded.contract.clone()),
    };
    let mut order = worded.map(|worded| worded.order).unwrap_or_default();
    let kind = open.instructions.kind;
    order.order_id = number(open.client_order_id);
    order.client_id = open.instructions.client;
    order.perm_id = open.perm_id;
    order.parent_id = open.instructions.parent.map_or(0, number);
    order.action = if open.side == Side::Buy { "BUY" } else { "SELL" }.to_owned();
    order.total_quantity = open.quantity.to_string();
    order.filled_quantity = open.filled.to_string();
    order.order_ref.clone_from(&open.reference);
    order.account = account.to_owned();
    order.limit_price = kind.has_limit().then(|| open.limit.to_f64());
    order.aux_price = kind.trigger().map(Price::to_f64);
    order.order_type = match kind {
        OrderKind::Limit => "LMT",
        OrderKind::Market => "MKT",
        OrderKind::Stop { .. } => "STP",
        OrderKind::StopLimit { .. } => "STP LMT",
    }
    .to_owned();
    if order.tif.is_empty() {
        order.tif = match open.time_in_force {
            TimeInForce::Day => "DAY",
            TimeInForce::GoodTillCanceled => "GTC",
            TimeInForce::ImmediateOrCancel => "IOC",
        }
        .to_owned();
    }
    Told {
        order_id: order.order_id,
        contract: contract.unwrap_or_else(|| catalog::bag_of(exchange, &open.contract)),
        order,
    }
}

/// An order number as the protocol carries it.
pub fn number(client_order_id: i64) -> i32 {
    i32::try_from(client_order_id).unwrap_or(i32::MAX)
}

/// IB's word for a working order.
pub const fn working_status(stage: Stage) -> &'static str {
    match stage {
        Stage::Working => "Submitted",
        Stage::Held | Stage::AwaitsParent | Stage::AwaitsTrigger => "PreSubmitted",
    }
}

/// IB's word for an order that has ended.
pub const fn end_status(end: EndState) -> &'static str {
    match end {
        EndState::Filled => "Filled",
        EndState::Canceled | EndState::Expired => "Cancelled",
        EndState::Rejected => "Inactive",
    }
}

/// What a what-if is answered with.
pub fn previewed(preview: &Preview) -> OrderState {
    let amount = |money: Money| Some(money.to_f64());
    let change = |after: Money, before: Money| Some((after - before).to_f64());
    let (before, after) = (&preview.before, &preview.after);
    OrderState {
        status: "PreSubmitted".to_owned(),
        init_margin_before: amount(before.initial),
        maint_margin_before: amount(before.maintenance),
        equity_before: amount(before.equity),
        init_margin_change: change(after.initial, before.initial),
        maint_margin_change: change(after.maintenance, before.maintenance),
        equity_change: change(after.equity, before.equity),
        init_margin_after: amount(after.initial),
        maint_margin_after: amount(after.maintenance),
        equity_after: amount(after.equity),
        commission: amount(preview.fee),
        min_commission: amount(preview.fee),
        max_commission: amount(preview.fee),
        commission_currency: "USD".to_owned(),
        ..OrderState::default()
    }
}
