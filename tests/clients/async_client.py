"""ib_async against the simulated gateway: the same steps through its own objects (text dialect)."""

import argparse
import asyncio
import sys
import time

from ib_async import (IB, Bag, ComboLeg, ExecutionFilter, LimitOrder, MarketOrder, Option, Stock,
                      StopOrder)


async def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition was never met")
        await asyncio.sleep(0.02)


class Scenario:
    def __init__(self, port, client_id):
        self.ib, self.port, self.client_id = IB(), port, client_id
        self.errors = []
        self.ib.errorEvent += lambda *arguments: self.errors.append(arguments)

    async def connect(self):
        await self.ib.connectAsync("127.0.0.1", self.port, clientId=self.client_id, timeout=20)
        assert self.ib.client.serverVersion() == 178
        assert self.ib.managedAccounts() == ["DU1234567"]
        assert (await self.ib.reqCurrentTimeAsync()).year >= 2020

    async def contract_details(self):
        details = await self.ib.reqContractDetailsAsync(Stock("SIM", "SMART", "USD"))
        assert len(details) == 1 and details[0].minTick == 0.01
        self.stock = details[0].contract
        assert await self.ib.reqContractDetailsAsync(Stock("NOPE", "SMART", "USD")) == []
        samples = await self.ib.reqMatchingSymbolsAsync("SI")
        assert {one.contract.symbol for one in samples} >= {"SIM", "SIMX"}
        rule = int(details[0].marketRuleIds.split(",")[0])
        assert await self.ib.reqMarketRuleAsync(rule)

    async def option_chain(self):
        rows = await self.ib.reqSecDefOptParamsAsync("SIM", "", "STK", self.stock.conId)
        row = next(one for one in rows if one.exchange == "SMART")
        expiry = sorted(row.expirations)[2]
        found = await self.ib.reqContractDetailsAsync(
            Option("SIM", expiry, right="C", exchange="SMART", currency="USD"))
        calls = sorted((one.contract for one in found), key=lambda one: one.strike)
        spot = (await self.quote(self.stock))[0]
        middle = min(range(len(calls) - 2), key=lambda index: abs(calls[index].strike - spot))
        self.low, self.high = calls[middle], calls[middle + 2]
        qualified = await self.ib.qualifyContractsAsync(
            Option("SIM", expiry, self.low.strike, "C", "SMART", currency="USD"))
        assert qualified[0].conId == self.low.conId

    async def quote(self, what):
        ticker = self.ib.reqMktData(what)
        await until(lambda: ticker.bid > 0 and ticker.ask > ticker.bid)
        if what.secType == "OPT":
            await until(lambda: ticker.modelGreeks and ticker.bidGreeks and ticker.askGreeks)
            greeks = ticker.modelGreeks
            assert 0.01 < greeks.impliedVol < 3 and 0 < greeks.delta < 1, greeks
        result = ticker.bid, ticker.ask
        self.ib.cancelMktData(what)
        return result

    async def ticks_with_greeks(self):
        await self.quote(self.low)
        await self.quote(self.stock)
        snapshot = (await self.ib.reqTickersAsync(self.low))[0]
        assert snapshot.bid > 0 and snapshot.marketDataType == 1
        ticker = self.ib.reqTickByTickData(self.stock, "BidAsk")
        await until(lambda: ticker.tickByTicks)
        self.ib.cancelTickByTickData(self.stock, "BidAsk")
        bars = self.ib.reqRealTimeBars(self.stock, 5, "MIDPOINT", False)
        await until(lambda: bars)
        self.ib.cancelRealTimeBars(bars)
        values = await self.ib.calculateOptionPriceAsync(self.low, 0.3, float(self.low.strike))
        assert values.optPrice > 0

    async def limit_modify_cancel(self):
        order = LimitOrder("BUY", 5, 0.05, tif="GTC", orderRef="own text")
        trade = self.ib.placeOrder(self.low, order)
        await until(lambda: trade.orderStatus.status == "Submitted")
        order.lmtPrice, order.totalQuantity = 0.10, 7
        self.ib.placeOrder(self.low, order)
        await until(lambda: trade.orderStatus.remaining == 7)
        opened = await self.ib.reqOpenOrdersAsync()
        assert any(one.order.orderRef == "own text" and one.order.lmtPrice == 0.10
                   for one in opened)
        self.ib.cancelOrder(order)
        await until(lambda: trade.orderStatus.status == "Cancelled")

    async def partial_fill(self):
        _, ask = await self.quote(self.low)
        order = LimitOrder("BUY", 1500, round(ask + 0.10, 2), tif="GTC")
        trade = self.ib.placeOrder(self.low, order)
        await until(lambda: trade.fills)
        fill = trade.fills[0]
        assert 0 < fill.execution.shares < 1500
        await until(lambda: fill.commissionReport.execId == fill.execution.execId)
        await until(lambda: 0 < trade.orderStatus.filled)
        self.ib.cancelOrder(order)
        await until(lambda: trade.isDone())

    async def combo(self):
        _, low_ask = await self.quote(self.low)
        high_bid, _ = await self.quote(self.high)
        bag = Bag(symbol="SIM", exchange="SMART", currency="USD", comboLegs=[
            ComboLeg(self.low.conId, 1, "BUY", "SMART"),
            ComboLeg(self.high.conId, 1, "SELL", "SMART")])
        price = round(low_ask - high_bid + 0.20, 2)
        trade = self.ib.placeOrder(bag, LimitOrder("BUY", 2, price, tif="GTC"))
        await until(lambda: trade.orderStatus.status == "Filled")
        kinds = [one.contract.secType for one in trade.fills]
        assert kinds == ["BAG", "OPT", "OPT"], kinds

    async def what_if(self):
        state = await self.ib.whatIfOrderAsync(self.stock, LimitOrder("BUY", 100, 50.0))
        assert float(state.initMarginChange) > 0 and 0 < state.commission < 10, state

    async def bracket_and_groups(self):
        entry, profit, loss = self.ib.bracketOrder("BUY", 10, 5.0, 900.0, 4.0)
        trades = [self.ib.placeOrder(self.stock, one) for one in (entry, profit, loss)]
        await until(lambda: trades[0].orderStatus.status == "Submitted"
                    and trades[2].orderStatus.status == "PreSubmitted")
        self.ib.cancelOrder(entry)
        await until(lambda: all(one.orderStatus.status == "Cancelled" for one in trades))
        pair = self.ib.oneCancelsAll(
            [LimitOrder("BUY", 10, price, tif="GTC") for price in (5.0, 6.0)], "pair", 1)
        trades = [self.ib.placeOrder(self.stock, one) for one in pair]
        await until(lambda: all(one.orderStatus.status == "Submitted" for one in trades))
        self.ib.reqGlobalCancel()
        await until(lambda: all(one.orderStatus.status == "Cancelled" for one in trades))
        stop = self.ib.placeOrder(self.stock, StopOrder("SELL", 10, 4.0))
        await until(lambda: stop.orderStatus.status == "PreSubmitted")
        self.ib.cancelOrder(stop.order)
        market = self.ib.placeOrder(self.stock, MarketOrder("BUY", 10))
        await until(lambda: market.orderStatus.status == "Filled")

    async def open_and_completed(self):
        completed = await self.ib.reqCompletedOrdersAsync(False)
        statuses = {one.orderStatus.status for one in completed}
        assert {"Filled", "Cancelled"} <= statuses, statuses
        assert await self.ib.reqAllOpenOrdersAsync() == []

    async def executions(self):
        fills = await self.ib.reqExecutionsAsync(ExecutionFilter())
        identities = {one.execution.execId for one in fills}
        assert len(fills) >= 4 and len(identities) == len(fills)
        await until(lambda: all(one.commissionReport.execId for one in self.ib.fills()
                                if one.contract.secType != "BAG"))
        assert identities <= {one.execution.execId for one in self.ib.fills()}

    async def positions_and_account(self):
        held = {one.contract.conId: one.position for one in await self.ib.reqPositionsAsync()}
        assert held[self.low.conId] > 0 and held[self.high.conId] == -2, held
        summary = {one.tag: one.value for one in await self.ib.accountSummaryAsync()}
        assert float(summary["NetLiquidation"]) > 0 and float(summary["InitMarginReq"]) > 0
        assert any(one.tag == "NetLiquidation" for one in self.ib.accountValues())
        await until(lambda: any(one.contract.conId == self.low.conId
                                for one in self.ib.portfolio()))
        profit = self.ib.reqPnL("DU1234567")
        await until(lambda: profit.dailyPnL == profit.dailyPnL)
        self.ib.cancelPnL("DU1234567")

    async def history(self):
        bars = await self.ib.reqHistoricalDataAsync(
            self.stock, "", "1 D", "1 hour", "TRADES", False, 1)
        assert len(bars) >= 23 and all(one.low <= one.open <= one.high for one in bars)
        live = await self.ib.reqHistoricalDataAsync(
            self.stock, "", "3600 S", "5 mins", "MIDPOINT", False, 2, keepUpToDate=True)
        changed = []
        live.updateEvent += lambda *_: changed.append(1)
        await until(lambda: changed)
        self.ib.cancelHistoricalData(live)
        for what in ("MIDPOINT", "BID_ASK", "TRADES"):
            ticks = await self.ib.reqHistoricalTicksAsync(
                self.stock, "", "20991231 00:00:00", 10, what, False)
            assert len(ticks) == 10, what
        assert await self.ib.reqHeadTimeStampAsync(self.stock, "TRADES", False, 1)

    async def news(self):
        providers = await self.ib.reqNewsProvidersAsync()
        # ib_async keeps one headline of the answer.
        headline = await self.ib.reqHistoricalNewsAsync(
            self.stock.conId, providers[0].code, "", "", 5)
        one = headline[0] if isinstance(headline, list) else headline
        article = await self.ib.reqNewsArticleAsync(one.providerCode, one.articleId)
        assert one.headline in article.articleText

    async def run(self):
        for step in (self.connect, self.contract_details, self.option_chain,
                     self.ticks_with_greeks, self.limit_modify_cancel, self.partial_fill,
                     self.combo, self.what_if, self.bracket_and_groups, self.open_and_completed,
                     self.executions, self.positions_and_account, self.history, self.news):
            started = time.monotonic()
            await step()
            print(f"  ok {step.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        self.ib.disconnect()
        # 200: the contract that doesn't exist; 202: own cancels; 300: a snapshot's late cancel.
        unexpected = [one for one in self.errors if one[1] not in (200, 202, 300)
                      and not 2100 <= one[1] < 2200]
        assert not unexpected, unexpected


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--client-id", type=int, default=62)
    arguments = arguments.parse_args()
    asyncio.run(Scenario(arguments.port, arguments.client_id).run())


if __name__ == "__main__":
    sys.exit(main())
