//! Contracts and what is asked and told about them.
//!
//! Field names and units are IB's; the tags are those of its published protocol. Fields that a
//! simulation has nothing to say about are left out: the decoder skips them, the encoder omits
//! them.

/// What is traded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Contract {
    #[prost(int32, tag = "1")]
    pub con_id: i32,
    #[prost(string, tag = "2")]
    pub symbol: String,
    #[prost(string, tag = "3")]
    pub sec_type: String,
    #[prost(string, tag = "4")]
    pub last_trade_date_or_contract_month: String,
    #[prost(double, tag = "5")]
    pub strike: f64,
    #[prost(string, tag = "6")]
    pub right: String,
    #[prost(double, tag = "7")]
    pub multiplier: f64,
    #[prost(string, tag = "8")]
    pub exchange: String,
    #[prost(string, tag = "9")]
    pub primary_exch: String,
    #[prost(string, tag = "10")]
    pub currency: String,
    #[prost(string, tag = "11")]
    pub local_symbol: String,
    #[prost(string, tag = "12")]
    pub trading_class: String,
    #[prost(string, tag = "13")]
    pub sec_id_type: String,
    #[prost(string, tag = "14")]
    pub sec_id: String,
    #[prost(string, tag = "15")]
    pub description: String,
    #[prost(string, tag = "16")]
    pub issuer_id: String,
    #[prost(message, optional, tag = "17")]
    pub delta_neutral: Option<DeltaNeutral>,
    #[prost(bool, tag = "18")]
    pub include_expired: bool,
    #[prost(string, tag = "19")]
    pub combo_legs_description: String,
    #[prost(message, repeated, tag = "20")]
    pub combo_legs: Vec<ComboLeg>,
    #[prost(string, tag = "21")]
    pub last_trade_date: String,
}

/// A leg of a BAG.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ComboLeg {
    #[prost(int32, required, tag = "1")]
    pub con_id: i32,
    #[prost(int32, required, tag = "2")]
    pub ratio: i32,
    #[prost(string, tag = "3")]
    pub action: String,
    #[prost(string, tag = "4")]
    pub exchange: String,
    #[prost(int32, tag = "5")]
    pub open_close: i32,
    #[prost(int32, tag = "6")]
    pub short_sale_slot: i32,
    #[prost(string, tag = "7")]
    pub designated_location: String,
    #[prost(int32, optional, tag = "8")]
    pub exempt_code: Option<i32>,
    #[prost(double, optional, tag = "9")]
    pub per_leg_price: Option<f64>,
}

/// The hedge of a delta-neutral order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaNeutral {
    #[prost(int32, required, tag = "1")]
    pub con_id: i32,
    #[prost(double, required, tag = "2")]
    pub delta: f64,
    #[prost(double, required, tag = "3")]
    pub price: f64,
}

/// Asks for the details of every contract that matches (9).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ContractDataRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, optional, tag = "2")]
    pub contract: Option<Contract>,
}

/// One contract with its details (10).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ContractData {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    #[prost(message, required, tag = "3")]
    pub details: ContractDetails,
}

/// The terms of a contract.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ContractDetails {
    #[prost(string, tag = "1")]
    pub market_name: String,
    #[prost(string, tag = "2")]
    pub min_tick: String,
    #[prost(string, tag = "3")]
    pub order_types: String,
    #[prost(string, tag = "4")]
    pub valid_exchanges: String,
    #[prost(int32, tag = "5")]
    pub price_magnifier: i32,
    #[prost(int32, tag = "6")]
    pub under_con_id: i32,
    #[prost(string, tag = "7")]
    pub long_name: String,
    #[prost(string, tag = "8")]
    pub contract_month: String,
    #[prost(string, tag = "9")]
    pub industry: String,
    #[prost(string, tag = "10")]
    pub category: String,
    #[prost(string, tag = "11")]
    pub subcategory: String,
    #[prost(string, tag = "12")]
    pub time_zone_id: String,
    #[prost(string, tag = "13")]
    pub trading_hours: String,
    #[prost(string, tag = "14")]
    pub liquid_hours: String,
    #[prost(int32, tag = "18")]
    pub agg_group: i32,
    #[prost(string, tag = "19")]
    pub under_symbol: String,
    #[prost(string, tag = "20")]
    pub under_sec_type: String,
    #[prost(string, tag = "21")]
    pub market_rule_ids: String,
    #[prost(string, tag = "22")]
    pub real_expiration_date: String,
    #[prost(string, tag = "23")]
    pub stock_type: String,
    #[prost(string, tag = "24")]
    pub min_size: String,
    #[prost(string, tag = "25")]
    pub size_increment: String,
    #[prost(string, tag = "26")]
    pub suggested_size_increment: String,
}

/// No further contract matches (52).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ContractDataEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// Asks for the expiries and strikes on an underlying (78).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionParametersRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub underlying_symbol: String,
    #[prost(string, tag = "3")]
    pub future_option_exchange: String,
    #[prost(string, tag = "4")]
    pub underlying_sec_type: String,
    #[prost(int32, required, tag = "5")]
    pub underlying_con_id: i32,
}

/// Expiries and strikes of one trading class (75).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionParameters {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub exchange: String,
    #[prost(int32, required, tag = "3")]
    pub underlying_con_id: i32,
    #[prost(string, tag = "4")]
    pub trading_class: String,
    #[prost(string, tag = "5")]
    pub multiplier: String,
    #[prost(string, repeated, tag = "6")]
    pub expirations: Vec<String>,
    #[prost(double, repeated, tag = "7")]
    pub strikes: Vec<f64>,
}

/// No further trading class (76).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionParametersEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// Asks for symbols like a pattern (81).
#[derive(Clone, PartialEq, prost::Message)]
pub struct MatchingSymbolsRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub pattern: String,
}

/// Symbols like the pattern (79).
#[derive(Clone, PartialEq, prost::Message)]
pub struct SymbolSamples {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(message, repeated, tag = "2")]
    pub descriptions: Vec<ContractDescription>,
}

/// One of them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ContractDescription {
    #[prost(message, required, tag = "1")]
    pub contract: Contract,
    #[prost(string, repeated, tag = "2")]
    pub derivative_sec_types: Vec<String>,
}

/// Asks for the price increments of a rule (91).
#[derive(Clone, PartialEq, prost::Message)]
pub struct MarketRuleRequest {
    #[prost(int32, required, tag = "1")]
    pub market_rule_id: i32,
}

/// The price increments of a rule (93).
#[derive(Clone, PartialEq, prost::Message)]
pub struct MarketRule {
    #[prost(int32, required, tag = "1")]
    pub market_rule_id: i32,
    #[prost(message, repeated, tag = "2")]
    pub increments: Vec<PriceIncrement>,
}

/// From a price upwards, the increment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PriceIncrement {
    #[prost(double, required, tag = "1")]
    pub low_edge: f64,
    #[prost(double, required, tag = "2")]
    pub increment: f64,
}
