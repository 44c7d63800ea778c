//! What the account must look like, computed from the venue's own file `book.jsonl` and nothing
//! else.
//!
//! A second arithmetic: none of our crates, plain JSON, micro-units in 128 bits. Average cost,
//! realised on closing before fees, per strategy (by the order's reference) and per account.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What one book holds of one instrument, in micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Signed units.
    pub quantity: i128,
    /// What was paid for them.
    pub cost: i128,
    /// What closing brought.
    pub realised: i128,
}

impl Holding {
    /// A trade of signed units worth `price` each (times multiplier).
    fn trade(&mut self, signed: i128, unit: i128) {
        let closes = self.quantity.signum() * signed.signum() < 0;
        let closed = if closes { signed.abs().min(self.quantity.abs()) } else { 0 };
        if closed > 0 {
            let released = self.cost * closed / self.quantity.abs();
            self.realised += -(signed.signum() * closed * unit) - released;
            self.cost -= released;
        }
        self.cost += (signed - signed.signum() * closed) * unit;
        self.quantity += signed;
    }

    /// All of it ends and brings `received`.
    fn end(&mut self, received: i128) {
        self.realised += received - self.cost;
        (self.quantity, self.cost) = (0, 0);
    }
}

/// An order that works at the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Working {
    /// Our reference on it.
    pub reference: String,
    /// `buy` or `sell`.
    pub side: String,
    /// All units.
    pub quantity: i128,
    /// Those filled.
    pub filled: i128,
    /// The limit in micro-dollars.
    pub limit: i128,
}

/// The account by the venue.
#[derive(Debug, Default)]
pub struct Account {
    /// By strategy and instrument.
    pub strategies: BTreeMap<(String, i64), Holding>,
    /// By instrument.
    pub whole: BTreeMap<i64, Holding>,
    /// Micro-dollars.
    pub cash: i128,
    /// Micro-dollars, paid when positive.
    pub fees: i128,
    /// By the venue's number.
    pub working: BTreeMap<i64, Working>,
    /// Every execution of an instrument.
    pub executions: BTreeSet<String>,
    /// How many orders were accepted, by reference.
    pub accepted: BTreeMap<String, u32>,
    /// Lines without a trade: dividends, expiries, assignments.
    pub events: u32,
}

impl Account {
    /// All that closing brought.
    pub fn realised(&self) -> i128 {
        self.whole.values().map(|holding| holding.realised).sum()
    }
}

/// The file as it is now.
pub fn read(state: &Path) -> String {
    let text = fs::read_to_string(state.join("venue/book.jsonl")).expect("the venue keeps a book");
    // A line without its end is one that the venue writes just now, or that a kill cut.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole].to_owned()
}

/// Computes the account from the file's text.
pub fn recompute(text: &str) -> Account {
    let mut account = Account::default();
    let mut multipliers = BTreeMap::new();
    for line in text.lines() {
        let change: Value = serde_json::from_str(line).expect("a change a line");
        let (kind, body) = change.as_object().and_then(|o| o.iter().next()).expect("one kind");
        match kind.as_str() {
            "Referenced" => {
                multipliers.insert(con_id(body), number(&body["multiplier"]));
            }
            "Accepted" => accept(&mut account, body),
            "Modified" => {
                let order = account.working.get_mut(&perm_id(body)).expect("it works");
                order.limit = number(&body["limit"]);
                order.quantity = number(&body["quantity"]);
            }
            "Amended" => {
                let order = account.working.get_mut(&perm_id(body)).expect("it works");
                *order = working(body);
            }
            "Executed" => execute(&mut account, body, &multipliers),
            "Ended" => {
                account.working.remove(&perm_id(body)).expect("it works");
            }
            "Event" => happen(&mut account, &body["kind"], &multipliers),
            // Of no consequence for what is held: numbers of clients, stages of stop orders.
            "NumbersSeen" | "Staged" | "Opened" | "Refused" | "DividendAnnounced" | "DayEnded" => {}
            other => panic!("this recomputation doesn't know `{other}`"),
        }
    }
    account
}

fn accept(account: &mut Account, body: &Value) {
    let order = working(body);
    *account.accepted.entry(order.reference.clone()).or_default() += 1;
    account.working.insert(perm_id(body), order);
}

fn working(body: &Value) -> Working {
    Working {
        reference: text_of(&body["reference"]),
        side: text_of(&body["side"]).to_lowercase(),
        quantity: number(&body["quantity"]),
        filled: number(&body["filled"]),
        limit: number(&body["limit"]),
    }
}

fn execute(account: &mut Account, body: &Value, multipliers: &BTreeMap<i64, i128>) {
    let order = account.working.get_mut(&perm_id(body)).expect("it works");
    order.filled += number(&body["units"]);
    for leg in body["legs"].as_array().expect("a list") {
        let execution = &leg["execution"];
        let con_id = con_id(execution);
        let sign = if execution["side"] == "Buy" { 1 } else { -1 };
        let signed = sign * number(&execution["quantity"]);
        let unit = number(&execution["price"]) * multipliers[&con_id];
        let fee = number(&execution["fee"]);
        let strategy = strategy_of(&text_of(&execution["reference"]));
        account.whole.entry(con_id).or_default().trade(signed, unit);
        account.strategies.entry((strategy, con_id)).or_default().trade(signed, unit);
        account.cash -= signed * unit + fee;
        account.fees += fee;
        let fresh = account.executions.insert(text_of(&execution["exec_id"]));
        assert!(fresh, "the venue gave one execution twice: {execution}");
    }
}

fn happen(account: &mut Account, kind: &Value, multipliers: &BTreeMap<i64, i128>) {
    account.events += 1;
    let (kind, body) = kind.as_object().and_then(|o| o.iter().next()).expect("one kind");
    let amount = body.get("amount").map_or(0, number);
    account.cash += amount;
    match kind.as_str() {
        "Cash" => account.events -= 1,
        "Dividend" => {
            for_each_share(account, con_id(body), amount, |holding, part| holding.realised += part);
        }
        "OptionExpired" | "CashSettled" => {
            for_each_share(account, con_id(body), amount, Holding::end);
        }
        "Exercised" | "Assigned" => {
            let delivery = &body["delivery"];
            let stock = con_id(delivery);
            let unit = number(&delivery["price"]) * multipliers[&stock];
            let all = account.whole.get(&con_id(body)).map_or(0, |holding| holding.quantity);
            let ended = number(&body["quantity"]);
            assert!(all == ended, "a partial exercise has no one owner here: {body}");
            let signed = number(&delivery["quantity"]);
            account.cash -= signed * unit;
            account.whole.entry(stock).or_default().trade(signed, unit);
            let owners: Vec<(String, i128)> = owners(account, con_id(body));
            for (owner, own) in owners {
                let part = signed * own / all;
                account.strategies.entry((owner, stock)).or_default().trade(part, unit);
            }
            for_each_share(account, con_id(body), 0, Holding::end);
        }
        other => panic!("this recomputation doesn't know the event `{other}`"),
    }
}

fn owners(account: &Account, con_id: i64) -> Vec<(String, i128)> {
    let own = account.strategies.iter().filter(|((_, held), _)| *held == con_id);
    own.map(|((strategy, _), holding)| (strategy.clone(), holding.quantity)).collect()
}

/// To the account the amount, to each strategy its share by quantity.
fn for_each_share(
    account: &mut Account,
    con_id: i64,
    amount: i128,
    change: impl Fn(&mut Holding, i128),
) {
    let all = account.whole.get(&con_id).map_or(0, |holding| holding.quantity);
    change(account.whole.entry(con_id).or_default(), amount);
    for ((_, held), holding) in &mut account.strategies {
        if *held == con_id && holding.quantity != 0 && all != 0 {
            let part = amount * holding.quantity / all;
            change(holding, part);
        }
    }
}

/// `oib.INSTALL.EPOCH.STRATEGY.SEQ` names its strategy.
pub fn strategy_of(reference: &str) -> String {
    reference.split('.').nth(3).expect("our own reference").to_owned()
}

/// Decimal text such as `-3217.25` in micro-units.
pub fn micros(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: i128 = whole.parse().expect("a decimal");
    let part: i128 = format!("{part:0<6}")[..6].parse().expect("a decimal");
    sign * (whole * 1_000_000 + part)
}

fn con_id(body: &Value) -> i64 {
    body["con_id"].as_i64().expect("an instrument")
}

fn perm_id(body: &Value) -> i64 {
    body["perm_id"].as_i64().expect("an order")
}

fn number(value: &Value) -> i128 {
    i128::from(value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number")))
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

#[test]
fn average_cost_is_realised_on_closing_and_across_zero() {
    let mut holding = Holding::default();
    holding.trade(3, 10);
    holding.trade(1, 14);
    assert_eq!(holding, Holding { quantity: 4, cost: 44, realised: 0 });
    holding.trade(-6, 12);
    assert_eq!(holding, Holding { quantity: -2, cost: -24, realised: 4 });
    holding.end(0);
    assert_eq!(holding.realised, 28);
    assert_eq!((micros("-3217.25"), micros("7")), (-3_217_250_000, 7_000_000));
}
