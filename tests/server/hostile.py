"""What test_hostile.sh imports, and what it asks.

hostile.py make FOLDER        writes a manifest of tiles whose names, labels and properties were made to do harm
hostile.py ask URL SECRET     fetches every endpoint, follows every link, and tries to get at files
"""

import csv
import http.client
import json
import os
import random
import sys
import urllib.parse

NAMES = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    '../../../../../../etc/passwd',
    '..',
    '.',
    '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    'a%00b',
    '%',
    'a b&c=d?e#f;g+h',
    'slash/in/name',
    'back\\slash',
    '\u202egnp.exe\u2066',
    '\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627',
    '\U0001f6f0 satellite',
    'x' * 150,
    '{}',
    '{*}',
    '${jndi:ldap://x}',
    "'; DROP TABLE tiles; --",
    'items',
    'thumbnail',
]
LABELS = '<b onmouseover=alert(1)>bold</b>|"quoted"|plain'
PROPERTY = '"><script>alert(2)</script>'
# What must not stand in a page or in a header as it is.
RAW = [b'<script>alert', b'<img src=x', b'<b onmouseover']

faults = []


def fault(*words):
    faults.append(' '.join(str(word) for word in words)[:400])


def make(folder):
    draw = random.Random(1)
    os.makedirs(folder)
    with open(os.path.join(folder, 'manifest.csv'), 'w', newline='', encoding='utf-8') as out:
        rows = csv.writer(out)
        rows.writerow(['tile_id', 'modality', 'path', 'place', 'labels', 'primary_label', 'scene', 'source_product',
                       'datetime', 'lon', 'lat', PROPERTY])
        for number, name in enumerate(NAMES):
            for bands in (1, 3):
                path = f'{number}.{bands}.pnm'
                with open(os.path.join(folder, path), 'wb') as picture:
                    picture.write(b'P%d\n16 16\n255\n' % (5 if bands == 1 else 6))
                    picture.write(bytes(draw.randrange(1, 255) for _ in range(256 * bands)))
                rows.writerow([name, f'm{bands}', path, f'place {number} <i>', LABELS, '<u>', '</script>', PROPERTY,
                               '2020-01-01', number / 10, 45, PROPERTY])


class Client:
    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc
        self.base = url

    def ask(self, path, method='GET', body=None):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.putrequest(method, path, skip_accept_encoding=True)
        if body is not None:
            body = body.encode()
            connection.putheader('Content-Type', 'application/json')
            connection.putheader('Content-Length', str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content


def check(path, answer, content):
    """An answer is of the type that it names, and says nothing that the archive made it say."""
    kind = answer.getheader('Content-Type', '')
    for name, value in answer.getheaders():
        if any(raw.decode() in name + value for raw in RAW) or name.lower() in ('set-cookie', 'x-evil'):
            fault(path, 'has a header', name, value)
    if answer.status >= 500:
        fault(path, answer.status, content[:200])
    if 'json' in kind:
        try:
            return json.loads(content.decode('utf-8'))
        except ValueError as error:
            fault(path, 'is no JSON:', error, content[:200])
    elif 'html' in kind:
        for raw in RAW:
            if raw in content:
                fault(path, 'holds', raw)
    elif kind.startswith('image/png') and answer.status == 200 and content[:4] != b'\x89PNG':
        fault(path, 'is no PNG')
    return None


def links_of(value):
    if isinstance(value, dict):
        if isinstance(value.get('href'), str):
            yield value['href'], value.get('method', 'GET')
        for member in value.values():
            yield from links_of(member)
    elif isinstance(value, list):
        for member in value:
            yield from links_of(member)


def crawl(client):
    """Every address that the answers name, from the landing page on."""
    waiting, seen, types = ['/'], {'/'}, {}
    while waiting:
        path = waiting.pop()
        answer, content = client.ask(path)
        document = check(path, answer, content)
        kind = answer.getheader('Content-Type', '').split(';')[0]
        types[kind] = types.get(kind, 0) + 1
        # No part of a path may be "." or "..", however it is written: tiles of that name are in lists alone.
        dots = any(urllib.parse.unquote(part) in ('.', '..') for part in urllib.parse.urlsplit(path).path.split('/'))
        if answer.status != (404 if dots else 200):
            fault(path, 'is linked and answers', answer.status, content[:200])
        for href, method in links_of(document):
            if not href.startswith(client.base + '/'):
                continue
            link = href[len(client.base):]
            if any(ord(c) <= 32 or ord(c) > 126 or c in '<>"\\^`{|}' for c in link):
                fault(path, 'has a link that is no URI:', link)
            elif method == 'GET' and '{' not in link and link not in seen:
                seen.add(link)
                waiting.append(link)
    return len(seen), types


def items(client):
    """Each tile is found by its name, percent-encoded, and can be asked with."""
    found = 0
    for name in NAMES:
        text = urllib.parse.quote(name, safe='')
        whole = urllib.parse.quote('m1/' + name, safe='')
        other = urllib.parse.quote('m3/' + name, safe='')
        for path in (f'/search?ids={text}', f'/search?similar_to={whole}&k=3', f'/explain?a={whole}&b={other}'):
            answer, content = client.ask(path)
            document = check(path, answer, content)
            found += answer.status == 200 and document is not None
            if path.startswith('/explain') and answer.status != 200:
                fault(path, answer.status, content[:200])
    return found


def questions(client):
    """Hostile words where the client chooses them."""
    for word in NAMES + ['\0', '\r\nX-Evil: 1', 'NaN', '1e999', '-1', '[' * 2000, '{"a":' * 500]:
        text = urllib.parse.quote(word, safe='')
        for name in ('bbox', 'datetime', 'ids', 'collections', 'limit', 'token', 'filter', 'similar_to', 'k', 'intersects'):
            path = f'/search?{name}={text}'
            check(path, *client.ask(path))
        for path in (f'/collections/{text}', f'/collections/m1/items/{text}', f'/explain?a={text}&b={text}',
                     f'/collections/m1/items?bbox={text}', f'/{text}', f'/ui/{text}'):
            check(path, *client.ask(path))
        body = json.dumps({'collections': [word], 'ids': [word], 'filter': word, 'similarity': {'item': word}})
        check('POST /search ' + word[:40], *client.ask('/search', 'POST', body))


def traversal(client, secret):
    """No address gives a file that is not served."""
    targets = ['etc/passwd', 'secret.txt', 'a/secret.txt', 'archive.ini', 'store/data.mdb', 'models/default.safetensors']
    ups = ['../', '..%2f', '%2e%2e/', '%2e%2e%2f', '.%2e/', '..%252f', '....//', '..\\', '..%5c', '%c0%ae%c0%ae/', '..;/', '/']
    prefixes = ['/', '/ui/', '/ui/assets/', '/collections/', '/collections/m1/items/', '/collections/m1/items/items/',
                '/collections/m1/items/items/assets/', '/queries/', '/runs/', '/runs/default/', '/static/', '/api/', '/explain/']
    tried = 0
    for prefix in prefixes:
        for target in targets:
            for path in [prefix + up * depth + target for up in ups for depth in (1, 3, 9)] + [
                    prefix + target, prefix + target + '%00.png', prefix + 'file:///' + target]:
                answer, content = client.ask(path)
                tried += 1
                if secret.encode() in content or b'root:x:' in content or b'[modality' in content:
                    fault(path, 'was answered with a file')
                if answer.status == 200 and 'html' not in answer.getheader('Content-Type', ''):
                    fault(path, 'answers 200', answer.getheader('Content-Type'))
    return tried


def ask(url, secret):
    client = Client(url)
    linked, types = crawl(client)
    found = items(client)
    questions(client)
    tried = traversal(client, secret)
    answer, _ = client.ask('/')
    if answer.status != 200:
        fault('the landing page answers', answer.status, 'in the end')
    # Two collections with all their items and pictures: fewer means that the walk went past them.
    if linked < 4 * len(NAMES) or types.get('image/png', 0) < len(NAMES):
        fault('only', linked, 'links were found, of types', types)
    if found < 2 * len(NAMES):
        fault('only', found, 'of', 3 * len(NAMES), 'questions about tiles were answered')
    print(f'{linked} links of types {types}, {tried} paths to files')


if sys.argv[1] == 'make':
    make(sys.argv[2])
else:
    ask(sys.argv[2], sys.argv[3])
    for line in faults[:40]:
        print('hostile:', line, file=sys.stderr)
    sys.exit(1 if faults else 0)
