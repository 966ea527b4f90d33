// Tiles by day, month or year, as bars. Dragging over the bars chooses a span of time.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { $ } from './dom.js';

let chart = null;

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

/** `frequency`: the aggregation datetime_frequency of the server. */
export function showHistogram(frequency, onSpan) {
    const place = $('histogram');
    chart?.destroy();
    chart = null;
    const kind = frequency.data_type.replace('interval_', '');
    const data = [frequency.buckets.map((one) => Date.parse(one.key) / 1000), frequency.buckets.map((one) => one.frequency)];
    place.hidden = data[0].length === 0;
    if (place.hidden) return;
    place.setAttribute('aria-label', `Tiles by ${kind}: ${data[0].map((begin, i) => `${day(begin).slice(0, { day: 10, month: 7, year: 4 }[kind])} ${data[1][i]}`).join(', ')}`);
    const margin = { day: 3, month: 31, year: 366 }[kind] * 86400;
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
