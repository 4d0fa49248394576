// Opens a recording in the real Rerun web viewer in headless Chromium and tells, as JSON, what the viewer made of it.
//
//   node viewer.mjs [--screenshot OUT.png] [--resave OUT.rrd] [--timeline NAME] [--size WxH] [--timeout SECONDS] FILE
//
// Printed: {"application_id", "recording_id", "version", "opened" (how many recording_open events), "finished" (the data
// source was read to its end), "time_range", "problems": [warnings and errors]}. --resave lets the viewer write the
// recording again with Rerun's own encoder (its Ctrl+S). Exit 0: the viewer took the file to its end; 1: it did not;
// 2: usage. The browser is $RRDKIT_CHROMIUM, else chromium from PATH. Nothing outside this machine is contacted.
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const viewerDirectory = join(here, 'node_modules', '@rerun-io', 'web-viewer');

const PAGE = `<!doctype html><meta charset="utf-8"><title>rrdkit</title>
<style>html, body, #viewer { margin: 0; width: 100%; height: 100%; overflow: hidden; background: #000; }</style>
<div id="viewer"></div>
<script type="module">
  import { WebViewer } from '/viewer/index.js';
  const viewer = new WebViewer();
  const state = { ready: false, opened: [] };
  window.rk = { viewer, state };
  viewer.on('ready', () => { state.ready = true; });
  viewer.on('recording_open', (event) => { state.opened.push(event); });
  viewer.start(location.origin + '/data/recording.rrd', document.getElementById('viewer'), {
    render_backend: 'webgl', hide_welcome_screen: true, width: '100%', height: '100%', theme: 'dark',
  }).catch((error) => console.error('viewer did not start: ' + error));
</script>`;

// The viewer logs tens of thousands of debug lines; only the one that tells the end of a source may pass.
const MUTE = `(() => {
  const debug = console.debug.bind(console);
  console.debug = (...parts) => {
    if (parts.some((part) => typeof part === 'string' && /Data source .* has (finished|left)/.test(part))) debug(...parts);
  };
})();`;

// Lines about the browser, its missing GPU and its missing network, none of which speak of the recording.
const NOT_ABOUT_DATA = [
  /GPU stall due to ReadPixels/,
  /GL Driver Message/,
  /WebGL|webgl|wgpu|swiftshader/i,
  /software rasterizer|software rendering/i,
  /net::ERR_NAME_NOT_RESOLVED|ERR_INTERNET_DISCONNECTED/,
  /favicon/,
  /eframe::web|AudioContext|deprecated parameters for the initialization function/,
];

function fail(message) {
  process.stderr.write(`viewer.mjs: ${message}\n`);
  process.exit(2);
}

function options() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        screenshot: { type: 'string' },
        resave: { type: 'string' },
        timeline: { type: 'string', default: 'log_time' },
        size: { type: 'string', default: '1280x720' },
        timeout: { type: 'string', default: '120' },
      },
    });
  } catch (error) {
    fail(error.message);
  }
  const size = /^(\d+)x(\d+)$/.exec(parsed.values.size);
  const timeout = Number(parsed.values.timeout);
  if (parsed.positionals.length !== 1 || !size || !(timeout > 0)) {
    fail('usage: [--screenshot OUT.png] [--resave OUT.rrd] [--timeline NAME] [--size WxH] [--timeout SECONDS] FILE');
  }
  const file = parsed.positionals[0];
  if (!existsSync(file)) fail(`${file}: no such file`);
  return { ...parsed.values, file, width: Number(size[1]), height: Number(size[2]), timeout: timeout * 1000 };
}

function findChromium() {
  if (process.env.RRDKIT_CHROMIUM) return process.env.RRDKIT_CHROMIUM;
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome-stable']) {
      const candidate = join(directory, name);
      if (existsSync(candidate)) return candidate;
    }
  }
  return fail('no chromium in PATH and RRDKIT_CHROMIUM is not set');
}

function serve(file) {
  const types = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.rrd': 'application/octet-stream' };
  const send = (response, path) => {
    const extension = /\.[a-z]+$/.exec(path)?.[0] ?? '';
    response.writeHead(200, {
      'Content-Type': types[extension] ?? 'application/octet-stream',
      'Content-Length': statSync(path).size,
      'Cache-Control': 'no-store',
    });
    createReadStream(path).pipe(response);
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname;
    if (path === '/') {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
      response.end(PAGE);
    } else if (path === '/data/recording.rrd') {
      send(response, file);
    } else if (path.startsWith('/viewer/')) {
      const name = basename(path) === 're_viewer' ? 're_viewer.js' : basename(path);
      const target = join(viewerDirectory, name);
      if (existsSync(target)) return send(response, target);
      response.writeHead(404).end();
    } else {
      response.writeHead(path === '/favicon.ico' ? 204 : 404).end();
    }
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

// Resolves to false when `check` did not come true in time.
async function until(check, timeout) {
  const end = Date.now() + timeout;
  for (;;) {
    if (await check()) return true;
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function resave(page, target, timeout) {
  await page.evaluate(() => {
    const canvas = window.rk.viewer.canvas;
    canvas.tabIndex = 0;
    canvas.focus();
  });
  await page.keyboard.press('Control+s');
  await page.waitForSelector('a#rfd-output[href^="blob:"]', { state: 'attached', timeout });
  const encoded = await page.evaluate(async () => {
    const blob = await (await fetch(document.getElementById('rfd-output').href)).blob();
    return await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(blob);
    });
  });
  writeFileSync(target, Buffer.from(encoded, 'base64'));
  await page.locator('#rfd-card').getByText('Ok', { exact: true }).click({ timeout });
}

async function shoot(page, option, recording) {
  await page.evaluate(({ id, timeline }) => {
    const viewer = window.rk.viewer;
    viewer.set_active_timeline(id, timeline);
    viewer.set_playing(id, false);
    const range = viewer.get_time_range(id, timeline);
    // Times pass through f64 here, which is off by up to 128 ns; the viewer clamps.
    if (range) viewer.set_current_time(id, timeline, range.max + 1024);
    viewer.toggle_panel_overrides(true);
    viewer.override_panel_state('selection', 'hidden');
    viewer.override_panel_state('top', 'hidden');
  }, { id: recording, timeline: option.timeline });
  // The first drawings compile shaders; two equal pictures in a row mean that the picture stands.
  let last = null;
  for (let round = 0; round < 20; round++) {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const picture = await page.screenshot({ timeout: option.timeout });
    if (last !== null && round >= 2 && Math.abs(picture.length - last.length) < 200) {
      last = picture;
      break;
    }
    last = picture;
  }
  writeFileSync(option.screenshot, last);
}

async function look(context, origin, option) {
  const page = await context.newPage();
  const problems = [];
  let finished = false;
  let gaveUp = false;
  page.on('console', (message) => {
    const text = message.text();
    if (/Data source .* has finished/.test(text)) finished = true;
    if (/Data source.* has left/.test(text)) gaveUp = true;
    if (!['warning', 'error'].includes(message.type()) && !/^\s*(WARN|ERROR)\b/.test(text.replace(/%c/g, ''))) return;
    if (!NOT_ABOUT_DATA.some((pattern) => pattern.test(text))) problems.push(text);
  });
  page.on('pageerror', (error) => problems.push(`page: ${error.message}`));
  page.on('crash', () => problems.push('the page crashed'));
  await page.addInitScript(MUTE);
  await page.goto(origin, { timeout: option.timeout });
  const opened = () => page.evaluate(() => (window.rk?.state.opened.length ?? 0) > 0);
  await until(async () => gaveUp || (finished && (await opened())), option.timeout);
  const complete = finished && (await opened());
  const events = await page.evaluate(() => window.rk?.state.opened ?? []);
  const result = {
    application_id: events[0]?.application_id ?? null,
    recording_id: events[0]?.recording_id ?? null,
    version: events[0]?.version ?? null,
    opened: events.length,
    finished: complete,
    time_range: null,
    problems,
  };
  if (complete) {
    if (option.resave) await resave(page, option.resave, option.timeout);
    result.time_range = await page.evaluate(
      ({ id, timeline }) => window.rk.viewer.get_time_range(id, timeline),
      { id: result.recording_id, timeline: option.timeline });
    if (option.screenshot) await shoot(page, option, result.recording_id);
    result.opened = await page.evaluate(() => window.rk.state.opened.length);
  }
  await page.close();
  return result;
}

const option = options();
const executablePath = findChromium();
const server = await serve(option.file);
const profile = mkdtempSync(join(tmpdir(), 'rrdkit-viewer-'));
let result = null;
try {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    timeout: option.timeout,
    colorScheme: 'dark',
    viewport: { width: option.width, height: option.height },
    args: ['--headless=new', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'],
  });
  try {
    const origin = `http://127.0.0.1:${server.address().port}/`;
    result = await look(context, origin, option);
    if (!result.finished && result.problems.length === 0) {
      process.stderr.write('viewer.mjs: the page did not come up; once more\n');
      result = await look(context, origin, option);
    }
  } finally {
    await context.close();
  }
} finally {
  server.close();
  server.closeAllConnections();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
process.exitCode = result.finished ? 0 : 1;
