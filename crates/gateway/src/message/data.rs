//! Market data: lines, ticks, bars and their history.

use super::contract::Contract;

/// Opens a line (1).
#[derive(Clone, PartialEq, prost::Message)]
pub struct MarketDataRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(string, tag = "3")]
    pub generic_ticks: String,
    #[prost(bool, tag = "4")]
    pub snapshot: bool,
    #[prost(bool, tag = "5")]
    pub regulatory_snapshot: bool,
}

/// Chooses live, frozen, delayed or delayed-frozen data: 1 to 4 (59).
#[derive(Clone, PartialEq, prost::Message)]
pub struct MarketDataTypeRequest {
    #[prost(int32, required, tag = "1")]
    pub data_type: i32,
}

/// Which kind a line delivers (58).
#[derive(Clone, PartialEq, prost::Message)]
pub struct MarketDataType {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub data_type: i32,
}

/// A price with its size (1).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickPrice {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub tick_type: i32,
    #[prost(double, required, tag = "3")]
    pub price: f64,
    #[prost(string, tag = "4")]
    pub size: String,
    #[prost(int32, required, tag = "5")]
    pub attributes: i32,
}

/// A size (2).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickSize {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub tick_type: i32,
    #[prost(string, tag = "3")]
    pub size: String,
}

/// A text (46).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickString {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub tick_type: i32,
    #[prost(string, tag = "3")]
    pub value: String,
}

/// A number (45).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickGeneric {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub tick_type: i32,
    #[prost(double, required, tag = "3")]
    pub value: f64,
}

/// Implied volatility and Greeks of a price (21).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickOptionComputation {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub tick_type: i32,
    #[prost(int32, required, tag = "3")]
    pub attributes: i32,
    #[prost(double, required, tag = "4")]
    pub implied_vol: f64,
    #[prost(double, required, tag = "5")]
    pub delta: f64,
    #[prost(double, required, tag = "6")]
    pub option_price: f64,
    #[prost(double, required, tag = "7")]
    pub dividends: f64,
    #[prost(double, required, tag = "8")]
    pub gamma: f64,
    #[prost(double, required, tag = "9")]
    pub vega: f64,
    #[prost(double, required, tag = "10")]
    pub theta: f64,
    #[prost(double, required, tag = "11")]
    pub underlying_price: f64,
}

/// A snapshot is complete (57).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickSnapshotEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// Tick size and exchanges of a line (81).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickParameters {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub min_tick: String,
    #[prost(string, tag = "3")]
    pub bbo_exchange: String,
    #[prost(int32, required, tag = "4")]
    pub snapshot_permissions: i32,
}

/// A headline on a contract's line (84).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickNews {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int64, required, tag = "2")]
    pub time_ms: i64,
    #[prost(string, tag = "3")]
    pub provider: String,
    #[prost(string, tag = "4")]
    pub article_id: String,
    #[prost(string, tag = "5")]
    pub headline: String,
    #[prost(string, tag = "6")]
    pub extra: String,
}

/// Opens a tick-by-tick line (97).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickByTickRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(string, tag = "3")]
    pub tick_type: String,
    #[prost(int32, tag = "4")]
    pub ticks: i32,
    #[prost(bool, tag = "5")]
    pub ignore_size: bool,
}

/// One tick (99).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickByTick {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub tick_type: i32,
    #[prost(message, optional, tag = "3")]
    pub last: Option<TickLast>,
    #[prost(message, optional, tag = "4")]
    pub bid_ask: Option<TickBidAsk>,
    #[prost(message, optional, tag = "5")]
    pub mid_point: Option<TickMid>,
}

/// A print.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickLast {
    #[prost(int64, required, tag = "1")]
    pub time: i64,
    #[prost(message, optional, tag = "2")]
    pub attributes: Option<LastAttributes>,
    #[prost(double, required, tag = "3")]
    pub price: f64,
    #[prost(string, tag = "4")]
    pub size: String,
    #[prost(string, tag = "5")]
    pub exchange: String,
    #[prost(string, tag = "6")]
    pub conditions: String,
}

/// What is said of a print.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LastAttributes {
    #[prost(bool, tag = "1")]
    pub past_limit: bool,
    #[prost(bool, tag = "2")]
    pub unreported: bool,
}

/// A quote.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickBidAsk {
    #[prost(int64, required, tag = "1")]
    pub time: i64,
    #[prost(message, optional, tag = "2")]
    pub attributes: Option<BidAskAttributes>,
    #[prost(double, required, tag = "3")]
    pub bid: f64,
    #[prost(double, required, tag = "4")]
    pub ask: f64,
    #[prost(string, tag = "5")]
    pub bid_size: String,
    #[prost(string, tag = "6")]
    pub ask_size: String,
}

/// What is said of a quote.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BidAskAttributes {
    #[prost(bool, tag = "1")]
    pub bid_past_low: bool,
    #[prost(bool, tag = "2")]
    pub ask_past_high: bool,
}

/// A middle.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TickMid {
    #[prost(int64, required, tag = "1")]
    pub time: i64,
    #[prost(double, required, tag = "2")]
    pub price: f64,
    #[prost(string, tag = "3")]
    pub size: String,
}

/// Asks for bars (20).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalDataRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(string, tag = "3")]
    pub end: String,
    #[prost(string, tag = "4")]
    pub bar_size: String,
    #[prost(string, tag = "5")]
    pub duration: String,
    #[prost(bool, tag = "6")]
    pub use_rth: bool,
    #[prost(string, tag = "7")]
    pub what: String,
    #[prost(int32, required, tag = "8")]
    pub format_date: i32,
    #[prost(bool, tag = "9")]
    pub keep_up_to_date: bool,
}

/// One bar.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Bar {
    #[prost(string, tag = "1")]
    pub date: String,
    #[prost(double, required, tag = "2")]
    pub open: f64,
    #[prost(double, required, tag = "3")]
    pub high: f64,
    #[prost(double, required, tag = "4")]
    pub low: f64,
    #[prost(double, required, tag = "5")]
    pub close: f64,
    #[prost(string, tag = "6")]
    pub volume: String,
    #[prost(string, tag = "7")]
    pub average: String,
    #[prost(int32, required, tag = "8")]
    pub count: i32,
}

/// Bars (17).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalData {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, repeated, tag = "2")]
    pub bars: Vec<Bar>,
}

/// The last bar, changed or new (90).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalDataUpdate {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub bar: Bar,
}

/// No further bars (108).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalDataEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub start: String,
    #[prost(string, tag = "3")]
    pub end: String,
}

/// Asks when a contract's history begins (87).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeadTimestampRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(bool, tag = "3")]
    pub use_rth: bool,
    #[prost(string, tag = "4")]
    pub what: String,
    #[prost(int32, required, tag = "5")]
    pub format_date: i32,
}

/// When it begins (88).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeadTimestamp {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub time: String,
}

/// Asks for past ticks (96).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalTicksRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(string, tag = "3")]
    pub start: String,
    #[prost(string, tag = "4")]
    pub end: String,
    #[prost(int32, required, tag = "5")]
    pub ticks: i32,
    #[prost(string, tag = "6")]
    pub what: String,
    #[prost(bool, tag = "7")]
    pub use_rth: bool,
    #[prost(bool, tag = "8")]
    pub ignore_size: bool,
}

/// Past middles (96).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalTicks {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, repeated, tag = "2")]
    pub ticks: Vec<TickMid>,
    #[prost(bool, required, tag = "3")]
    pub done: bool,
}

/// Past quotes (97).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalTicksBidAsk {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, repeated, tag = "2")]
    pub ticks: Vec<TickBidAsk>,
    #[prost(bool, required, tag = "3")]
    pub done: bool,
}

/// Past prints (98).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalTicksLast {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, repeated, tag = "2")]
    pub ticks: Vec<TickLast>,
    #[prost(bool, required, tag = "3")]
    pub done: bool,
}

/// Opens five-second bars (50).
#[derive(Clone, PartialEq, prost::Message)]
pub struct RealTimeBarsRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(int32, required, tag = "3")]
    pub bar_size: i32,
    #[prost(string, tag = "4")]
    pub what: String,
    #[prost(bool, tag = "5")]
    pub use_rth: bool,
}

/// A five-second bar (50).
#[derive(Clone, PartialEq, prost::Message)]
pub struct RealTimeBar {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int64, required, tag = "2")]
    pub time: i64,
    #[prost(double, required, tag = "3")]
    pub open: f64,
    #[prost(double, required, tag = "4")]
    pub high: f64,
    #[prost(double, required, tag = "5")]
    pub low: f64,
    #[prost(double, required, tag = "6")]
    pub close: f64,
    #[prost(string, tag = "7")]
    pub volume: String,
    #[prost(string, tag = "8")]
    pub average: String,
    #[prost(int32, required, tag = "9")]
    pub count: i32,
}

/// Asks for the volatility of a price (54).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImpliedVolatilityRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(double, required, tag = "3")]
    pub option_price: f64,
    #[prost(double, required, tag = "4")]
    pub underlying_price: f64,
}

/// Asks for the price of a volatility (55).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionPriceRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(double, required, tag = "3")]
    pub volatility: f64,
    #[prost(double, required, tag = "4")]
    pub underlying_price: f64,
}
