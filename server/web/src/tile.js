// A tile as a picture: alone, or with the other tile of its place under a slider.

import { imageAddress, item as getItem } from './api.js';
import { make, safeAddress } from './dom.js';

export function picture(item, text) {
    const address = safeAddress(item.assets?.thumbnail?.href ?? '');
    const image = make('img', { alt: text ?? `${item.collection} tile ${item.id}`, loading: 'lazy', draggable: 'false' });
    if (address) imageAddress(address).then((shown) => shown && image.setAttribute('src', shown), () => {});
    return image;
}

/** The tiles of the same place in the other collections; tiles of a place share their name. */
export async function pairOf(item, collections) {
    const others = collections.filter((name) => name !== item.collection);
    const found = await Promise.allSettled(others.map((name) => getItem(`${name}/${item.id}`)));
    return found.filter((one) => one.status === 'fulfilled').map((one) => one.value);
}

/** Left of the slider `left`, right of it `right`. */
export function swipe(left, right) {
    const over = picture(left, '');
    const slider = make('input', {
        type: 'range', min: 0, max: 100, value: 50, class: 'slider',
        'aria-label': `Swipe between ${left.collection} and ${right.collection}`,
    });
    const line = make('div', { class: 'line', 'aria-hidden': 'true' });
    const move = () => {
        over.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
        line.style.left = `${slider.value}%`;
    };
    slider.addEventListener('input', move);
    const frame = make('div', { class: 'swipe' }, picture(right, `${left.collection} and ${right.collection} tile ${left.id}`), over, line,
        make('span', { class: 'tag left' }, left.collection), make('span', { class: 'tag right' }, right.collection), slider);
    over.className = 'over';
    move();
    return frame;
}

export function when(item) {
    const p = item.properties;
    return p.datetime ? p.datetime.slice(0, 10) : '';
}

export const isSimulated = (item) => item.properties?.simulated === true || item.properties?.['dip:simulated'] === true;
