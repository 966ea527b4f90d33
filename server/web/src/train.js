// Trainings as they go: asks for the lines that came since the last time and draws them.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { ask } from './api.js';
import { $, fill, make } from './dom.js';

const every = 2000; // milliseconds between two looks
const charts = [
    { title: 'Loss', kind: 'step', series: [['loss', 'loss', '#31688e']] },
    { title: 'Recall@10 of held-out pairs', kind: 'evaluation', series: [['recall_forward', 'forward', '#31688e'], ['recall_backward', 'backward', '#b5367a']] },
    { title: 'Pairs a second', kind: 'step', series: [['pairs_per_second', 'pairs/s', '#2a7f62']] },
];
let after = 0;
let lines = [];
let timer = 0;
let drawn = [];

function dataOf(chart) {
    const rows = lines.filter((line) => line.kind === chart.kind && chart.series.some(([field]) => Number.isFinite(line[field])));
    return [rows.map((row) => row.step), ...chart.series.map(([field]) => rows.map((row) => row[field] ?? null))];
}

function open(chart) {
    const place = make('div', { class: 'plot' });
    const figure = make('figure', { class: 'chart' }, make('figcaption', {}, chart.title), place);
    $('charts').append(figure);
    const axis = { stroke: '#3b4654', grid: { stroke: '#e3e7ec', width: 1 }, ticks: { stroke: '#c5ccd5' } };
    const plot = new uPlot({
        width: place.clientWidth, height: 240, scales: { x: { time: false } },
        axes: [{ ...axis, label: 'step', labelSize: 18 }, { ...axis, size: 56 }],
        series: [{ label: 'step' }, ...chart.series.map(([, label, stroke]) => ({ label, stroke, width: 1.8, points: { show: chart.kind === 'evaluation' } }))],
    }, dataOf(chart), place);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 240 })).observe(place);
    return plot;
}

function draw(finished) {
    if (!drawn.length) drawn = charts.map(open);
    charts.forEach((chart, i) => drawn[i].setData(dataOf(chart)));
    const last = lines.findLast((line) => line.kind === 'step');
    const recall = lines.findLast((line) => line.kind === 'evaluation');
    const words = [finished ? 'finished' : 'not finished'];
    if (last) words.push(`step ${last.step}`, `loss ${last.loss?.toFixed(3)}`);
    if (recall) words.push(`recall@10 ${recall.recall_forward?.toFixed(3)} and ${recall.recall_backward?.toFixed(3)}`);
    if (!last) words.push('no step yet');
    $('state').textContent = words.join(', ');
}

function showConfig(config) {
    const rows = Object.entries(config ?? {}).flatMap(([section, fields]) =>
        Object.entries(fields).map(([key, value]) => make('tr', {}, make('th', { scope: 'row' }, `${section}.${key}`), make('td', {}, value))));
    fill($('settings').querySelector('table'), make('tbody', {}, ...rows));
}

async function look(id) {
    clearTimeout(timer);
    try {
        let answer;
        do {
            answer = await ask(`runs/${encodeURIComponent(id)}?after=${after}`);
            if ($('run').value !== id) return;
            if (answer.from < after) lines = [];
            lines.push(...answer.lines);
            after = answer.next;
        } while (answer.more);
        fill($('fault'));
        showConfig(answer.config);
        draw(answer.finished);
        if (!answer.finished) timer = setTimeout(() => look(id), every);
    } catch (error) {
        fill($('fault'), make('p', { class: 'fault' }, error.message));
        timer = setTimeout(() => look(id), every);
    }
}

function choose(id) {
    after = 0;
    lines = [];
    history.replaceState(null, '', `#${encodeURIComponent(id)}`);
    look(id);
}

async function begin() {
    try {
        const { runs } = await ask('runs');
        if (!runs.length) {
            $('state').textContent = 'This archive has no training yet: diptych train begins one.';
            return;
        }
        fill($('run'), ...runs.map((run) => make('option', { value: run.id }, run.finished ? run.id : `${run.id} (not finished)`)));
        const wanted = decodeURIComponent(location.hash.slice(1));
        const first = runs.find((run) => run.id === wanted) ?? runs.find((run) => !run.finished) ?? runs[0];
        $('run').value = first.id;
        $('run').addEventListener('change', (event) => choose(event.target.value));
        choose(first.id);
    } catch (error) {
        fill($('fault'), make('p', { class: 'fault' }, error.message));
    }
}

begin();
