//! The messages of the protocol, the same for both dialects: what clients ask, what they are told.
//!
//! [`Request`] and [`Response`] are tables: a message's number, its name, its fields. The fields
//! are structures of our own with IB's tags, so that the protobuf dialect is one call; the text
//! dialect (`text`) writes and reads the same structures field by field. Left to others: what a
//! message means (world).

pub mod account;
pub mod contract;
pub mod data;
pub mod order;
pub mod session;

use account::*;
use contract::*;
use data::*;
use order::*;
use prost::Message;
use session::*;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nobody has defined this number, or this gateway doesn't serve it.
    #[error("message {0} is not served here; see the list in the gateway's documentation")]
    Unknown(i32),
    /// The fields can't be read.
    #[error("message {id} can't be read: {reason}")]
    Malformed {
        /// Its number.
        id: i32,
        /// What the decoder says.
        reason: String,
    },
}

/// An enum of messages by number: written once, so that number, name and fields can't disagree.
macro_rules! messages {
    ($(#[$meta:meta])* $name:ident { $($id:literal $variant:ident($fields:ty),)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $(#[doc = concat!("Message ", stringify!($id), ".")] $variant($fields),)*
        }

        impl $name {
            /// All names.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),*];

            /// Its number.
            #[must_use]
            pub const fn id(&self) -> i32 {
                match self { $(Self::$variant(_) => $id,)* }
            }

            /// Its name, for log lines and faults.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant),)* }
            }

            /// Its fields in the protobuf dialect.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                match self { $(Self::$variant(fields) => fields.encode_to_vec(),)* }
            }

            /// The message of this number from its fields in the protobuf dialect.
            ///
            /// # Errors
            /// For numbers that are not served and bytes that are no such message.
            pub fn decode(id: i32, bytes: &[u8]) -> Result<Self, MessageError> {
                let malformed = |error: prost::DecodeError| {
                    MessageError::Malformed { id, reason: error.to_string() }
                };
                match id {
                    $($id => <$fields>::decode(bytes).map(Self::$variant).map_err(malformed),)*
                    _ => Err(MessageError::Unknown(id)),
                }
            }
        }
    };
}

messages! {
    /// What clients ask.
    Request {
        1 MarketData(Box<MarketDataRequest>),
        2 CancelMarketData(ByRequest),
        3 PlaceOrder(Box<PlaceOrderRequest>),
        4 CancelOrder(CancelOrderRequest),
        5 OpenOrders(Empty),
        6 AccountData(AccountDataRequest),
        7 Executions(ExecutionsRequest),
        8 Ids(IdsRequest),
        9 ContractData(Box<ContractDataRequest>),
        12 NewsBulletins(NewsBulletinsRequest),
        13 CancelNewsBulletins(Empty),
        14 LogLevel(LogLevelRequest),
        15 AutoOpenOrders(AutoOpenOrdersRequest),
        16 AllOpenOrders(Empty),
        17 ManagedAccounts(Empty),
        20 HistoricalData(Box<HistoricalDataRequest>),
        21 ExerciseOptions(Box<ExerciseOptionsRequest>),
        25 CancelHistoricalData(ByRequest),
        49 CurrentTime(Empty),
        50 RealTimeBars(Box<RealTimeBarsRequest>),
        51 CancelRealTimeBars(ByRequest),
        54 ImpliedVolatility(Box<ImpliedVolatilityRequest>),
        55 OptionPrice(Box<OptionPriceRequest>),
        56 CancelImpliedVolatility(ByRequest),
        57 CancelOptionPrice(ByRequest),
        58 GlobalCancel(GlobalCancelRequest),
        59 MarketDataType(MarketDataTypeRequest),
        61 Positions(Empty),
        62 AccountSummary(AccountSummaryRequest),
        63 CancelAccountSummary(ByRequest),
        64 CancelPositions(Empty),
        71 StartApi(StartApiRequest),
        74 PositionsMulti(PositionsMultiRequest),
        75 CancelPositionsMulti(ByRequest),
        76 AccountUpdatesMulti(AccountUpdatesMultiRequest),
        77 CancelAccountUpdatesMulti(ByRequest),
        78 OptionParameters(OptionParametersRequest),
        81 MatchingSymbols(MatchingSymbolsRequest),
        84 NewsArticle(NewsArticleRequest),
        85 NewsProviders(Empty),
        86 HistoricalNews(HistoricalNewsRequest),
        87 HeadTimestamp(Box<HeadTimestampRequest>),
        90 CancelHeadTimestamp(ByRequest),
        91 MarketRule(MarketRuleRequest),
        92 Pnl(PnlRequest),
        93 CancelPnl(ByRequest),
        94 PnlSingle(PnlSingleRequest),
        95 CancelPnlSingle(ByRequest),
        96 HistoricalTicks(Box<HistoricalTicksRequest>),
        97 TickByTick(Box<TickByTickRequest>),
        98 CancelTickByTick(ByRequest),
        99 CompletedOrders(CompletedOrdersRequest),
        104 UserInfo(ByRequest),
        105 CurrentTimeMillis(Empty),
        106 CancelContractData(ByRequest),
        107 CancelHistoricalTicks(ByRequest),
    }
}

messages! {
    /// What clients are told.
    Response {
        1 TickPrice(TickPrice),
        2 TickSize(TickSize),
        3 OrderStatus(OrderStatus),
        4 Error(ErrorMessage),
        5 OpenOrder(Box<OpenOrder>),
        6 AccountValue(AccountValue),
        7 PortfolioValue(Box<PortfolioValue>),
        8 AccountUpdateTime(AccountUpdateTime),
        9 NextValidId(NextValidId),
        10 ContractData(Box<ContractData>),
        11 ExecutionDetails(Box<ExecutionDetails>),
        14 NewsBulletin(NewsBulletin),
        15 ManagedAccounts(ManagedAccounts),
        17 HistoricalData(HistoricalData),
        21 TickOptionComputation(TickOptionComputation),
        45 TickGeneric(TickGeneric),
        46 TickString(TickString),
        49 CurrentTime(CurrentTime),
        50 RealTimeBar(RealTimeBar),
        52 ContractDataEnd(ContractDataEnd),
        53 OpenOrdersEnd(Empty),
        54 AccountDataEnd(AccountDataEnd),
        55 ExecutionDetailsEnd(ExecutionDetailsEnd),
        57 TickSnapshotEnd(TickSnapshotEnd),
        58 MarketDataType(MarketDataType),
        59 CommissionReport(CommissionReport),
        61 Position(Box<Position>),
        62 PositionEnd(Empty),
        63 AccountSummary(AccountSummary),
        64 AccountSummaryEnd(AccountSummaryEnd),
        71 PositionMulti(Box<PositionMulti>),
        72 PositionMultiEnd(PositionMultiEnd),
        73 AccountUpdateMulti(AccountUpdateMulti),
        74 AccountUpdateMultiEnd(AccountUpdateMultiEnd),
        75 OptionParameters(OptionParameters),
        76 OptionParametersEnd(OptionParametersEnd),
        79 SymbolSamples(SymbolSamples),
        81 TickParameters(TickParameters),
        83 NewsArticle(NewsArticle),
        84 TickNews(TickNews),
        85 NewsProviders(NewsProviders),
        86 HistoricalNews(HistoricalNews),
        87 HistoricalNewsEnd(HistoricalNewsEnd),
        88 HeadTimestamp(HeadTimestamp),
        90 HistoricalDataUpdate(HistoricalDataUpdate),
        93 MarketRule(MarketRule),
        94 Pnl(Pnl),
        95 PnlSingle(PnlSingle),
        96 HistoricalTicks(HistoricalTicks),
        97 HistoricalTicksBidAsk(HistoricalTicksBidAsk),
        98 HistoricalTicksLast(HistoricalTicksLast),
        99 TickByTick(TickByTick),
        100 OrderBound(OrderBound),
        101 CompletedOrder(Box<CompletedOrder>),
        102 CompletedOrdersEnd(Empty),
        107 UserInfo(UserInfo),
        108 HistoricalDataEnd(HistoricalDataEnd),
        109 CurrentTimeMillis(CurrentTimeMillis),
    }
}

impl Response {
    /// An error of the request or order `id` (-1: of nothing in particular).
    #[must_use]
    pub fn error(id: i32, code: i32, text: impl Into<String>, time_ms: i64) -> Self {
        Self::Error(ErrorMessage {
            id,
            time_ms,
            code,
            text: text.into(),
            advanced_reject: String::new(),
        })
    }
}
