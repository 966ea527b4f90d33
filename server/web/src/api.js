// The server's API. A failure is an Error whose message is the server's own line, or says that the server is away.

const root = new URL('../', document.baseURI);

export const address = (path) => new URL(path, root).href;
export const itemPath = (collection, id) => `collections/${encodeURIComponent(collection)}/items/${encodeURIComponent(id)}`;
export const itemName = (item) => `${item.collection}/${item.id}`;

/** "s1/NAME" into [collection, id]; a name may have more slashes. */
export function splitName(name) {
    const slash = name.indexOf('/');
    return slash < 0 ? ['', name] : [name.slice(0, slash), name.slice(slash + 1)];
}

export async function ask(path, options = {}) {
    let response;
    try {
        response = await fetch(address(path), options);
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
