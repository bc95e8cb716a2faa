#!/usr/bin/env python3
"""Apache Superset on a graph: connected, synced, charting in a headless browser.

    tests/superset/run.py --bin DIR                # omnigraph and omnigraph-server of DIR
    tests/superset/run.py --bin DIR --shot FILE    # also keep a picture of the chart

Installs Superset and Playwright into the cache folder of the client tests (about a
gigabyte, once) and drives the system's Chromium (scripts/setup.sh superset). Everything
listens on loopback. Superset's own answers are compared with those that the gateway
gives to plain SQL. Ends with `N passed, M failed`.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
sys.dont_write_bytecode = True
import run as clients  # noqa: E402 - it installs what Python needs

# Superset imports rich and cachetools without asking for them, and does not run with newer Flask-Caching.
REQUIREMENTS = ["apache-superset==6.1.0", "Flask-Caching==2.3.1", "rich==15.0.0", "cachetools==8.0.1", "psycopg2-binary==2.9.13", "playwright==1.65.2", "pillow==12.3.0"]
ADMIN = {"username": "admin", "password": "loopback-only"}
CONFIG = """
SECRET_KEY = "{secret}"
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
PREVENT_UNSAFE_DB_CONNECTIONS = False
RATELIMIT_ENABLED = False
FEATURE_FLAGS = {{}}
"""


class Superset:
    def __init__(self, folder):
        self.folder, self.port, self.token = folder, free_port(), None
        (folder / "superset_config.py").write_text(CONFIG.format(secret=os.urandom(24).hex(), folder=folder), encoding="utf-8")
        self.env = dict(os.environ, SUPERSET_CONFIG_PATH=str(folder / "superset_config.py"), FLASK_APP="superset.app:create_app()", SUPERSET_HOME=str(folder), HOME=str(folder))
        self.log = open(folder / "superset.log", "w", encoding="utf-8")
        tool = pathlib.Path(sys.executable).with_name("superset")
        for arguments in (["db", "upgrade"], ["fab", "create-admin", "--firstname", "A", "--lastname", "B", "--email", "a@b.c", "--username", ADMIN["username"], "--password", ADMIN["password"]], ["init"]):
            if subprocess.run([tool, *arguments], env=self.env, stdout=self.log, stderr=self.log).returncode:
                sys.exit(f"superset {arguments[0]} failed; see {self.log.name}")
        self.process = subprocess.Popen([tool, "run", "-h", "127.0.0.1", "-p", str(self.port), "--with-threads"], env=self.env, stdout=self.log, stderr=self.log)
        self.url = f"http://127.0.0.1:{self.port}"
        until = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    sys.exit(f"Superset did not start; see {self.log.name}")
                time.sleep(0.5)
        self.token = self.call("POST", "/security/login", {**ADMIN, "provider": "db", "refresh": True})["access_token"]

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "/api/v1" + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:2000]}") from None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Gateway:
    def __init__(self, bin_dir, folder):
        (folder / "store" / "graphs").mkdir(parents=True)
        root, data = folder / "store" / "graphs" / "debian.omni", folder / "debian.jsonl"
        example = ROOT / "examples" / "debian"
        with open(data, "wb") as plain:
            subprocess.run(["gzip", "-dc", str(example / "debian.jsonl.gz")], stdout=plain, check=True)
        for arguments in (["init", "--schema", str(example / "debian.pg"), str(root)], ["load", "--data", str(data), "--mode", "overwrite", str(root)]):
            subprocess.run([str(bin_dir / "omnigraph"), *arguments], check=True, capture_output=True)
        self.process = subprocess.Popen([str(bin_dir / "omnigraph-server"), "--store", str(folder / "store"), "--unauthenticated", "--bind", "127.0.0.1:0", "--http-bind", "off"],
                                        stdout=subprocess.PIPE, stderr=open(folder / "server.log", "w", encoding="utf-8"), text=True)
        for line in self.process.stdout:
            if line.startswith("OMNIGRAPH_LISTEN_ADDR="):
                self.port = int(line.strip().rpartition(":")[2])
                break
        else:
            sys.exit(f"omnigraph-server did not start; see {folder / 'server.log'}")

    def rows(self, sql):
        import psycopg2

        with psycopg2.connect(host="127.0.0.1", port=self.port, user="ada", dbname="debian") as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Cases:
    """In the order in which somebody new would do it; later ones use what earlier ones made."""

    def __init__(self, superset, gateway, shot):
        self.superset, self.gateway, self.shot = superset, gateway, shot

    def connects_to_a_graph(self):
        body = {"database_name": "debian", "sqlalchemy_uri": f"postgresql+psycopg2://ada@127.0.0.1:{self.gateway.port}/debian"}
        self.superset.call("POST", "/database/test_connection/", body)
        self.database = self.superset.call("POST", "/database/", {**body, "expose_in_sqllab": True})["id"]

    def lists_branches_as_schemas_and_types_as_tables(self):
        schemas = self.superset.call("GET", f"/database/{self.database}/schemas/")["result"]
        assert "main" in schemas, schemas
        tables = self.superset.call("GET", f"/database/{self.database}/tables/?q=(schema_name:main)")["result"]
        found = {table["value"] for table in tables}
        wanted = {name for (name,) in self.gateway.rows("select tablename from pg_tables where schemaname = 'main'")}
        assert found >= wanted and "package" in wanted, (found, wanted)

    def syncs_a_table_with_the_types_of_its_columns(self):
        self.dataset = self.superset.call("POST", "/dataset/", {"database": self.database, "schema": "main", "table_name": "package"})["id"]
        columns = self.superset.call("GET", f"/dataset/{self.dataset}")["result"]["columns"]
        found = {column["column_name"]: column["type"].upper() for column in columns}
        assert found["section"] in ("TEXT", "VARCHAR") and found["installed_size"] == "BIGINT", found

    def asks_in_its_sql_lab(self):
        sql = "SELECT depth, count(*) AS packages FROM traverse('depends_on', start => 'gnome', max_hops => 99) GROUP BY depth ORDER BY depth"
        answer = self.superset.call("POST", "/sqllab/execute/", {"database_id": self.database, "schema": "main", "sql": sql, "runAsync": False})
        found = [(row["depth"], row["packages"]) for row in answer["data"]]
        assert found == self.gateway.rows(sql) and len(found) > 3, found

    def charts_what_sql_says(self):
        metric = {"expressionType": "SIMPLE", "column": {"column_name": "installed_size"}, "aggregate": "SUM", "label": "size"}
        query = {"columns": ["section"], "metrics": [metric, "count"], "orderby": [["count", False]], "row_limit": 10}
        body = {"datasource": {"id": self.dataset, "type": "table"}, "queries": [query], "result_format": "json", "result_type": "full"}
        answer = self.superset.call("POST", "/chart/data", body)["result"][0]
        found = sorted((row["section"], int(row["size"] or 0), row["count"]) for row in answer["data"])
        top = "select section, sum(installed_size), count(*) from package group by section order by 3 desc limit 10"
        wanted = sorted((section, int(size or 0), count) for section, size, count in self.gateway.rows(top))
        assert [row[2] for row in found] == [row[2] for row in wanted] and len(found) == 10, (found, wanted)
        params = {"datasource": f"{self.dataset}__table", "viz_type": "pie", "groupby": ["section"], "metric": "count", "row_limit": 12, "show_legend": True, "legendOrientation": "right", "label_type": "key_value", "show_labels": True}
        body = {"slice_name": "Packages by section", "datasource_id": self.dataset, "datasource_type": "table", "viz_type": "pie", "params": json.dumps(params)}
        self.chart = self.superset.call("POST", "/chart/", body)["id"]

    def draws_the_chart_in_a_browser(self):
        from PIL import Image
        from playwright.sync_api import sync_playwright

        shot = self.shot or self.superset.folder / "chart.png"
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1100, "height": 640})
            # The session's cookie is the page's, too.
            page.request.post(self.superset.url + "/login/", form=ADMIN, timeout=180_000)
            page.goto(f"{self.superset.url}/explore/?slice_id={self.chart}", timeout=180_000)
            page.wait_for_selector("canvas", timeout=180_000)
            page.wait_for_timeout(5_000)
            page.screenshot(path=str(shot))
            canvas = page.query_selector("canvas").bounding_box()
            browser.close()
        box = (canvas["x"], canvas["y"], canvas["x"] + canvas["width"], canvas["y"] + canvas["height"])
        colours = Image.open(shot).convert("RGB").crop(tuple(int(side) for side in box)).getcolors(1 << 24)
        # Slices of a dozen colours, each over a real part of the picture.
        large = [colour for count, colour in colours if count > 500 and max(colour) - min(colour) > 40]
        assert len(large) >= 5, f"{len(large)} colours in the chart"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder with omnigraph and omnigraph-server")
    parser.add_argument("--shot", type=pathlib.Path, help="where to put the picture of the chart")
    options = parser.parse_args()
    wanted = clients.python_with("superset", REQUIREMENTS)
    if pathlib.Path(sys.executable) != wanted:
        os.execv(wanted, [str(wanted), *sys.argv])

    folder = pathlib.Path(tempfile.mkdtemp(prefix="omnigraph-superset-"))
    gateway = superset = None
    passed = failed = 0
    done = False
    try:
        gateway = Gateway(options.bin.resolve(), folder)
        superset = Superset(folder)
        cases = Cases(superset, gateway, options.shot)
        for case in (cases.connects_to_a_graph, cases.lists_branches_as_schemas_and_types_as_tables, cases.syncs_a_table_with_the_types_of_its_columns,
                     cases.asks_in_its_sql_lab, cases.charts_what_sql_says, cases.draws_the_chart_in_a_browser):
            try:
                case()
                passed += 1
                print(f"ok      {case.__name__}", flush=True)
            except Exception as error:  # noqa: BLE001 - told, and counted
                failed += 1
                print(f"FAILED  {case.__name__}: {error}", flush=True)
                break
        done = not failed
    finally:
        for process in (superset, gateway):
            if process:
                process.stop()
        if done:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed" + (f"; the logs are in {folder}" if failed else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
