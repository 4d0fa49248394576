// Opens a recording in the real Rerun web viewer in headless Chromium and tells, as JSON, what the viewer made of it.
//
//   node viewer.mjs [--screenshot OUT.png] [--resave OUT.rrd] [--timeline NAME] [--size WxH] [--timeout SECONDS] FILE
//
// Printed: {"application_id", "recording_id", "version", "opened" (how many recording_open events), "finished" (the data
// source was read to its end), "time_range", "problems": [warnings and errors]}. --resave lets the viewer write the
// recording again with Rerun's own encoder (its Ctrl+S). Exit 0: the viewer took the file to its end; 1: it did not;
// 2: usage. The browser is $RRDKIT_CHROMIUM, else chromium from PATH. Nothing outside this machine is contacted.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTE, launch, picture, resave, until, watch } from './browser.mjs';

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
        timeout: { type: 'string', default: '280' },
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
  await picture(page, option.screenshot, option.timeout);
}

async function look(context, origin, option) {
  const page = await context.newPage();
  const problems = [];
  let finished = false;
  let gaveUp = false;
  watch(page, problems, (text) => {
    if (/Data source .* has finished/.test(text)) finished = true;
    if (/Data source.* has left/.test(text)) gaveUp = true;
  });
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
    if (option.resave) await resave(page, 'rk.viewer', option.resave, option.timeout);
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
const server = await serve(option.file);
let browser = null;
let result = null;
try {
  browser = await launch({ width: option.width, height: option.height }, option.timeout);
  const origin = `http://127.0.0.1:${server.address().port}/`;
  result = await look(browser.context, origin, option);
  if (!result.finished && result.problems.length === 0) {
    process.stderr.write('viewer.mjs: the page did not come up; once more\n');
    result = await look(browser.context, origin, option);
  }
} finally {
  await browser?.close();
  server.close();
  server.closeAllConnections();
}
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
process.exitCode = result.finished ? 0 : 1;
