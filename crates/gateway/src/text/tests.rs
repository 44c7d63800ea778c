//! Requests written as clients write them, read back; responses that are one field per value.

use super::{Fields, Writer, read_request, write_response};
use crate::message::contract::{ComboLeg, Contract};
use crate::message::data::MarketDataRequest;
use crate::message::order::{Order, PlaceOrderRequest};
use crate::message::{Request, Response};
use proptest::prelude::*;

fn write_contract(w: &mut Writer, contract: &Contract) {
    w.int(contract.con_id).text(&contract.symbol).text(&contract.sec_type);
    w.text(&contract.last_trade_date_or_contract_month).double(contract.strike);
    w.text(&contract.right).multiplier(contract).text(&contract.exchange);
    w.text(&contract.primary_exch).text(&contract.currency).text(&contract.local_symbol);
    w.text(&contract.trading_class);
}

/// The order as clients of these versions write it, field by field.
fn write_order(request: &PlaceOrderRequest, version: i32) -> Vec<u8> {
    let (contract, order) = (&request.contract, &request.order);
    let mut writer = Writer::new(3, version);
    let w = &mut writer;
    w.int(request.order_id);
    write_contract(w, contract);
    w.text(&contract.sec_id_type).text(&contract.sec_id).text(&order.action);
    w.text(&order.total_quantity).text(&order.order_type).optional(order.limit_price);
    w.optional(order.aux_price).text(&order.tif).text(&order.oca_group).text(&order.account);
    w.text(&order.open_close).int(order.origin).text(&order.order_ref);
    w.flag(order.transmit.unwrap_or(true)).int(order.parent_id).flag(order.block_order);
    w.flag(order.sweep_to_fill).optional_int(order.display_size).int(order.trigger_method);
    w.flag(order.outside_rth).flag(order.hidden);
    if contract.sec_type == "BAG" {
        w.count(contract.combo_legs.len());
        for leg in &contract.combo_legs {
            w.int(leg.con_id).int(leg.ratio).text(&leg.action).text(&leg.exchange);
            w.int(leg.open_close).int(leg.short_sale_slot).text(&leg.designated_location);
            w.optional_int(leg.exempt_code);
        }
        w.count(0).count(order.smart_combo_routing_params.len());
        for (tag, value) in &order.smart_combo_routing_params {
            w.text(tag).text(value);
        }
    }
    w.blanks(1).int(0).text(&order.good_after_time).text(&order.good_till_date);
    w.blanks(if version < 177 { 4 } else { 3 }).text(&order.model_code).int(0).blanks(1);
    w.optional_int(order.exempt_code).int(order.oca_type).blanks(2).flag(order.all_or_none);
    w.optional_int(order.min_quantity).blanks(1).flag(false).flag(false).blanks(1).int(0);
    w.blanks(5).flag(false).blanks(2).blanks(2).flag(false).blanks(1);
    w.optional(order.trail_stop_price).optional(order.trailing_percent).blanks(3);
    w.blanks(3).blanks(1).flag(false).blanks(2).flag(false).flag(false);
    w.text(&order.algo_strategy);
    if !order.algo_strategy.is_empty() {
        w.count(order.algo_params.len());
        for (tag, value) in &order.algo_params {
            w.text(tag).text(value);
        }
    }
    w.blanks(1).flag(order.what_if).blanks(1).flag(false).flag(false).flag(false).count(0);
    writer.finish()
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9 .:/_-]{0,12}"
}

fn price() -> impl Strategy<Value = Option<f64>> {
    prop::option::of((-1_000_000..1_000_000i64).prop_map(|cents| cents as f64 / 100.0))
}

fn a_contract() -> impl Strategy<Value = Contract> {
    let legs = prop::collection::vec((1..i32::MAX, 1..9i32, word()), 0..4);
    (any::<i32>(), word(), any::<bool>(), word(), legs, 0..5000u32).prop_map(
        |(con_id, symbol, bag, exchange, legs, strike)| Contract {
            con_id,
            symbol,
            sec_type: if bag { "BAG" } else { "OPT" }.to_owned(),
            strike: f64::from(strike) / 2.0,
            multiplier: 100.0,
            exchange: exchange.clone(),
            combo_legs: legs
                .into_iter()
                .filter(|_| bag)
                .map(|(con_id, ratio, action)| ComboLeg {
                    con_id,
                    ratio,
                    action,
                    exchange: exchange.clone(),
                    ..ComboLeg::default()
                })
                .collect(),
            ..Contract::default()
        },
    )
}

fn an_order() -> impl Strategy<Value = Order> {
    let pairs = || prop::collection::btree_map("[a-z]{1,6}", word(), 0..3);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let words = (word(), word(), word(), word());
    (flags, words, price(), price(), pairs(), pairs(), 0..4i32).prop_map(
        |(flags, words, limit_price, aux_price, algo, routing, oca_type)| {
            let algo_strategy = if algo.is_empty() { String::new() } else { "Adaptive".to_owned() };
            Order {
                action: words.0,
                total_quantity: "7".to_owned(),
                order_type: "LMT".to_owned(),
                limit_price,
                aux_price,
                oca_group: words.1,
                order_ref: words.2,
                good_till_date: words.3,
                transmit: Some(flags.0),
                outside_rth: flags.1,
                all_or_none: flags.2,
                what_if: flags.3,
                oca_type,
                algo_strategy,
                algo_params: algo,
                smart_combo_routing_params: routing,
                ..Order::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn an_order_is_read_as_it_was_written(
        contract in a_contract(),
        mut order in an_order(),
        order_id in any::<i32>(),
        version in 176..179i32,
    ) {
        order.order_id = order_id;
        if contract.sec_type != "BAG" {
            order.smart_combo_routing_params.clear();
        }
        let request = PlaceOrderRequest { order_id, contract, order };
        let bytes = write_order(&request, version);
        let read = read_request(std::str::from_utf8(&bytes).unwrap(), version).unwrap();
        prop_assert_eq!(read, Request::PlaceOrder(Box::new(request)));
    }

    #[test]
    fn both_dialects_carry_the_same_line_request(
        contract in a_contract(),
        req_id in any::<i32>(),
        snapshot in any::<bool>(),
        generic_ticks in word(),
    ) {
        let request = MarketDataRequest {
            req_id,
            contract,
            generic_ticks,
            snapshot,
            regulatory_snapshot: false,
        };
        let mut writer = Writer::new(1, 178);
        let w = &mut writer;
        w.int(11).int(req_id);
        write_contract(w, &request.contract);
        if request.contract.sec_type == "BAG" {
            w.count(request.contract.combo_legs.len());
            for leg in &request.contract.combo_legs {
                w.int(leg.con_id).int(leg.ratio).text(&leg.action).text(&leg.exchange);
            }
        }
        w.flag(false).text(&request.generic_ticks).flag(snapshot).flag(false).blanks(1);
        let expected = Request::MarketData(Box::new(request));
        let bytes = writer.finish();
        prop_assert_eq!(
            &read_request(std::str::from_utf8(&bytes).unwrap(), 178).unwrap(),
            &expected
        );
        prop_assert_eq!(&Request::decode(1, &expected.encode()).unwrap(), &expected);
    }

    #[test]
    fn responses_survive_protobuf_and_their_texts_have_no_stray_ends(
        contract in a_contract(),
        order in an_order(),
        text in "\\PC{0,20}",
    ) {
        let state = crate::message::order::OrderState {
            status: text.clone(),
            init_margin_after: Some(1.5),
            ..Default::default()
        };
        let open = crate::message::order::OpenOrder { order_id: 3, contract, order, state };
        let responses = [
            Response::OpenOrder(Box::new(open)),
            Response::error(4, 202, text + "\0tail", 1),
        ];
        for response in responses {
            let back = Response::decode(response.id(), &response.encode()).unwrap();
            prop_assert_eq!(&back, &response);
            let bytes = write_response(&response, 178).unwrap();
            let (id, fields) = Fields::new(std::str::from_utf8(&bytes).unwrap(), 178).unwrap();
            prop_assert_eq!(id, response.id());
            prop_assert_eq!(bytes.last(), Some(&0));
            prop_assert!(id != 4 || fields.remaining == 5);
        }
    }
}
