"""Queries are expanded as Grafana expands them, and panels without data are named."""

import contextlib
import io
import json
import tempfile
import threading
import unittest
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import panels


class Prometheus(BaseHTTPRequestHandler):
    """Answers a metric named `full`; anything else is empty, `broken` is an error."""

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = urllib.parse.parse_qs(form)["query"][0]
        values = [[1, "NaN"], [2, "7"]] if "full" in query else [[1, "NaN"]]
        result = [{"metric": {"role": "desk"}, "values": values}]
        status = 400 if "broken" in query else 200
        answer = {"status": "success" if status == 200 else "error", "data": {"result": result}}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


class Panels(unittest.TestCase):
    def examine(self, queries, *options):
        dashboard = {"panels": [
            {"title": query, "targets": [{"expr": query, "legendFormat": "{{role}}"}]}
            for query in queries
        ]}
        server = HTTPServer(("127.0.0.1", 0), Prometheus)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        output = io.StringIO()
        try:
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(dashboard, file)
                file.flush()
                url = f"http://127.0.0.1:{server.server_port}"
                with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
                    code = panels.main([url, file.name, *options])
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        return code, json.loads(output.getvalue())

    def test_macros_and_variables_are_expanded(self):
        query = 'rate(a{job=~"$job", i=~"${instance:regex}"}[$__rate_interval]) + b[$__range]'
        expanded = panels.expand(query, ".+", "n", 1, 120, 5)
        self.assertEqual(expanded, 'rate(a{job=~".+", i=~"n"}[20s]) + b[120s]')
        with self.assertRaises(ValueError):
            panels.expand("a{b=~\"$other\"}", ".+", ".+", 1, 120, 1)

    def test_panels_without_data_or_with_an_error_are_named(self):
        code, report = self.examine(["full", "empty", "broken"])
        self.assertEqual((code, report["failed"]), (1, ["empty", "broken"]))
        full = {"series": 1, "last": {"desk": 7.0}, "error": None}
        self.assertEqual(report["panels"]["full"], full)

    def test_a_panel_may_be_declared_empty_by_its_exact_title(self):
        code, report = self.examine(["full", "empty"], "--may-be-empty", "empty")
        self.assertEqual((code, report["failed"]), (0, []))
        code, report = self.examine(["full"], "--may-be-empty", "other")
        self.assertEqual((code, report["failed"]), (1, ["no such panel: other"]))


if __name__ == "__main__":
    unittest.main()
