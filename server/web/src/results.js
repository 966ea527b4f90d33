// The hits as cards.

import { button, fill, make, $ } from './dom.js';
import { itemName } from './api.js';
import { colourOf } from './map.js';
import { isSimulated, pairOf, picture, swipe, when } from './tile.js';

let cards = [];

function facts(hit) {
    const p = hit.properties;
    const labels = Array.isArray(p.labels) ? p.labels : [];
    return make('div', { class: 'facts' },
        make('strong', { class: 'name' }, hit.id),
        make('div', { class: 'quiet' }, [hit.collection, when(hit)].filter(Boolean).join(' · ')),
        make('div', { class: 'labels' }, ...labels.map((label) => make('span', { class: 'chip' }, label)),
            isSimulated(hit) ? make('span', { class: 'chip simulated' }, 'simulated') : null));
}

function score(hit) {
    const p = hit.properties;
    if (!Number.isFinite(p['sim:score'])) return null;
    const dot = make('span', { class: 'dot', 'aria-hidden': 'true' });
    dot.style.background = colourOf(p['sim:score']);
    const share = p['sim:percentile'];
    return make('div', { class: 'score' }, dot, make('b', {}, p['sim:score'].toFixed(3)),
        Number.isFinite(share)
            ? make('span', { class: 'quiet', title: 'share of random pairs of tiles in this direction that score lower' },
                `above ${share >= 99.995 ? '99.99' : share.toFixed(2)} % of random pairs`)
            : null);
}

function card(hit, number, state, act) {
    const name = itemName(hit);
    const view = make('div', { class: 'view' }, picture(hit));
    const more = [];
    const press = (label, what, pressed, title) =>
        button(label, () => act[what](hit, number), { 'aria-pressed': pressed, 'aria-label': `${title}: ${hit.id}`, title, class: 'sign' });
    if (act.explainable) more.push(button('Explain', () => act.explain(hit), { 'aria-label': `Explain ${hit.id}` }));
    return make('li', { class: 'card', tabindex: '-1', 'data-name': name, onclick: () => act.select(number) },
        make('div', { class: 'rank' }, String(hit.properties['sim:rank'] ?? number + 1)), view,
        make('div', { class: 'text' }, facts(hit), score(hit),
            make('div', { class: 'row acts' },
                press('+', 'plus', state.positive.includes(name), 'More like this'),
                press('−', 'minus', state.negative.includes(name), 'Less like this'),
                ...more, button('Use', () => act.use(hit), { 'aria-label': `Use as the query: ${hit.id}`, title: 'Use as the query' }))));
}

export function showCards(hits, state, act) {
    cards = hits.map((hit, number) => ({ hit, element: card(hit, number, state, act), opened: false }));
    fill($('hits'), ...cards.map((one) => one.element));
}

/** Marks one card, brings it into view, and opens its pair under a slider. */
export async function selectCard(number, collections, focus) {
    cards.forEach((one, i) => {
        one.element.classList.toggle('selected', i === number);
        if (i === number) one.element.setAttribute('aria-current', 'true');
        else one.element.removeAttribute('aria-current');
    });
    const one = cards[number];
    if (!one) return;
    one.element.scrollIntoView({ block: 'nearest' });
    if (focus) one.element.focus({ preventScroll: true });
    if (one.opened) return;
    one.opened = true;
    const pair = await pairOf(one.hit, collections);
    const view = one.element.querySelector('.view');
    if (pair.length) fill(view, swipe(one.hit, pair[0]));
}
