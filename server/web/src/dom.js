// Elements from data. Text is only ever set as text, so that a name with markup in it is shown and not run.

export const $ = (id) => document.getElementById(id);

/** make('button', {type: 'button', class: 'x', onclick: f, 'aria-pressed': true}, child, 'text', ...) */
export function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
        else if (name === 'value') element.value = value;
        else element.setAttribute(name, value === true && !name.startsWith('aria-') ? '' : String(value));
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
}

export function fill(element, ...children) {
    element.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
    return element;
}

export function button(text, onclick, attributes = {}) {
    return make('button', { type: 'button', onclick, ...attributes }, text);
}

/** Addresses from the server are followed only if they are ones of the web. */
export function safeAddress(address) {
    try {
        const url = new URL(address, document.baseURI);
        return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : '';
    } catch {
        return '';
    }
}

const dialog = make('dialog', { 'aria-labelledby': 'dialog-title' });

/** One dialog serves all; Escape, its button or closeDialog() close it. */
export function openDialog(title, ...content) {
    fill(dialog, make('div', { class: 'row spread' }, make('h2', { id: 'dialog-title' }, title),
        button('✕', closeDialog, { 'aria-label': 'Close' })), make('div', {}, ...content));
    if (!dialog.isConnected) document.body.append(dialog);
    if (!dialog.open) dialog.showModal();
}

export const closeDialog = () => dialog.close();
export const isDialogOpen = () => dialog.open;
/** Calls back once, when the dialog is closed. */
export const onDialogClose = (done) => dialog.addEventListener('close', done, { once: true });
