// The map: land and borders of world-atlas, tiles as footprints, hits coloured by score.

import OlMap from 'ol/Map.js';
import View from 'ol/View.js';
import GeoJSON from 'ol/format/GeoJSON.js';
import TopoJSON from 'ol/format/TopoJSON.js';
import Graticule from 'ol/layer/Graticule.js';
import VectorLayer from 'ol/layer/Vector.js';
import VectorSource from 'ol/source/Vector.js';
import Draw, { createBox } from 'ol/interaction/Draw.js';
import ScaleLine from 'ol/control/ScaleLine.js';
import Zoom from 'ol/control/Zoom.js';
import { fromExtent } from 'ol/geom/Polygon.js';
import Feature from 'ol/Feature.js';
import { fromLonLat, transformExtent } from 'ol/proj.js';
import { containsExtent, getCenter } from 'ol/extent.js';
import { Circle, Fill, Stroke, Style } from 'ol/style.js';
import Point from 'ol/geom/Point.js';
import worldAddress from 'world-atlas/countries-50m.json?url';
import { css, ramp } from './colour.js';
import { $, fill, make } from './dom.js';

const toMap = { dataProjection: 'EPSG:4326', featureProjection: 'EPSG:3857' };
const format = new GeoJSON();
const tiles = new VectorSource();
const hits = new VectorSource();
const probe = new VectorSource();
const box = new VectorSource();
let map;
let range = [0, 1];
let selected = '';

const tileStyle = new Style({ stroke: new Stroke({ color: 'rgba(60,75,95,0.55)', width: 1 }), fill: new Fill({ color: 'rgba(60,75,95,0.06)' }) });
const probeStyle = [
    new Style({ stroke: new Stroke({ color: '#ffffff', width: 6 }) }),
    new Style({ stroke: new Stroke({ color: '#c2185b', width: 3 }) }),
];
const boxStyle = new Style({ stroke: new Stroke({ color: '#1a4f8a', width: 2, lineDash: [6, 4] }), fill: new Fill({ color: 'rgba(26,79,138,0.05)' }) });

const share = (score) => (score - range[0]) / Math.max(1e-9, range[1] - range[0]);

/* A footprint is a few pixels from far off: a dot keeps it to be seen. */
function hitStyle(feature, resolution) {
    const colour = ramp(share(feature.get('score')));
    const chosen = feature.get('name') === selected;
    const extent = feature.getGeometry().getExtent();
    const small = (extent[2] - extent[0]) / resolution < 9;
    const stroke = new Stroke({ color: chosen ? '#111' : css(colour.map((v) => Math.round(v * 0.6))), width: chosen ? 3 : 1.5 });
    const paint = new Fill({ color: css(colour, small ? 0.95 : 0.72) });
    const z = (chosen ? 10 : 0) + feature.get('score');
    if (!small) return new Style({ stroke, fill: paint, zIndex: z });
    return new Style({ geometry: new Point(getCenter(extent)), image: new Circle({ radius: chosen ? 8 : 5.5, fill: paint, stroke }), zIndex: z });
}

function probeStyleAt(feature, resolution) {
    const extent = feature.getGeometry().getExtent();
    if ((extent[2] - extent[0]) / resolution >= 9) return probeStyle;
    return new Style({
        geometry: new Point(getCenter(extent)),
        image: new Circle({ radius: 8, stroke: new Stroke({ color: '#c2185b', width: 3 }) }),
    });
}

async function loadWorld(source) {
    const answer = await fetch(worldAddress);
    const world = await answer.json();
    source.addFeatures(new TopoJSON({ layers: ['countries'] }).readFeatures(world, toMap));
}

/* The part of the world that is to be seen: west, south, east, north in degrees; west > east across the date line. */
function inView() {
    const [west, south, east, north] = transformExtent(map.getView().calculateExtent(), 'EPSG:3857', 'EPSG:4326');
    const wrap = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;
    const sides = east - west >= 360 ? [-180, 180] : [wrap(west), wrap(east)];
    return [sides[0], south, sides[1], north].map((value) => Number(value.toFixed(5)));
}

export function openMap({ onPick, onBox, onView }) {
    const world = new VectorSource();
    map = new OlMap({
        target: 'map',
        controls: [new Zoom(), new ScaleLine()],
        layers: [
            new VectorLayer({
                source: world,
                style: new Style({ fill: new Fill({ color: '#f6f3ec' }), stroke: new Stroke({ color: '#b9b3a5', width: 1 }) }),
            }),
            new Graticule({ strokeStyle: new Stroke({ color: 'rgba(70,90,110,0.16)', width: 1 }), showLabels: true, wrapX: false }),
            new VectorLayer({ source: tiles, style: tileStyle }),
            new VectorLayer({ source: box, style: boxStyle }),
            new VectorLayer({ source: hits, style: hitStyle, renderOrder: null }),
            new VectorLayer({ source: probe, style: probeStyleAt }),
        ],
        view: new View({ center: fromLonLat([10, 25]), zoom: 2, maxZoom: 17 }),
    });
    loadWorld(world).catch(() => {}); /* tiles are to be seen without it */
    map.on('singleclick', (event) => {
        if (drawing) return;
        const names = new Set();
        map.forEachFeatureAtPixel(event.pixel, (feature) => feature.get('name') && names.add(feature.get('name')), { hitTolerance: 3 });
        onPick([...names]);
    });
    map.on('pointermove', (event) => {
        const over = map.hasFeatureAtPixel(event.pixel, { layerFilter: (layer) => [tiles, hits].includes(layer.getSource()) });
        map.getTargetElement().classList.toggle('over', over);
    });
    boxDrawn = onBox;
    let moving;
    map.on('moveend', () => {
        clearTimeout(moving);
        moving = setTimeout(() => onView(inView()), 200);
    });
}

function read(item, extra) {
    if (!item.geometry) return [];
    const geometry = format.readGeometry(item.geometry, toMap);
    return [new Feature({ geometry, name: `${item.collection}/${item.id}`, ...extra })];
}

export function showTiles(items) {
    tiles.clear();
    tiles.addFeatures(items.flatMap((item) => read(item, {})));
}

/** Moves the map to where the tiles are. */
export const goToTiles = () => fit(tiles);

export function showProbe(item) {
    probe.clear();
    if (item) probe.addFeatures(read(item, {}));
}

export function showHits(items) {
    hits.clear();
    const scores = items.map((item) => item.properties['sim:score']).filter(Number.isFinite);
    range = scores.length ? [Math.min(...scores), Math.max(...scores)] : [0, 1];
    hits.addFeatures(items.flatMap((item) => read(item, { score: item.properties['sim:score'] })));
    showLegend(scores.length > 0);
    if (items.length) fit(hits);
}

export const colourOf = (score) => css(ramp(share(score)));

export function select(name, move) {
    selected = name;
    hits.changed();
    const feature = hits.getFeatures().find((one) => one.get('name') === name);
    if (!feature || !move) return;
    const extent = feature.getGeometry().getExtent();
    if (!containsExtent(map.getView().calculateExtent(), extent)) map.getView().animate({ center: getCenter(extent), duration: 200 });
}

function fit(source) {
    const extent = source.getExtent();
    if (extent && Number.isFinite(extent[0])) map.getView().fit(extent, { padding: [50, 50, 60, 50], maxZoom: 12 });
}

function showLegend(shown) {
    const legend = $('legend');
    legend.hidden = !shown;
    if (!shown) return;
    const strip = make('canvas', { width: 140, height: 10, 'aria-hidden': 'true' });
    const context = strip.getContext('2d');
    for (let x = 0; x < 140; x++) {
        context.fillStyle = css(ramp(x / 139));
        context.fillRect(x, 0, 1, 10);
    }
    fill(legend, make('span', {}, `score ${range[0].toFixed(2)}`), strip, make('span', {}, range[1].toFixed(2)));
}

let drawing = null;
let boxDrawn = () => {};

export function drawBox(on) {
    if (drawing) map.removeInteraction(drawing);
    drawing = null;
    if (!on) return;
    drawing = new Draw({ type: 'Circle', geometryFunction: createBox() });
    drawing.on('drawend', (event) => {
        const extent = transformExtent(event.feature.getGeometry().getExtent(), 'EPSG:3857', 'EPSG:4326');
        setTimeout(() => drawBox(false)); /* the click that ends the box picks nothing */
        boxDrawn(extent.map((value) => Number(value.toFixed(4))));
    });
    map.addInteraction(drawing);
}

export function showBox(bbox) {
    box.clear();
    if (!bbox) return;
    const [west, south, east, north] = bbox;
    const parts = west <= east ? [[west, east]] : [[west, 180], [-180, east]];
    for (const [w, e] of parts)
        box.addFeature(new Feature(fromExtent(transformExtent([w, Math.max(-85, south), e, Math.min(85, north)], 'EPSG:4326', 'EPSG:3857'))));
}
