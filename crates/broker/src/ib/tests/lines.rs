//! Lines of market data whose hearers change.

use super::{Heard, SIM, Venue, data_port};
use crate::port::{DataPort, DataSink};
use market::instrument::ConId;
use market::quote::DataType;
use std::sync::Arc;

fn is_quoted(heard: &Heard, line: u32) {
    heard.wait("a live line", |said| said.last_type(line) == Some(DataType::Live));
    heard.wait("its quote", |said| {
        said.quotes.iter().any(|(told, quote)| *told == line && quote.bid < quote.ask)
    });
}

/// A feed that was killed had all its lines closed and opened anew, twice a hundred messages of the
/// fifty that the broker takes in a second.
#[test]
fn a_new_hearer_is_told_what_was_said_and_the_broker_is_asked_nothing() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut port = data_port(venue.gateway());
    let mut subscribe = |con_ids: &[ConId]| {
        let heard = Arc::new(Heard::default());
        port.subscribe("SIM", con_ids, Arc::clone(&heard) as Arc<dyn DataSink>);
        heard
    };
    let first = subscribe(&[SIM]);
    is_quoted(&first, 0);
    // Whatever is asked from now on is lost.
    venue.tell(
        r#"{"do":"fault","message":"MarketData","action":"drop","direction":"requests","count":9}"#,
    );
    let second = subscribe(&[ConId(1), SIM]);
    is_quoted(&second, 1);
    let said = first.said.lock().unwrap().quotes.len();
    venue.advance(5_000);
    second.wait("the next quote", |heard| heard.quotes.len() > 1);
    assert_eq!(first.said.lock().unwrap().quotes.len(), said, "the old one hears no more");
}
