// Tiles by day or month, as bars. Dragging over the bars chooses a span of time.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { $ } from './dom.js';

let chart = null;

/* By the day as long as the bars stay wide enough to be hit. */
function count(items) {
    const days = items.map((item) => Date.parse((item.properties.datetime ?? '').slice(0, 10)) / 1000).filter(Number.isFinite);
    const span = days.reduce((most, day) => Math.max(most, day), -Infinity) - days.reduce((least, day) => Math.min(least, day), Infinity);
    const byDay = span < 90 * 86400;
    const counts = new Map();
    for (const one of days) {
        const date = new Date(one * 1000);
        const begin = byDay ? one : Date.UTC(date.getUTCFullYear(), date.getUTCMonth()) / 1000;
        counts.set(begin, (counts.get(begin) ?? 0) + 1);
    }
    const begins = [...counts.keys()].sort((a, b) => a - b);
    return { byDay, data: [begins, begins.map((begin) => counts.get(begin))] };
}

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

export function showHistogram(items, onSpan) {
    const place = $('histogram');
    chart?.destroy();
    chart = null;
    const { byDay, data } = count(items);
    place.hidden = data[0].length === 0;
    if (place.hidden) return;
    place.setAttribute('aria-label', `Tiles by ${byDay ? 'day' : 'month'}: ${data[0].map((begin, i) => `${day(begin).slice(0, byDay ? 10 : 7)} ${data[1][i]}`).join(', ')}`);
    const margin = (byDay ? 3 : 31) * 86400;
    chart = new uPlot({
        width: place.clientWidth || 250,
        height: 96,
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { setScale: false, x: true, y: false } },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), 'UTC'),
        scales: { x: { range: [data[0][0] - margin, data[0].at(-1) + margin] }, y: { range: (u, low, high) => [0, high] } },
        axes: [{ size: 30, stroke: '#4a5563', grid: { show: false }, space: 60 }, { show: false }],
        series: [{}, { fill: '#4c78a8', stroke: '#4c78a8', paths: uPlot.paths.bars({ size: [0.8, 26] }), points: { show: false } }],
        hooks: {
            setSelect: [(u) => {
                if (u.select.width < 2) return;
                onSpan(day(u.posToVal(u.select.left, 'x')), day(u.posToVal(u.select.left + u.select.width, 'x')));
            }],
        },
    }, data, place);
}
