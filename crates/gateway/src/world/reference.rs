//! Reference data and what else a client may ask without touching its account.

use super::{Connection, World};
use crate::message::contract::*;
use crate::message::session::*;
use crate::message::{Request, Response};
use crate::news::{News, PROVIDER};
use crate::{catalog, stamp};
use market::time::Now;

impl World {
    pub(super) fn serve_reference(
        &mut self,
        connection: Connection,
        client: i32,
        request: Request,
        now: Now,
    ) {
        match request {
            Request::Ids(_) => self.tell_next_id(connection, client, now),
            Request::ManagedAccounts(_) => self.tell_accounts(connection, now),
            Request::CurrentTime(_) => {
                let time = CurrentTime { seconds: stamp::seconds(now.market) };
                self.send(connection, Response::CurrentTime(time), now);
            }
            Request::CurrentTimeMillis(_) => {
                let time = CurrentTimeMillis { millis: stamp::millis(now.market) };
                self.send(connection, Response::CurrentTimeMillis(time), now);
            }
            Request::UserInfo(request) => {
                let info = UserInfo { req_id: request.req_id, branding: String::new() };
                self.send(connection, Response::UserInfo(info), now);
            }
            Request::LogLevel(request) => {
                self.log(format!("client {client} sets log level {}", request.level));
            }
            Request::ContractData(request) => self.tell_details(connection, &request, now),
            Request::OptionParameters(request) => {
                self.tell_option_parameters(connection, &request, now);
            }
            Request::MatchingSymbols(request) => {
                let samples = SymbolSamples {
                    req_id: request.req_id,
                    descriptions: catalog::samples(&self.exchange, &request.pattern),
                };
                self.send(connection, Response::SymbolSamples(samples), now);
            }
            Request::MarketRule(request) => {
                let number = request.market_rule_id;
                match catalog::rules(&self.exchange).get(&number) {
                    Some(rule) => {
                        let rule = catalog::market_rule(number, rule);
                        self.send(connection, Response::MarketRule(rule), now);
                    }
                    None => {
                        let text = format!("Error validating request: no market rule {number}");
                        self.error(connection, -1, 321, &text, now);
                    }
                }
            }
            Request::NewsProviders(_) => {
                let providers = NewsProviders { providers: News::providers() };
                self.send(connection, Response::NewsProviders(providers), now);
            }
            Request::HistoricalNews(request) => self.tell_past_news(connection, &request, now),
            Request::NewsArticle(request) => {
                match self.news.article(request.req_id, &request.article_id) {
                    Some(article) => self.send(connection, Response::NewsArticle(article), now),
                    None => {
                        let text = format!("No such article: {}", request.article_id);
                        self.error(connection, request.req_id, 10172, &text, now);
                    }
                }
            }
            Request::NewsBulletins(request) => {
                if let Some(session) = self.sessions.get_mut(&connection) {
                    session.bulletins = true;
                }
                let past = if request.all { usize::MAX } else { 0 };
                self.tell_bulletins(connection, past, now);
            }
            Request::CancelNewsBulletins(_) => {
                if let Some(session) = self.sessions.get_mut(&connection) {
                    session.bulletins = false;
                }
            }
            _ => {}
        }
    }

    fn tell_details(&mut self, connection: Connection, request: &ContractDataRequest, now: Now) {
        let req_id = request.req_id;
        let wanted = request.contract.clone().unwrap_or_default();
        if wanted.sec_type == "BAG" {
            let text = "Error validating request: a BAG has no contract details";
            return self.error(connection, req_id, 321, text, now);
        }
        let rules = catalog::rules(&self.exchange);
        let calendar = &self.settings.calendar;
        let found: Vec<ContractData> = catalog::matching(&self.exchange, &wanted, now.market)
            .into_iter()
            .map(|one| ContractData {
                req_id,
                contract: catalog::detailed(one),
                details: catalog::details(&self.exchange, one, &rules, calendar, now.market),
            })
            .collect();
        if found.is_empty() {
            let text = "No security definition has been found for the request";
            return self.error(connection, req_id, 200, text, now);
        }
        for one in found {
            self.send(connection, Response::ContractData(Box::new(one)), now);
        }
        self.send(connection, Response::ContractDataEnd(ContractDataEnd { req_id }), now);
    }

    fn tell_option_parameters(
        &mut self,
        connection: Connection,
        request: &OptionParametersRequest,
        now: Now,
    ) {
        let req_id = request.req_id;
        let Some(underlying) = self.known(request.underlying_con_id) else {
            let text = "Error validating request: no such underlying con id";
            return self.error(connection, req_id, 321, text, now);
        };
        for row in catalog::option_parameters(&self.exchange, req_id, underlying, now.market) {
            let wanted = &request.future_option_exchange;
            if wanted.is_empty() || *wanted == row.exchange {
                self.send(connection, Response::OptionParameters(row), now);
            }
        }
        self.send(connection, Response::OptionParametersEnd(OptionParametersEnd { req_id }), now);
    }

    fn tell_past_news(
        &mut self,
        connection: Connection,
        request: &HistoricalNewsRequest,
        now: Now,
    ) {
        let req_id = request.req_id;
        let provided = request.providers.is_empty()
            || request.providers.split(['+', ',']).any(|code| code.trim() == PROVIDER);
        let most = usize::try_from(request.most.clamp(1, 300)).unwrap_or(1);
        let mut items = Vec::new();
        if let Some(con_id) = self.known(request.con_id).filter(|_| provided) {
            let (after, before) = (stamp::parse(&request.start), stamp::parse(&request.end));
            let about = self.news.about(con_id, after, before).take(most + 1);
            items.extend(about.map(|item| HistoricalNews {
                req_id,
                time: stamp::headline(item.time),
                provider: PROVIDER.to_owned(),
                article_id: item.article_id.clone(),
                headline: item.headline.clone(),
            }));
        }
        let has_more = items.len() > most;
        items.truncate(most);
        for item in items {
            self.send(connection, Response::HistoricalNews(item), now);
        }
        self.send(
            connection,
            Response::HistoricalNewsEnd(HistoricalNewsEnd { req_id, has_more }),
            now,
        );
    }
}
