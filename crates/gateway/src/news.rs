//! The built-in news: what the simulated market itself announces, as headlines and articles.
//!
//! One headline per announced dividend and per listed expiry; there is no other source.

use crate::message::session::{NewsArticle, NewsProvider};
use crate::stamp;
use exchange::Exchange;
use market::instrument::ConId;
use market::time::{Date, Timestamp};
use std::collections::BTreeSet;

/// The only provider.
pub const PROVIDER: &str = "SIMN";
/// Headlines kept.
const KEPT: usize = 1000;

/// One headline with its article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its identity.
    pub article_id: String,
    /// When it came out.
    pub time: Timestamp,
    /// What it is about.
    pub con_id: ConId,
    /// In a line.
    pub headline: String,
    /// In full.
    pub text: String,
}

/// Everything that has come out, oldest first.
#[derive(Clone, Debug, Default)]
pub struct News {
    items: Vec<Item>,
    known: BTreeSet<(ConId, Date, bool)>,
    count: u64,
}

impl News {
    /// The providers.
    pub fn providers() -> Vec<NewsProvider> {
        vec![NewsProvider { code: PROVIDER.to_owned(), name: "Simulated market news".to_owned() }]
    }

    /// Looks for what has been announced since the last look, and returns how much is new.
    pub fn look(
        &mut self,
        exchange: &Exchange,
        dividends: &[(ConId, Date)],
        now: Timestamp,
    ) -> usize {
        let mut fresh = Vec::new();
        for (con_id, day) in dividends {
            fresh.push((*con_id, *day, true));
        }
        for instrument in exchange.instruments() {
            if let Some(terms) = instrument.option() {
                fresh.push((terms.underlying, terms.expiry, false));
            }
        }
        let before = self.count;
        for (con_id, day, is_dividend) in fresh {
            if self.known.insert((con_id, day, is_dividend)) {
                self.publish(exchange, con_id, day, is_dividend, now);
            }
        }
        let surplus = self.items.len().saturating_sub(KEPT);
        self.items.drain(..surplus);
        usize::try_from(self.count - before).unwrap_or(usize::MAX)
    }

    fn publish(
        &mut self,
        exchange: &Exchange,
        con_id: ConId,
        day: Date,
        is_dividend: bool,
        now: Timestamp,
    ) {
        self.count += 1;
        let name = exchange.instrument(con_id).map_or_else(String::new, |one| one.symbol.clone());
        let headline = if is_dividend {
            format!("{name} announces a dividend, ex-date {day}")
        } else {
            format!("Options on {name} that expire on {day} are listed")
        };
        let text = format!("{headline}. Published by the simulated exchange.");
        let article_id = format!("{PROVIDER}${:08}", self.count);
        self.items.push(Item { article_id, time: now, con_id, headline, text });
    }

    /// The newest `count` headlines.
    pub fn newest(&self, count: usize) -> &[Item] {
        &self.items[self.items.len().saturating_sub(count)..]
    }

    /// Headlines about `con_id` between two instants, newest first.
    pub fn about(
        &self,
        con_id: ConId,
        after: Option<Timestamp>,
        before: Option<Timestamp>,
    ) -> impl Iterator<Item = &Item> {
        self.items.iter().rev().filter(move |item| {
            item.con_id == con_id
                && after.is_none_or(|after| item.time >= after)
                && before.is_none_or(|before| item.time <= before)
        })
    }

    /// An article in full.
    pub fn article(&self, req_id: i32, article_id: &str) -> Option<NewsArticle> {
        let item = self.items.iter().find(|item| item.article_id == article_id)?;
        let text = format!("{}\n{}", stamp::headline(item.time), item.text);
        Some(NewsArticle { req_id, article_type: 0, text })
    }
}
