//! The account: values, positions, profit and loss.

use super::contract::Contract;

/// Opens or closes the account's updates (6).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountDataRequest {
    #[prost(bool, required, tag = "1")]
    pub subscribe: bool,
    #[prost(string, tag = "2")]
    pub account: String,
}

/// One value of the account (6).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
    #[prost(string, tag = "3")]
    pub currency: String,
    #[prost(string, tag = "4")]
    pub account: String,
}

/// One position with its value (7).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PortfolioValue {
    #[prost(message, required, tag = "1")]
    pub contract: Contract,
    #[prost(string, tag = "2")]
    pub position: String,
    #[prost(double, required, tag = "3")]
    pub market_price: f64,
    #[prost(double, required, tag = "4")]
    pub market_value: f64,
    #[prost(double, required, tag = "5")]
    pub average_cost: f64,
    #[prost(double, required, tag = "6")]
    pub unrealized_pnl: f64,
    #[prost(double, required, tag = "7")]
    pub realized_pnl: f64,
    #[prost(string, tag = "8")]
    pub account: String,
}

/// When the values were taken (8).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountUpdateTime {
    #[prost(string, tag = "1")]
    pub time: String,
}

/// The account has been told whole (54).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountDataEnd {
    #[prost(string, tag = "1")]
    pub account: String,
}

/// Opens a summary (62).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountSummaryRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub group: String,
    #[prost(string, tag = "3")]
    pub tags: String,
}

/// One value of a summary (63).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountSummary {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(string, tag = "3")]
    pub tag: String,
    #[prost(string, tag = "4")]
    pub value: String,
    #[prost(string, tag = "5")]
    pub currency: String,
}

/// The summary has been told whole (64).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountSummaryEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// Opens updates of an account or model (76).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountUpdatesMultiRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(string, tag = "3")]
    pub model_code: String,
    #[prost(bool, tag = "4")]
    pub ledger_and_nlv: bool,
}

/// One value of them (73).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountUpdateMulti {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(string, tag = "3")]
    pub model_code: String,
    #[prost(string, tag = "4")]
    pub key: String,
    #[prost(string, tag = "5")]
    pub value: String,
    #[prost(string, tag = "6")]
    pub currency: String,
}

/// They have been told whole (74).
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccountUpdateMultiEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// One position (61).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Position {
    #[prost(string, tag = "1")]
    pub account: String,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(string, tag = "3")]
    pub position: String,
    #[prost(double, required, tag = "4")]
    pub average_cost: f64,
}

/// Opens the positions of an account or model (74).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PositionsMultiRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(string, tag = "3")]
    pub model_code: String,
}

/// One of them (71).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PositionMulti {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(message, required, tag = "3")]
    pub contract: Contract,
    #[prost(string, tag = "4")]
    pub position: String,
    #[prost(double, required, tag = "5")]
    pub average_cost: f64,
    #[prost(string, tag = "6")]
    pub model_code: String,
}

/// They have been told whole (72).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PositionMultiEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// Opens the account's profit and loss (92).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PnlRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(string, tag = "3")]
    pub model_code: String,
}

/// It (94).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pnl {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(double, required, tag = "2")]
    pub daily: f64,
    #[prost(double, optional, tag = "3")]
    pub unrealized: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub realized: Option<f64>,
}

/// Opens a position's profit and loss (94).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PnlSingleRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(string, tag = "3")]
    pub model_code: String,
    #[prost(int32, required, tag = "4")]
    pub con_id: i32,
}

/// It (95).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PnlSingle {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub position: String,
    #[prost(double, required, tag = "3")]
    pub daily: f64,
    #[prost(double, optional, tag = "4")]
    pub unrealized: Option<f64>,
    #[prost(double, optional, tag = "5")]
    pub realized: Option<f64>,
    #[prost(double, required, tag = "6")]
    pub value: f64,
}
