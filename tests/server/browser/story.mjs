// The whole story on a real archive: a radar file is dropped, its optical look-alikes come, they are refined, swiped, explained and
// saved, and the address opens the same page again. usage: node story.mjs <address> <radar file> <from> <to> [folder of pictures]

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { accessible, hits, open, searched } from './page.mjs';

const [base, file, from, to, pictures] = process.argv.slice(2); // the file is called as a tile of the archive
const { browser, page, faults, shot } = await open(pictures);
const names = () => page.locator('#hits .card').evaluateAll((cards) => cards.map((card) => card.dataset.name));
/* The next answer: the count says so anew. */
const again = async (act) => {
    const answered = page.waitForResponse((response) => response.url().endsWith('/search'));
    await act();
    assert.equal((await answered).status(), 200);
    await searched(page);
};

async function drop(path) {
    const bytes = [...readFileSync(path)];
    await page.evaluate(([numbers, name]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(numbers)], name, { type: 'image/tiff' }));
        for (const kind of ['dragover', 'drop'])
            document.getElementById('drop').dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
    }, [bytes, basename(path)]);
}

try {
    await page.goto(`${base}/ui/`);
    await page.waitForFunction(() => /fit the filters/.test(document.getElementById('count').textContent));
    await accessible(page, 'the first view');

    if (process.env.BANDS) await page.fill('#bands', process.env.BANDS);
    await again(() => drop(file));
    assert.ok((await hits(page)) > 0, 'a dropped file has hits');
    assert.ok((await names()).every((name) => name.startsWith(`${to}/`)), `hits are ${to}`);
    await accessible(page, 'hits of a file');
    await shot('dropped');
    await page.locator('.card').nth(0).focus();
    await page.keyboard.press('e');
    await page.waitForSelector('canvas.heat');
    await shot('dropped-explained');
    await page.keyboard.press('Escape');
    const dropped = await names();
    await page.reload();
    await searched(page);
    assert.deepEqual(await names(), dropped, 'the address opens the search of a file that was sent');

    await page.fill('#find-id', `${from}/${basename(file).replace(/\.tif$/, '')}`);
    await again(() => page.press('#find-id', 'Enter'));
    const first = await names();
    const scores = await page.locator('.score b').allInnerTexts();
    assert.deepEqual(scores.map(Number), scores.map(Number).sort((a, b) => b - a), 'best first');

    await page.waitForSelector('.card.selected .swipe .slider');
    const slider = page.locator('.card.selected .swipe .slider');
    await slider.fill('20');
    assert.equal(await page.locator('.card.selected .swipe .over').evaluate((image) => image.style.clipPath), 'inset(0px 80% 0px 0px)');
    await shot('story');

    await page.keyboard.press('Escape');
    await page.locator('.card').nth(1).focus();
    await page.keyboard.press('j');
    await again(() => page.keyboard.press('+'));
    assert.equal(await page.locator('#refine .chip.positive').count(), 1);
    assert.notDeepEqual(await names(), first, 'an example changes the hits');
    await again(() => page.locator('.card').nth(4).getByRole('button', { name: /^Less like this/ }).click());
    assert.equal(await page.locator('#refine .chip.negative').count(), 1);
    await accessible(page, 'refined hits');
    await shot('refined');

    await page.locator('.card').nth(0).focus();
    await page.keyboard.press('e');
    await page.waitForSelector('canvas.heat');
    await accessible(page, 'an explanation');
    await shot('explained');
    await page.keyboard.press('Escape');

    await again(() => page.check('#one'));
    const before = { names: await names(), address: page.url(), chips: await page.locator('#refine').innerText() };
    const other = await browser.newPage();
    await other.goto(before.address);
    await searched(other);
    assert.deepEqual(await other.locator('#hits .card').evaluateAll((cards) => cards.map((card) => card.dataset.name)), before.names, 'the address opens the same page');
    assert.equal(await other.locator('#refine').innerText(), before.chips);
    assert.ok(await other.isChecked('#one'));
    await other.close();

    await page.click('#copy-open');
    const [curl, program] = await page.locator('.copy pre').allInnerTexts();
    const ids = before.names.map((name) => name.slice(name.indexOf('/') + 1));
    const run = (line) => execFileSync('bash', ['-c', line], { encoding: 'utf8' });
    assert.deepEqual(JSON.parse(run(curl)).features.map((hit) => hit.id), ids, 'the same hits by curl');
    if (process.env.ARCHIVE) {
        const said = run(program.replace('diptych query ARCHIVE', `"$DIPTYCH" query "$ARCHIVE" --json`));
        assert.deepEqual([...said.matchAll(/"rank":\d+.*?"(?:tile|name)":"([^"]*)"/g)].map((match) => match[1]), ids, 'the same hits by diptych query');
    }
    await page.keyboard.press('Escape');

    await page.click('#save');
    const link = await page.locator('dialog a').getAttribute('href');
    await accessible(page, 'a saved query');
    await shot('saved');
    const saved = await (await fetch(`${link}/items?limit=1000`)).json();
    assert.equal(saved.features.length, before.names.length, 'the saved query is a collection of the hits');
    await page.keyboard.press('Escape');

    /* All of it by keys: find a tile, look at the hits, take one as an example, swipe, read the explanation, save. */
    const key = (...names) => names.reduce((before, name) => before.then(() => page.keyboard.press(name)), Promise.resolve());
    await page.goto(`${base}/ui/`);
    await page.waitForFunction(() => /fit the filters/.test(document.getElementById('count').textContent));
    await key('/');
    await page.keyboard.type(`${from}/${basename(file).replace(/\.tif$/, '')}`);
    await again(() => key('Enter'));
    await page.evaluate(() => document.activeElement.blur());
    await key('j', 'j', 'k');
    assert.equal(await page.locator('.card.selected').evaluate((card) => [...card.parentElement.children].indexOf(card)), 1, 'j and k go through the hits');
    await again(() => key('+'));
    assert.equal(await page.locator('#refine .chip.positive').count(), 1, 'an example by keys');
    await page.waitForSelector('.card.selected .swipe .slider');
    const focused = () => page.evaluate(() => document.activeElement.className);
    for (let i = 0; i < 60 && (await focused()) !== 'slider'; i++) await key('Tab');
    assert.equal(await focused(), 'slider', 'the swipe is reached by Tab');
    const cut = () => page.locator('.card.selected .swipe .over').evaluate((image) => image.style.clipPath);
    const middle = await cut();
    await key('ArrowLeft', 'ArrowLeft');
    assert.notEqual(await cut(), middle, 'arrows swipe');
    await key('Escape');
    await page.evaluate(() => document.activeElement.blur());
    await key('e');
    await page.waitForSelector('canvas.heat');
    await key('Escape');
    assert.equal(await page.locator('dialog[open]').count(), 0);
    await page.focus('#copy-open');
    await key('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'save');
    await key('Enter');
    await page.waitForSelector('dialog a');
    await key('Escape');

    await page.goto(`${base}/ui/train`);
    await page.waitForFunction(() => /finished/.test(document.getElementById('state').textContent));
    assert.equal(await page.locator('.chart canvas').count(), 3);
    await accessible(page, 'training');
    await shot('trained');

    await page.setViewportSize({ width: 1280, height: 720 });
    await page.goto(before.address);
    await searched(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 1280), 'fits 1280 pixels');
    await shot('narrow');

    if (process.env.SIMULATED) {
        assert.match(await page.locator('#archive').innerText(), /simulated data/);
        assert.equal(await page.locator('#hits .chip.simulated').count(), await hits(page), 'each simulated tile says so');
    }
    assert.deepEqual(faults, []);
} finally {
    await browser.close();
}
console.log('the story: as it should be');
