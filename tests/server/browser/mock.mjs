// A stand-in for the server, for what a real archive does not have: hostile names, failures on demand. Serves the built page with
// the server's content policy. usage: node mock.mjs <server/web/dist>; prints its address. POST /fail {"path":…,"status":…} sets
// the next answers of a path.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';

const dist = process.argv[2];
const policy = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml' };
const hostile = ['<img src=x onerror="window.ran=1">', '"><script>window.ran=1</script>', "a'b`c${window.ran=1}", 'javascript:window.ran=1'];
const labels = ['forest', 'water', 'residential', 'fields', hostile[0]];
const names = [...hostile, ...Array.from({ length: 60 }, (_, i) => `T11SLT_${String(i).padStart(3, '0')}_01`)];
const failures = new Map();

function item(base, collection, i, note = {}) {
    const lon = -118.6 + (i % 8) * 0.05;
    const lat = 34.3 - Math.floor(i / 8) * 0.05;
    const [w, s, e, n] = [lon, lat, lon + 0.013, lat + 0.011];
    const path = `${base}/collections/${collection}/items/${encodeURIComponent(names[i])}`;
    const month = String(1 + (i % 7)).padStart(2, '0');
    return {
        type: 'Feature', stac_version: '1.0.0', id: names[i], collection, bbox: [w, s, e, n],
        geometry: { type: 'Polygon', coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]] },
        properties: { datetime: `2020-${month}-04T00:00:00Z`, labels: [labels[i % labels.length]], modality: collection, ...note },
        assets: { thumbnail: { href: i === 3 ? 'javascript:window.ran=1' : `${path}/thumbnail`, type: 'image/bmp', roles: ['thumbnail'] } },
        links: [],
    };
}

/* Waves of a colour that depends on the tile, as a bitmap. */
function picture(seed, grey) {
    const size = 60;
    const bytes = Buffer.alloc(54 + size * size * 3);
    bytes.write('BM');
    bytes.writeUInt32LE(bytes.length, 2);
    bytes.writeUInt32LE(54, 10);
    bytes.writeUInt32LE(40, 14);
    bytes.writeInt32LE(size, 18);
    bytes.writeInt32LE(size, 22);
    bytes.writeUInt16LE(1, 26);
    bytes.writeUInt16LE(24, 28);
    for (let y = 0, at = 54; y < size; y++)
        for (let x = 0; x < size; x++, at += 3) {
            const wave = 90 + 70 * Math.sin(x / (3 + (seed % 5)) + seed) * Math.cos(y / (4 + (seed % 3)));
            for (let c = 0; c < 3; c++) bytes[at + c] = grey ? wave : wave * (0.6 + 0.4 * Math.abs(Math.sin(seed + c)));
        }
    return bytes;
}

function search(base, ask) {
    const want = ask.similarity ?? {};
    const to = ask.collections ?? ['s1', 's2'];
    const k = Math.min(want.k ?? 10, names.length);
    const shift = (want.positive ?? []).length * 5 + (want.negative ?? []).length * 11;
    const hits = Array.from({ length: k }, (_, rank) => item(base, to[rank % to.length], (rank + shift) % names.length,
        { 'sim:score': 0.95 - 0.02 * rank, 'sim:rank': rank + 1, 'sim:percentile': 99.9 - 0.2 * rank }));
    const features = ask.bbox && ask.bbox[0] > 100 ? [] : hits;
    return { type: 'FeatureCollection', features, numberMatched: features.length, numberReturned: features.length };
}

/* Tiles of a part of the map, a fifth of those that there are. */
function browse(base, [west, south, east, north], limit) {
    const inside = ['s1', 's2'].flatMap((collection) => names.map((_, i) => item(base, collection, i)))
        .filter(({ bbox: [w, s, e, n] }) => e >= west && w <= east && n >= south && s <= north);
    const features = inside.slice(0, Math.min(limit, Math.ceil(inside.length / 5)));
    return { type: 'FeatureCollection', features, numberMatched: inside.length, numberReturned: features.length };
}

const grid = (seed) => Array.from({ length: 8 }, (_, y) => Array.from({ length: 8 }, (_, x) => Math.sin(x * y + seed)));
const run = { id: 'default', finished: true, config: { training: { epochs: '12', name: hostile[0] } }, from: 0, next: 1, more: false,
    lines: Array.from({ length: 90 }, (_, i) => ({ kind: 'step', step: i * 10, loss: 5 * Math.exp(-i / 30) + 1, pairs_per_second: 100 + (i % 9) }))
        .concat(Array.from({ length: 6 }, (_, i) => ({ kind: 'evaluation', step: i * 150, recall_forward: 0.2 + i * 0.1, recall_backward: 0.25 + i * 0.1 }))) };

function answer(base, method, path, query, body) {
    const part = path.split('/').slice(1).map(decodeURIComponent);
    const index = names.indexOf(part[3]);
    if (path === '/collections') return { collections: [{ id: 's1', title: 'Radar' }, { id: 's2', title: 'Optical' }], links: [] };
    if (part[0] === 'collections' && part[2] === 'items' && part.length === 3) return { type: 'FeatureCollection', features: names.map((_, i) => item(base, part[1], i)) };
    if (part[0] === 'collections' && part[4] === 'thumbnail') return picture(index + 1, part[1] === 's1');
    if (part[0] === 'collections' && part[2] === 'items' && index >= 0) return item(base, part[1], index);
    if (path === '/search' && method === 'GET') return browse(base, query.get('bbox').split(',').map(Number), Number(query.get('limit')));
    if (path === '/search') return search(base, JSON.parse(body));
    if (path === '/aggregate') {
        const bucket = (key, frequency) => ({ key, data_type: 'string', frequency });
        return { type: 'AggregationCollection', aggregations: [
            { name: 'datetime_frequency', data_type: 'interval_month', buckets: [1, 2, 3, 4, 5, 6, 7].map((m) => bucket(`2020-0${m}-01T00:00:00Z`, 20 - m)), overflow: 0 },
            { name: 'label_frequency', data_type: 'string', buckets: labels.map((label, i) => bucket(label, 1234 - i)), overflow: 0 },
        ] };
    }
    if (path === '/encode') return item(base, 's1', 9);
    if (path === '/queries') return { id: 'q-7f3a' };
    if (path === '/explain') return {
        score: 0.91, percentile: 99.1, random_pairs: { p50: 0.1, p95: 0.4, p99: 0.6 }, labels: { both: [hostile[0]] }, distance_km: 3.2, days_apart: 3,
        grid: { rows: 8, columns: 8, low: -1, high: 1, meaning: 'how well parts match', a: grid(1), b: grid(1) },
        best: { name: hostile[1], score: 0.95 }, weakest: { name: 'SW', score: 0.2 },
    };
    if (path === '/runs') return { runs: [{ id: 'default', finished: true }] };
    if (part[0] === 'runs') return run;
    return null;
}

const server = createServer(async (request, response) => {
    const base = `http://${request.headers.host}`;
    const url = new URL(request.url, base);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const send = (status, type, bytes, more = {}) => { response.writeHead(status, { 'Content-Type': type, ...more }); response.end(bytes); };
    if (url.pathname === '/fail') {
        const { path, status, description, times } = JSON.parse(body);
        if (status) failures.set(path, { status, description, times });
        else failures.delete(path);
        return send(200, 'application/json', '{}');
    }
    const failure = failures.get(url.pathname);
    const let_in = failure?.status === 401 && request.headers.authorization === 'Bearer secret';
    const meant = url.pathname !== '/search' || request.method === 'POST'; /* footprints come in any case */
    if (failure && !let_in && meant) {
        if (failure.times && --failure.times === 0) failures.delete(url.pathname);
        return send(failure.status, 'application/json', JSON.stringify({ code: 'X', description: failure.description }), { 'Retry-After': '1' });
    }
    if (url.pathname.startsWith('/ui/')) {
        let name = normalize(url.pathname.slice(4) || 'index.html');
        if (!extname(name)) name += '.html';
        try {
            return send(200, types[extname(name)] ?? 'text/plain', readFileSync(join(dist, name)), { 'Content-Security-Policy': policy });
        } catch {
            return send(404, 'text/plain', '');
        }
    }
    const found = answer(base, request.method, url.pathname, url.searchParams, body);
    if (!found) return send(404, 'application/json', JSON.stringify({ code: 'NotFound', description: `there is no ${url.pathname}` }));
    return Buffer.isBuffer(found) ? send(200, 'image/bmp', found) : send(200, 'application/json', JSON.stringify(found));
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
