// What the scripts here share: headless Chromium without a network, what the Rerun viewer says on its console, and
// letting the viewer write a recording again.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

// The viewer logs tens of thousands of debug lines; only the one that tells the end of a source may pass.
export const MUTE = `(() => {
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

function findChromium() {
  if (process.env.RRDKIT_CHROMIUM) return process.env.RRDKIT_CHROMIUM;
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome-stable']) {
      const candidate = join(directory, name);
      if (existsSync(candidate)) return candidate;
    }
  }
  throw new Error('no chromium in PATH and RRDKIT_CHROMIUM is not set');
}

// A browser that reaches nothing but this machine, with a profile of its own; close() removes it.
export async function launch(size, timeout) {
  const profile = mkdtempSync(join(tmpdir(), 'rrdkit-viewer-'));
  const remove = () => rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  try {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: findChromium(),
      headless: true,
      timeout,
      colorScheme: 'dark',
      viewport: size,
      args: ['--headless=new', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'],
    });
    return { context, close: async () => { await context.close(); remove(); } };
  } catch (error) {
    remove();
    throw error;
  }
}

// Warnings and errors about the recording, and what broke, go to `problems`; every line to `line`.
export function watch(page, problems, line = () => {}) {
  page.on('console', (message) => {
    const text = message.text();
    line(text);
    if (!['warning', 'error'].includes(message.type()) && !/^\s*(WARN|ERROR)\b/.test(text.replace(/%c/g, ''))) return;
    if (!NOT_ABOUT_DATA.some((pattern) => pattern.test(text))) problems.push(text);
  });
  page.on('pageerror', (error) => problems.push(`page: ${error.message}`));
  page.on('crash', () => problems.push('the page crashed'));
}

// Resolves to false when `check` did not come true in time.
export async function until(check, timeout) {
  const end = Date.now() + timeout;
  for (;;) {
    if (await check()) return true;
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// `viewer` is where the page keeps its WebViewer, say 'replay.viewer'.
export async function resave(page, viewer, target, timeout) {
  await page.evaluate((path) => {
    const canvas = path.split('.').reduce((object, name) => object[name], window).canvas;
    canvas.tabIndex = 0;
    canvas.focus();
  }, viewer);
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

// The first drawings compile shaders; two equal pictures in a row mean that the picture stands.
export async function picture(page, target, timeout) {
  let last = null;
  for (let round = 0; round < 20; round++) {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const now = await page.screenshot({ timeout });
    const stands = last !== null && round >= 2 && Math.abs(now.length - last.length) < 200;
    last = now;
    if (stands) break;
  }
  writeFileSync(target, last);
}
