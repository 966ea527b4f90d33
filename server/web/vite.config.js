import { defineConfig } from 'vite';
import { recordSources } from './sources.mjs';

// Relative addresses, so that the page works behind any prefix; nothing inlined, so that the content policy needs no exception.
export default defineConfig({
    base: './',
    build: {
        target: 'es2022',
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        rollupOptions: { input: ['index.html', 'train.html'] },
    },
    plugins: [{
        name: 'record-sources',
        apply: 'build',
        writeBundle: ({ dir }) => recordSources(dir),
    }],
});
