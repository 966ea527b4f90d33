// The server's API. A failure is an Error whose message is the server's own line, or says that the server is away. A server that
// wants a token gets one: the page asks for it and keeps it while its tab is open.

import { closeDialog, make, onDialogClose, openDialog } from './dom.js';

const root = new URL('../', document.baseURI);

export const address = (path) => new URL(path, root).href;
export const itemPath = (collection, id) => `collections/${encodeURIComponent(collection)}/items/${encodeURIComponent(id)}`;
export const itemName = (item) => `${item.collection}/${item.id}`;

/** "s1/NAME" into [collection, id]; a name may have more slashes. */
export function splitName(name) {
    const slash = name.indexOf('/');
    return slash < 0 ? ['', name] : [name.slice(0, slash), name.slice(slash + 1)];
}

const token = () => sessionStorage.getItem('diptych-token');
let typing = null;
let waiting = () => {};

const TRIES = 3; // of a request that the server has no room for
const LONGEST = 10; // seconds that the page waits before it asks again

/** Calls `told` with the seconds that a request waits, because the server is busy. */
export const onWait = (told) => { waiting = told; };

/* Several requests are refused at once: they wait for the same answer, true if there is a token to try. */
function typeToken() {
    typing ??= new Promise((done) => {
        const input = make('input', { id: 'token', type: 'password', autocomplete: 'off' });
        const form = make('form', { class: 'row' }, make('label', { for: 'token' }, 'Token'), input, make('button', { type: 'submit' }, 'Use'));
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            sessionStorage.setItem('diptych-token', input.value.trim());
            closeDialog();
            done(true);
        });
        const said = token() ? make('p', { class: 'fault', role: 'alert' }, 'The server does not know this token.') : null;
        openDialog('This server wants a token', ...[said, form].filter(Boolean));
        onDialogClose(() => done(false));
    }).finally(() => { typing = null; });
    return typing;
}

const pause = (seconds, signal) => new Promise((done, fail) => {
    const timer = setTimeout(done, 1000 * seconds);
    signal?.addEventListener('abort', () => { clearTimeout(timer); fail(signal.reason); }, { once: true });
});

async function send(path, options, tries = TRIES) {
    const headers = { ...options.headers, ...(token() ? { Authorization: `Bearer ${token()}` } : {}) };
    const response = await fetch(address(path), { ...options, headers });
    if (response.status === 401 && (await typeToken())) return send(path, options);
    if (response.status !== 503 || tries === 1) return response;
    const seconds = Math.min(LONGEST, Number(response.headers.get('Retry-After')) || 1);
    waiting(seconds);
    await pause(seconds, options.signal);
    return send(path, options, tries - 1);
}

/** An address that an image can show: the same, or with a token, which images cannot send, the bytes behind it. */
export async function imageAddress(path) {
    if (!token()) return path;
    const response = await send(path, {});
    return response.ok ? URL.createObjectURL(await response.blob()) : '';
}

export async function ask(path, options = {}) {
    let response;
    try {
        response = await send(path, options);
    } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new Error('The server does not answer. Is “diptych serve” still running?');
    }
    const text = await response.text();
    let answer = null;
    try {
        answer = JSON.parse(text);
    } catch {
        if (response.ok) throw new Error(`The server's answer to ${path} is no JSON.`);
    }
    if (!response.ok) {
        const error = new Error(answer?.description ?? `The server answered ${response.status} to ${path}.`);
        error.status = response.status;
        throw error;
    }
    return answer;
}

export function post(path, body, options = {}) {
    return ask(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
        ...options,
    });
}

export const item = (name) => ask(itemPath(...splitName(name)));
