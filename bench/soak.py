"""The clients of soak.sh: good ones, whose every answer is looked at, and bad ones, whose answers do not matter.

soak.py URL PID SECONDS UPLOAD      UPLOAD: a GeoTIFF to send to /encode

Good: searches by similarity and by filter, pages of items, pictures, collections, uploads that are searched with, explanations,
saved queries. Bad: readers that take a byte now and then, senders that trickle, uploads that are broken off, requests mutated
from good ones. Prints what was asked and the server's memory by the minute; fails if one good request did.
"""

import http.client
import json
import random
import re
import socket
import sys
import threading
import time
import urllib.parse

SLOW_READERS = 4
WORDS = [b'\r\n', b'\n', b'%', b'%00', b'%2F', b'..', b'//', b'HTTP/9.9', b'Content-Length: -1\r\n', b'Content-Length: 5\r\n',
         b'Content-Length: 99999999999999999999\r\n', b'Transfer-Encoding: chunked\r\n', b'Host: b\r\n', b':', b'?', b'&=&', b'"',
         b'{', b'[', b'}', b'1e999', b'null', b'NaN', b'\xff\xfe', b'\0', b'Expect: x\r\n', b'Range: bytes=9-1\r\n', b"'", b'(((((((']

url = urllib.parse.urlsplit(sys.argv[1])
pid, end, upload = int(sys.argv[2]), time.monotonic() + float(sys.argv[3]), open(sys.argv[4], 'rb').read()
lock = threading.Lock()
counts, failures = {}, []


def count(what, by=1):
    with lock:
        counts[what] = counts.get(what, 0) + by


def fail(*words):
    with lock:
        failures.append(' '.join(str(word) for word in words)[:300])


def going():
    return time.monotonic() < end


class Good:
    """One connection, kept open, opened anew when the server closed it between two requests."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(url.netloc, timeout=60)

    def ask(self, what, path, body=None, expected=(200,), kind='application/json', method=None):
        method = method or ('GET' if body is None else 'POST')
        for attempt in (1, 2):
            try:
                self.connection.request(method, path, body, {'Content-Type': kind} if body is not None else {})
                answer = self.connection.getresponse()
                content = answer.read()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                self.connection.close()
                if attempt == 2:
                    fail(what, path, repr(error))
                    return None
            except OSError as error:
                self.connection.close()
                fail(what, path, repr(error))
                return None
        count(what)
        if answer.status not in expected:
            fail(what, path, answer.status, content[:200])
            return None
        if answer.status != 200 and answer.status != 201:
            return None
        if 'json' not in answer.getheader('Content-Type', ''):
            return content
        try:
            return json.loads(content)
        except ValueError as error:
            fail(what, path, 'no JSON:', error)
            return None


def names():
    good = Good()
    return [f"{c}/{f['id']}" for c in ('s1', 's2') for f in good.ask('start', f'/collections/{c}/items?limit=50')['features']]


def search(draw, items):
    good = Good()
    while going():
        similarity = {'item': draw.choice(items), 'k': 10}
        if draw.random() < 0.3:
            similarity['exact'] = True
        if draw.random() < 0.2:
            similarity['positive'] = [draw.choice(items)]
        body = {'similarity': similarity}
        if draw.random() < 0.3:
            body['filter'] = "split = 'train'"
        answer = good.ask('search', '/search', json.dumps(body))
        if answer and not body.get('filter') and len(answer['features']) != 10:
            fail('search', len(answer['features']), 'hits')


def browse(draw, items):
    good = Good()
    while going():
        collection, name = draw.choice(items).split('/', 1)
        path = draw.choice([f'/collections/{collection}/items?limit=50', '/search?limit=20&bbox=-180,-90,180,90', '/collections',
                            '/aggregate?aggregations=total_count,datetime_frequency,label_frequency&bbox=-180,-90,180,90',
                            f'/collections/{collection}/items/{name}', f'/collections/{collection}/items/{name}/thumbnail',
                            f'/collections/{collection}/items/{name}/visual', '/', '/queryables', '/ui/', '/metrics', '/healthz'])
        good.ask('browse', path)


def send(draw, items):
    """An upload is searched with and explained; one of several explanations at a time is asked to come again."""
    good = Good()
    while going():
        answer = good.ask('upload', '/encode', upload, kind='image/tiff')
        if answer:
            name = f"queries/{answer['id']}"
            # Where another model went live meanwhile, what was sent has to be sent again.
            good.ask('search', f'/search?similar_to={name}&k=5', expected=(200, 404))
            good.ask('explain', f'/explain?a={name}&b={draw.choice(items)}', expected=(200, 503))
        body = json.dumps({'collections': ['s2'], 'similarity': {'item': draw.choice(items), 'k': 5}})
        saved = good.ask('save', '/queries', body, expected=(200, 201))
        if saved:
            name = saved.get('collection') or saved['id']
            good.ask('save', f'/collections/{name}/items')
            good.ask('save', f'/queries/{name}', expected=(200, 204), method='DELETE')
        time.sleep(0.2)


def connect():
    s = socket.create_connection((url.hostname, url.port), timeout=10)
    return s


def read_slowly():
    """Asks for more than fits into the socket's buffers and takes a few bytes a second."""
    while going():
        try:
            with connect() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                for _ in range(8):
                    s.sendall(b'GET /search?limit=200 HTTP/1.1\r\nHost: a\r\n\r\n')
                count('slow readers')
                for _ in range(30):
                    if not going() or not s.recv(16):
                        break
                    time.sleep(0.5)
        except OSError:
            pass


def trickle():
    while going():
        try:
            with connect() as s:
                count('trickling senders')
                for byte in b'POST /search HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n' + b'{' * 1000:
                    if not going():
                        break
                    s.sendall(bytes([byte]))
                    time.sleep(0.2)
        except OSError:
            pass


def break_off(draw):
    while going():
        try:
            with connect() as s:
                s.sendall(b'POST /encode HTTP/1.1\r\nHost: a\r\nContent-Type: image/tiff\r\nContent-Length: 900000\r\n\r\n')
                s.sendall((upload * 1000)[:draw.randrange(1, 800000)])
                if draw.random() < 0.5:  # with a reset
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
                count('uploads broken off')
        except OSError:
            pass
        time.sleep(0.05)


def mutate(draw, text):
    for _ in range(draw.randrange(1, 5)):
        at = draw.randrange(len(text) + 1)
        kind = draw.randrange(5)
        if kind == 0 and at < len(text):
            text = text[:at] + bytes([draw.randrange(256)]) + text[at + 1:]
        elif kind == 1:
            text = text[:at] + draw.choice(WORDS) + text[at:]
        elif kind == 2:
            text = text[:at] + text[draw.randrange(at, len(text) + 1):]
        elif kind == 3:
            text = text[:at] + text[at:draw.randrange(at, len(text) + 1)] + text[at:]
        else:
            text = text[:max(at, 1)]
    return text


def nonsense(draw, items):
    item = items[0]
    body = json.dumps({'bbox': [1, 2, 3, 4], 'similarity': {'item': item, 'k': 3, 'min_score': 0.1},
                       'filter': {'op': '=', 'args': [{'property': 'split'}, 'train']}}).encode()
    valid = [b'GET /aggregate?aggregations=total_count,label_frequency&datetime=2020/.. HTTP/1.1\r\nHost: a\r\n\r\n',
             f'GET /search?similar_to={item}&k=3&bbox=1,2,3,4&datetime=2020-01-01/.. HTTP/1.1\r\nHost: a\r\n\r\n'.encode(),
             b'POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body),
             b'POST /encode?bands=VV,VH HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s' % (len(upload), upload),
             b'GET /collections/s1/items?limit=3&filter=split%3D%27train%27 HTTP/1.1\r\nHost: a\r\nIf-None-Match: "a"\r\n\r\n',
             f'GET /collections/{item.replace("/", "/items/", 1)}/bands/VV HTTP/1.1\r\nHost: a\r\nRange: bytes=0-99\r\n\r\n'.encode()]
    while going():
        try:
            with connect() as s:
                s.settimeout(0.05)
                s.sendall(mutate(draw, draw.choice(valid)))
                count('malformed')
                s.recv(4096)
        except OSError:
            pass


def memory():
    """Resident pages, and of them those that are not of files."""
    with open(f'/proc/{pid}/status', encoding='ascii') as status:
        text = status.read()
    return [int(re.search(rf'^{name}:\s*(\d+)', text, re.M).group(1)) / 1024 for name in ('VmRSS', 'RssAnon')]


def main():
    items = names()
    draw = random.Random(1)
    work = [(search, draw, items)] * 3 + [(browse, draw, items), (send, draw, items), (trickle,), (break_off, draw), (nonsense, draw, items)]
    work += [(read_slowly,)] * SLOW_READERS
    threads = [threading.Thread(target=one[0], args=one[1:]) for one in work]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(min(15, (end - begin) / 4))
    while going():
        resident, own = memory()
        print(f'memory    {time.monotonic() - begin:5.0f} s: {resident:7.1f} MiB resident, {own:7.1f} of its own', flush=True)
        time.sleep(max(0.1, min(60, end - time.monotonic())))
    for thread in threads:
        thread.join()
    good = sum(counts.get(name, 0) for name in ('search', 'browse', 'upload', 'explain', 'save'))
    resident, own = memory()
    print(f'memory    {time.monotonic() - begin:5.0f} s: {resident:7.1f} MiB resident, {own:7.1f} of its own')
    print(f'good      {good}, of them failed: {len(failures)}')
    for name, number in counts.items():
        print(f'          {number} {name}')
    for line in failures[:20]:
        print('failed    ' + line)
    return 1 if failures else 0


sys.exit(main())
