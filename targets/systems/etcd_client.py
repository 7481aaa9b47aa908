"""A client of etcd for squall: operations as JSON lines, carried out through etcd's JSON gateway."""

import base64
import http.client
import json
import os
import sys

PORT = 2379
TIMEOUT_S = 4
REFUSED = (ConnectionRefusedError,)


def encode(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


def decode(text):
    return json.loads(base64.b64decode(text))


def key(name):
    return base64.b64encode(f"squall/{name}".encode()).decode()


class Etcd:
    def __init__(self, ip):
        self.ip = ip
        self.connection = None

    def call(self, path, body):
        """The answer's JSON. Raises what went wrong; a connection that broke is made anew the next time."""
        if self.connection is None:
            connection = http.client.HTTPConnection(self.ip, PORT, timeout=TIMEOUT_S)
            connection.connect()
            self.connection = connection
        try:
            self.connection.request("POST", path, json.dumps(body))
            response = self.connection.getresponse()
            text = response.read()
        except Exception:
            self.connection = None
            raise
        if response.status != 200:
            raise RuntimeError(json.loads(text).get("error", text.decode()))
        return json.loads(text)

    def get(self, name):
        found = self.call("/v3/kv/range", {"key": key(name)}).get("kvs")
        return decode(found[0]["value"]) if found else None

    def put(self, name, value):
        self.call("/v3/kv/put", {"key": key(name), "value": encode(value)})

    def cas(self, name, old, new):
        compare = {"key": key(name), "target": "VALUE", "result": "EQUAL", "value": encode(old)}
        put = {"requestPut": {"key": key(name), "value": encode(new)}}
        return self.call("/v3/kv/txn", {"compare": [compare], "success": [put]}).get("succeeded", False)

    def list(self, name):
        start = base64.b64encode(f"squall/{name}/".encode()).decode()
        end = base64.b64encode(f"squall/{name}0".encode()).decode()
        found = self.call("/v3/kv/range", {"key": start, "range_end": end}).get("kvs", [])
        return [decode(item["value"]) for item in found]


def perform(etcd, op_set, f, value):
    """The answer to one operation, without its id."""
    if op_set == "set":
        if f == "add":
            etcd.put(f"set/{value}", value)
            return {"type": "ok"}
        return {"type": "ok", "value": etcd.list("set")}
    name, argument = value
    if f == "read":
        return {"type": "ok", "value": [name, etcd.get(name)]}
    if f == "write":
        etcd.put(name, argument)
        return {"type": "ok"}
    if f == "cas":
        swapped = etcd.cas(name, *argument)
        return {"type": "ok"} if swapped else {"type": "fail", "error": "no match"}
    return {"type": "fail", "error": f"this client does not know {f}"}


def main():
    etcd, op_set = Etcd(os.environ["SQUALL_IP"]), os.environ["SQUALL_OP_SET"]
    for line in sys.stdin:
        op = json.loads(line)
        try:
            answer = perform(etcd, op_set, op["f"], op["value"])
        except REFUSED as error:
            # No connection was made, so nothing was asked.
            answer = {"type": "fail", "error": str(error)}
        except Exception as error:
            # A read that brings nothing had no effect; of anything else nobody knows.
            answer = {"type": "fail" if op["f"] == "read" else "info", "error": repr(error)}
        print(json.dumps({"id": op["id"], **answer}), flush=True)


if __name__ == "__main__":
    main()
