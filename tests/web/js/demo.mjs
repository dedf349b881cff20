// Uses the demo as people do, in Debian's Chromium; every console error, foreign request or failed request is a failure.
//   node demo.mjs CHROMIUM BASE_URL PICTURES_FOLDER STORY [FILES…]
// STORY: talk (two people write to each other), or whole (all kinds of messages, visitors, VIP, every page).
import { chromium } from "playwright-core";

const [binary, base, folder, story, picture, film] = process.argv.slice(2);
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];
const PATIENCE = 60_000;
const problems = [];
const browser = await chromium.launch({ executablePath: binary, args: FLAGS });

async function newPage(width, height) {
  const context = await browser.newContext({ viewport: { width, height }, permissions: ["microphone"], locale: "zh-CN", timezoneId: "Asia/Shanghai" });
  context.setDefaultTimeout(PATIENCE);
  context.on("page", watch);
  return context.newPage();
}

function watch(page) {
  page.on("console", (message) => message.type() === "error" && problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`page: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== base) problems.push(`foreign: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`HTTP ${response.status()}: ${response.url().split("?")[0]}`);
  });
}

const shot = (page, name) => page.screenshot({ path: `${folder}/${name}.png` });
const seen = (frame, text) => frame.locator(".bubble", { hasText: text }).last().waitFor();

async function write(frame, text) {
  await frame.locator("textarea").pressSequentially(text, { delay: 20 });
  await frame.locator("textarea").press("Enter");
}

async function talk(page) {
  await page.goto(`${base}/demo/split`);
  const phones = [0, 1].map((number) => page.frameLocator("iframe").nth(number));
  for (const phone of phones) await phone.locator(".contact").first().waitFor();
  await phones[0].locator(".contact", { hasText: "周子航" }).click();
  await phones[1].locator(".contact", { hasText: "林小雨" }).click();
  for (const phone of phones) await phone.locator(".bubble").first().waitFor();
  await phones[0].locator("textarea").pressSequentially("早上好！明天", { delay: 30 });
  await phones[1].locator(".typing").waitFor();
  await phones[0].locator("textarea").pressSequentially("还去爬山吗？");
  await phones[0].locator("textarea").press("Enter");
  await seen(phones[1], "早上好！明天还去爬山吗？");
  await write(phones[1], "去，老地方见");
  await seen(phones[0], "去，老地方见");
  await phones[0].locator(".bubble-row.mine .state", { hasText: "已读" }).last().waitFor();
  await shot(page, "two-phones");
  return phones;
}

async function sendFile(from, to, kind, file, selector) {
  const before = await to.locator(selector).count();
  await from.locator(".composer button.icon").click();
  await from.locator(`input[data-kind=${kind}]`).setInputFiles(file);
  await to.locator(selector).nth(before).waitFor();
}

async function allKinds([one, other], page) {
  await sendFile(one, other, "image", picture, ".bubble img");
  await sendFile(other, one, "video", film, ".bubble video");
  await one.locator(".composer button.icon").click();
  const voice = one.locator(".composer .tools button");
  const heard = other.locator(".voice");
  const before = await heard.count();
  await voice.dispatchEvent("pointerdown");
  await one.locator(".composer .tools button.on").waitFor();
  await new Promise((resolve) => setTimeout(resolve, 1500)); // speaks for so long
  await voice.dispatchEvent("pointerup");
  await heard.nth(before).waitFor();
  await write(one, "这句发错了");
  await seen(other, "这句发错了");
  await one.locator(".bubble-row.mine", { hasText: "这句发错了" }).locator(".recall").click();
  await other.locator(".notice", { hasText: "消息已撤回" }).last().waitFor();
  await shot(page, "all-kinds");
}

async function answers(page) {
  await page.goto(`${base}/demo?who=0#/contacts`);
  await page.locator(".contact", { hasText: "苏晴" }).click();
  await page.locator(".bubble").first().waitFor();
  const before = await page.locator(".bubble-row:not(.mine)").count();
  await write(page, "今天画了什么？");
  await page.locator(".bubble-row:not(.mine)").nth(before).waitFor();
}

async function becomeVip(page) {
  await page.goto(`${base}/demo?who=0#/visitors`);
  await page.reload();
  await page.locator(".locked").waitFor();
  await shot(page, "visitors-locked");
  await page.locator(".locked .van-button").click();
  await page.locator(".product").first().waitFor();
  await shot(page, "vip");
  const [pay] = await Promise.all([page.context().waitForEvent("page"), page.locator(".pad .van-button").click()]);
  await pay.locator("#pay").waitFor();
  if (await pay.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) problems.push("pay: too wide");
  await shot(pay, "pay");
  await pay.locator("#pay").click();
  await page.locator(".deadline", { hasText: "有效期至" }).waitFor();
  const deadline = (await page.locator(".deadline").innerText()).match(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/)[0];
  const daysLeft = (new Date(`${deadline.replace(" ", "T")}+08:00`) - Date.now()) / 86_400_000;
  if (Math.abs(daysLeft - 30) > 0.05) problems.push(`VIP for ${daysLeft} days by this phone's clock`);
  await shot(page, "vip-active");
  await page.goto(`${base}/demo?who=0#/visitors`);
  await page.locator(".visitor .when").first().waitFor();
  const hour = Number((await page.locator(".visitor .when").first().innerText()).match(/ (\d\d):/)[1]);
  const ago = ((new Date().getUTCHours() + 8) % 24) - hour;
  if (![0, 1, -23].includes(ago)) problems.push(`the last visit at ${hour} o'clock`);
  await shot(page, "visitors");
}

async function look(page, name, hash, ready) {
  await page.goto(`${base}/demo?who=0#${hash}`);
  await page.locator(ready).first().waitFor();
  // What is on the screen has loaded; pictures further down wait until somebody scrolls.
  await page.waitForFunction(() =>
    [...document.images].every((it) => it.complete || it.getBoundingClientRect().top > window.innerHeight),
  );
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (wide > 0) problems.push(`${name}: ${wide} px wider than the screen`);
  await shot(page, name);
}

async function everyPage(page, prefix) {
  await page.goto(`${base}/demo?who=0`);
  await page.locator(".card").first().waitFor();
  await look(page, `${prefix}-hot`, "/hot", ".card");
  await look(page, `${prefix}-nearby`, "/nearby", ".title");
  await look(page, `${prefix}-search`, "/search", ".row");
  await look(page, `${prefix}-contacts`, "/contacts", ".contact");
  await look(page, `${prefix}-me`, "/me", ".me-head");
  await look(page, `${prefix}-edit`, "/edit", ".tags span");
  await look(page, `${prefix}-settings`, "/settings", ".van-switch");
  await page.goto(`${base}/demo?who=0#/hot`);
  await page.locator(".card").first().click();
  await page.locator(".sheet h2").waitFor();
  await shot(page, `${prefix}-person`);
}

const toast = (page, text) => page.locator(".van-toast", { hasText: text }).waitFor();
const sheet = (page, text) => page.locator(".van-action-sheet__item:visible", { hasText: text }).click();

/** Find somebody by filters, then follow, report and block this person: each as the server confirms it. */
async function meetPeople(page) {
  await page.goto(`${base}/demo?who=0#/search`);
  await page.locator(".row").first().waitFor();
  await page.locator(".van-dropdown-menu__item").first().click();
  await page.locator(".van-dropdown-item:visible .van-cell", { hasText: "男" }).click();
  await page.locator(".van-dropdown-menu__item").nth(1).click();
  await Promise.all([
    page.waitForResponse((it) => it.url().includes("/api/user/search") && it.url().includes("ageMin=25")),
    page.locator(".van-dropdown-item:visible .van-cell", { hasText: "25-29" }).click(),
  ]);
  await page.locator(".row").last().click();
  await page.locator(".sheet h2").waitFor();
  const [, id] = page.url().match(/person\/(\d+)/);
  await page.locator(".bar .van-button", { hasText: "关注" }).first().click();
  await page.locator(".bar .van-button", { hasText: "已关注" }).waitFor();
  await page.locator(".round.right").click();
  await sheet(page, "举报");
  await sheet(page, "垃圾");
  await toast(page, "举报已提交");
  await page.locator(".round.right").click();
  await sheet(page, "拉黑");
  await page.locator(".van-dialog__confirm:visible").click();
  await toast(page, "已拉黑");
  await page.goto(`${base}/demo?who=0#/person/${id}`);
  await toast(page, "不存在");
}

/** A label more, a photo more, another height; then the page of the profile as others see it. */
async function changeProfile(page) {
  await page.goto(`${base}/demo?who=0#/edit`);
  await page.locator(".tags span").first().waitFor();
  const before = await page.locator(".photos img").count();
  await page.locator(".photos input").setInputFiles(picture);
  await page.locator(".photos img").nth(before).waitFor();
  const label = page.locator(".tags span.off").first();
  const name = await label.innerText();
  await label.click();
  await page.locator(".van-field", { hasText: "身高" }).locator("input").fill("171");
  await page.locator(".van-nav-bar__right").click();
  await toast(page, "已保存");
  await page.goto(`${base}/demo?who=0#/edit`);
  await page.reload();
  await page.locator(".tags span:not(.off)", { hasText: name }).waitFor();
  if ((await page.locator(".photos img").count()) !== before + 1) problems.push("the photo is not kept");
  const height = await page.locator(".van-field", { hasText: "身高" }).locator("input").inputValue();
  if (height !== "171") problems.push(`the height is ${height}`);
}

/** What is written while a phone has no network comes when it is back, and what it wrote itself goes out. */
async function loseConnection([one, other]) {
  const context = await browser.newContext({ viewport: { width: 390, height: 800 }, locale: "zh-CN" });
  const phone = await context.newPage();
  await phone.goto(`${base}/demo?who=0#/contacts`);
  await phone.locator(".contact", { hasText: "周子航" }).click();
  await phone.locator(".bubble").first().waitFor();
  await context.setOffline(true);
  await write(phone, "我在地铁里");
  await write(other, "到哪了？");
  await seen(one, "到哪了？");
  await context.setOffline(false);
  await seen(phone, "到哪了？");
  await seen(other, "我在地铁里");
  await context.close();
}

/** Devices, visibility, the export. */
async function useSettings(page) {
  await page.goto(`${base}/demo?who=0#/settings`);
  await page.locator(".van-button", { hasText: "退出此设备" }).first().waitFor();
  await page.locator(".van-cell", { hasText: "谁可以看到我" }).click();
  await sheet(page, "关注的人");
  await page.locator(".van-cell", { hasText: "谁可以看到我" }).locator(".van-cell__value", { hasText: "关注的人" }).waitFor();
  await page.locator(".van-cell", { hasText: "导出我的数据" }).click();
  await page.locator(".van-dialog:visible input").waitFor();
  const [download] = await Promise.all([
    page.waitForEvent("download"), page.locator(".van-dialog__confirm:visible").click(),
  ]);
  if (!download.suggestedFilename().endsWith(".json")) problems.push("the export is no file");
}

async function leaveForGood(page) {
  await page.goto(`${base}/demo?who=1#/settings`);
  await page.locator(".van-cell", { hasText: "注销账号" }).click();
  await page.locator(".van-dialog__confirm:visible").click();
  await page.locator("input[name=phone]").waitFor();
}

// Whatever a page shows of the program itself is in the chosen language.
async function english(page) {
  await page.goto(`${base}/demo?who=0#/settings`);
  await page.locator(".van-cell", { hasText: "语言" }).click();
  await page.locator(".van-nav-bar", { hasText: "Settings" }).waitFor();
  await look(page, "english-me", "/me", ".me-head");
  const chinese = await page.locator(".van-cell__title, .van-tabbar-item__text").allInnerTexts();
  for (const text of chinese) if (/[\u4e00-\u9fff]/.test(text)) problems.push(`in Chinese: ${text}`);
  await look(page, "english-vip", "/vip", ".product");
  await page.goto(`${base}/demo?who=0#/settings`);
  await page.locator(".van-cell", { hasText: "Language" }).click();
  await page.locator(".van-nav-bar", { hasText: "设置" }).waitFor();
}

try {
  const wide = await newPage(1000, 900);
  const phones = await talk(wide);
  if (story === "whole") {
    await allKinds(phones, wide);
    const phone = await newPage(390, 800);
    await everyPage(phone, "phone");
    await answers(phone);
    await becomeVip(phone);
    await meetPeople(phone);
    await changeProfile(phone);
    await loseConnection(phones);
    await useSettings(phone);
    await english(phone);
    await everyPage(await newPage(1280, 950), "desktop");
    await leaveForGood(await newPage(390, 800));
  }
} catch (error) {
  problems.push(String(error.stack ?? error));
} finally {
  await browser.close();
}
console.log(JSON.stringify(problems, null, 1));
process.exit(problems.length ? 1 : 0);
