// The query as others would type it.

import { address } from './api.js';
import { toSearch } from './state.js';

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export function asCurl(state) {
    const body = JSON.stringify(toSearch(state));
    return `curl -s ${shell(address('search'))} \\\n    -H 'Content-Type: application/json' \\\n    -d ${shell(body)}`;
}

export function asProgram(state) {
    const body = toSearch(state);
    const words = ['diptych query ARCHIVE', shell(state.item || state.positive[0] || '')];
    if (state.collections.length) words.push('--to', shell(state.collections.join(',')));
    words.push('-k', String(state.k));
    if (body.bbox) words.push('--bbox', body.bbox.join(','));
    if (body.datetime) words.push('--datetime', shell(body.datetime));
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
