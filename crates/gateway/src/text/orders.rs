//! Orders in the text dialect: about a hundred fields each, most of them always unset here.
//!
//! The order of fields is the protocol's; groups of blanks say which fields they stand for.

use super::{Fields, Writer};
use crate::message::MessageError;
use crate::message::contract::{ComboLeg, Contract};
use crate::message::order::{Condition, Order, OrderState, PlaceOrderRequest};

/// From this version on an order has no allocation profile.
const NO_FA_PROFILE: i32 = 177;

impl Fields<'_> {
    pub(super) fn place_order(&mut self) -> Result<PlaceOrderRequest, MessageError> {
        let order_id = self.int()?;
        let mut contract = self.contract()?;
        (contract.sec_id_type, contract.sec_id) = (self.text()?, self.text()?);
        let mut order = Order {
            order_id,
            action: self.text()?,
            total_quantity: self.text()?,
            order_type: self.text()?,
            limit_price: self.optional_double()?,
            aux_price: self.optional_double()?,
            tif: self.text()?,
            oca_group: self.text()?,
            account: self.text()?,
            open_close: self.text()?,
            origin: self.int()?,
            order_ref: self.text()?,
            transmit: Some(self.flag()?),
            parent_id: self.int()?,
            block_order: self.flag()?,
            sweep_to_fill: self.flag()?,
            display_size: self.optional_int()?,
            trigger_method: self.int()?,
            outside_rth: self.flag()?,
            hidden: self.flag()?,
            ..Order::default()
        };
        if contract.sec_type == "BAG" {
            self.order_legs(&mut contract, &mut order)?;
        }
        // Shares allocation, discretionary amount.
        self.skip(2)?;
        (order.good_after_time, order.good_till_date) = (self.text()?, self.text()?);
        // Allocation group, method, percentage, and the profile of old.
        self.skip(if self.version < NO_FA_PROFILE { 4 } else { 3 })?;
        order.model_code = self.text()?;
        // Short-sale slot, location.
        self.skip(2)?;
        order.exempt_code = self.optional_int()?;
        order.oca_type = self.int()?;
        // Rule 80A, settling firm.
        self.skip(2)?;
        order.all_or_none = self.flag()?;
        order.min_quantity = self.optional_int()?;
        // Percent offset; trade-only, firm-only and price-cap flags; auction strategy; box and
        // pegged prices; the percentage override; volatility and its type.
        self.skip(13)?;
        let hedged = !self.text()?.is_empty();
        // The delta-neutral order's price, and its eight terms.
        self.skip(if hedged { 9 } else { 1 })?;
        // Continuous update, reference price.
        self.skip(2)?;
        order.trail_stop_price = self.optional_double()?;
        order.trailing_percent = self.optional_double()?;
        // Scale sizes.
        self.skip(2)?;
        if self.optional_double()?.is_some_and(|increment| increment > 0.0) {
            self.skip(7)?;
        }
        // Scale table, active from, active until.
        self.skip(3)?;
        if !self.text()?.is_empty() {
            self.skip(1)?;
        }
        // Smart-routing opt-out, clearing account and intent, not held.
        self.skip(4)?;
        if self.flag()? {
            self.skip(3)?;
        }
        order.algo_strategy = self.text()?;
        if !order.algo_strategy.is_empty() {
            for _ in 0..self.count()? {
                order.algo_params.insert(self.text()?, self.text()?);
            }
        }
        self.skip(1)?;
        order.what_if = self.flag()?;
        // Misc options, solicited, randomised size and price.
        self.skip(4)?;
        self.conditions(&mut order)?;
        Ok(PlaceOrderRequest { order_id, contract, order })
    }

    fn order_legs(
        &mut self,
        contract: &mut Contract,
        order: &mut Order,
    ) -> Result<(), MessageError> {
        for _ in 0..self.count()? {
            contract.combo_legs.push(ComboLeg {
                con_id: self.int()?,
                ratio: self.int()?,
                action: self.text()?,
                exchange: self.text()?,
                open_close: self.int()?,
                short_sale_slot: self.int()?,
                designated_location: self.text()?,
                exempt_code: self.optional_int()?,
                per_leg_price: None,
            });
        }
        for index in 0..self.count()? {
            let price = self.optional_double()?;
            if let Some(leg) = contract.combo_legs.get_mut(index) {
                leg.per_leg_price = price;
            }
        }
        for _ in 0..self.count()? {
            order.smart_combo_routing_params.insert(self.text()?, self.text()?);
        }
        Ok(())
    }

    /// Conditions are refused, so only their number is read; the fields after them say nothing that
    /// this gateway acts on.
    fn conditions(&mut self, order: &mut Order) -> Result<(), MessageError> {
        if matches!(order.order_type.as_str(), "PEG BENCH" | "PEGBENCH") {
            self.skip(5)?;
        }
        let count = self.count()?;
        order.conditions = vec![Condition::default(); count.min(1)];
        Ok(())
    }
}

impl Writer {
    /// A contract's eleven fields, without the primary exchange.
    pub(super) fn contract(&mut self, contract: &Contract) -> &mut Self {
        self.contract_head(contract).text(&contract.exchange).contract_tail(contract)
    }

    /// The same with the primary exchange in place of the exchange.
    pub(super) fn contract_at_home(&mut self, contract: &Contract) -> &mut Self {
        self.contract_head(contract).text(&contract.primary_exch).contract_tail(contract)
    }

    fn contract_head(&mut self, contract: &Contract) -> &mut Self {
        self.int(contract.con_id)
            .text(&contract.symbol)
            .text(&contract.sec_type)
            .text(&contract.last_trade_date_or_contract_month)
            .double(contract.strike)
            .text(&contract.right)
            .multiplier(contract)
    }

    pub(super) fn multiplier(&mut self, contract: &Contract) -> &mut Self {
        let known = contract.multiplier != 0.0;
        self.optional(known.then_some(contract.multiplier))
    }

    fn contract_tail(&mut self, contract: &Contract) -> &mut Self {
        self.text(&contract.currency).text(&contract.local_symbol).text(&contract.trading_class)
    }

    /// What an open and a completed order begin with.
    fn order_head(&mut self, contract: &Contract, order: &Order) -> &mut Self {
        self.contract(contract)
            .text(&order.action)
            .text(&order.total_quantity)
            .text(&order.order_type)
            .double(order.limit_price.unwrap_or(0.0))
            .double(order.aux_price.unwrap_or(0.0))
            .text(&order.tif)
            .text(&order.oca_group)
            .text(&order.account)
            .text(&order.open_close)
            .int(order.origin)
            .text(&order.order_ref)
    }

    /// Good-till date, rule 80A, percent offset, settling firm, short-sale slot and location,
    /// exempt code.
    fn till_and_short(&mut self, order: &Order) -> &mut Self {
        self.text(&order.good_till_date)
            .blanks(3)
            .int(0)
            .blanks(1)
            .int(order.exempt_code.unwrap_or(-1))
    }

    fn fa(&mut self) -> &mut Self {
        self.blanks(if self.version < NO_FA_PROFILE { 4 } else { 3 })
    }

    fn trail(&mut self, order: &Order) -> &mut Self {
        self.optional(order.trail_stop_price).optional(order.trailing_percent)
    }

    fn legs(&mut self, contract: &Contract, order: &Order) -> &mut Self {
        self.text(&contract.combo_legs_description).count(contract.combo_legs.len());
        for leg in &contract.combo_legs {
            self.int(leg.con_id)
                .int(leg.ratio)
                .text(&leg.action)
                .text(&leg.exchange)
                .int(leg.open_close)
                .int(leg.short_sale_slot)
                .text(&leg.designated_location)
                .int(leg.exempt_code.unwrap_or(-1));
        }
        let priced = contract.combo_legs.iter().filter(|leg| leg.per_leg_price.is_some());
        let prices: Vec<Option<f64>> = priced.map(|leg| leg.per_leg_price).collect();
        self.count(prices.len());
        for price in prices {
            self.optional(price);
        }
        self.count(order.smart_combo_routing_params.len());
        for (tag, value) in &order.smart_combo_routing_params {
            self.text(tag).text(value);
        }
        self
    }

    fn algo(&mut self, order: &Order) -> &mut Self {
        self.text(&order.algo_strategy);
        if !order.algo_strategy.is_empty() {
            self.count(order.algo_params.len());
            for (tag, value) in &order.algo_params {
                self.text(tag).text(value);
            }
        }
        self
    }

    pub(super) fn open_order(
        &mut self,
        order_id: i32,
        contract: &Contract,
        order: &Order,
        state: &OrderState,
    ) {
        self.int(order_id).order_head(contract, order).int(order.client_id).int(order.perm_id);
        // Discretionary amount, good-after time, shares allocation.
        self.flag(order.outside_rth).flag(order.hidden).int(0).text(&order.good_after_time);
        self.blanks(1).fa().text(&order.model_code).till_and_short(order);
        // Auction strategy; box and pegged prices.
        self.int(0).blanks(5).optional_int(order.display_size);
        self.flag(order.block_order).flag(order.sweep_to_fill).flag(order.all_or_none);
        // Trade-only, firm-only, price cap.
        self.optional_int(order.min_quantity).int(order.oca_type).int(0).int(0).blanks(1);
        self.int(order.parent_id).int(order.trigger_method);
        // Volatility, its type, the delta-neutral order and its price, continuous update, reference
        // price.
        self.blanks(1).int(0).blanks(2).int(0).int(0).trail(order);
        // Basis points and their type.
        self.blanks(2).legs(contract, order);
        // Scale sizes and increment, hedge, smart-routing opt-out, clearing account and intent, not
        // held, delta-neutral contract.
        self.blanks(4).int(0).blanks(2).int(0).int(0).algo(order);
        self.int(0).flag(order.what_if).text(&state.status);
        for amount in [
            state.init_margin_before,
            state.maint_margin_before,
            state.equity_before,
            state.init_margin_change,
            state.maint_margin_change,
            state.equity_change,
            state.init_margin_after,
            state.maint_margin_after,
            state.equity_after,
            state.commission,
            state.min_commission,
            state.max_commission,
        ] {
            self.optional(amount);
        }
        self.text(&state.commission_currency).text(&state.warning_text);
        // Randomised size and price, conditions.
        self.int(0).int(0).int(0);
        // Adjusted order type and six prices, its unit; soft-dollar tier's three texts; cash
        // quantity; hedge, container and discretion flags, price management.
        self.blanks(7).int(0).blanks(3).optional(order.cash_quantity);
        self.int(0).int(0).int(0).int(0);
        // Duration, post to ATS, auto-cancel; trade size, compete size and offsets.
        self.blanks(2).flag(order.auto_cancel_parent).blanks(5);
    }

    pub(super) fn completed_order(
        &mut self,
        contract: &Contract,
        order: &Order,
        state: &OrderState,
    ) {
        self.order_head(contract, order).int(order.perm_id);
        self.flag(order.outside_rth).flag(order.hidden).int(0).text(&order.good_after_time);
        self.fa().text(&order.model_code).till_and_short(order);
        // Box and pegged prices.
        self.blanks(5).optional_int(order.display_size);
        self.flag(order.sweep_to_fill).flag(order.all_or_none);
        self.optional_int(order.min_quantity).int(order.oca_type).int(order.trigger_method);
        self.blanks(1).int(0).blanks(2).int(0).int(0).trail(order).legs(contract, order);
        // Scale sizes and increment, hedge, clearing account and intent, not held, delta-neutral
        // contract.
        self.blanks(6).int(0).int(0).algo(order);
        // Solicited; status; randomised size and price; conditions; trail stop and limit offset;
        // cash quantity; hedge and container flags; auto-cancel date.
        self.int(0).text(&state.status).int(0).int(0).int(0).blanks(2);
        self.optional(order.cash_quantity).int(0).int(0).blanks(1).text(&order.filled_quantity);
        // Reference future, auto-cancel parent, shareholder, imbalance, route to the best.
        self.int(0).flag(order.auto_cancel_parent).blanks(1).int(0).int(0);
        self.int(order.parent_perm_id).text(&state.completed_time).text(&state.completed_status);
        self.blanks(5);
    }
}
