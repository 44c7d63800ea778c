//! The past on request: bars, ticks, and when they begin.

use super::streams::{self, KeptBars};
use super::{Connection, World};
use crate::bars::{self, Shown};
use crate::message::contract::Contract;
use crate::message::data::*;
use crate::message::{Request, Response};
use crate::stamp;
use exchange::exchange::Refusal;
use market::instrument::ConId;
use market::quote::Quote;
use market::time::Now;

/// Ticks that one request may ask for.
const TICKS_MAX: i32 = 1000;
/// The widest bars that are kept up to date from five-second bars.
const FINE: i64 = 60;
const BROKEN: &str = "HMDS connection is broken";

impl World {
    pub(super) fn serve_past(&mut self, connection: Connection, request: Request, now: Now) {
        match request {
            Request::HistoricalData(request) => self.tell_bars_of(connection, &request, now),
            Request::CancelHistoricalData(request) => {
                if let Some(session) = self.sessions.get_mut(&connection) {
                    session.kept_bars.remove(&request.req_id);
                }
            }
            Request::HeadTimestamp(request) => {
                let id = request.req_id;
                let con_id = match self.with_past(&request.contract, now) {
                    Ok(con_id) => con_id,
                    Err(refusal) => return self.refuse(connection, id, &refusal, now),
                };
                let Some(head) = self.history.head(con_id) else {
                    return self.no_history(connection, id, "no head time stamp", now);
                };
                let time = if request.format_date == 2 {
                    stamp::seconds(head).to_string()
                } else {
                    stamp::dashed(head)
                };
                let answer = HeadTimestamp { req_id: id, time };
                self.send(connection, Response::HeadTimestamp(answer), now);
            }
            Request::HistoricalTicks(request) => self.tell_past_ticks(connection, &request, now),
            _ => {}
        }
    }

    /// The one instrument whose past is asked for, while there is somebody who knows it.
    fn with_past(&self, contract: &Contract, now: Now) -> Result<ConId, Refusal> {
        if self.faults.history_farm_down || self.faults.outage.is_some() {
            return Err(no_past(BROKEN));
        }
        self.single(contract, now)
    }

    fn no_history(&mut self, connection: Connection, req_id: i32, why: &str, now: Now) {
        self.refuse(connection, req_id, &no_past(why), now);
    }

    fn tell_bars_of(&mut self, connection: Connection, request: &HistoricalDataRequest, now: Now) {
        let id = request.req_id;
        let con_id = match self.with_past(&request.contract, now) {
            Ok(con_id) => con_id,
            Err(refusal) => return self.refuse(connection, id, &refusal, now),
        };
        let (width, span) =
            (bars::bar_seconds(&request.bar_size), bars::span_seconds(&request.duration));
        let (Some(width), Some(span)) = (width, span) else {
            let text = format!(
                "Error validating request: bar size `{}`, duration `{}`",
                request.bar_size, request.duration
            );
            return self.error(connection, id, 321, &text, now);
        };
        let Some(shown) = Shown::parse(&request.what) else {
            let why = format!("No data of type {} is kept", request.what);
            return self.no_history(connection, id, &why, now);
        };
        let until = if request.end.is_empty() {
            stamp::seconds(now.market) + 1
        } else if let Some(end) = stamp::parse(&request.end) {
            stamp::seconds(end)
        } else {
            let text = format!("Error validating request: end `{}`", request.end);
            return self.error(connection, id, 321, &text, now);
        };
        let from = until - span;
        let told: Vec<Bar> = self
            .history
            .bars(con_id, width, from, until)
            .iter()
            .map(|bar| bars::told(bar, shown, width, request.format_date))
            .collect();
        if told.is_empty() {
            return self.no_history(connection, id, "HMDS query returned no data", now);
        }
        self.send(
            connection,
            Response::HistoricalData(HistoricalData { req_id: id, bars: told }),
            now,
        );
        let stamp = |second| stamp::with_zone(market::time::Timestamp::from_seconds(second));
        let end = HistoricalDataEnd { req_id: id, start: stamp(from), end: stamp(until) };
        self.send(connection, Response::HistoricalDataEnd(end), now);
        if request.keep_up_to_date
            && let Some(session) = self.sessions.get_mut(&connection)
        {
            let width = width.max(if width < FINE { 5 } else { FINE });
            let format_date = request.format_date;
            session.kept_bars.insert(id, KeptBars { con_id, shown, width, format_date });
        }
    }

    fn tell_past_ticks(
        &mut self,
        connection: Connection,
        request: &HistoricalTicksRequest,
        now: Now,
    ) {
        let id = request.req_id;
        let con_id = match self.with_past(&request.contract, now) {
            Ok(con_id) => con_id,
            Err(refusal) => return self.refuse(connection, id, &refusal, now),
        };
        let start = stamp::parse(&request.start);
        let end = stamp::parse(&request.end);
        let most = usize::try_from(request.ticks.clamp(0, TICKS_MAX)).unwrap_or(0);
        let within = |quote: &&Quote| {
            start.is_none_or(|start| quote.time >= start) && end.is_none_or(|end| quote.time <= end)
        };
        let mut quotes: Vec<Quote> = if start.is_some() {
            self.history.quotes(con_id).filter(within).take(most).copied().collect()
        } else {
            self.history.quotes(con_id).rev().filter(within).take(most).copied().collect()
        };
        quotes.sort_by_key(|quote| quote.time);
        let answer = match request.what.as_str() {
            "TRADES" => Response::HistoricalTicksLast(HistoricalTicksLast {
                req_id: id,
                ticks: quotes.iter().filter_map(streams::last).collect(),
                done: true,
            }),
            "BID_ASK" => Response::HistoricalTicksBidAsk(HistoricalTicksBidAsk {
                req_id: id,
                ticks: quotes.iter().map(streams::bid_ask).collect(),
                done: true,
            }),
            "MIDPOINT" => Response::HistoricalTicks(HistoricalTicks {
                req_id: id,
                ticks: quotes.iter().filter_map(streams::middle).collect(),
                done: true,
            }),
            other => {
                let text = format!("Error validating request: what to show `{other}`");
                return self.error(connection, id, 321, &text, now);
            }
        };
        self.send(connection, answer, now);
    }
}

fn no_past(why: &str) -> Refusal {
    Refusal { code: 162, text: format!("Historical Market Data Service error message:{why}") }
}
