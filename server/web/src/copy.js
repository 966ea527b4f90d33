// The query as others would type it.

import { address } from './api.js';
import { toSearch } from './state.js';

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export function asCurl(state) {
    const body = JSON.stringify(toSearch(state));
    return `curl -s ${shell(address('search'))} \\\n    -H 'Content-Type: application/json' \\\n    -d ${shell(body)}`;
}

/* A file that was sent is a file again. */
const asProbe = (name) => (name.startsWith('queries/') ? 'FILE.tif' : name);

export function asProgram(state) {
    const body = toSearch(state);
    const [first, ...more] = [state.item, ...state.positive].filter(Boolean).map(asProbe);
    const words = ['diptych query ARCHIVE', shell(first), '--to', shell(state.collections.length === 1 ? state.collections[0] : 'all')];
    if (more.length) words.push('--positive', shell(more.join('|')));
    if (state.negative.length) words.push('--negative', shell(state.negative.join('|')));
    words.push('-k', String(state.k));
    if (body.bbox) words.push(`--bbox=${body.bbox.join(',')}`);
    if (body.datetime) words.push('--datetime', `${state.from || '..'}/${state.until || '..'}`);
    if (body.filter) words.push('--filter', shell(body.filter));
    if (state.one) words.push('--one-per-place');
    return words.join(' ');
}

export function asPystac(state) {
    // JSON is Python but for these words.
    const python = JSON.stringify(toSearch(state), null, 4).replace(/: (true|false|null)\b/g, (_, word) =>
        ({ true: ': True', false: ': False', null: ': None' })[word]);
    return `import pystac, requests\n\nanswer = requests.post(${JSON.stringify(address('search'))}, json=${python})\n` +
        'answer.raise_for_status()\nhits = pystac.ItemCollection.from_dict(answer.json())\n' +
        'for hit in hits:\n    print(hit.properties["sim:score"], hit.id)';
}
