// A browser at the page of rrd-replay, told what to do: one JSON object a line on standard input, one answer a line.
//
//   {"do": "open", "url"}               a fresh page; answers when the viewer shows the recording
//   {"do": "state"}                     what the page, the server and the viewer know: see look()
//   {"do": "key", "key"}                presses a key where the viewer has the focus
//   {"do": "bar", "share"}              clicks into the page's seek bar
//   {"do": "click", "id"}               clicks a button of the page
//   {"do": "measure", "seconds"}        the viewer's time_update events meanwhile: [[page's clock in ms, time], ...]
//   {"do": "finished"}                  waits until the viewer has read its stream to the end
//   {"do": "resave", "file"}            lets the viewer write what it has
//   {"do": "evaluate", "script"}        in the page
//   {"do": "size", "width", "height"}, {"do": "screenshot", "file", "settled"}
//   {"do": "close"}                     answers {problems, refused, hosts} of this page
//
// An answer is {"ok": value} or {"error": text}. The browser reaches nothing but this machine.
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { launch, picture, resave, until, watch } from './browser.mjs';

const TIMEOUT = 280000;
const SETTINGS = `window.replayViewerOptions = { render_backend: 'webgl' };
window.refused = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.refused.push(event.violatedDirective + ' ' + event.blockedURI);
});`;

let page = null;
let about = null; // of the page: problems, hosts, ended
let browser = null;

// The viewer's times are those of the active recording, in the replay's timeline.
const look = () => page.evaluate(() => {
  const { viewer, state, opened, position, viewerTime } = window.replay;
  const config = JSON.parse(document.getElementById('config').textContent);
  const recordings = [...opened];
  const id = viewer?.get_active_recording_id() ?? recordings[0];
  return {
    now: performance.now(), state, position, recordings, active: id,
    timeline: id ? viewer.get_active_timeline(id) : null, wanted: config.timeline,
    cursor: id ? viewer.get_current_time(id, config.timeline) : 0,
    playing: id ? viewer.get_playing(id) : null, range: id ? viewer.get_time_range(id, config.timeline) : null,
    event: viewerTime?.time ?? null, notice: document.getElementById('notice').textContent,
    shown: document.getElementById('time').textContent, url: window.replay.url,
  };
});

async function focus() {
  await page.evaluate(() => {
    const canvas = window.replay.viewer.canvas;
    canvas.tabIndex = 0;
    canvas.focus();
  });
}

// Does what tells the server something; answers when the page has heard of it. By itself the page says that it is ready.
async function tell(action) {
  const [response] = await Promise.all([
    page.waitForResponse((r) => r.url().endsWith('/control') && r.request().postData() !== 'ready', { timeout: TIMEOUT }),
    action(),
  ]);
  const { version } = await response.json();
  const heard = () => page.evaluate(() => window.replay.state.version);
  if (!(await until(async () => (await heard()) >= version, TIMEOUT))) throw new Error('the page does not hear of it');
  return look();
}

const actions = {
  async open({ url }) {
    page = await browser.context.newPage();
    about = { problems: [], hosts: new Set(), ended: 0 };
    const told = about;
    watch(page, told.problems, (text) => {
      if (/Data source .* has (finished|left)/.test(text)) told.ended++;
      if (/Content.Security.Policy/i.test(text)) told.problems.push(text);
    });
    page.on('request', (request) => told.hosts.add(/^(data|blob):/.exec(request.url())?.[0] ?? new URL(request.url()).host));
    await page.addInitScript(SETTINGS);
    await page.goto(url, { timeout: TIMEOUT });
    if (!(await until(() => page.evaluate(() => window.replay?.opened.size > 0 && window.replay.viewer !== null), TIMEOUT))) {
      throw new Error(`the viewer shows no recording: ${told.problems.join('; ')}`);
    }
    await focus();
    return look();
  },
  state: look,
  async key({ key }) {
    return tell(() => page.keyboard.press(key));
  },
  async bar({ share }) {
    const box = await page.locator('#track').boundingBox();
    return tell(() => page.mouse.click(box.x + share * box.width, box.y + box.height / 2));
  },
  async click({ id }) {
    return tell(() => page.locator(`#${id}`).click({ timeout: TIMEOUT }));
  },
  async measure({ seconds }) {
    return page.evaluate((ms) => new Promise((resolve) => {
      const events = [];
      const stop = window.replay.viewer.on('time_update', (event) => events.push([performance.now(), event.time]));
      setTimeout(() => { stop(); resolve(events); }, ms);
    }), seconds * 1000);
  },
  async finished() {
    if (!(await until(() => about.ended > 0, TIMEOUT))) throw new Error('the stream does not end');
    return look();
  },
  async resave({ file }) {
    await resave(page, 'replay.viewer', file, TIMEOUT);
    await focus();
  },
  evaluate: ({ script }) => page.evaluate(script),
  size: ({ width, height }) => page.setViewportSize({ width, height }),
  async screenshot({ file, settled }) {
    if (settled) await picture(page, file, TIMEOUT);
    else writeFileSync(file, await page.screenshot({ timeout: TIMEOUT }));
  },
  async close() {
    const refused = await page.evaluate(() => window.refused);
    await page.close();
    return { problems: about.problems, refused, hosts: [...about.hosts] };
  },
};

browser = await launch({ width: 1280, height: 720 }, TIMEOUT);
try {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer;
    try {
      const command = JSON.parse(line);
      answer = { ok: (await actions[command.do](command)) ?? null };
    } catch (error) {
      answer = { error: String(error.stack ?? error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
} finally {
  await browser.close();
}
