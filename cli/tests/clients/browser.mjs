// A Chromium without a window, and pages in it. A message in a page's console that is an error fails the test.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { chromium } from "playwright-core";

/** Starts the browser, with its profile in `directory`. `atEnd` registers its end. */
export async function startBrowser(atEnd, directory) {
  const executablePath = process.env.STREAMIO_CHROMIUM;
  assert.ok(executablePath, "STREAMIO_CHROMIUM is not set: run these tests with `cargo xtask test --only browser`");
  const libraries = join(dirname(executablePath), "lib");
  // The profile is in the temporary folder, so that the check for processes that are left finds the browser too.
  process.env.TMPDIR = directory;
  const browser = await chromium.launch({
    executablePath,
    env: { ...process.env, ...(existsSync(libraries) && { LD_LIBRARY_PATH: libraries }) },
    // Its sandbox does not work for root and in most containers. The pages are those of these tests.
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--disable-component-update"],
  });
  atEnd(() => browser.close());
  return browser;
}

/** Calls `use` with a new page at `url`, and fails if an error was reported in it. */
export async function withPage(browser, url, use) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const errors = [];
    page.on("console", (message) => message.type() === "error" && errors.push(`${message.text()} (${message.location().url})`));
    page.on("pageerror", (error) => errors.push(error.stack));
    page.on("response", (response) => response.status() >= 400 && errors.push(`${response.status()} ${response.url()}`));
    await page.goto(url);
    await use(page, context);
    assert.deepEqual(errors, [], "the page reports no error");
  } finally {
    await context.close();
  }
}
