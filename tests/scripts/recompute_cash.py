#!/usr/bin/env python3
"""Recomputes cash and fees from executions, without any code of the node.

Decimal arithmetic, the published fee table (config/fees.json) and the standard library only: what
the node's books and the venue's books say must come out here too. Input, one JSON object; all
amounts are decimal strings, quantities integers, multipliers integers or decimal strings:

    {"starting_cash": "1000000.00",
     "executions": [{"exec_id", "order", "kind": stock|option|future|future_option, "symbol",
                     "con_id", "multiplier", "side": buy|sell, "quantity", "price", "time",
                     optional "fee": what the books charged}],
     "lifecycle":  [{"id", "kind", "time", ...}],
     "expected":   {"cash": "...", "fees": "..."}}

Kinds of lifecycle events, quantities signed as our position was or as we received:
    expired                              no cash
    exercised, assigned                  delivered_quantity * price * multiplier is paid (delivered
                                         stock: negative received is sold); futures that are
                                         delivered are carried at `price` from then on
    cash_settled, dividend, cash         amount is received
    variation                            mark, amount: the future's position is carried at the mark
    deliverable_changed                  no cash

Executions of futures move no cash; their variation does, and it is recomputed from the fills and
the marks. `time` orders events (integers, or strings of one form); equal times keep their order,
executions before lifecycle events. Combo legs are executions; the combo's own line is not one.

Prints {"cash", "fees", "differences": [...]} and exits 1 if there is a difference. `--report FILE`
also compares pnl.cash and pnl.fees of a replay's report.
"""

import argparse
import json
import sys
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path

CENT = Decimal("0.01")
FEES = Path(__file__).resolve().parents[2] / "config" / "fees.json"
KINDS = ("stock", "option", "future", "future_option")


class BadInput(Exception):
    """The input can't be used; says where and why."""


def decimal(value, where):
    """An exact decimal; a float would have lost digits already."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise BadInput(f"{where} is {value!r}, expected a decimal string or an integer")
    try:
        number = Decimal(value)
    except ArithmeticError as error:
        raise BadInput(f"{where} is {value!r}, expected a decimal string") from error
    if not number.is_finite():
        raise BadInput(f"{where} is {value!r}, expected a finite number")
    return number


def field(record, name, where):
    """A field that must be there."""
    if name not in record:
        raise BadInput(f"{where} has no `{name}`")
    return record[name]


class FeeTable:
    """The rule that config/fees.json states in words under `rounding`."""

    def __init__(self, schedule):
        if schedule.get("schema_version") != 1:
            raise BadInput(f"fee schedule has version {schedule.get('schema_version')}, expected 1")
        self.products = schedule["products"]
        self.orders = {}

    def product(self, kind, symbol):
        """The first product that matches, or None: what no product covers is free."""
        for product in self.products:
            if product["kind"] == kind and product["symbol"] in ("*", symbol):
                return product
        return None

    def charge(self, order, con_id, kind, symbol, side, quantity, price, multiplier):
        """The fee of one more execution of an order in an instrument."""
        product = self.product(kind, symbol)
        if product is None:
            return Decimal(0)
        start = {"quantity": Decimal(0), "value": Decimal(0), "bands": Decimal(0),
                 "charged": Decimal(0), "side": side}
        so_far = self.orders.setdefault((order, con_id), start)
        if so_far["side"] != side:
            raise BadInput(f"order {order} both buys and sells {con_id}")
        so_far["quantity"] += quantity
        so_far["value"] += abs(price * quantity * multiplier)
        so_far["bands"] += quantity * band_rate(product, abs(price))
        total = order_total(product, side, so_far).quantize(CENT, ROUND_HALF_UP)
        fee = total - so_far["charged"]
        so_far["charged"] = total
        return fee


def band_rate(product, price):
    """The commission per contract at an execution price."""
    rate = None
    for band in product["commission"]["bands"]:
        if Decimal(band["price_from"]) <= price:
            rate = Decimal(band["per_unit"])
    return rate


def order_total(product, side, so_far):
    """What an order owes for all of its executions so far, exactly."""
    commission = product["commission"]
    total = max(so_far["bands"], Decimal(commission["minimum_per_order"]))
    if commission["maximum_of_value"] is not None:
        total = min(total, Decimal(commission["maximum_of_value"]) * so_far["value"])
    for line in product["lines"]:
        if line["applies_to"] == "sales" and side == "buy":
            continue
        charge = Decimal(line["rate"]) * so_far[line["basis"]]
        if line["maximum_per_order"] is not None:
            charge = min(charge, Decimal(line["maximum_per_order"]))
        total += charge
    return total


class Books:
    """Cash, fees and what futures are carried at."""

    def __init__(self, starting_cash, fees):
        self.cash = starting_cash
        self.fees = Decimal(0)
        self.table = fees
        # Per future: the position, and the sum over it of the price that it is carried at.
        self.futures = {}
        self.seen = set()
        self.differences = []

    def once(self, identity, where):
        """An execution or event that comes twice would be booked twice."""
        if identity in self.seen:
            raise BadInput(f"{where}: {identity} comes twice")
        self.seen.add(identity)

    def execution(self, record, where):
        self.once(("execution", field(record, "exec_id", where)), where)
        kind, side = field(record, "kind", where), field(record, "side", where)
        if kind not in KINDS or side not in ("buy", "sell"):
            raise BadInput(f"{where} is a {side!r} of a {kind!r}, expected buy or sell of {KINDS}")
        quantity = decimal(field(record, "quantity", where), f"{where}.quantity")
        if quantity <= 0 or quantity != quantity.to_integral_value():
            raise BadInput(f"{where}.quantity is {quantity}, expected a positive whole number")
        price = decimal(field(record, "price", where), f"{where}.price")
        multiplier = decimal(field(record, "multiplier", where), f"{where}.multiplier")
        con_id = field(record, "con_id", where)
        signed = quantity if side == "buy" else -quantity
        if kind == "future":
            self.carry(con_id, signed, price, multiplier)
        else:
            self.cash -= signed * price * multiplier
        fee = self.table.charge(
            field(record, "order", where), con_id, kind, record.get("symbol", "*"),
            side, quantity, price, multiplier,
        )
        self.fees += fee
        self.cash -= fee
        if record.get("fee") is not None:
            self.compare(f"fee of {record['exec_id']}", fee, record["fee"])

    def carry(self, con_id, signed, price, multiplier):
        future = self.futures.setdefault(
            con_id, {"position": Decimal(0), "carried": Decimal(0), "multiplier": multiplier}
        )
        future["position"] += signed
        future["carried"] += signed * price

    def lifecycle(self, record, where):
        self.once(("lifecycle", field(record, "id", where)), where)
        kind = field(record, "kind", where)
        if kind in ("expired", "deliverable_changed"):
            return
        if kind in ("exercised", "assigned"):
            self.deliver(record, where)
        elif kind in ("cash_settled", "dividend", "cash"):
            self.cash += decimal(field(record, "amount", where), f"{where}.amount")
        elif kind == "variation":
            self.variation(record, where)
        else:
            raise BadInput(f"{where} is of kind {kind!r}, which this script does not know")

    def deliver(self, record, where):
        if record.get("delivered_quantity") is None:
            return
        quantity = decimal(record["delivered_quantity"], f"{where}.delivered_quantity")
        price = decimal(field(record, "price", where), f"{where}.price")
        multiplier = decimal(record.get("multiplier", 1), f"{where}.multiplier")
        if record.get("delivered_kind", "stock") == "future":
            self.carry(field(record, "delivered_con_id", where), quantity, price, multiplier)
        else:
            self.cash -= quantity * price * multiplier

    def variation(self, record, where):
        amount = decimal(field(record, "amount", where), f"{where}.amount")
        mark = decimal(field(record, "mark", where), f"{where}.mark")
        future = self.futures.get(field(record, "con_id", where))
        if future is None:
            raise BadInput(f"{where} is of future {record['con_id']}, which was never traded")
        recomputed = (future["position"] * mark - future["carried"]) * future["multiplier"]
        future["carried"] = future["position"] * mark
        self.compare(f"variation {record['id']}", recomputed, amount)
        self.cash += recomputed

    def compare(self, what, ours, theirs):
        theirs = decimal(theirs, what)
        if ours != theirs:
            line = {"what": what, "recomputed": plain(ours), "books": plain(theirs)}
            self.differences.append(line)


def plain(number):
    """Two decimals at least, more only where there are more."""
    cents = number.quantize(CENT, ROUND_HALF_UP)
    return format(cents if cents == number else number.normalize(), "f")


def recompute(day, schedule):
    """The books after a day of executions and events."""
    with localcontext() as context:
        context.prec = 60
        books = Books(decimal(field(day, "starting_cash", "input"), "starting_cash"),
                      FeeTable(schedule))
        events = []
        for name, book in (("executions", books.execution), ("lifecycle", books.lifecycle)):
            for index, record in enumerate(field(day, name, "input")):
                where = f"{name}[{index}]"
                events.append((field(record, "time", where), book, record, where))
        if len({type(time) for time, *_ in events}) > 1:
            raise BadInput("times are of several types, expected integers or strings throughout")
        events.sort(key=lambda event: event[0])
        for _, book, record, where in events:
            book(record, where)
        expected = field(day, "expected", "input")
        books.compare("cash", books.cash, field(expected, "cash", "expected"))
        books.compare("fees", books.fees, field(expected, "fees", "expected"))
    return books


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fills", help="what `optionsib replay --fills FILE` wrote")
    parser.add_argument("--fees", default=FEES, help="the fee table (default: config/fees.json)")
    parser.add_argument("--report", help="a replay's report, to compare pnl.cash and pnl.fees")
    given = parser.parse_args(arguments)
    try:
        day = json.loads(Path(given.fills).read_text(encoding="utf-8"))
        books = recompute(day, json.loads(Path(given.fees).read_text(encoding="utf-8")))
        if given.report:
            profit = json.loads(Path(given.report).read_text(encoding="utf-8"))["pnl"]
            books.compare("pnl.cash of the report", books.cash, profit["cash"])
            books.compare("pnl.fees of the report", books.fees, profit["fees"])
    except (BadInput, OSError, json.JSONDecodeError, KeyError) as error:
        print(f"can't recompute: {error!r}", file=sys.stderr)
        return 2
    answer = {
        "cash": plain(books.cash), "fees": plain(books.fees), "differences": books.differences,
        "executions": len(day["executions"]), "lifecycle": len(day["lifecycle"]),
    }
    json.dump(answer, sys.stdout, indent=2)
    print()
    return 1 if books.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
