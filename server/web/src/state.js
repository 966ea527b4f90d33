// What is asked, and its form in the address after '#': copy the address, and the same page opens elsewhere.

export const empty = () => ({
    item: '', // "collection/id"
    positive: [],
    negative: [],
    collections: [],
    bbox: '',
    from: '',
    until: '',
    label: '',
    k: 20,
    one: false,
    at: 0, // number of the hit that is looked at
});

export function toHash(state) {
    const fields = new URLSearchParams();
    const none = empty();
    for (const [name, value] of Object.entries(state)) {
        if (Array.isArray(value)) value.forEach((one) => fields.append(name, one));
        else if (value !== none[name]) fields.set(name, value === true ? '1' : value);
    }
    const text = fields.toString().replaceAll('%2F', '/').replaceAll('%2C', ',');
    return text ? `#${text}` : '';
}

export function fromHash(hash) {
    const fields = new URLSearchParams(hash.replace(/^#/, ''));
    const state = empty();
    for (const [name, none] of Object.entries(state)) {
        if (!fields.has(name)) continue;
        if (Array.isArray(none)) state[name] = fields.getAll(name);
        else if (typeof none === 'boolean') state[name] = fields.get(name) === '1';
        else if (typeof none === 'number') state[name] = Math.max(0, Math.min(1000, parseInt(fields.get(name), 10) || none));
        else state[name] = fields.get(name);
    }
    return state;
}

export function parseBox(text) {
    const numbers = text.split(/[\s,;]+/).filter(Boolean).map(Number);
    return numbers.length === 4 && numbers.every(Number.isFinite) ? numbers : null;
}

const quote = (text) => `'${text.replaceAll("'", "''")}'`;

/** The body of POST /search. */
export function toSearch(state) {
    const body = {};
    const box = parseBox(state.bbox);
    if (state.collections.length) body.collections = state.collections;
    if (box) body.bbox = box;
    if (state.from || state.until) {
        const begin = state.from ? `${state.from}T00:00:00Z` : '..';
        const end = state.until ? `${state.until}T23:59:59Z` : '..';
        body.datetime = `${begin}/${end}`;
    }
    if (state.label) {
        body.filter = `A_CONTAINS(labels, (${quote(state.label)}))`;
        body['filter-lang'] = 'cql2-text';
    }
    const similarity = { k: state.k || 20 };
    if (state.item) similarity.item = state.item;
    if (state.positive.length) similarity.positive = state.positive;
    if (state.negative.length) similarity.negative = state.negative;
    if (state.one) similarity.one_per_place = true;
    if (isSimilarity(state)) {
        body.similarity = similarity;
        body.limit = similarity.k;
    }
    return body;
}

export const isSimilarity = (state) => Boolean(state.item || state.positive.length);
