// Hostile names run nothing; failures and empty answers say what they are. usage: node strange.mjs <address of mock.mjs> [folder of pictures]

import assert from 'node:assert/strict';
import { accessible, hits, open, searched } from './page.mjs';

const [base, pictures] = process.argv.slice(2);
const { browser, page, faults, shot } = await open(pictures);
const fail = (path, status, description, times) => fetch(`${base}/fail`, { method: 'POST', body: JSON.stringify({ path, status, description, times }) });
const text = (selector) => page.locator(selector).innerText();

try {
    await page.goto(`${base}/ui/`);
    await page.waitForFunction(() => /fit the filters/.test(document.getElementById('count').textContent));
    await accessible(page, 'the empty page');
    await shot('begin');

    await page.waitForFunction(() => /^26 of 128 tiles here/.test(document.getElementById('seen').textContent));
    const footprints = page.waitForRequest((request) => /search\?bbox=/.test(request.url()));
    await page.focus('#map');
    await page.keyboard.press('+');
    const near = new URL((await footprints).url()).searchParams.get('bbox').split(',').map(Number);
    assert.ok(near[0] < near[2] && near[1] < near[3] && near[2] - near[0] < 5, 'footprints of what is to be seen');
    await page.click('#box-draw');
    await page.keyboard.press('Escape');
    assert.equal(await page.getAttribute('#box-draw', 'aria-pressed'), 'false', 'Escape ends drawing');

    await page.goto(`${base}/ui/#item=s1/T11SLT_007_01&k=30`);
    await page.reload();
    await searched(page);
    assert.equal(await hits(page), 30);
    assert.ok((await text('#hits')).includes('<img src=x onerror="window.ran=1">'), 'a name with markup is shown as text');
    for (let i = 0; i < 6; i++) await page.keyboard.press('j');
    await page.waitForSelector('.card.selected .swipe');
    assert.equal(await page.evaluate(() => window.ran), undefined, 'no name ran as a script');
    assert.equal(await page.locator('#hits script, #hits a[href^="javascript"], img[src^="javascript"]').count(), 0);
    await accessible(page, 'hits');
    await shot('hits');

    await page.keyboard.press('e');
    await page.waitForSelector('canvas.heat');
    await accessible(page, 'the explanation');
    await shot('explain');
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await accessible(page, 'the list of keys');
    await page.keyboard.press('Escape');
    await page.click('#copy-open');
    await accessible(page, 'copy as');
    await shot('copy');
    await page.keyboard.press('Escape');

    await page.fill('#bbox', '120,0,121,1');
    await page.press('#bbox', 'Enter');
    await searched(page);
    assert.match(await text('#count'), /No tile fits/);
    await accessible(page, 'no hits');

    await fail('/search', 409, "similarity: the archive has no index; 'diptych index' builds one");
    await page.click('#reset');
    await page.fill('#find-id', 's1/T11SLT_003_01');
    await page.press('#find-id', 'Enter');
    await page.waitForSelector('.fault');
    assert.match(await text('#fault'), /has no index; 'diptych index' builds one/, "the server's own line");
    await accessible(page, 'a failure');
    await shot('failure');
    await fail('/search', 0);

    await fail('/search', 503, 'too many requests at once', 1);
    await page.fill('#find-id', 's1/T11SLT_005_01');
    await page.press('#find-id', 'Enter');
    await page.waitForFunction(() => /asking again in 1 s/.test(document.getElementById('count').textContent));
    await searched(page);

    await fail('/encode', 415, 'body: not a GeoTIFF');
    await page.setInputFiles('#file', { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') });
    await page.waitForFunction(() => /not a GeoTIFF/.test(document.getElementById('fault').textContent));

    await page.route('**/search', (route) => route.abort());
    await page.click('#reset');
    await page.fill('#find-id', 's1/T11SLT_004_01');
    await page.press('#find-id', 'Enter');
    await page.waitForFunction(() => /does not answer/.test(document.getElementById('fault').textContent));

    await page.unroute('**/search');

    await fail('/collections', 401, 'a token is wanted');
    await page.goto(`${base}/ui/`);
    await page.waitForSelector('#token');
    await accessible(page, 'the question for a token');
    await page.fill('#token', '<img src=x onerror="window.ran=1">');
    await page.press('#token', 'Enter');
    await page.waitForFunction(() => /does not know this token/.test(document.querySelector('dialog').textContent));
    await accessible(page, 'a token that is not known');
    await page.fill('#token', 'secret');
    await page.press('#token', 'Enter');
    await page.waitForFunction(() => /fit the filters/.test(document.getElementById('count').textContent));
    await page.evaluate(() => sessionStorage.clear());
    await fail('/collections', 0);

    for (const [name, address] of [['phone-begin', ''], ['phone-hits', '#item=s1/T11SLT_007_01'], ['phone-train', 'train']]) {
        await page.setViewportSize({ width: 390, height: 844 });
        await page.goto(`${base}/ui/${address}`);
        if (name === 'phone-hits') {
            await page.reload();
            await searched(page);
        } else if (name === 'phone-train') {
            await page.waitForFunction(() => /finished/.test(document.getElementById('state').textContent));
        } else {
            await page.waitForFunction(() => /fit the filters/.test(document.getElementById('count').textContent));
        }
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 390), `${name} fits a phone`);
        await accessible(page, name);
        if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
    }
    await page.setViewportSize({ width: 1440, height: 860 });

    await page.goto(`${base}/ui/train`);
    await page.waitForFunction(() => /finished/.test(document.getElementById('state').textContent));
    await accessible(page, 'training');
    await shot('train');
    assert.equal(await page.evaluate(() => window.ran), undefined);
    assert.deepEqual(faults, []);
} finally {
    await browser.close();
}
console.log('hostile names, empty answers and failures: as they should be');
