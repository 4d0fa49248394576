// The page of rrd-replay: the Rerun web viewer above a bar of controls. The server tells the state of the replay
// (/events) and streams the rows (/data); this page moves the viewer's time cursor along.
import { WebViewer } from './viewer/index.js';

const config = JSON.parse(document.getElementById('config').textContent);
const at = (id) => document.getElementById(id);
const SPEEDS = ['0.1', '0.25', '0.5', '1', '1.5', '2', '4', '10', '100', 'max'];

// The viewer logs tens of thousands of debug lines while it loads; what it says of the end of a stream is kept.
const debug = console.debug.bind(console);
console.debug = (...parts) => {
  if (parts.some((part) => typeof part === 'string' && /Data source .* has (finished|left)/.test(part))) debug(...parts);
};

const replay = { state: null, received: 0, viewer: null, opened: new Set(), stream: 0, url: null, shown: null, position: 0, stats: null };
window.replay = replay; // for the console, and for tests

/* ---- Time: positions as offsets from the beginning, which doubles hold exactly enough ---- */

const first = () => BigInt(replay.state.first);
const length = () => Number(BigInt(replay.state.last) - first());

function position() {
  const s = replay.state;
  let offset = Number(BigInt(s.position) - first());
  if (s.playing && !s.buffering && !s.live && s.speed !== 'max') {
    offset += (performance.now() - replay.received) * 1e6 * s.rate * s.speed;
    if (s.loop && offset > length() && length() > 0) offset %= length();
  }
  return Math.max(0, Math.min(offset, Math.max(Number(BigInt(s.ready) - first()), 0), length()));
}

function duration(ns) {
  if (config.kind === 'sequence') return String(Math.round(ns));
  const total = Math.max(0, ns) / 1e9;
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const digits = length() < 60e9 ? 3 : length() < 3600e9 ? 1 : 0;
  const seconds = (Math.floor((total % 60) * 10 ** digits) / 10 ** digits).toFixed(digits).padStart(digits ? 3 + digits : 2, '0');
  return (hours ? hours + ':' + String(minutes).padStart(2, '0') : minutes) + ':' + seconds;
}

function absolute(offset) {
  const value = first() + BigInt(Math.round(offset));
  if (config.kind === 'sequence') return '#' + value;
  if (config.kind === 'duration') return (Number(value) / 1e9).toFixed(3) + ' s';
  const date = new Date(Number(value / 1000000n));
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().replace('T', ' ').replace('Z', ' UTC');
}

/* ---- The server ---- */

async function control(text) {
  try {
    const response = await fetch('control', { method: 'POST', body: text });
    if (response.ok) take(await response.json());
  } catch {
    notice('The replay does not answer any more. Is rrd-replay still running?');
  }
}

const seekTo = (offset) => control('seek ' + (first() + BigInt(Math.round(Math.max(0, Math.min(offset, length()))))));

function take(state) {
  const before = replay.state;
  replay.state = state;
  replay.received = performance.now();
  if (before && Number(state.window) > 0) {
    const back = state.loop && BigInt(state.position) < BigInt(before.position);
    if (state.jumps !== before.jumps || back) reopen();
  }
  if (!before) begin();
  show();
}

function connect() {
  const events = new EventSource('events');
  events.onmessage = (event) => {
    if (at('notice').dataset.lost) notice('');
    take(JSON.parse(event.data));
  };
  events.onerror = () => {
    notice('The replay does not answer any more. Is rrd-replay still running?');
    at('notice').dataset.lost = '1';
  };
}

/* ---- The viewer ---- */

function notice(text) {
  at('notice').textContent = text;
  delete at('notice').dataset.lost;
}

const dataUrl = (query) => new URL('data/' + replay.stream + '.rrd' + query, location.href).href;

// With a window the viewer drops what it has and gets what it needs at the new position.
function reopen() {
  if (!replay.viewer || !replay.url) return;
  replay.viewer.close(replay.url);
  replay.stream++;
  const from = BigInt(replay.state.position) - BigInt(replay.state.window);
  replay.url = dataUrl('?from=' + from);
  replay.opened.clear();
  replay.viewer.open(replay.url);
  replay.viewer.toggle_panel_overrides(true); // an idle viewer opens nothing until it repaints
}

async function begin() {
  const viewer = new WebViewer();
  const late = Number(replay.state.window) > 0 && BigInt(replay.state.position) > first();
  replay.url = dataUrl(late ? '?from=' + (BigInt(replay.state.position) - BigInt(replay.state.window)) : '');
  viewer.on('recording_open', (event) => {
    notice('');
    replay.opened.add(event.recording_id);
    viewer.set_active_timeline(event.recording_id, config.timeline);
    viewer.set_playing(event.recording_id, false);
    replay.shown = null;
    control('ready');
  });
  viewer.on('time_update', (time) => { replay.viewerTime = time; });
  try {
    await viewer.start(replay.url, at('viewer'), {
      hide_welcome_screen: true, width: '100%', height: '100%', theme: 'dark', ...window.replayViewerOptions,
    });
    replay.viewer = viewer;
    viewer.override_panel_state('time', 'hidden');
    notice('');
  } catch (error) {
    notice('The viewer does not start: ' + error);
  }
}

function moveCursor(offset) {
  const viewer = replay.viewer;
  if (!viewer || replay.opened.size === 0) return;
  const time = Number(first() + BigInt(Math.round(offset)));
  if (time === replay.shown) return;
  for (const recording of replay.opened) {
    if (viewer.get_active_timeline(recording) !== config.timeline) viewer.set_active_timeline(recording, config.timeline);
    viewer.set_current_time(recording, config.timeline, time);
  }
  replay.shown = time;
}

/* ---- The bar ---- */

const bytes = (n) => (n < 1e3 ? n.toFixed(0) + ' B' : n < 1e6 ? (n / 1e3).toFixed(1) + ' kB' : (n / 1e6).toFixed(1) + ' MB');
const count = (n) => (n < 1e4 ? n.toFixed(0) : n < 1e6 ? (n / 1e3).toFixed(1) + ' k' : (n / 1e6).toFixed(1) + ' M');

function showRates() {
  const s = replay.state;
  const now = performance.now();
  if (!replay.stats || now - replay.stats.at > 1000) {
    if (replay.stats) {
      const seconds = (now - replay.stats.at) / 1000;
      at('rates').textContent = count((s.rows - replay.stats.rows) / seconds) + ' rows/s  ' + bytes((s.bytes - replay.stats.bytes) / seconds) +
        '/s' + (s.viewers > 1 ? '  ' + s.viewers + ' viewers' : '');
    }
    replay.stats = { at: now, rows: s.rows, bytes: s.bytes };
  }
}

function show() {
  const s = replay.state;
  at('play').classList.toggle('playing', s.playing && !s.finished);
  at('loop').classList.toggle('on', s.loop);
  at('live').hidden = !s.growing && !s.live;
  at('live').classList.toggle('on', s.live);
  at('speed').value = String(s.speed);
  at('state').className = s.failed ? 'warn' : '';
  at('state').textContent = s.failed ? 'reading failed' : s.buffering ? 'buffering' : s.finished ? 'end' : '';
  showRates();
}

function frame() {
  if (replay.state) {
    const offset = position();
    const whole = length() || 1;
    const share = (100 * offset) / whole + '%';
    replay.position = offset;
    at('played').style.width = at('knob').style.left = share;
    at('ready').style.width = Math.min(100, (100 * Number(BigInt(replay.state.ready) - first())) / whole) + '%';
    at('time').textContent = duration(offset) + ' / ' + duration(length());
    at('absolute').textContent = absolute(offset);
    at('track').setAttribute('aria-valuetext', at('time').textContent);
    moveCursor(offset);
  }
  requestAnimationFrame(frame);
}

function faster(step) {
  const now = SPEEDS.indexOf(String(replay.state.speed));
  const next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (now < 0 ? 3 : now) + step))];
  control('speed ' + next);
}

function unit(seconds) {
  return config.kind === 'sequence' ? Math.round(seconds * replay.state.rate * 1e9) || Math.sign(seconds) : seconds * 1e9;
}

const skip = (seconds) => control('skip ' + Math.round(unit(seconds)));

function setUp() {
  for (const speed of SPEEDS) at('speed').add(new Option(speed === 'max' ? 'max' : speed + '×', speed));
  at('speed').onchange = () => control('speed ' + at('speed').value);
  at('play').onclick = () => control('toggle');
  at('restart').onclick = () => seekTo(0);
  at('back').onclick = () => control('step -1');
  at('forward').onclick = () => control('step 1');
  at('loop').onclick = () => control('loop ' + (replay.state.loop ? 'off' : 'on'));
  at('live').onclick = () => control('live ' + (replay.state.live ? 'off' : 'on'));
  at('help').onclick = () => (at('keys').open ? at('keys').close() : at('keys').showModal());
  at('keys').onclick = () => at('keys').close();

  const bar = at('track');
  const offsetOf = (event) => {
    const box = bar.getBoundingClientRect();
    return (Math.max(0, Math.min(1, (event.clientX - box.left) / box.width))) * length();
  };
  let dragging = false;
  bar.onpointerdown = (event) => { dragging = true; bar.setPointerCapture(event.pointerId); seekTo(offsetOf(event)); };
  bar.onpointermove = (event) => {
    at('hint').style.left = event.clientX - bar.getBoundingClientRect().left + 'px';
    at('hint').textContent = duration(offsetOf(event));
    if (dragging) seekTo(offsetOf(event));
  };
  bar.onpointerup = bar.onpointercancel = () => { dragging = false; };
  document.addEventListener('keydown', key, true);
  document.title = config.title + ' – rrd-replay';
}

// Keys as in video players; those with Ctrl, Alt or Meta and those typed into the viewer's fields are the viewer's.
function key(event) {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLSelectElement;
  if (event.ctrlKey || event.altKey || event.metaKey || typing || !replay.state) return;
  const keys = {
    ' ': () => control('toggle'), k: () => control('toggle'),
    ArrowLeft: () => skip(-5), ArrowRight: () => skip(5), j: () => skip(-10), l: () => skip(10),
    ',': () => control('step -1'), '.': () => control('step 1'), '<': () => faster(-1), '>': () => faster(1),
    Home: () => seekTo(0), End: () => (replay.state.growing ? control('live on') : seekTo(length())),
    r: () => at('loop').click(), '?': () => at('help').click(),
    f: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  };
  const action = /^[0-9]$/.test(event.key) ? () => seekTo((length() * Number(event.key)) / 10) : keys[event.key];
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}

setUp();
connect();
requestAnimationFrame(frame);
