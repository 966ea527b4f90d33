// Why two tiles are alike: the server's grid of agreement, drawn over both.

import { ask } from './api.js';
import { make } from './dom.js';
import { css, ramp } from './colour.js';
import { picture } from './tile.js';

function heat(grid, text) {
    const rows = grid.length;
    const columns = rows ? grid[0].length : 0;
    const canvas = make('canvas', { width: columns, height: rows, class: 'heat', role: 'img', 'aria-label': text });
    const values = grid.flat().filter(Number.isFinite);
    const low = Math.min(...values);
    const high = Math.max(...values);
    const context = canvas.getContext('2d');
    grid.forEach((row, y) => row.forEach((value, x) => {
        context.fillStyle = css(ramp((value - low) / Math.max(1e-9, high - low)));
        context.fillRect(x, y, 1, 1);
    }));
    return canvas;
}

function side(item, grid) {
    const map = heat(grid, `Agreement over ${item.id}`);
    return { map, figure: make('figure', {}, make('div', { class: 'stack' }, picture(item), map), make('figcaption', {}, `${item.collection}/${item.id}`)) };
}

/** Grids as the answer has them: rows of numbers, or one list with its shape. */
export function rowsOf(grid, shape) {
    if (!Array.isArray(grid)) return [];
    if (Array.isArray(grid[0])) return grid;
    const columns = shape?.[1] ?? Math.round(Math.sqrt(grid.length));
    return Array.from({ length: Math.floor(grid.length / columns) }, (_, y) => grid.slice(y * columns, (y + 1) * columns));
}

export async function explanation(a, b) {
    const name = (item) => encodeURIComponent(`${item.collection}/${item.id}`);
    const answer = await ask(`explain?a=${name(a)}&b=${name(b)}`);
    const left = side(a, rowsOf(answer.a?.grid, answer.a?.shape));
    const right = side(b, rowsOf(answer.b?.grid, answer.b?.shape));
    const slider = make('input', { type: 'range', min: 0, max: 100, value: 60, 'aria-label': 'Strength of the heat map' });
    const fade = () => [left.map, right.map].forEach((map) => { map.style.opacity = String(slider.value / 100); });
    slider.addEventListener('input', fade);
    fade();
    return make('div', { class: 'explanation' },
        make('p', {}, ...summary(answer)),
        make('div', { class: 'twins' }, left.figure, right.figure),
        make('label', { class: 'row' }, 'heat map', slider),
        make('p', { class: 'quiet' }, 'Yellow parts find their like in the other tile; dark ones do not.'));
}

function summary(answer) {
    const words = [];
    if (Number.isFinite(answer.score)) words.push('Cosine ', make('b', {}, answer.score.toFixed(3)));
    if (Number.isFinite(answer.percentile)) words.push(`, higher than ${answer.percentile.toFixed(2)} % of random pairs in this direction`);
    return words;
}
