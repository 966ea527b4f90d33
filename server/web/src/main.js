// The search page: state, panels and map held together. Every change goes through change(), which writes the address and asks anew.

import 'ol/ol.css';
import './style.css';
import { address, ask, itemName, item as getItem, onWait, post, splitName } from './api.js';
import { asCurl, asProgram, asPystac } from './copy.js';
import { $, button, fill, isDialogOpen, make, onDialogClose, openDialog } from './dom.js';
import { explanation } from './explain.js';
import { showHistogram } from './histogram.js';
import { drawBox, goToTiles, openMap, select as selectOnMap, showBox, showHits, showProbe, showTiles } from './map.js';
import { selectCard, showCards } from './results.js';
import { empty, fromHash, isSimilarity, parseBox, toHash, toSearch } from './state.js';
import { isSimulated, picture, when } from './tile.js';

const sent = 'queries'; // collection of the files that were sent
const browsed = 1000; // footprints on the map at once
let state = fromHash(location.hash);
let collections = [];
let tiles = [];
let hits = [];
let probe = null;
let running = null;
let viewing = null;

const number = (n) => n.toLocaleString('en');
const canExplain = () => Boolean(probe);
const collectionNames = () => collections.filter((one) => !one.id.startsWith('q-')).map((one) => one.id);

function fault(error, advice) {
    fill($('fault'), make('p', { class: 'fault' }, error.message, advice ? make('span', {}, ` ${advice}`) : null));
}

function change(part) {
    state = { ...state, at: 0, ...part };
    history.pushState(null, '', toHash(state) || location.pathname + location.search);
    refresh();
}

function fieldsFromState() {
    $('bbox').value = state.bbox;
    $('date-from').value = state.from;
    $('date-to').value = state.until;
    $('label').value = state.label;
    $('k').value = state.k || 20;
    $('one').checked = state.one;
    for (const input of $('direction').querySelectorAll('input')) input.checked = state.collections.includes(input.value);
    showBox(parseBox(state.bbox));
}

async function loadProbe() {
    if (!state.item) return null;
    if (probe && itemName(probe) === state.item) return probe;
    try {
        return await getItem(state.item);
    } catch (error) {
        const [collection, id] = splitName(state.item);
        if (collection !== sent || error.status !== 404) throw error;
        /* The server keeps of a file what a search needs, and a picture. */
        const href = address(`encode/${encodeURIComponent(id)}/thumbnail`);
        return { id, collection, properties: {}, assets: { thumbnail: { href } } };
    }
}

function showProbeCard() {
    if (!probe) {
        fill($('probe'), make('p', { class: 'quiet' }, 'Choose a tile: type its name, drop a file, or click a footprint on the map.'));
        return;
    }
    fill($('probe'), make('div', { class: 'probe' }, picture(probe),
        make('div', {}, make('strong', { class: 'name' }, probe.title ?? (probe.collection === sent ? 'A file that was sent' : probe.id)),
            make('div', { class: 'quiet' }, probe.collection === sent ? probe.properties.modality ?? '' : [probe.collection, when(probe)].filter(Boolean).join(' · ')),
            isSimulated(probe) ? make('span', { class: 'chip simulated' }, 'simulated') : null,
            button('Remove', () => change({ item: '' })))));
}

function showRefinements() {
    const chip = (name, kind) => make('span', { class: `chip ${kind}` }, `${kind === 'positive' ? '+' : '−'} ${splitName(name)[1]}`,
        button('✕', () => change({ [kind]: state[kind].filter((one) => one !== name) }), { 'aria-label': `Forget ${name}` }));
    fill($('refine'), ...state.positive.map((name) => chip(name, 'positive')), ...state.negative.map((name) => chip(name, 'negative')));
}

/* Footprints of what the map shows, as many as are of use at once. */
async function view(bbox) {
    viewing?.abort();
    const mine = new AbortController();
    viewing = mine;
    try {
        const found = await ask(`search?bbox=${bbox.join(',')}&limit=${browsed}`, { signal: mine.signal });
        const shown = found.features.length;
        showTiles(found.features);
        $('seen').hidden = !(found.numberMatched > shown);
        $('seen').textContent = `${number(shown)} of ${number(found.numberMatched ?? shown)} tiles here are drawn; come nearer to see the others`;
    } catch (error) {
        if (error.name !== 'AbortError') fault(error);
    }
}

async function refresh() {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    fieldsFromState();
    showRefinements();
    fill($('fault'));
    $('save').disabled = $('copy-open').disabled = !isSimilarity(state);
    try {
        probe = await loadProbe();
        showProbeCard();
        showProbe(probe);
        if (!isSimilarity(state)) return await showNothingAsked(mine.signal);
        $('count').textContent = 'Searching…';
        const begin = performance.now();
        const answer = await post('search', toSearch(state), { signal: mine.signal });
        if (mine.signal.aborted) return;
        hits = answer.features ?? [];
        showAnswer(performance.now() - begin);
        if (answer['sim:warning']) fault(new Error(answer['sim:warning']));
    } catch (error) {
        if (error.name === 'AbortError' || mine.signal.aborted) return;
        hits = [];
        showCards([], state, actions);
        showHits([]);
        $('count').textContent = '';
        fault(error);
    }
}

async function showNothingAsked(signal) {
    hits = [];
    showCards([], state, actions);
    showHits([]);
    if (!tiles.length) return;
    const found = await post('search', { ...toSearch(state), limit: 1 }, { signal });
    $('count').textContent = `Nothing is asked yet. ${number(found.numberMatched)} tiles fit the filters.`;
}

function showAnswer(milliseconds) {
    const actionsNow = { ...actions, explainable: canExplain() };
    const held = $('hits').contains(document.activeElement); /* whoever steers by keys stays in the list */
    showHits(hits); /* gives the scores their colours */
    showCards(hits, state, actionsNow);
    $('count').textContent = hits.length
        ? `${hits.length} ${hits.length === 1 ? 'hit' : 'hits'}, ${Math.round(milliseconds)} ms`
        : 'No tile fits. Widen the box or the dates, or take the label away.';
    if (hits.length) look(Math.min(state.at, hits.length - 1), held, false);
}

function look(rank, focus = true, move = true) {
    if (rank < 0 || rank >= hits.length) return;
    state.at = rank;
    history.replaceState(null, '', toHash(state) || location.pathname);
    selectCard(rank, collectionNames(), focus);
    selectOnMap(itemName(hits[rank]), move);
}

function sign(hit, kind, other) {
    const name = itemName(hit);
    const has = state[kind].includes(name);
    change({
        [kind]: has ? state[kind].filter((one) => one !== name) : [...state[kind], name],
        [other]: state[other].filter((one) => one !== name),
    });
}

const actions = {
    select: (rank) => { if (rank !== state.at) look(rank, false); },
    plus: (hit) => sign(hit, 'positive', 'negative'),
    minus: (hit) => sign(hit, 'negative', 'positive'),
    use: (hit) => change({ item: itemName(hit), positive: [], negative: [] }),
    explain: async (hit) => {
        const mine = new AbortController();
        openDialog('Why these two are alike', make('p', {}, 'Comparing…'));
        onDialogClose(() => mine.abort());
        try {
            openDialog('Why these two are alike', await explanation(probe, hit, mine.signal));
        } catch (error) {
            if (error.name !== 'AbortError') openDialog('Why these two are alike', make('p', { class: 'fault' }, error.message));
        }
    },
};

function pick(names) {
    const rank = hits.findIndex((hit) => names.includes(itemName(hit)));
    if (rank >= 0) return look(rank, false, false);
    const here = $('here');
    here.hidden = !names.length;
    fill(here, make('h3', {}, 'Tiles here'), ...names.slice(0, 8).map((name) => button(name, () => {
        here.hidden = true;
        change({ item: name, positive: [], negative: [] });
    }, { class: 'wide' })));
}

async function upload(file) {
    if (!file) return;
    fill($('fault'));
    $('count').textContent = `Reading ${file.name}…`;
    const bands = $('bands').value.trim();
    try {
        const answer = await ask(`encode${bands ? `?bands=${encodeURIComponent(bands)}` : ''}`, { method: 'POST', headers: { 'Content-Type': 'image/tiff' }, body: file });
        const made = answer.item ?? answer;
        const name = typeof made === 'string' ? made : itemName(made);
        probe = typeof made === 'string' ? null : { ...made, title: file.name };
        const others = collectionNames().filter((one) => one !== (probe?.properties?.modality ?? splitName(name)[0]));
        change({ item: name, positive: [], negative: [], collections: state.collections.length ? state.collections : others });
    } catch (error) {
        $('count').textContent = '';
        fault(error, `(${file.name})`);
    }
}

async function suggest(text) {
    const [collection, id] = splitName(text);
    const like = text.toLowerCase();
    const known = tiles.map(itemName).filter((name) => name.toLowerCase().includes(like)).slice(0, 12);
    fill($('find-list'), ...known.map((value) => make('option', { value })));
    if (known.length || !collection || !id) return;
    try {
        const found = await getItem(text);
        fill($('find-list'), make('option', { value: itemName(found) }));
    } catch { /* not there yet: the user is typing */ }
}

function useTyped(text) {
    const typed = text.trim();
    if (!typed) return;
    if (typed.includes('/')) return change({ item: typed, positive: [], negative: [] });
    const found = tiles.find((tile) => tile.id === typed);
    change({ item: found ? itemName(found) : `${collectionNames()[0] ?? ''}/${typed}`, positive: [], negative: [] });
}

function showCopy() {
    const block = (title, text) => make('div', { class: 'copy' }, make('h3', {}, title), make('pre', { tabindex: '0', 'aria-label': title }, text),
        button('Copy', async (event) => {
            const pressed = event.currentTarget;
            try {
                await navigator.clipboard.writeText(text);
                pressed.textContent = 'Copied';
            } catch {
                pressed.textContent = 'Select the text and copy it';
            }
        }, { 'aria-label': `Copy as ${title}` }));
    openDialog('This query elsewhere', block('curl', asCurl(state)), block('diptych', asProgram(state)), block('pystac', asPystac(state)));
}

async function save() {
    try {
        const answer = await post('queries', toSearch(state));
        const id = answer.collection ?? answer.id;
        const link = new URL(`../collections/${encodeURIComponent(id)}`, document.baseURI).href;
        openDialog('Saved', make('p', {}, 'The hits are a collection now, for every client of STAC and OGC API Features: '),
            make('p', {}, make('a', { href: link }, id)),
            make('pre', { tabindex: '0', 'aria-label': 'Command of GDAL' }, `ogr2ogr hits.gpkg OAPIF:${new URL('../', document.baseURI).href} ${id}`));
    } catch (error) {
        fault(error);
    }
}

const keys = [
    ['/', 'type the name of a tile', () => $('find-id').focus()],
    ['j', 'next hit', () => look(state.at + 1)],
    ['k', 'previous hit', () => look(state.at - 1)],
    ['+', 'more like this hit', () => hits[state.at] && actions.plus(hits[state.at])],
    ['-', 'less like this hit', () => hits[state.at] && actions.minus(hits[state.at])],
    ['e', 'explain this hit', () => canExplain() && hits[state.at] && actions.explain(hits[state.at])],
    ['?', 'this list', () => showHelp()],
];

function showHelp() {
    openDialog('Keys', make('table', {}, ...keys.map(([key, what]) => make('tr', {}, make('th', { scope: 'row' }, make('kbd', {}, key)), make('td', {}, what)))));
}

function endDrawing() {
    $('box-draw').setAttribute('aria-pressed', 'false');
    drawBox(false);
}

function onKey(event) {
    if (event.key === 'Escape') endDrawing();
    if (event.ctrlKey || event.metaKey || event.altKey || isDialogOpen()) return;
    if (event.target.closest?.('input:not([type=range]):not([type=checkbox]), select, textarea')) return;
    /* The map zooms by these itself. */
    if (event.target.id === 'map' && '+-'.includes(event.key)) return;
    const found = keys.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
}

function listen() {
    $('find').addEventListener('submit', (event) => { event.preventDefault(); useTyped($('find-id').value); });
    $('find-id').addEventListener('input', (event) => suggest(event.target.value));
    $('file').addEventListener('change', (event) => { upload(event.target.files[0]); event.target.value = ''; });
    for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop'])
        document.addEventListener(kind, (event) => {
            event.preventDefault();
            $('drop').classList.toggle('over', kind === 'dragenter' || kind === 'dragover');
            if (kind === 'drop') upload(event.dataTransfer.files[0]);
        });
    $('bbox').addEventListener('change', (event) => {
        const text = event.target.value.trim();
        if (text && !parseBox(text)) return fault(new Error('The box takes four numbers: west, south, east, north.'));
        change({ bbox: text });
    });
    $('box-draw').addEventListener('click', (event) => {
        const on = event.currentTarget.getAttribute('aria-pressed') !== 'true';
        event.currentTarget.setAttribute('aria-pressed', on);
        drawBox(on);
    });
    $('date-from').addEventListener('change', (event) => change({ from: event.target.value }));
    $('date-to').addEventListener('change', (event) => change({ until: event.target.value }));
    $('label').addEventListener('change', (event) => change({ label: event.target.value }));
    $('k').addEventListener('change', (event) => change({ k: Math.max(1, Math.min(1000, Number(event.target.value) || 20)) }));
    $('one').addEventListener('change', (event) => change({ one: event.target.checked }));
    $('direction').addEventListener('change', () =>
        change({ collections: [...$('direction').querySelectorAll('input:checked')].map((input) => input.value) }));
    $('reset').addEventListener('click', () => change(empty()));
    $('copy-open').addEventListener('click', showCopy);
    $('save').addEventListener('click', save);
    $('help-open').addEventListener('click', showHelp);
    document.addEventListener('keydown', onKey);
    const back = () => { state = fromHash(location.hash); refresh(); };
    window.addEventListener('popstate', back);
}

function showCollections() {
    const names = collectionNames();
    fill($('direction'), make('legend', {}, 'Search in'), ...names.map((value) =>
        make('label', { class: 'check' }, make('input', { type: 'checkbox', value }), value)),
    make('span', { class: 'quiet' }, 'none: all'));
    const simulated = collections.some((one) => /simulat/i.test(`${one.description ?? ''} ${one.title ?? ''}`)) || tiles.some(isSimulated);
    $('archive').textContent = [names.join(', '), simulated ? 'simulated data' : ''].filter(Boolean).join(' · ');
}

/* Dates and labels of all tiles. */
async function showCounts() {
    const { aggregations } = await post('aggregate', { aggregations: ['datetime_frequency', 'label_frequency'] });
    const [dates, labels] = aggregations;
    showHistogram(dates, (from, until) => change({ from, until }));
    fill($('label'), make('option', { value: '' }, 'any'),
        ...labels.buckets.map((one) => make('option', { value: one.key }, `${one.key} (${number(one.frequency)})`)));
}

async function begin() {
    openMap({
        onPick: pick,
        onBox: (bbox) => { $('box-draw').setAttribute('aria-pressed', 'false'); change({ bbox: bbox.join(',') }); },
        onView: view,
    });
    listen();
    onWait((seconds) => { $('count').textContent = `The server is busy; asking again in ${seconds} s…`; });
    showProbeCard();
    try {
        collections = (await ask('collections')).collections ?? [];
        const lists = await Promise.all(collectionNames().map((name) => ask(`collections/${encodeURIComponent(name)}/items?limit=${browsed}`)));
        tiles = lists.flatMap((list) => list.features ?? []);
        showTiles(tiles);
        goToTiles();
        showCollections();
        await showCounts();
        if (!tiles.length) $('count').textContent = 'The archive holds no tiles yet: diptych import brings some in.';
    } catch (error) {
        fault(error);
    }
    await refresh();
}

begin();
