"""What test_uploads.sh sends to POST /encode: files that were made to do harm, by hand, so that no library tidies them up.

uploads.py URL PID ARCHIVE

Each must be answered by one JSON error 4xx that says what is wrong, without following what a file names, and the most memory
that the server had at any time must stay bounded.
"""

import http.client
import json
import os
import re
import socket
import struct
import sys
import threading
import urllib.parse
import zlib

SIDE = 16
NAMES = ('VV', 'VH')  # the bands of modality s1
ASCII, SHORT, LONG = 2, 3, 4
FORMAT = {SHORT: 'H', LONG: 'I'}
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMATS, METADATA = 322, 323, 324, 325, 338, 339, 42112
MEBIBYTE = 1 << 20

faults = []


def fault(*words):
    faults.append(' '.join(str(word) for word in words)[:400])


def tag(number, kind, values):
    if kind == ASCII:
        values = values.encode() + b'\0'
        return number, kind, len(values), values
    return number, kind, len(values), struct.pack(f'<{len(values)}{FORMAT[kind]}', *values)


def names(bands=NAMES, more=''):
    items = ''.join(f'<Item name="DESCRIPTION" sample="{i}" role="description">{name}</Item>' for i, name in enumerate(bands))
    return tag(METADATA, ASCII, f'<GDALMetadata>{items}{more}</GDALMetadata>')


def directory(tags, at, following=0):
    """An image file directory that begins at `at`, and what its tags hold."""
    tags = sorted(tags)
    room = 2 + 12 * len(tags) + 4
    entries, rest = b'', b''
    for number, kind, count, value in tags:
        if len(value) > 4:
            place = at + room + len(rest)
            rest += value + b'\0' * (len(value) % 2)
            value = struct.pack('<I', place)
        entries += struct.pack('<HHI', number, kind, count) + value.ljust(4, b'\0')
    return struct.pack('<H', len(tags)) + entries + struct.pack('<I', following) + rest


def tiff(pixels=None, width=SIDE, height=SIDE, bands=NAMES, bits=32, sample_format=3, compression=1, metadata='', block=None, loop=False):
    """A GeoTIFF of one strip, or of one block of the given sides, that holds `pixels` as they are."""
    if pixels is None:
        count = width * height * len(bands)
        pixels = struct.pack(f'<{count}f', *(-10 + i * 37 % 101 / 20 for i in range(count)))
    place = 8
    tags = [tag(WIDTH, LONG, [width]), tag(HEIGHT, LONG, [height]), tag(BITS, SHORT, [bits] * len(bands)),
            tag(COMPRESSION, SHORT, [compression]), tag(PHOTOMETRIC, SHORT, [1]), tag(SAMPLES, SHORT, [len(bands)]),
            tag(PLANAR, SHORT, [1]), tag(FORMATS, SHORT, [sample_format] * len(bands)), names(bands, metadata)]
    if len(bands) > 1:
        tags.append(tag(EXTRA, SHORT, [0] * (len(bands) - 1)))
    if block:
        tags += [tag(TILE_WIDTH, LONG, [block]), tag(TILE_HEIGHT, LONG, [block]),
                 tag(TILE_OFFSETS, LONG, [place]), tag(TILE_COUNTS, LONG, [len(pixels)])]
    else:
        tags += [tag(OFFSETS, LONG, [place]), tag(ROWS, LONG, [height]), tag(COUNTS, LONG, [len(pixels)])]
    begin = place + len(pixels) + len(pixels) % 2
    body = pixels + b'\0' * (len(pixels) % 2)
    return b'II*\0' + struct.pack('<I', begin) + body + directory(tags, begin, begin if loop else 0)


def pages(count):
    """The same image `count` times."""
    one = tiff()
    begin = struct.unpack('<I', one[4:8])[0]
    out, last = bytearray(one), begin
    for _ in range(count - 1):
        number = struct.unpack('<H', out[last:last + 2])[0]
        end = len(out)
        out[last + 2 + 12 * number:last + 6 + 12 * number] = struct.pack('<I', end)
        tags = out[begin:begin + 2 + 12 * struct.unpack('<H', one[begin:begin + 2])[0]]
        out += tags + struct.pack('<I', 0)
        last = end
    return bytes(out)


def bomb(side):
    """Zeros of side x side pixels in a thousandth of their bytes."""
    packer, left, parts = zlib.compressobj(9), side * side * 4 * len(NAMES), []
    zeros = bytes(16 * MEBIBYTE)
    while left:
        parts.append(packer.compress(zeros[:min(left, len(zeros))]))
        left -= min(left, len(zeros))
    return b''.join(parts) + packer.flush()


def filled(value):
    pixels = [-10.0 + i % 7 for i in range(SIDE * SIDE * len(NAMES))]
    pixels[5] = value
    return tiff(struct.pack(f'<{len(pixels)}f', *pixels))


def vrt(target):
    bands = ''.join(f'<VRTRasterBand dataType="Float32" band="{i + 1}"><Description>{name}</Description><SimpleSource>'
                    f'<SourceFilename relativeToVRT="0">{target}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
                    '</VRTRasterBand>' for i, name in enumerate(NAMES))
    return f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}">{bands}</VRTDataset>'.encode()


class Listener(threading.Thread):
    """Counts who comes: nobody may, whatever a file names."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket()
        self.socket.bind(('127.0.0.1', 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        self.visits = 0

    def run(self):
        while True:
            connection, _ = self.socket.accept()
            self.visits += 1
            connection.close()


def cases(archive, port):
    whole = tiff()
    listed = f'http://127.0.0.1:{port}/x.tif'
    huge = tiff(b'\0' * 8, width=200000, height=200000)
    bombed = bomb(8192)  # 512 MiB
    overviews = f'<Item name="OVERVIEW_FILE" domain="OVERVIEWS">/vsicurl/{listed}</Item>'
    yield 'no bytes', b'', 415
    yield 'no TIFF', os.urandom(1000).replace(b'II', b'..'), 415
    yield 'a JPEG', b'\xff\xd8\xff\xe0' + bytes(100), 415
    yield 'a zip', b'PK\3\4' + bytes(100), 415
    for target in ('/etc/passwd', f'{archive}/archive.ini', f'/vsicurl/{listed}', listed):
        yield f'a VRT of {target}', vrt(target), 415
    yield 'a WMS description', f'<GDAL_WMS><Service name="TMS"><ServerUrl>{listed}</ServerUrl></Service></GDAL_WMS>'.encode(), 415
    yield 'a VRT behind the first bytes of a TIFF', b'II*\0' + vrt('/etc/passwd'), 400
    for share in (0.1, 0.5, 0.9, 0.999):
        yield f'{share} of a file', whole[:int(len(whole) * share)], 400
    yield 'half of its pixels', tiff(zlib.compress(bytes(SIDE * SIDE * 4)), compression=8), 400
    yield 'pixels that are no deflate', tiff(os.urandom(4000), compression=8), 400
    yield '200,000 x 200,000 pixels', huge, 413
    yield '4,000,000,000 pixels a row', tiff(b'\0' * 8, width=4000000000, height=1), (400, 413)
    yield '60,000 x 1 pixels', tiff(b'\0' * 8, width=60000, height=1), 415
    yield 'a bomb of pixels', tiff(bombed, width=8192, height=8192, compression=8), 413
    yield 'a bomb in one block', tiff(bombed, compression=8, block=8192), 413
    yield 'a block of 8 GiB', tiff(bombed[:5000], compression=8, block=1 << 15), (400, 413)
    yield 'a bomb behind the pixels', tiff(bombed, compression=8), (200, 400, 413)
    yield 'three pages', pages(3), 400
    yield '20,000 pages', pages(20000), 400
    yield 'a page that follows itself', tiff(loop=True), (200, 400)
    yield 'NaN', filled(float('nan')), 400
    yield 'infinity', filled(float('inf')), 400
    yield 'minus infinity', filled(float('-inf')), 400
    yield 'numbers beyond a float', filled(3.0e38), (200, 422)
    yield 'one band', tiff(bands=('VV',)), 422
    yield 'bands of other names', tiff(bands=('X', 'Y')), 422
    yield 'bands without names', tiff(bands=('', '')), (400, 422)
    yield '200 bands', tiff(bands=tuple(f'B{i}' for i in range(200))), 415
    yield 'complex pixels', tiff(bytes(SIDE * SIDE * 16), bits=64, sample_format=6), 415
    yield 'another file as overview', tiff(metadata=overviews), 200
    yield 'names that are no XML', tiff(metadata='<Item <Item'), (400, 422)
    yield 'deep XML', tiff(metadata='<a>' * 100000), (400, 422)
    yield 'a good one', whole, 200


class Client:
    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc

    def ask(self, path, body=None):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.request('GET' if body is None else 'POST', path, body, {'Content-Type': 'image/tiff'})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content


def most_memory(pid):
    """Of all its life, in bytes."""
    with open(f'/proc/{pid}/status', encoding='ascii') as status:
        return 1024 * int(re.search(r'^VmHWM:\s*(\d+) kB', status.read(), re.M).group(1))


def main(url, pid, archive):
    listener = Listener()
    listener.start()
    client = Client(url)
    client.ask('/encode', tiff())
    secret = open('/etc/passwd', 'rb').readline().strip()
    for name, body, expected in cases(archive, listener.port):
        before = most_memory(pid)
        status, content = client.ask('/encode', body)
        grown = most_memory(pid) - before
        print(f'{status} {grown / MEBIBYTE:+6.1f} MiB  {name}: {content[:160].decode(errors="replace").strip()}')
        if status not in (expected if isinstance(expected, tuple) else (expected,)):
            fault(name, 'is answered by', status, 'not by', expected, content[:200])
        try:
            answer = json.loads(content)
            if status != 200 and not (answer['code'] and answer['description']):
                fault(name, 'has an error without words')
        except (ValueError, KeyError) as error:
            fault(name, 'is not answered by JSON:', error, content[:200])
        if secret in content or b'vsi' in content or b' --' in content:
            fault(name, 'tells too much:', content[:200])
        if grown > 100 * MEBIBYTE:
            fault(name, 'made the server grow by', grown >> 20, 'MiB')
    if listener.visits:
        fault(listener.visits, 'times the server went where a file said')
    for line in faults:
        print('uploads:', line, file=sys.stderr)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
