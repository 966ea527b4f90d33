"""Follows the pages of a service as a client would: every item once, in GET and POST. usage: pages.py URL COLLECTION"""
import json
import sys
import urllib.request


def ask(url, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def walk(url, body=None):
    """All items of all pages, and the number that the service says there are."""
    seen = []
    while True:
        page = ask(url, body)
        assert page["type"] == "FeatureCollection" and page["numberReturned"] == len(page["features"])
        seen += [(f["collection"], f["id"]) for f in page["features"]]
        following = [link for link in page["links"] if link["rel"] == "next"]
        if not following:
            return seen, page["numberMatched"]
        assert following[0].get("method", "GET") == ("POST" if body is not None else "GET")
        url, body = following[0]["href"], following[0].get("body")


def check(name, url, body=None):
    seen, matched = walk(url, body)
    assert len(seen) == len(set(seen)), f"{name}: an item came twice"
    assert len(seen) == matched > 0, f"{name}: {len(seen)} items of {matched}"
    return set(seen)


base, collection = sys.argv[1:]
every = check("search by GET", f"{base}/search?limit=7")
assert every == check("search by POST", f"{base}/search", {"limit": 7})
one = check("items", f"{base}/collections/{collection}/items?limit=9")
assert one == {item for item in every if item[0] == collection}
assert one == check("a filter by POST", f"{base}/search", {
    "limit": 11, "filter-lang": "cql2-json", "filter": {"op": "=", "args": [{"property": "modality"}, collection]}})
print(f"pages: {len(every)} items, each once")
