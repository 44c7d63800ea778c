//! What is asked about contracts on the data connection: the terms of a product, what a stock pays.
//!
//! Each question has a deadline and waits for its turn among the data messages.

use super::super::contracts;
use super::super::orders::Gateway;
use super::super::pacing::Lane;
use super::super::translate;
use futures::StreamExt;
use ibapi::Client;
use ibapi::contracts::tick_types::TickType;
use ibapi::contracts::{Contract as WireContract, ContractDetails, Exchange, SecurityType, Symbol};
use ibapi::market_data::realtime::TickTypes;
use ibapi::subscriptions::SubscriptionItem;
use market::instrument::{ConId, Contract, TickRule};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// A product as it was told: details, and the price increments by their rule's number.
pub type Product = (Vec<ContractDetails>, BTreeMap<i32, TickRule>);
/// An answer, or why there is none, in words.
pub type Told<T> = Result<T, String>;

/// Why a product wasn't told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untold {
    /// The broker lists no such thing.
    NotListed,
    /// It was not told this time, in words.
    Failed(String),
}

impl From<String> for Untold {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// The dividends of a stock: generic tick 456, which comes as tick 59.
pub async fn dividends(client: &Client, gateway: &Gateway, con_id: ConId) -> Told<String> {
    let contract = translate::wire_contract(&Contract::Single(con_id), &gateway.contracts);
    let contract = contract.map_err(|error| error.to_string())?;
    gateway.pace.wait(Lane::Data).await;
    let asked = client.market_data(&contract).generic_ticks(&["456"]).subscribe().await;
    let mut ticks = asked.map_err(|error| error.to_string())?;
    while let Some(item) = ticks.next().await {
        match item.map_err(|error| error.to_string())? {
            SubscriptionItem::Data(TickTypes::String(tick))
                if tick.tick_type == TickType::IbDividends =>
            {
                return Ok(tick.value);
            }
            SubscriptionItem::Data(_) => {}
            SubscriptionItem::Notice(notice) => return Err(notice.to_string()),
        }
    }
    Err("the line ended".to_owned())
}

/// A product's details, and the rules that they name.
pub async fn product(client: &Client, gateway: &Gateway, symbol: &str) -> Result<Product, Untold> {
    let details = chain(client, gateway, symbol).await?;
    let wanted: BTreeSet<i32> = details.iter().filter_map(contracts::rule_of).collect();
    let mut rules = BTreeMap::new();
    for number in wanted {
        gateway.pace.wait(Lane::Data).await;
        match timeout(gateway.settings.answer_deadline, client.market_rule(number)).await {
            Ok(Ok(rule)) => {
                rules.extend(contracts::tick_rule(&rule).map(|rule| (number, rule)));
            }
            // The smallest increment of the details holds without it; some orders are refused.
            Ok(Err(error)) => tracing::warn!("market rule {number}: {error}"),
            Err(_) => tracing::warn!("market rule {number} was not told in time"),
        }
    }
    Ok((details, rules))
}

/// The root and every option on it: the chain's parameters first, which aren't throttled, then one
/// question an expiry, so that no answer is huge.
async fn chain(
    client: &Client,
    gateway: &Gateway,
    symbol: &str,
) -> Result<Vec<ContractDetails>, Untold> {
    let words = |error: ibapi::Error| Untold::Failed(error.to_string());
    let late = |what: &str| Untold::Failed(format!("{what} came not in time"));
    let within = match gateway.settings.answer_deadline {
        _ if mutation::active("skip_details_deadline") => Duration::MAX,
        deadline => deadline,
    };
    let mut all = Vec::new();
    for security_type in [SecurityType::Stock, SecurityType::Index] {
        let root = WireContract {
            symbol: Symbol(symbol.to_owned()),
            security_type,
            exchange: Exchange(String::new()),
            ..WireContract::default()
        };
        gateway.pace.wait(Lane::Data).await;
        match timeout(within, client.contract_details(&root)).await {
            Ok(Ok(found)) => all.extend(found),
            // 200: it is of the other kind.
            Ok(Err(ibapi::Error::Notice(notice))) if notice.code == 200 => {}
            Ok(Err(error)) => return Err(error.to_string().into()),
            Err(_) => return Err(late("contract details")),
        }
    }
    let Some(root) = all.first().cloned() else {
        return Err(Untold::NotListed);
    };
    gateway.pace.wait(Lane::Data).await;
    let kind = root.contract.security_type.clone();
    let asked = client.option_chain(symbol, kind, root.contract.contract_id).subscribe();
    let mut chains = match timeout(within, asked).await {
        Ok(chains) => chains.map_err(words)?,
        Err(_) => return Err(late("the option chain")),
    };
    let chains = chains.collect_to_end_within(within).await.map_err(words)?;
    let wanted: BTreeSet<(String, String)> = chains
        .iter()
        .flat_map(|chain| {
            chain.expirations.iter().map(|expiry| (chain.trading_class.clone(), expiry.clone()))
        })
        .collect();
    for (trading_class, expiry) in wanted {
        let options = WireContract {
            symbol: Symbol(symbol.to_owned()),
            security_type: SecurityType::Option,
            exchange: Exchange(String::new()),
            trading_class,
            last_trade_date_or_contract_month: expiry,
            ..WireContract::default()
        };
        gateway.pace.wait(Lane::Data).await;
        match timeout(within, client.contract_details(&options)).await {
            Ok(Ok(found)) => all.extend(found),
            Ok(Err(ibapi::Error::Notice(notice))) if notice.code == 200 => {}
            Ok(Err(error)) => return Err(error.to_string().into()),
            Err(_) => return Err(late("contract details")),
        }
    }
    Ok(all)
}
