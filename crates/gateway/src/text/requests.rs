//! Requests of the text dialect.

use super::Fields;
use crate::message::account::*;
use crate::message::contract::*;
use crate::message::data::*;
use crate::message::order::*;
use crate::message::session::*;
use crate::message::{MessageError, Request};

/// The request in a frame.
///
/// # Errors
/// For numbers that are not served and fields that don't fit.
pub fn read_request(text: &str, version: i32) -> Result<Request, MessageError> {
    let (id, mut fields) = Fields::new(text, version)?;
    let f = &mut fields;
    if let Some(request) = read_order_request(id, f)? {
        return Ok(request);
    }
    if let Some(request) = read_data_request(id, f)? {
        return Ok(request);
    }
    read_other_request(id, f)
}

/// A cancel with a version field before the request's number.
fn versioned(f: &mut Fields<'_>) -> Result<ByRequest, MessageError> {
    f.skip(1)?;
    bare(f)
}

fn bare(f: &mut Fields<'_>) -> Result<ByRequest, MessageError> {
    Ok(ByRequest { req_id: f.int()? })
}

impl Fields<'_> {
    /// The twelve fields of a contract.
    pub(super) fn contract(&mut self) -> Result<Contract, MessageError> {
        Ok(Contract {
            con_id: self.int()?,
            symbol: self.text()?,
            sec_type: self.text()?,
            last_trade_date_or_contract_month: self.text()?,
            strike: self.double()?,
            right: self.text()?,
            multiplier: self.double()?,
            exchange: self.text()?,
            primary_exch: self.text()?,
            currency: self.text()?,
            local_symbol: self.text()?,
            trading_class: self.text()?,
            ..Contract::default()
        })
    }

    fn short_legs(&mut self, contract: &mut Contract) -> Result<(), MessageError> {
        if contract.sec_type != "BAG" {
            return Ok(());
        }
        for _ in 0..self.count()? {
            contract.combo_legs.push(ComboLeg {
                con_id: self.int()?,
                ratio: self.int()?,
                action: self.text()?,
                exchange: self.text()?,
                ..ComboLeg::default()
            });
        }
        Ok(())
    }

    fn expirable(&mut self) -> Result<Contract, MessageError> {
        let contract = self.contract()?;
        Ok(Contract { include_expired: self.flag()?, ..contract })
    }
}

fn read_order_request(id: i32, f: &mut Fields<'_>) -> Result<Option<Request>, MessageError> {
    let request = match id {
        3 => Request::PlaceOrder(Box::new(f.place_order()?)),
        4 => {
            f.skip(1)?;
            let order_id = f.int()?;
            let cancel = Some(OrderCancel { manual_time: f.text()? });
            Request::CancelOrder(CancelOrderRequest { order_id, cancel })
        }
        5 => Request::OpenOrders(Empty {}),
        7 => {
            f.skip(1)?;
            let req_id = f.int()?;
            let filter = ExecutionFilter {
                client_id: f.int()?,
                account: f.text()?,
                time: f.text()?,
                symbol: f.text()?,
                sec_type: f.text()?,
                exchange: f.text()?,
                side: f.text()?,
                ..ExecutionFilter::default()
            };
            Request::Executions(ExecutionsRequest { req_id, filter: Some(filter) })
        }
        15 => {
            f.skip(1)?;
            Request::AutoOpenOrders(AutoOpenOrdersRequest { auto_bind: f.flag()? })
        }
        16 => Request::AllOpenOrders(Empty {}),
        21 => {
            f.skip(1)?;
            let order_id = f.int()?;
            let contract = Contract {
                con_id: f.int()?,
                symbol: f.text()?,
                sec_type: f.text()?,
                last_trade_date_or_contract_month: f.text()?,
                strike: f.double()?,
                right: f.text()?,
                multiplier: f.double()?,
                exchange: f.text()?,
                currency: f.text()?,
                local_symbol: f.text()?,
                trading_class: f.text()?,
                ..Contract::default()
            };
            Request::ExerciseOptions(Box::new(ExerciseOptionsRequest {
                order_id,
                contract,
                action: f.int()?,
                quantity: f.int()?,
                account: f.text()?,
                override_default: f.flag()?,
            }))
        }
        58 => Request::GlobalCancel(GlobalCancelRequest { cancel: None }),
        99 => Request::CompletedOrders(CompletedOrdersRequest { api_only: f.flag()? }),
        _ => return Ok(None),
    };
    Ok(Some(request))
}

fn read_data_request(id: i32, f: &mut Fields<'_>) -> Result<Option<Request>, MessageError> {
    let request = match id {
        1 => {
            f.skip(1)?;
            let req_id = f.int()?;
            let mut contract = f.contract()?;
            f.short_legs(&mut contract)?;
            if f.flag()? {
                f.skip(3)?;
            }
            Request::MarketData(Box::new(MarketDataRequest {
                req_id,
                contract,
                generic_ticks: f.text()?,
                snapshot: f.flag()?,
                regulatory_snapshot: f.flag()?,
            }))
        }
        2 => Request::CancelMarketData(versioned(f)?),
        20 => {
            let req_id = f.int()?;
            let mut contract = f.expirable()?;
            let (end, bar_size, duration) = (f.text()?, f.text()?, f.text()?);
            let (use_rth, what, format_date) = (f.flag()?, f.text()?, f.int()?);
            f.short_legs(&mut contract)?;
            Request::HistoricalData(Box::new(HistoricalDataRequest {
                req_id,
                contract,
                end,
                bar_size,
                duration,
                use_rth,
                what,
                format_date,
                keep_up_to_date: f.flag()?,
            }))
        }
        25 => Request::CancelHistoricalData(versioned(f)?),
        50 => {
            f.skip(1)?;
            Request::RealTimeBars(Box::new(RealTimeBarsRequest {
                req_id: f.int()?,
                contract: f.contract()?,
                bar_size: f.int()?,
                what: f.text()?,
                use_rth: f.flag()?,
            }))
        }
        51 => Request::CancelRealTimeBars(versioned(f)?),
        54 => {
            f.skip(1)?;
            Request::ImpliedVolatility(Box::new(ImpliedVolatilityRequest {
                req_id: f.int()?,
                contract: f.contract()?,
                option_price: f.double()?,
                underlying_price: f.double()?,
            }))
        }
        55 => {
            f.skip(1)?;
            Request::OptionPrice(Box::new(OptionPriceRequest {
                req_id: f.int()?,
                contract: f.contract()?,
                volatility: f.double()?,
                underlying_price: f.double()?,
            }))
        }
        56 => Request::CancelImpliedVolatility(versioned(f)?),
        57 => Request::CancelOptionPrice(versioned(f)?),
        59 => {
            f.skip(1)?;
            Request::MarketDataType(MarketDataTypeRequest { data_type: f.int()? })
        }
        87 => Request::HeadTimestamp(Box::new(HeadTimestampRequest {
            req_id: f.int()?,
            contract: f.expirable()?,
            use_rth: f.flag()?,
            what: f.text()?,
            format_date: f.int()?,
        })),
        90 => Request::CancelHeadTimestamp(bare(f)?),
        96 => Request::HistoricalTicks(Box::new(HistoricalTicksRequest {
            req_id: f.int()?,
            contract: f.expirable()?,
            start: f.text()?,
            end: f.text()?,
            ticks: f.int()?,
            what: f.text()?,
            use_rth: f.flag()?,
            ignore_size: f.flag()?,
        })),
        97 => Request::TickByTick(Box::new(TickByTickRequest {
            req_id: f.int()?,
            contract: f.contract()?,
            tick_type: f.text()?,
            ticks: f.int()?,
            ignore_size: f.flag()?,
        })),
        98 => Request::CancelTickByTick(bare(f)?),
        _ => return Ok(None),
    };
    Ok(Some(request))
}

fn read_other_request(id: i32, f: &mut Fields<'_>) -> Result<Request, MessageError> {
    Ok(match id {
        6 => {
            f.skip(1)?;
            Request::AccountData(AccountDataRequest { subscribe: f.flag()?, account: f.text()? })
        }
        8 => {
            f.skip(1)?;
            Request::Ids(IdsRequest { count: f.int()? })
        }
        9 => {
            f.skip(1)?;
            let req_id = f.int()?;
            let contract = f.expirable()?;
            let contract = Contract { sec_id_type: f.text()?, sec_id: f.text()?, ..contract };
            let contract = Contract { issuer_id: f.text()?, ..contract };
            Request::ContractData(Box::new(ContractDataRequest {
                req_id,
                contract: Some(contract),
            }))
        }
        12 => {
            f.skip(1)?;
            Request::NewsBulletins(NewsBulletinsRequest { all: f.flag()? })
        }
        13 => Request::CancelNewsBulletins(Empty {}),
        14 => {
            f.skip(1)?;
            Request::LogLevel(LogLevelRequest { level: f.int()? })
        }
        17 => Request::ManagedAccounts(Empty {}),
        49 => Request::CurrentTime(Empty {}),
        61 => Request::Positions(Empty {}),
        62 => {
            f.skip(1)?;
            Request::AccountSummary(AccountSummaryRequest {
                req_id: f.int()?,
                group: f.text()?,
                tags: f.text()?,
            })
        }
        63 => Request::CancelAccountSummary(versioned(f)?),
        64 => Request::CancelPositions(Empty {}),
        71 => {
            f.skip(1)?;
            Request::StartApi(StartApiRequest { client_id: f.int()?, capabilities: f.text()? })
        }
        74 => {
            f.skip(1)?;
            Request::PositionsMulti(PositionsMultiRequest {
                req_id: f.int()?,
                account: f.text()?,
                model_code: f.text()?,
            })
        }
        75 => Request::CancelPositionsMulti(versioned(f)?),
        76 => {
            f.skip(1)?;
            Request::AccountUpdatesMulti(AccountUpdatesMultiRequest {
                req_id: f.int()?,
                account: f.text()?,
                model_code: f.text()?,
                ledger_and_nlv: f.flag()?,
            })
        }
        77 => Request::CancelAccountUpdatesMulti(versioned(f)?),
        78 => Request::OptionParameters(OptionParametersRequest {
            req_id: f.int()?,
            underlying_symbol: f.text()?,
            future_option_exchange: f.text()?,
            underlying_sec_type: f.text()?,
            underlying_con_id: f.int()?,
        }),
        81 => Request::MatchingSymbols(MatchingSymbolsRequest {
            req_id: f.int()?,
            pattern: f.text()?,
        }),
        84 => Request::NewsArticle(NewsArticleRequest {
            req_id: f.int()?,
            provider: f.text()?,
            article_id: f.text()?,
        }),
        85 => Request::NewsProviders(Empty {}),
        86 => Request::HistoricalNews(HistoricalNewsRequest {
            req_id: f.int()?,
            con_id: f.int()?,
            providers: f.text()?,
            start: f.text()?,
            end: f.text()?,
            most: f.int()?,
        }),
        91 => Request::MarketRule(MarketRuleRequest { market_rule_id: f.int()? }),
        92 => {
            Request::Pnl(PnlRequest { req_id: f.int()?, account: f.text()?, model_code: f.text()? })
        }
        93 => Request::CancelPnl(bare(f)?),
        94 => Request::PnlSingle(PnlSingleRequest {
            req_id: f.int()?,
            account: f.text()?,
            model_code: f.text()?,
            con_id: f.int()?,
        }),
        95 => Request::CancelPnlSingle(bare(f)?),
        104 => Request::UserInfo(bare(f)?),
        _ => return Err(MessageError::Unknown(id)),
    })
}
