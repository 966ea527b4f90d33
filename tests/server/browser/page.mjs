// A browser that looks at the page, and what all stories ask of it.

import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';

const axe = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

export async function open(pictures) {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
    const context = await browser.newContext({ viewport: { width: 1440, height: 860 }, permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await context.newPage();
    const faults = [];
    page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
    page.on('console', (message) => /Content Security Policy|Refused to/.test(message.text()) && faults.push(message.text()));
    page.on('request', (request) => {
        if (!/^(http:\/\/127\.0\.0\.1:|blob:|data:)/.test(request.url())) faults.push(`asked for ${request.url()}`);
    });
    const shot = (name) => (pictures ? page.screenshot({ path: `${pictures}/${name}.png` }) : null);
    return { browser, page, faults, shot };
}

/* The script is handed over by the browser's debugger, which the page's policy does not bind. */
export async function accessible(page, view) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
    const said = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join('; ')}`);
    assert.deepEqual(said, [], `axe-core on ${view}`);
}

export const hits = (page) => page.locator('#hits .card').count();
export const searched = (page) => page.waitForFunction(() => /^\d+ hits?,|^No tile/.test(document.getElementById('count').textContent));
