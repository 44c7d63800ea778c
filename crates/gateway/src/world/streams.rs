//! Streams beside the lines: tick-by-tick, five-second bars, and bars of the past that are kept up
//! to date.

use super::{Connection, World};
use crate::bars::Shown;
use crate::history::{self, PastBar};
use crate::message::Response;
use crate::message::data::*;
use crate::stamp;
use market::instrument::ConId;
use market::quote::{Level, Quote};
use market::time::Now;

/// Tick-by-tick lines that a client may have open.
const TICK_LINES_MAX: usize = 5;

/// A tick-by-tick line.
#[derive(Clone, Debug)]
pub struct TickLine {
    con_id: ConId,
    /// IB's number: 1 last, 2 all last, 3 bid and ask, 4 middle.
    kind: i32,
    ignore_size: bool,
    told: Option<Quote>,
}

/// Five-second bars.
#[derive(Clone, Debug)]
pub struct BarLine {
    con_id: ConId,
    shown: Shown,
    told: i64,
}

/// Bars of the past that are kept up to date.
#[derive(Clone, Debug)]
pub struct KeptBars {
    pub con_id: ConId,
    pub shown: Shown,
    pub width: i64,
    pub format_date: i32,
}

impl World {
    pub(super) fn tell_ticks(
        &mut self,
        connection: Connection,
        changed: &dyn Fn(ConId) -> bool,
        now: Now,
    ) {
        let Some(session) = self.sessions.get(&connection) else { return };
        let due: Vec<(i32, TickLine)> = session
            .ticks
            .iter()
            .filter(|(_, line)| changed(line.con_id))
            .map(|(id, line)| (*id, line.clone()))
            .collect();
        for (id, line) in due {
            let Some(quote) = self.exchange.quote(line.con_id) else { continue };
            let same = |told: Quote| {
                told.both() == quote.both()
                    && (line.ignore_size || (told.bid, told.ask) == (quote.bid, quote.ask))
            };
            let Some(tick) = tick_by_tick(id, line.kind, &quote) else { continue };
            if line.kind >= 3 && line.told.is_some_and(same) {
                continue;
            }
            self.send(connection, Response::TickByTick(tick), now);
            let session = self.sessions.get_mut(&connection);
            if let Some(line) = session.and_then(|session| session.ticks.get_mut(&id)) {
                line.told = Some(quote);
            }
        }
    }

    pub(super) fn tell_bars(
        &mut self,
        connection: Connection,
        changed: &dyn Fn(ConId) -> bool,
        now: Now,
    ) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        let second = stamp::seconds(now.market);
        let mut answers = Vec::new();
        for (id, line) in &mut session.bars {
            let Some(bar) = self.history.five_before(line.con_id, second) else { continue };
            if bar.start <= line.told {
                continue;
            }
            line.told = bar.start;
            answers.push(Response::RealTimeBar(real_time_bar(*id, bar, line.shown)));
        }
        for (id, kept) in session.kept_bars.iter().filter(|(_, kept)| changed(kept.con_id)) {
            let start = second - second.rem_euclid(kept.width);
            let bars = self.history.bars(kept.con_id, kept.width, start, second + 1);
            let Some(bar) = bars.last() else { continue };
            let bar = crate::bars::told(bar, kept.shown, kept.width, kept.format_date);
            answers.push(Response::HistoricalDataUpdate(HistoricalDataUpdate { req_id: *id, bar }));
        }
        for answer in answers {
            self.send(connection, answer, now);
        }
    }

    pub(super) fn open_tick_line(
        &mut self,
        connection: Connection,
        request: &TickByTickRequest,
        now: Now,
    ) {
        let id = request.req_id;
        let kind = match request.tick_type.as_str() {
            "Last" => 1,
            "AllLast" => 2,
            "BidAsk" => 3,
            "MidPoint" => 4,
            other => {
                let text = format!("Error validating request: tick type `{other}`");
                return self.error(connection, id, 321, &text, now);
            }
        };
        let con_id = match self.single(&request.contract, now) {
            Ok(con_id) => con_id,
            Err(refusal) => return self.refuse(connection, id, &refusal, now),
        };
        let is_option = self.exchange.instrument(con_id).is_some_and(|one| one.option().is_some());
        if is_option {
            let text = "Failed to request tick-by-tick data: not available for options";
            return self.error(connection, id, 10189, text, now);
        }
        let open = self.sessions.get(&connection).map_or(0, |session| session.ticks.len());
        if open >= TICK_LINES_MAX {
            let text = "Max number of tick-by-tick requests has been reached";
            return self.error(connection, id, 10190, text, now);
        }
        if let Some(quote) = self.exchange.quote(con_id)
            && let Some(tick) = tick_by_tick(id, kind, &quote)
        {
            self.send(connection, Response::TickByTick(tick), now);
        }
        if let Some(session) = self.sessions.get_mut(&connection) {
            let line = TickLine { con_id, kind, ignore_size: request.ignore_size, told: None };
            session.ticks.insert(id, line);
        }
    }

    pub(super) fn open_bar_line(
        &mut self,
        connection: Connection,
        request: &RealTimeBarsRequest,
        now: Now,
    ) {
        let shown = Shown::parse(&request.what);
        let found = self.single(&request.contract, now);
        let (Ok(con_id), Some(shown)) = (found, shown) else {
            let text = "Error validating request: no such contract or bars";
            self.error(connection, request.req_id, 321, text, now);
            return;
        };
        if let Some(session) = self.sessions.get_mut(&connection) {
            let line = BarLine { con_id, shown, told: stamp::seconds(now.market) - 5 };
            session.bars.insert(request.req_id, line);
        }
    }
}

/// A quote as a past or present tick.
pub fn bid_ask(quote: &Quote) -> TickBidAsk {
    let side = |level: Option<Level>| {
        level.map_or((0.0, "0".to_owned()), |one| (one.price.to_f64(), one.size.to_string()))
    };
    let ((bid, bid_size), (ask, ask_size)) = (side(quote.bid), side(quote.ask));
    TickBidAsk {
        time: stamp::seconds(quote.time),
        attributes: Some(BidAskAttributes::default()),
        bid,
        ask,
        bid_size,
        ask_size,
    }
}

/// A print as a past or present tick.
pub fn last(quote: &Quote) -> Option<TickLast> {
    let (price, size) = history::print_of(quote)?;
    Some(TickLast {
        time: stamp::seconds(quote.time),
        attributes: Some(LastAttributes::default()),
        price,
        size: size.to_string(),
        exchange: "SIMEX".to_owned(),
        conditions: String::new(),
    })
}

/// A middle as a past or present tick.
pub fn middle(quote: &Quote) -> Option<TickMid> {
    let price = quote.mid()?.to_f64();
    Some(TickMid { time: stamp::seconds(quote.time), price, size: "0".to_owned() })
}

fn tick_by_tick(req_id: i32, tick_type: i32, quote: &Quote) -> Option<TickByTick> {
    let mut tick = TickByTick { req_id, tick_type, ..TickByTick::default() };
    match tick_type {
        1 | 2 => tick.last = Some(last(quote)?),
        3 => tick.bid_ask = Some(bid_ask(quote)),
        _ => tick.mid_point = Some(middle(quote)?),
    }
    Some(tick)
}

fn real_time_bar(req_id: i32, bar: &PastBar, shown: Shown) -> RealTimeBar {
    let told = crate::bars::told(bar, shown, 5, 2);
    RealTimeBar {
        req_id,
        time: bar.start,
        open: told.open,
        high: told.high,
        low: told.low,
        close: told.close,
        volume: told.volume,
        average: told.average,
        count: told.count,
    }
}
