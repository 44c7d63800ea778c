//! Orders, their state, and executions.
//!
//! Sizes are decimal texts, prices are doubles; an absent price is a price that is not set.

use super::contract::Contract;
use std::collections::BTreeMap;

/// An order as its client words it, and as it is told back.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Order {
    #[prost(int32, tag = "1")]
    pub client_id: i32,
    #[prost(int32, tag = "2")]
    pub order_id: i32,
    #[prost(int64, tag = "3")]
    pub perm_id: i64,
    #[prost(int32, tag = "4")]
    pub parent_id: i32,
    #[prost(string, tag = "5")]
    pub action: String,
    #[prost(string, tag = "6")]
    pub total_quantity: String,
    #[prost(int32, optional, tag = "7")]
    pub display_size: Option<i32>,
    #[prost(string, tag = "8")]
    pub order_type: String,
    #[prost(double, optional, tag = "9")]
    pub limit_price: Option<f64>,
    #[prost(double, optional, tag = "10")]
    pub aux_price: Option<f64>,
    #[prost(string, tag = "11")]
    pub tif: String,
    #[prost(string, tag = "12")]
    pub account: String,
    #[prost(bool, tag = "16")]
    pub all_or_none: bool,
    #[prost(bool, tag = "17")]
    pub block_order: bool,
    #[prost(bool, tag = "18")]
    pub hidden: bool,
    #[prost(bool, tag = "19")]
    pub outside_rth: bool,
    #[prost(bool, tag = "20")]
    pub sweep_to_fill: bool,
    #[prost(double, optional, tag = "22")]
    pub trailing_percent: Option<f64>,
    #[prost(double, optional, tag = "23")]
    pub trail_stop_price: Option<f64>,
    #[prost(int32, optional, tag = "24")]
    pub min_quantity: Option<i32>,
    #[prost(string, tag = "25")]
    pub good_after_time: String,
    #[prost(string, tag = "26")]
    pub good_till_date: String,
    #[prost(string, tag = "27")]
    pub oca_group: String,
    #[prost(string, tag = "28")]
    pub order_ref: String,
    #[prost(int32, tag = "30")]
    pub oca_type: i32,
    #[prost(int32, tag = "31")]
    pub trigger_method: i32,
    #[prost(string, tag = "61")]
    pub algo_strategy: String,
    #[prost(btree_map = "string, string", tag = "62")]
    pub algo_params: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "64")]
    pub smart_combo_routing_params: BTreeMap<String, String>,
    #[prost(bool, tag = "65")]
    pub what_if: bool,
    #[prost(bool, optional, tag = "66")]
    pub transmit: Option<bool>,
    #[prost(string, tag = "68")]
    pub open_close: String,
    #[prost(int32, tag = "69")]
    pub origin: i32,
    #[prost(int32, optional, tag = "72")]
    pub exempt_code: Option<i32>,
    #[prost(message, repeated, tag = "100")]
    pub conditions: Vec<Condition>,
    #[prost(string, tag = "103")]
    pub model_code: String,
    #[prost(double, optional, tag = "106")]
    pub cash_quantity: Option<f64>,
    #[prost(string, tag = "115")]
    pub filled_quantity: String,
    #[prost(bool, tag = "117")]
    pub auto_cancel_parent: bool,
    #[prost(int64, tag = "121")]
    pub parent_perm_id: i64,
}

/// A condition; only that there is one matters here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Condition {
    #[prost(int32, required, tag = "1")]
    pub kind: i32,
}

/// How an order stands, and what a what-if says.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OrderState {
    #[prost(string, tag = "1")]
    pub status: String,
    #[prost(double, optional, tag = "2")]
    pub init_margin_before: Option<f64>,
    #[prost(double, optional, tag = "3")]
    pub maint_margin_before: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub equity_before: Option<f64>,
    #[prost(double, optional, tag = "5")]
    pub init_margin_change: Option<f64>,
    #[prost(double, optional, tag = "6")]
    pub maint_margin_change: Option<f64>,
    #[prost(double, optional, tag = "7")]
    pub equity_change: Option<f64>,
    #[prost(double, optional, tag = "8")]
    pub init_margin_after: Option<f64>,
    #[prost(double, optional, tag = "9")]
    pub maint_margin_after: Option<f64>,
    #[prost(double, optional, tag = "10")]
    pub equity_after: Option<f64>,
    #[prost(double, optional, tag = "11")]
    pub commission: Option<f64>,
    #[prost(double, optional, tag = "12")]
    pub min_commission: Option<f64>,
    #[prost(double, optional, tag = "13")]
    pub max_commission: Option<f64>,
    #[prost(string, tag = "14")]
    pub commission_currency: String,
    #[prost(string, tag = "26")]
    pub reject_reason: String,
    #[prost(string, tag = "28")]
    pub warning_text: String,
    #[prost(string, tag = "29")]
    pub completed_time: String,
    #[prost(string, tag = "30")]
    pub completed_status: String,
}

/// Places an order, or changes the one of this number (3).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PlaceOrderRequest {
    #[prost(int32, required, tag = "1")]
    pub order_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(message, required, tag = "3")]
    pub order: Order,
}

/// When and by whom a cancel was decided.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OrderCancel {
    #[prost(string, tag = "1")]
    pub manual_time: String,
}

/// Cancels an order (4).
#[derive(Clone, PartialEq, prost::Message)]
pub struct CancelOrderRequest {
    #[prost(int32, required, tag = "1")]
    pub order_id: i32,
    #[prost(message, optional, tag = "2")]
    pub cancel: Option<OrderCancel>,
}

/// Cancels every order of the account (58).
#[derive(Clone, PartialEq, prost::Message)]
pub struct GlobalCancelRequest {
    #[prost(message, optional, tag = "1")]
    pub cancel: Option<OrderCancel>,
}

/// Asks for orders that have ended (99).
#[derive(Clone, PartialEq, prost::Message)]
pub struct CompletedOrdersRequest {
    #[prost(bool, tag = "1")]
    pub api_only: bool,
}

/// Binds manual orders to client 0 from here on (15).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AutoOpenOrdersRequest {
    #[prost(bool, required, tag = "1")]
    pub auto_bind: bool,
}

/// An order and how it stands (5).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpenOrder {
    #[prost(int32, required, tag = "1")]
    pub order_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(message, required, tag = "3")]
    pub order: Order,
    #[prost(message, required, tag = "4")]
    pub state: OrderState,
}

/// How much of an order is filled (3).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OrderStatus {
    #[prost(int32, required, tag = "1")]
    pub order_id: i32,
    #[prost(string, tag = "2")]
    pub status: String,
    #[prost(string, tag = "3")]
    pub filled: String,
    #[prost(string, tag = "4")]
    pub remaining: String,
    #[prost(double, required, tag = "5")]
    pub average_fill_price: f64,
    #[prost(int64, required, tag = "6")]
    pub perm_id: i64,
    #[prost(int32, required, tag = "7")]
    pub parent_id: i32,
    #[prost(double, required, tag = "8")]
    pub last_fill_price: f64,
    #[prost(int32, required, tag = "9")]
    pub client_id: i32,
    #[prost(string, tag = "10")]
    pub why_held: String,
    #[prost(double, required, tag = "11")]
    pub market_cap_price: f64,
}

/// An order that has ended (101).
#[derive(Clone, PartialEq, prost::Message)]
pub struct CompletedOrder {
    #[prost(message, required, tag = "1")]
    pub contract: Contract,
    #[prost(message, required, tag = "2")]
    pub order: Order,
    #[prost(message, required, tag = "3")]
    pub state: OrderState,
}

/// A manual order has been given a number (100).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OrderBound {
    #[prost(int64, required, tag = "1")]
    pub perm_id: i64,
    #[prost(int32, required, tag = "2")]
    pub client_id: i32,
    #[prost(int32, required, tag = "3")]
    pub order_id: i32,
}

/// Which executions are asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutionFilter {
    #[prost(int32, tag = "1")]
    pub client_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(string, tag = "3")]
    pub time: String,
    #[prost(string, tag = "4")]
    pub symbol: String,
    #[prost(string, tag = "5")]
    pub sec_type: String,
    #[prost(string, tag = "6")]
    pub exchange: String,
    #[prost(string, tag = "7")]
    pub side: String,
    #[prost(int32, optional, tag = "8")]
    pub last_days: Option<i32>,
    #[prost(int32, repeated, tag = "9")]
    pub dates: Vec<i32>,
}

/// Asks for executions (7).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutionsRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, optional, tag = "2")]
    pub filter: Option<ExecutionFilter>,
}

/// One fill.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Execution {
    #[prost(int32, required, tag = "1")]
    pub order_id: i32,
    #[prost(string, tag = "2")]
    pub exec_id: String,
    #[prost(string, tag = "3")]
    pub time: String,
    #[prost(string, tag = "4")]
    pub account: String,
    #[prost(string, tag = "5")]
    pub exchange: String,
    #[prost(string, tag = "6")]
    pub side: String,
    #[prost(string, tag = "7")]
    pub shares: String,
    #[prost(double, required, tag = "8")]
    pub price: f64,
    #[prost(int64, required, tag = "9")]
    pub perm_id: i64,
    #[prost(int32, required, tag = "10")]
    pub client_id: i32,
    #[prost(bool, tag = "11")]
    pub is_liquidation: bool,
    #[prost(string, tag = "12")]
    pub cumulative_quantity: String,
    #[prost(double, required, tag = "13")]
    pub average_price: f64,
    #[prost(string, tag = "14")]
    pub order_ref: String,
    #[prost(string, tag = "17")]
    pub model_code: String,
    #[prost(int32, required, tag = "18")]
    pub last_liquidity: i32,
    #[prost(bool, tag = "19")]
    pub price_revision_pending: bool,
}

/// An execution, answering a request or as it happens: req_id -1 (11).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutionDetails {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(message, required, tag = "3")]
    pub execution: Execution,
}

/// No further execution (55).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutionDetailsEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// What an execution cost (59).
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommissionReport {
    #[prost(string, tag = "1")]
    pub exec_id: String,
    #[prost(double, required, tag = "2")]
    pub commission: f64,
    #[prost(string, tag = "3")]
    pub currency: String,
    #[prost(double, optional, tag = "4")]
    pub realized_pnl: Option<f64>,
}

/// Exercises or lapses an option (21).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExerciseOptionsRequest {
    #[prost(int32, required, tag = "1")]
    pub order_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(int32, required, tag = "3")]
    pub action: i32,
    #[prost(int32, required, tag = "4")]
    pub quantity: i32,
    #[prost(string, tag = "5")]
    pub account: String,
    #[prost(bool, tag = "6")]
    pub override_default: bool,
}
