// Why two tiles are alike: the server's grid of agreement, drawn over both.

import { ask } from './api.js';
import { make } from './dom.js';
import { css, ramp } from './colour.js';
import { picture } from './tile.js';

function heat(rows, low, high, text) {
    const canvas = make('canvas', { width: rows[0].length, height: rows.length, class: 'heat', role: 'img', 'aria-label': text });
    const context = canvas.getContext('2d');
    rows.forEach((row, y) => row.forEach((value, x) => {
        context.fillStyle = css(ramp((value - low) / Math.max(1e-9, high - low)));
        context.fillRect(x, y, 1, 1);
    }));
    return canvas;
}

function side(item, grid, rows) {
    const map = grid ? heat(rows, grid.low, grid.high, `How well the parts of ${item.id} match`) : null;
    const stack = make('div', { class: 'stack' }, picture(item), map);
    return { map, figure: make('figure', {}, stack, make('figcaption', {}, `${item.collection}/${item.id}`)) };
}

const number = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : null);

function facts(answer) {
    const both = answer.labels?.both ?? [];
    const rows = [
        ['cosine', number(answer.score, 3)],
        ['higher than', number(answer.percentile, 2) && `${number(answer.percentile, 2)} % of random pairs in this direction`],
        ['random pairs', number(answer.random_pairs?.p50, 2) && `half score below ${number(answer.random_pairs.p50, 2)}, 99 % below ${number(answer.random_pairs.p99, 2)}`],
        ['matches best', answer.best && `${answer.best.name} (${number(answer.best.score, 2)})`],
        ['weakest', answer.weakest && `${answer.weakest.name} (${number(answer.weakest.score, 2)})`],
        ['labels in common', both.length ? both.join(', ') : null],
        ['apart', [number(answer.distance_km, 1) && `${number(answer.distance_km, 1)} km`, number(answer.days_apart, 0) && `${number(answer.days_apart, 0)} days`].filter(Boolean).join(', ')],
    ];
    return make('table', {}, ...rows.filter(([, value]) => value).map(([name, value]) => make('tr', {}, make('th', { scope: 'row' }, name), make('td', {}, value))));
}

function fader(maps) {
    const slider = make('input', { type: 'range', min: 0, max: 100, value: 55 });
    const fade = () => maps.forEach((map) => { map.style.opacity = String(slider.value / 100); });
    slider.addEventListener('input', fade);
    fade();
    return make('label', { class: 'row' }, 'Strength of the heat map', slider);
}

export async function explanation(a, b, signal) {
    const name = (item) => encodeURIComponent(`${item.collection}/${item.id}`);
    const answer = await ask(`explain?a=${name(a)}&b=${name(b)}`, { signal });
    const grid = answer.grid;
    const left = side(a, grid, grid?.a);
    const right = side(b, grid, grid?.b);
    return make('div', { class: 'explanation' },
        make('div', { class: 'twins' }, left.figure, right.figure),
        grid ? fader([left.map, right.map]) : make('p', {}, answer.no_grid ?? ''),
        grid ? make('p', { class: 'quiet' }, `Colour: ${grid.meaning}. Dark is ${number(grid.low, 2)}, yellow ${number(grid.high, 2)}.`) : null,
        facts(answer));
}
