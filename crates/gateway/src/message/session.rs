//! The session itself, errors, and news.

/// Nothing but the message's number.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

/// A request by number only: most cancels.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ByRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
}

/// Begins the session (71).
#[derive(Clone, PartialEq, prost::Message)]
pub struct StartApiRequest {
    #[prost(int32, required, tag = "1")]
    pub client_id: i32,
    #[prost(string, tag = "2")]
    pub capabilities: String,
}

/// Asks for the next order id (8).
#[derive(Clone, PartialEq, prost::Message)]
pub struct IdsRequest {
    #[prost(int32, tag = "1")]
    pub count: i32,
}

/// The least number that a new order may have (9).
#[derive(Clone, PartialEq, prost::Message)]
pub struct NextValidId {
    #[prost(int32, required, tag = "1")]
    pub order_id: i32,
}

/// The accounts of the session (15).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ManagedAccounts {
    #[prost(string, tag = "1")]
    pub accounts: String,
}

/// The time, seconds since the epoch (49).
#[derive(Clone, PartialEq, prost::Message)]
pub struct CurrentTime {
    #[prost(int64, required, tag = "1")]
    pub seconds: i64,
}

/// The time, milliseconds since the epoch (109).
#[derive(Clone, PartialEq, prost::Message)]
pub struct CurrentTimeMillis {
    #[prost(int64, required, tag = "1")]
    pub millis: i64,
}

/// An error, a warning or a notice (4).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ErrorMessage {
    #[prost(int32, required, tag = "1")]
    pub id: i32,
    #[prost(int64, required, tag = "2")]
    pub time_ms: i64,
    #[prost(int32, required, tag = "3")]
    pub code: i32,
    #[prost(string, tag = "4")]
    pub text: String,
    #[prost(string, tag = "5")]
    pub advanced_reject: String,
}

/// Sets the detail of the gateway's log (14).
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogLevelRequest {
    #[prost(int32, required, tag = "1")]
    pub level: i32,
}

/// A news provider.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NewsProvider {
    #[prost(string, tag = "1")]
    pub code: String,
    #[prost(string, tag = "2")]
    pub name: String,
}

/// The news providers (85).
#[derive(Clone, PartialEq, prost::Message)]
pub struct NewsProviders {
    #[prost(message, repeated, tag = "1")]
    pub providers: Vec<NewsProvider>,
}

/// Asks for an article (84).
#[derive(Clone, PartialEq, prost::Message)]
pub struct NewsArticleRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub provider: String,
    #[prost(string, tag = "3")]
    pub article_id: String,
}

/// An article; type 0 is text (83).
#[derive(Clone, PartialEq, prost::Message)]
pub struct NewsArticle {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub article_type: i32,
    #[prost(string, tag = "3")]
    pub text: String,
}

/// Asks for headlines (86).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalNewsRequest {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(int32, required, tag = "2")]
    pub con_id: i32,
    #[prost(string, tag = "3")]
    pub providers: String,
    #[prost(string, tag = "4")]
    pub start: String,
    #[prost(string, tag = "5")]
    pub end: String,
    #[prost(int32, required, tag = "6")]
    pub most: i32,
}

/// A headline (86).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalNews {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub time: String,
    #[prost(string, tag = "3")]
    pub provider: String,
    #[prost(string, tag = "4")]
    pub article_id: String,
    #[prost(string, tag = "5")]
    pub headline: String,
}

/// No further headline (87).
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistoricalNewsEnd {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(bool, required, tag = "2")]
    pub has_more: bool,
}

/// Opens the bulletins (12).
#[derive(Clone, PartialEq, prost::Message)]
pub struct NewsBulletinsRequest {
    #[prost(bool, required, tag = "1")]
    pub all: bool,
}

/// A bulletin (14).
#[derive(Clone, PartialEq, prost::Message)]
pub struct NewsBulletin {
    #[prost(int32, required, tag = "1")]
    pub id: i32,
    #[prost(int32, required, tag = "2")]
    pub kind: i32,
    #[prost(string, tag = "3")]
    pub text: String,
    #[prost(string, tag = "4")]
    pub exchange: String,
}

/// White branding of the user (107).
#[derive(Clone, PartialEq, prost::Message)]
pub struct UserInfo {
    #[prost(int32, required, tag = "1")]
    pub req_id: i32,
    #[prost(string, tag = "2")]
    pub branding: String,
}
