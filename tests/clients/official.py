"""IB's own Python client against the simulated gateway: every step that a user of it takes.

Runs under ibapi-latest and nautilus-ibapi (protobuf), and with --text capped to version 178, where
IB's decoder also checks that it consumes each text message exactly. Prints one line per step; exits
1 at the first that fails, or if the client logged an error of its decoder.
"""

import argparse
import inspect
import logging
import sys
import threading
import time
from decimal import Decimal

import ibapi.client
import ibapi.decoder
from ibapi.client import EClient
from ibapi.contract import ComboLeg, Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper

WAIT_SECONDS = 60
# Fifty a second are answered, the next is refused (error 100), and the client doesn't pace itself.
MESSAGES_PER_SECOND = 40


class DecoderErrors(logging.Handler):
    """Keeps what the client itself calls an error."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def check_consumption(leftovers):
    """Wraps the decoder's handlers: each must consume all fields of its message."""
    checked = set()
    for number, info in ibapi.decoder.Decoder.msgId2handleInfo.items():
        if info.processMeth is None:
            continue

        def process(decoder, fields, number=number, inner=info.processMeth):
            inner(decoder, fields)
            rest = list(fields)
            checked.add(number)
            if rest:
                leftovers.append(f"message {number} has {len(rest)} fields too many: {rest[:5]}")

        info.processMeth = process
    return checked


class Recorder(EWrapper, EClient):
    """Keeps every callback as (name, arguments)."""

    def __init__(self):
        EClient.__init__(self, self)
        self.events = []
        self.changed = threading.Condition()

    def keep(self, name, arguments):
        with self.changed:
            self.events.append((name, arguments))
            self.changed.notify_all()

    def mark(self):
        with self.changed:
            return len(self.events)

    def wait(self, wanted, since=0):
        """The arguments of the first callback from `since` on that `wanted` accepts."""
        deadline = time.monotonic() + WAIT_SECONDS
        seen = since
        with self.changed:
            while True:
                while seen < len(self.events):
                    name, arguments = self.events[seen]
                    seen += 1
                    if wanted(name, arguments):
                        return arguments
                left = deadline - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    tail = [(n, [str(a) for a in args]) for n, args in self.events[-12:]]
                    raise TimeoutError(f"nothing came; the last callbacks were {tail}")

    def all_of(self, name, since=0):
        with self.changed:
            return [arguments for kind, arguments in self.events[since:] if kind == name]


def recording(name):
    def method(self, *arguments):
        self.keep(name, arguments)

    return method


def pace(connection):
    """Spaces what the client writes: a fast machine plays more than fifty requests a second."""
    write, free_at = connection.sendMsg, time.monotonic()

    def paced(message):
        nonlocal free_at
        time.sleep(max(0.0, free_at - time.monotonic()))
        free_at = time.monotonic() + 1 / MESSAGES_PER_SECOND
        return write(message)

    connection.sendMsg = paced


for callback, _ in inspect.getmembers(EWrapper, inspect.isfunction):
    if not callback.startswith("_") and not callback.endswith("ProtoBuf"):
        setattr(Recorder, callback, recording(callback))


def called(name, *first):
    return lambda kind, args: kind == name and list(args[: len(first)]) == list(first)


def contract(**words):
    result = Contract()
    for name, value in words.items():
        setattr(result, name, value)
    return result


def limit(action, quantity, price, **words):
    order = Order()
    order.action, order.orderType = action, "LMT"
    order.totalQuantity, order.lmtPrice = Decimal(quantity), price
    order.tif = "GTC"
    for name, value in words.items():
        setattr(order, name, value)
    return order


class Scenario:
    def __init__(self, port, client_id):
        self.app, self.port, self.client_id = Recorder(), port, client_id
        self.request = 9000

    def next_request(self):
        self.request += 1
        return self.request

    def next_order(self):
        self.order_id += 1
        return self.order_id - 1

    def connect(self):
        app = self.app
        app.connect("127.0.0.1", self.port, self.client_id)
        pace(app.conn)
        threading.Thread(target=app.run, daemon=True).start()
        self.order_id = app.wait(called("nextValidId"))[0]
        self.account = app.wait(called("managedAccounts"))[0]
        for code in (2104, 2106, 2158):
            app.wait(lambda k, a, code=code: k == "error" and a[2] == code)
        mark = app.mark()
        app.reqCurrentTime()
        assert app.wait(called("currentTime"), mark)[0] > 1_600_000_000

    def contract_details(self):
        app, req = self.app, self.next_request()
        app.reqContractDetails(req, contract(symbol="SIM", secType="STK", exchange="SMART",
                                             currency="USD"))
        details = app.wait(called("contractDetails", req))[1]
        app.wait(called("contractDetailsEnd", req))
        assert details.contract.conId > 0 and float(details.minTick) == 0.01, vars(details)
        self.stock = details.contract
        req = self.next_request()
        app.reqContractDetails(req, contract(symbol="NOPE", secType="STK", exchange="SMART"))
        app.wait(lambda k, a: k == "error" and (a[0], a[2]) == (req, 200))
        mark = app.mark()
        rule = details.marketRuleIds.split(",")[0]
        app.reqMarketRule(int(rule))
        assert app.wait(called("marketRule", int(rule)), mark)[1]
        req = self.next_request()
        app.reqMatchingSymbols(req, "SI")
        found = app.wait(called("symbolSamples", req))[1]
        assert {one.contract.symbol for one in found} >= {"SIM", "SIMX"}

    def option_chain(self):
        app, req = self.app, self.next_request()
        app.reqSecDefOptParams(req, "SIM", "", "STK", self.stock.conId)
        row = app.wait(called("securityDefinitionOptionParameter", req))
        app.wait(called("securityDefinitionOptionParameterEnd", req))
        expirations, strikes = sorted(row[5]), sorted(row[6])
        assert len(expirations) == 4 and len(strikes) > 20
        self.expiry = expirations[2]
        req = self.next_request()
        app.reqContractDetails(req, contract(
            symbol="SIM", secType="OPT", exchange="SMART", currency="USD",
            lastTradeDateOrContractMonth=self.expiry, right="C"))
        app.wait(called("contractDetailsEnd", req))
        calls = [a[1].contract for a in app.all_of("contractDetails") if a[0] == req]
        calls.sort(key=lambda one: one.strike)
        assert all(one.lastTradeDateOrContractMonth.startswith(self.expiry) for one in calls)
        spot, _, _ = self.quote(self.stock, options=False)
        middle = min(range(len(calls) - 2), key=lambda index: abs(calls[index].strike - spot))
        self.low, self.high = calls[middle], calls[middle + 2]

    def quote(self, what, options=True):
        app, req, mark = self.app, self.next_request(), self.app.mark()
        app.reqMarketDataType(1)
        app.reqMktData(req, what, "", False, False, [])
        assert app.wait(called("marketDataType", req), mark)[1] == 1
        bid = app.wait(called("tickPrice", req, 1), mark)[2]
        ask = app.wait(called("tickPrice", req, 2), mark)[2]
        size = app.wait(called("tickSize", req, 3), mark)[2]
        if options:
            for tick in (10, 11, 13):
                values = app.wait(called("tickOptionComputation", req, tick), mark)
                vol, delta, under = values[3], values[4], values[10]
                assert 0.01 < vol < 3 and 0 < delta < 1 and under > 10, values
        app.cancelMktData(req)
        assert 0 < bid < ask, (bid, ask)
        return bid, ask, int(size)

    def ticks_with_greeks(self):
        app = self.app
        self.quote(self.low)
        self.quote(self.stock, options=False)
        req, mark = self.next_request(), app.mark()
        app.reqMktData(req, self.low, "", True, False, [])
        app.wait(called("tickSnapshotEnd", req), mark)
        req, mark = self.next_request(), app.mark()
        app.reqTickByTickData(req, self.stock, "BidAsk", 0, False)
        app.wait(called("tickByTickBidAsk", req), mark)
        app.cancelTickByTickData(req)
        req, mark = self.next_request(), app.mark()
        app.reqTickByTickData(req, self.stock, "Last", 0, False)
        app.wait(called("tickByTickAllLast", req), mark)
        app.cancelTickByTickData(req)
        req, mark = self.next_request(), app.mark()
        app.reqRealTimeBars(req, self.stock, 5, "MIDPOINT", False, [])
        bar = app.wait(called("realtimeBar", req), mark)
        app.cancelRealTimeBars(req)
        assert bar[2] > 0 and bar[1] % 5 == 0
        req, mark = self.next_request(), app.mark()
        app.calculateOptionPrice(req, self.low, 0.3, float(self.low.strike), [])
        assert app.wait(called("tickOptionComputation", req), mark)[5] > 0

    def status(self, order, *statuses, since=0):
        return self.app.wait(
            lambda k, a: k == "orderStatus" and a[0] == order and a[1] in statuses, since)

    def limit_modify_cancel(self):
        app, order = self.app, self.next_order()
        app.placeOrder(order, self.low, limit("BUY", 5, 0.05, orderRef="own text"))
        opened = app.wait(called("openOrder", order))
        assert opened[2].orderRef == "own text" and opened[2].lmtPrice == 0.05
        assert self.status(order, "Submitted")[3] == 5
        mark = app.mark()
        app.placeOrder(order, self.low, limit("BUY", 7, 0.10, orderRef="own text"))
        app.wait(lambda k, a: k == "openOrder" and a[0] == order and a[2].lmtPrice == 0.10
                 and a[2].totalQuantity == 7, mark)
        mark = app.mark()
        app.reqOpenOrders()
        app.wait(called("openOrder", order), mark)
        app.wait(called("openOrderEnd"), mark)
        mark = app.mark()
        app.cancelOrder(order, *cancel_words())
        self.status(order, "Cancelled", since=mark)
        app.wait(lambda k, a: k == "error" and (a[0], a[2]) == (order, 202), mark)
        self.canceled = order

    def partial_fill(self):
        app = self.app
        _, ask, size = self.quote(self.low)
        order, quantity, mark = self.next_order(), 1500, app.mark()
        app.placeOrder(order, self.low, limit("BUY", quantity, round(ask + 0.10, 2)))
        _, _, execution = app.wait(
            lambda k, a: k == "execDetails" and a[2].orderId == order, mark)
        assert 0 < execution.shares < quantity and execution.side == "BOT", vars(execution)
        filled = self.status(order, "Submitted", since=mark)
        part = app.wait(lambda k, a: k == "orderStatus" and a[0] == order and a[2] > 0, mark)
        assert part[2] + part[3] == quantity and part[4] > 0, (filled, part)
        app.wait(lambda k, a: k.startswith("commission") and a[0].execId == execution.execId,
                 mark)
        app.cancelOrder(order, *cancel_words())
        self.status(order, "Cancelled", "Filled", since=mark)
        self.bought = order

    def combo(self):
        app = self.app
        _, low_ask, _ = self.quote(self.low)
        high_bid, _, _ = self.quote(self.high)
        bag = contract(symbol="SIM", secType="BAG", exchange="SMART", currency="USD")
        bag.comboLegs = []
        for leg, action in ((self.low, "BUY"), (self.high, "SELL")):
            one = ComboLeg()
            one.conId, one.ratio, one.action, one.exchange = leg.conId, 1, action, "SMART"
            bag.comboLegs.append(one)
        order, mark = self.next_order(), app.mark()
        app.placeOrder(order, bag, limit("BUY", 2, round(low_ask - high_bid + 0.20, 2)))
        self.status(order, "Filled", since=mark)
        opened = app.wait(called("openOrder", order), mark)
        assert len(opened[1].comboLegs) == 2, vars(opened[1])
        fills = [a for a in app.all_of("execDetails", mark) if a[2].orderId == order]
        assert [a[1].secType for a in fills][:1] == ["BAG"], [a[1].secType for a in fills]
        legs = {(a[1].conId, a[2].side) for a in fills if a[1].secType == "OPT"}
        assert legs == {(self.low.conId, "BOT"), (self.high.conId, "SLD")}, legs

    def what_if(self):
        app, order, mark = self.app, self.next_order(), self.app.mark()
        app.placeOrder(order, self.stock, limit("BUY", 100, 50.0, whatIf=True))
        state = app.wait(called("openOrder", order), mark)[3]
        change = float(state.initMarginChange)
        commission = getattr(state, "commissionAndFees", None)
        assert change > 0 and float(state.equityWithLoanBefore) > 0, vars(state)
        assert commission is not None and 0 < float(commission) < 10, vars(state)

    def bracket_and_groups(self):
        app = self.app
        parent, profit, stop = (self.next_order() for _ in range(3))
        mark = app.mark()
        app.placeOrder(parent, self.stock, limit("BUY", 10, 5.0, transmit=False))
        app.placeOrder(profit, self.stock,
                       limit("SELL", 10, 900.0, parentId=parent, transmit=False))
        loss = limit("SELL", 10, 0, parentId=parent)
        loss.orderType, loss.auxPrice, loss.lmtPrice = "STP", 4.0, 0.0
        app.placeOrder(stop, self.stock, loss)
        self.status(parent, "Submitted", since=mark)
        self.status(stop, "PreSubmitted", since=mark)
        app.cancelOrder(parent, *cancel_words())
        for order in (parent, profit, stop):
            self.status(order, "Cancelled", since=mark)
        pair = [self.next_order() for _ in range(2)]
        mark = app.mark()
        for order, price in zip(pair, (5.0, 6.0)):
            app.placeOrder(order, self.stock, limit("BUY", 10, price, ocaGroup="pair", ocaType=1))
        for order in pair:
            self.status(order, "Submitted", since=mark)
        app.reqGlobalCancel(*cancel_words())
        for order in pair:
            self.status(order, "Cancelled", since=mark)

    def open_and_completed(self):
        app, order = self.app, self.next_order()
        mark = app.mark()
        app.placeOrder(order, self.stock, limit("BUY", 1, 5.0))
        self.status(order, "Submitted", since=mark)
        mark = app.mark()
        app.reqAllOpenOrders()
        app.wait(called("openOrder", order), mark)
        app.wait(called("openOrderEnd"), mark)
        app.reqCompletedOrders(False)
        app.wait(called("completedOrdersEnd"), mark)
        done = app.all_of("completedOrder", mark)
        statuses = {a[2].status for a in done}
        assert {"Filled", "Cancelled"} <= statuses, statuses
        assert any(a[0].secType == "BAG" for a in done)
        app.cancelOrder(order, *cancel_words())
        self.status(order, "Cancelled", since=mark)

    def executions(self):
        app, req, mark = self.app, self.next_request(), self.app.mark()
        app.reqExecutions(req, ExecutionFilter())
        app.wait(called("execDetailsEnd", req), mark)
        found = [a for a in app.all_of("execDetails", mark) if a[0] == req]
        identities = {a[2].execId for a in found}
        paid = {a[0].execId for name in ("commissionReport", "commissionAndFeesReport")
                for a in app.all_of(name, mark)}
        assert len(found) >= 4 and len(identities) == len(found)
        legs = {a[2].execId for a in found if a[1].secType != "BAG"}
        assert legs <= paid, legs - paid
        req, mark = self.next_request(), app.mark()
        wanted = ExecutionFilter()
        wanted.side, wanted.secType = "SELL", "OPT"
        app.reqExecutions(req, wanted)
        app.wait(called("execDetailsEnd", req), mark)
        found = [a for a in app.all_of("execDetails", mark) if a[0] == req]
        assert found and all(a[2].side == "SLD" for a in found)

    def positions_and_account(self):
        app, mark = self.app, self.app.mark()
        app.reqPositions()
        app.wait(called("positionEnd"), mark)
        held = {a[1].conId: a[2] for a in app.all_of("position", mark)}
        assert held[self.low.conId] > 0 and held[self.high.conId] == -2, held
        app.cancelPositions()
        req, mark = self.next_request(), app.mark()
        app.reqAccountSummary(req, "All", "NetLiquidation,BuyingPower,InitMarginReq")
        app.wait(called("accountSummaryEnd", req), mark)
        values = {a[2]: float(a[3]) for a in app.all_of("accountSummary", mark)}
        assert set(values) == {"NetLiquidation", "BuyingPower", "InitMarginReq"}, values
        assert values["NetLiquidation"] > 0 and values["InitMarginReq"] > 0
        app.cancelAccountSummary(req)
        mark = app.mark()
        app.reqAccountUpdates(True, self.account)
        app.wait(called("accountDownloadEnd"), mark)
        assert any(a[0] == "NetLiquidation" for a in app.all_of("updateAccountValue", mark))
        assert any(a[0].conId == self.low.conId for a in app.all_of("updatePortfolio", mark))
        app.reqAccountUpdates(False, self.account)
        req, mark = self.next_request(), app.mark()
        app.reqAccountUpdatesMulti(req, self.account, "", False)
        app.wait(called("accountUpdateMultiEnd", req), mark)
        req, single, mark = self.next_request(), self.next_request(), app.mark()
        app.reqPnL(req, self.account, "")
        app.reqPnLSingle(single, self.account, "", self.low.conId)
        app.wait(called("pnl", req), mark)
        assert app.wait(called("pnlSingle", single), mark)[1] == held[self.low.conId]
        app.cancelPnL(req)
        app.cancelPnLSingle(single)

    def history(self):
        app, req, mark = self.app, self.next_request(), self.app.mark()
        app.reqHistoricalData(req, self.stock, "", "1 D", "1 hour", "TRADES", 0, 1, False, [])
        app.wait(called("historicalDataEnd", req), mark)
        bars = [a[1] for a in app.all_of("historicalData", mark) if a[0] == req]
        assert len(bars) >= 23 and all(one.low <= one.open <= one.high for one in bars)
        req, mark = self.next_request(), app.mark()
        app.reqHistoricalData(req, self.stock, "", "3600 S", "5 mins", "BID", 0, 2, True, [])
        app.wait(called("historicalDataEnd", req), mark)
        app.wait(called("historicalDataUpdate", req), mark)
        app.cancelHistoricalData(req)
        for what, callback in (("MIDPOINT", "historicalTicks"),
                               ("BID_ASK", "historicalTicksBidAsk"),
                               ("TRADES", "historicalTicksLast")):
            req, mark = self.next_request(), app.mark()
            app.reqHistoricalTicks(req, self.stock, "", "20991231 00:00:00", 10, what, 0, True, [])
            assert len(app.wait(called(callback, req), mark)[1]) == 10
        req, mark = self.next_request(), app.mark()
        app.reqHeadTimeStamp(req, self.stock, "TRADES", 0, 1)
        app.wait(called("headTimestamp", req), mark)

    def news(self):
        app, mark = self.app, self.app.mark()
        app.reqNewsProviders()
        providers = app.wait(called("newsProviders"), mark)[0]
        code = providers[0].code
        req = self.next_request()
        app.reqHistoricalNews(req, self.stock.conId, code, "", "", 5, [])
        _, _, _, article, headline = app.wait(called("historicalNews", req), mark)
        app.wait(called("historicalNewsEnd", req), mark)
        req = self.next_request()
        app.reqNewsArticle(req, code, article, [])
        assert headline in app.wait(called("newsArticle", req), mark)[2]

    def refusals(self):
        app = self.app

        def refused(order, code, what, wanted):
            mark = app.mark()
            app.placeOrder(order, what, wanted)
            app.wait(lambda k, a: k == "error" and (a[0], a[2]) == (order, code), mark)

        refused(self.canceled, 103, self.stock, limit("BUY", 1, 5.0))
        refused(self.next_order(), 110, self.stock, limit("BUY", 1, 5.001))
        refused(self.next_order(), 201, self.stock, limit("BUY", 900000, 50.0))
        refused(self.next_order(), 321, self.stock, limit("HOLD", 1, 5.0))
        mark, unknown = app.mark(), self.next_order() + 500
        app.cancelOrder(unknown, *cancel_words())
        app.wait(lambda k, a: k == "error" and (a[0], a[2]) == (unknown, 10147), mark)

    def client_id_in_use(self):
        other = Recorder()
        other.connect("127.0.0.1", self.port, self.client_id)
        threading.Thread(target=other.run, daemon=True).start()
        other.wait(lambda k, a: k == "error" and a[2] == 326)
        other.disconnect()

    def run(self):
        for step in (self.connect, self.contract_details, self.option_chain,
                     self.ticks_with_greeks, self.limit_modify_cancel, self.partial_fill,
                     self.combo, self.what_if, self.bracket_and_groups, self.open_and_completed,
                     self.executions, self.positions_and_account, self.history, self.news,
                     self.refusals, self.client_id_in_use):
            started = time.monotonic()
            step()
            print(f"  ok {step.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        self.version = self.app.serverVersion()
        self.app.disconnect()


def cancel_words():
    """The second argument of cancelOrder changed its type over the releases."""
    try:
        from ibapi.order_cancel import OrderCancel
    except ImportError:
        return ("",)
    return (OrderCancel(),)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--client-id", type=int, default=61)
    arguments.add_argument("--text", action="store_true")
    arguments.add_argument("--version", type=int, required=True)
    arguments = arguments.parse_args()
    errors, leftovers = DecoderErrors(), []
    logging.getLogger("ibapi").addHandler(errors)
    checked = set()
    if arguments.text:
        ibapi.client.MAX_CLIENT_VER = 178
        checked = check_consumption(leftovers)
    scenario = Scenario(arguments.port, arguments.client_id)
    try:
        scenario.run()
    finally:
        # The client's reader thread outlives a step that failed, and the process with it.
        scenario.app.disconnect()
    print(f"  server version {scenario.version}, {len(scenario.app.events)} callbacks"
          + (f", {len(checked)} kinds of text messages consumed exactly" if checked else ""))
    problems = leftovers + errors.lines
    if scenario.version != arguments.version:
        problems.append(f"version {scenario.version} was negotiated, not {arguments.version}")
    for line in problems[:10]:
        print(f"  FAILED: {line}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
