"""The recomputation reaches the figures that were worked out by hand, and finds what is wrong."""

import copy
import json
import unittest
from pathlib import Path

import recompute_cash

TESTS = Path(__file__).resolve().parents[1]


def hand_worked_day():
    """The ten-trade day and the expiry after it, in the form that the node writes."""
    day = json.loads((TESTS / "fixtures" / "ten_trade_day.json").read_text(encoding="utf-8"))
    symbols = {one["con_id"]: one["symbol"] for one in day["instruments"]}
    executions, lifecycle = [], []
    for index, trade in enumerate(day["trades"]):
        execution = {"exec_id": f"e{index}", "time": 10 * index, "symbol": symbols[trade["con_id"]]}
        executions.append(execution | trade)
        if trade["variation"] is not None:
            lifecycle.append({
                "id": f"v{index}", "kind": "variation", "con_id": trade["con_id"],
                "mark": trade["price"], "amount": trade["variation"], "time": 10 * index + 1,
            })
    events = day["events_after_the_day"] + day["events_at_expiry"]
    for index, event in enumerate(events):
        named = {"id": f"l{index}", "kind": event["event"], "time": 10_000 + index}
        lifecycle.append(event | named)
    end = day["after_expiry"]
    return {
        "starting_cash": day["starting_cash"], "executions": executions, "lifecycle": lifecycle,
        "expected": {"cash": end["cash"], "fees": end["fees"]},
    }


def differences(day):
    schedule = json.loads(recompute_cash.FEES.read_text(encoding="utf-8"))
    return [found["what"] for found in recompute_cash.recompute(day, schedule).differences]


class Recomputation(unittest.TestCase):
    def test_the_day_worked_out_by_hand_comes_out(self):
        self.assertEqual(differences(hand_worked_day()), [])

    def test_a_cent_a_fee_or_a_variation_that_is_wrong_is_found(self):
        cent = hand_worked_day()
        cent["expected"]["cash"] = "1000332.77"
        self.assertEqual(differences(cent), ["cash"])
        fee = hand_worked_day()
        fee["executions"][3]["fee"] = "1.31"
        self.assertEqual(differences(fee), ["fee of e3"])
        variation = hand_worked_day()
        variation["lifecycle"][0]["amount"] = "999.00"
        self.assertEqual(differences(variation), ["variation v1"])

    def test_a_missing_execution_is_found(self):
        day = hand_worked_day()
        del day["executions"][6]
        self.assertEqual(differences(day), ["cash", "fees"])

    def test_input_that_can_not_be_trusted_is_refused(self):
        good = hand_worked_day()
        twice = copy.deepcopy(good)
        twice["executions"].append(twice["executions"][0])
        as_float = copy.deepcopy(good)
        as_float["executions"][0]["price"] = 4000.0
        unknown = copy.deepcopy(good)
        unknown["lifecycle"][0]["kind"] = "gift"
        for bad in (twice, as_float, unknown):
            with self.assertRaises(recompute_cash.BadInput):
                differences(bad)

    def test_an_order_pays_its_minimum_once(self):
        day = {"starting_cash": "0", "lifecycle": [], "executions": [
            {"exec_id": str(number), "order": 1, "con_id": 1, "kind": "option", "symbol": "X",
             "multiplier": 100, "side": "buy", "quantity": quantity, "price": "2.00",
             "time": number, "fee": "1.06"}
            for number, quantity in ((1, 1), (2, 2))
        ], "expected": {"cash": "-602.12", "fees": "2.12"}}
        self.assertEqual(differences(day), [])


if __name__ == "__main__":
    unittest.main()
