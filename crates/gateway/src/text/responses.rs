//! Responses of the text dialect.

use super::Writer;
use crate::message::Response;
use crate::message::contract::{Contract, ContractDetails};
use crate::message::data::{BidAskAttributes, LastAttributes, TickByTick, TickOptionComputation};
use crate::message::order::Execution;

/// From this version on an execution says whether its price may still be revised.
const PENDING_REVISION: i32 = 178;
/// No value, where the dialect has no empty field for it.
const NO_VALUE: &str = "1.7976931348623157E308";

/// The fields of a response; `None` for one that this dialect has no message for.
#[must_use]
pub fn write_response(response: &Response, version: i32) -> Option<Vec<u8>> {
    let mut writer = Writer::new(response.id(), version);
    let w = &mut writer;
    match response {
        Response::HistoricalDataEnd(_) | Response::CurrentTimeMillis(_) => return None,
        Response::OrderStatus(m) => {
            w.int(m.order_id).text(&m.status).text(&m.filled).text(&m.remaining);
            w.double(m.average_fill_price).int(m.perm_id).int(m.parent_id);
            w.double(m.last_fill_price).int(m.client_id).text(&m.why_held);
            w.double(m.market_cap_price);
        }
        Response::OpenOrder(m) => w.open_order(m.order_id, &m.contract, &m.order, &m.state),
        Response::CompletedOrder(m) => w.completed_order(&m.contract, &m.order, &m.state),
        Response::OrderBound(m) => {
            w.int(m.perm_id).int(m.client_id).int(m.order_id);
        }
        Response::ExecutionDetails(m) => {
            w.int(m.req_id).int(m.execution.order_id).contract(&m.contract);
            w.execution(&m.execution);
        }
        Response::ExecutionDetailsEnd(m) => {
            w.int(1).int(m.req_id);
        }
        Response::CommissionReport(m) => {
            w.int(1).text(&m.exec_id).double(m.commission).text(&m.currency);
            match m.realized_pnl {
                Some(profit) => w.double(profit),
                None => w.text(NO_VALUE),
            };
            w.blanks(2);
        }
        Response::OpenOrdersEnd(_) | Response::PositionEnd(_) => {
            w.int(1);
        }
        Response::CompletedOrdersEnd(_) => {}
        _ => {
            write_other(response, w);
        }
    }
    Some(writer.finish())
}

fn write_other<'w>(response: &Response, w: &'w mut Writer) -> &'w mut Writer {
    match response {
        Response::NextValidId(m) => w.int(1).int(m.order_id),
        Response::ManagedAccounts(m) => w.int(1).text(&m.accounts),
        Response::CurrentTime(m) => w.int(1).int(m.seconds),
        Response::Error(m) => w.int(2).int(m.id).int(m.code).text(&m.text).text(&m.advanced_reject),
        Response::ContractData(m) => w.int(m.req_id).details(&m.contract, &m.details),
        Response::ContractDataEnd(m) => w.int(1).int(m.req_id),
        Response::OptionParameters(m) => {
            w.int(m.req_id).text(&m.exchange).int(m.underlying_con_id).text(&m.trading_class);
            w.text(&m.multiplier).count(m.expirations.len());
            for expiration in &m.expirations {
                w.text(expiration);
            }
            w.count(m.strikes.len());
            for strike in &m.strikes {
                w.double(*strike);
            }
            w
        }
        Response::OptionParametersEnd(m) => w.int(m.req_id),
        Response::SymbolSamples(m) => {
            w.int(m.req_id).count(m.descriptions.len());
            for one in &m.descriptions {
                w.int(one.contract.con_id).text(&one.contract.symbol).text(&one.contract.sec_type);
                w.text(&one.contract.primary_exch).text(&one.contract.currency);
                w.count(one.derivative_sec_types.len());
                for kind in &one.derivative_sec_types {
                    w.text(kind);
                }
                w.text(&one.contract.description).text(&one.contract.issuer_id);
            }
            w
        }
        Response::MarketRule(m) => {
            w.int(m.market_rule_id).count(m.increments.len());
            for step in &m.increments {
                w.double(step.low_edge).double(step.increment);
            }
            w
        }
        Response::NewsProviders(m) => {
            w.count(m.providers.len());
            for provider in &m.providers {
                w.text(&provider.code).text(&provider.name);
            }
            w
        }
        Response::NewsArticle(m) => w.int(m.req_id).int(m.article_type).text(&m.text),
        Response::HistoricalNews(m) => {
            w.int(m.req_id).text(&m.time).text(&m.provider).text(&m.article_id).text(&m.headline)
        }
        Response::HistoricalNewsEnd(m) => w.int(m.req_id).flag(m.has_more),
        Response::NewsBulletin(m) => w.int(1).int(m.id).int(m.kind).text(&m.text).text(&m.exchange),
        Response::UserInfo(m) => w.int(m.req_id).text(&m.branding),
        _ => write_account(response, w),
    }
}

fn write_account<'w>(response: &Response, w: &'w mut Writer) -> &'w mut Writer {
    match response {
        Response::AccountValue(m) => {
            w.int(2).text(&m.key).text(&m.value).text(&m.currency).text(&m.account)
        }
        Response::PortfolioValue(m) => {
            w.int(8).contract_at_home(&m.contract).text(&m.position).double(m.market_price);
            w.double(m.market_value).double(m.average_cost).double(m.unrealized_pnl);
            w.double(m.realized_pnl).text(&m.account)
        }
        Response::AccountUpdateTime(m) => w.int(1).text(&m.time),
        Response::AccountDataEnd(m) => w.int(1).text(&m.account),
        Response::AccountSummary(m) => {
            w.int(1).int(m.req_id).text(&m.account).text(&m.tag).text(&m.value).text(&m.currency)
        }
        Response::AccountSummaryEnd(m) => w.int(1).int(m.req_id),
        Response::AccountUpdateMulti(m) => {
            w.int(1).int(m.req_id).text(&m.account).text(&m.model_code).text(&m.key);
            w.text(&m.value).text(&m.currency)
        }
        Response::AccountUpdateMultiEnd(m) => w.int(1).int(m.req_id),
        Response::Position(m) => {
            w.int(3).text(&m.account).contract(&m.contract).text(&m.position);
            w.double(m.average_cost)
        }
        Response::PositionMulti(m) => {
            w.int(1).int(m.req_id).text(&m.account).contract(&m.contract).text(&m.position);
            w.double(m.average_cost).text(&m.model_code)
        }
        Response::PositionMultiEnd(m) => w.int(1).int(m.req_id),
        Response::Pnl(m) => {
            w.int(m.req_id).double(m.daily).optional(m.unrealized).optional(m.realized)
        }
        Response::PnlSingle(m) => {
            w.int(m.req_id).text(&m.position).double(m.daily).optional(m.unrealized);
            w.optional(m.realized).double(m.value)
        }
        _ => write_data(response, w),
    }
}

fn write_data<'w>(response: &Response, w: &'w mut Writer) -> &'w mut Writer {
    match response {
        Response::TickPrice(m) => {
            w.int(6).int(m.req_id).int(m.tick_type).double(m.price).text(&m.size);
            w.int(m.attributes)
        }
        Response::TickSize(m) => w.int(6).int(m.req_id).int(m.tick_type).text(&m.size),
        Response::TickString(m) => w.int(6).int(m.req_id).int(m.tick_type).text(&m.value),
        Response::TickGeneric(m) => w.int(6).int(m.req_id).int(m.tick_type).double(m.value),
        Response::TickOptionComputation(m) => w.computation(m),
        Response::MarketDataType(m) => w.int(1).int(m.req_id).int(m.data_type),
        Response::TickSnapshotEnd(m) => w.int(1).int(m.req_id),
        Response::TickParameters(m) => {
            w.int(m.req_id).text(&m.min_tick).text(&m.bbo_exchange).int(m.snapshot_permissions)
        }
        Response::TickNews(m) => {
            w.int(m.req_id).int(m.time_ms).text(&m.provider).text(&m.article_id);
            w.text(&m.headline).text(&m.extra)
        }
        Response::TickByTick(m) => w.tick_by_tick(m),
        Response::HistoricalData(m) => {
            let date = |bar: Option<&crate::message::data::Bar>| {
                bar.map(|bar| bar.date.clone()).unwrap_or_default()
            };
            w.int(m.req_id).text(&date(m.bars.first())).text(&date(m.bars.last()));
            w.count(m.bars.len());
            for bar in &m.bars {
                w.text(&bar.date).double(bar.open).double(bar.high).double(bar.low);
                w.double(bar.close).text(&bar.volume).text(&bar.average).int(bar.count);
            }
            w
        }
        Response::HistoricalDataUpdate(m) => {
            w.int(m.req_id).int(m.bar.count).text(&m.bar.date).double(m.bar.open);
            w.double(m.bar.close).double(m.bar.high).double(m.bar.low);
            w.text(&m.bar.average).text(&m.bar.volume)
        }
        Response::HeadTimestamp(m) => w.int(m.req_id).text(&m.time),
        Response::HistoricalTicks(m) => {
            w.int(m.req_id).count(m.ticks.len());
            for tick in &m.ticks {
                w.int(tick.time).blanks(1).double(tick.price).text(&tick.size);
            }
            w.flag(m.done)
        }
        Response::HistoricalTicksBidAsk(m) => {
            w.int(m.req_id).count(m.ticks.len());
            for tick in &m.ticks {
                // This message numbers the two attributes the other way round than tick-by-tick.
                let said = tick.attributes.clone().unwrap_or_default();
                let mask = i32::from(said.ask_past_high) + 2 * i32::from(said.bid_past_low);
                w.int(tick.time).int(mask).double(tick.bid).double(tick.ask);
                w.text(&tick.bid_size).text(&tick.ask_size);
            }
            w.flag(m.done)
        }
        Response::HistoricalTicksLast(m) => {
            w.int(m.req_id).count(m.ticks.len());
            for tick in &m.ticks {
                w.int(tick.time).int(last_mask(tick.attributes.as_ref())).double(tick.price);
                w.text(&tick.size).text(&tick.exchange).text(&tick.conditions);
            }
            w.flag(m.done)
        }
        Response::RealTimeBar(m) => {
            w.int(3).int(m.req_id).int(m.time).double(m.open).double(m.high).double(m.low);
            w.double(m.close).text(&m.volume).text(&m.average).int(m.count)
        }
        other => unreachable!("{} is written before", other.name()),
    }
}

fn last_mask(said: Option<&LastAttributes>) -> i32 {
    said.map_or(0, |said| i32::from(said.past_limit) + 2 * i32::from(said.unreported))
}

fn bid_ask_mask(said: Option<&BidAskAttributes>) -> i32 {
    said.map_or(0, |said| i32::from(said.bid_past_low) + 2 * i32::from(said.ask_past_high))
}

impl Writer {
    fn computation(&mut self, m: &TickOptionComputation) -> &mut Self {
        self.int(m.req_id).int(m.tick_type).int(m.attributes).double(m.implied_vol);
        self.double(m.delta).double(m.option_price).double(m.dividends).double(m.gamma);
        self.double(m.vega).double(m.theta).double(m.underlying_price)
    }

    fn tick_by_tick(&mut self, m: &TickByTick) -> &mut Self {
        self.int(m.req_id).int(m.tick_type);
        if let Some(last) = &m.last {
            self.int(last.time).double(last.price).text(&last.size);
            self.int(last_mask(last.attributes.as_ref())).text(&last.exchange);
            return self.text(&last.conditions);
        }
        if let Some(quote) = &m.bid_ask {
            self.int(quote.time).double(quote.bid).double(quote.ask).text(&quote.bid_size);
            return self.text(&quote.ask_size).int(bid_ask_mask(quote.attributes.as_ref()));
        }
        let mid = m.mid_point.clone().unwrap_or_default();
        self.int(mid.time).double(mid.price)
    }

    fn execution(&mut self, m: &Execution) -> &mut Self {
        self.text(&m.exec_id).text(&m.time).text(&m.account).text(&m.exchange).text(&m.side);
        self.text(&m.shares).double(m.price).int(m.perm_id).int(m.client_id);
        self.flag(m.is_liquidation).text(&m.cumulative_quantity).double(m.average_price);
        // Economic value rule and multiplier.
        self.text(&m.order_ref).blanks(2).text(&m.model_code).int(m.last_liquidity);
        if self.version >= PENDING_REVISION {
            self.flag(m.price_revision_pending);
        }
        self
    }

    fn details(&mut self, contract: &Contract, details: &ContractDetails) -> &mut Self {
        self.text(&contract.symbol).text(&contract.sec_type);
        self.text(&contract.last_trade_date_or_contract_month).double(contract.strike);
        self.text(&contract.right).text(&contract.exchange).text(&contract.currency);
        self.text(&contract.local_symbol).text(&details.market_name);
        self.text(&contract.trading_class).int(contract.con_id).text(&details.min_tick);
        self.multiplier(contract).text(&details.order_types).text(&details.valid_exchanges);
        self.int(details.price_magnifier).int(details.under_con_id).text(&details.long_name);
        self.text(&contract.primary_exch).text(&details.contract_month);
        self.text(&details.industry).text(&details.category).text(&details.subcategory);
        self.text(&details.time_zone_id).text(&details.trading_hours).text(&details.liquid_hours);
        // Economic value rule and multiplier, security ids.
        self.blanks(2).int(0).int(details.agg_group).text(&details.under_symbol);
        self.text(&details.under_sec_type).text(&details.market_rule_ids);
        self.text(&details.real_expiration_date).text(&details.stock_type);
        self.text(&details.min_size).text(&details.size_increment);
        self.text(&details.suggested_size_increment)
    }
}
