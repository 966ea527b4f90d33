// SOURCES.txt of the built page: the SHA-256 of each file that the bundle was built from, so that a test without npm tells when dist is stale.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';

const roots = ['index.html', 'train.html', 'package-lock.json', 'package.json', 'public', 'sources.mjs', 'src', 'vite.config.js'];

function files(path) {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path).sort().flatMap((name) => files(`${path}/${name}`));
}

export function recordSources(folder) {
    const lines = roots.flatMap(files).map((path) => {
        const hash = createHash('sha256').update(readFileSync(path)).digest('hex');
        return `${hash}  ${path}\n`;
    });
    writeFileSync(`${folder}/SOURCES.txt`, lines.join(''));
}
