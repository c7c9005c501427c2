// Keeps the page as it would be if it were loaded now: a stream of events says when something has changed, and then the page
// fetches itself and takes over its <main>. Without this file everything is there, of the moment when the page was loaded.
"use strict";

const connection = document.getElementById("connection");
const news = document.getElementById("news");
const form = document.querySelector("form");

// How long a stream may be gone before it is worth a word, and until it is tried again where the browser does not.
const PATIENCE = 1500;
const RETRY = 3000;
const TYPING = 300;

let source = null;
let again = 0;
let lost = null;
let tell = 0;
let retry = 0;
let fetching = false;
let wanted = false;
let clock = 0;

const main = () => document.getElementById("main");

// The server's clock is the one that ages are counted by.
const setClock = () => { clock = Number(main().dataset.now) - performance.now(); };

// The rules are those of `Long` in words.rs.
function long(millis) {
    const seconds = Math.floor(millis / 1000);
    if (seconds < 1) return `${Math.max(0, Math.floor(millis))} ms`;
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
    return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

function countOn() {
    // Ages of what may be over by now would be wrong.
    if (lost !== null || document.hidden || isMarking()) return;
    const now = clock + performance.now();
    for (const time of main().querySelectorAll("time[data-since]")) {
        const text = long(now - Number(time.dataset.since));
        if (time.textContent !== text) time.textContent = text;
    }
}

// What a reader or a keyboard is at, so that it can be found again in what comes.
function place() {
    const focused = main().contains(document.activeElement) ? document.activeElement : null;
    const all = (root, focused) => [...root.querySelectorAll("a")].filter(link => link.getAttribute("href") === focused.getAttribute("href"));
    const nth = focused ? all(main(), focused).indexOf(focused) : -1;
    const lefts = [...main().querySelectorAll(".scroll")].map(box => box.scrollLeft);
    const [x, y] = [scrollX, scrollY];
    return () => {
        main().querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = lefts[i] ?? 0; });
        if (focused) (all(main(), focused)[nth] ?? main()).focus({ preventScroll: true });
        scrollTo(x, y);
    };
}

const summary = root => [...root.querySelectorAll("[data-news]")].map(one => one.dataset.news).join(". ");

function take(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
    if (!fresh) throw new Error("no page");
    const goBack = place();
    const before = summary(main());
    main().replaceWith(document.adoptNode(fresh));
    setClock();
    goBack();
    if (summary(main()) !== before) news.textContent = summary(main());
}

// Somebody who marks text wants to copy it.
function isMarking() {
    const marked = getSelection();
    return !marked.isCollapsed && main().contains(marked.anchorNode);
}

async function refresh() {
    wanted = true;
    if (fetching || isMarking()) return;
    fetching = true;
    try {
        while (wanted) {
            wanted = false;
            const address = location.href;
            const answer = await fetch(address, { cache: "no-store" });
            if (answer.status >= 500) throw new Error(`status ${answer.status}`);
            const text = await answer.text();
            // While this was under way, the reader may have asked for something else.
            if (address === location.href) take(text);
        }
    } catch {
        wanted = true;
        clearTimeout(retry);
        retry = setTimeout(() => { if (wanted) refresh(); }, RETRY);
    } finally {
        fetching = false;
    }
}

function isLost() {
    lost ??= new Date();
    // Each try that fails comes here again.
    if (tell !== 0) return;
    tell = setTimeout(() => {
        connection.textContent = `Connection lost since ${lost.toLocaleTimeString()}. What stands here is from before; it will go on by itself.`;
        connection.hidden = false;
    }, PATIENCE);
}

function isBack() {
    clearTimeout(tell);
    tell = 0;
    lost = null;
    connection.hidden = true;
    connection.textContent = "";
}

function listen() {
    clearTimeout(again);
    source?.close();
    source = new EventSource(document.body.dataset.events);
    source.onopen = isBack;
    source.addEventListener("changed", event => { if (event.data !== main().dataset.version) refresh(); });
    source.onerror = () => {
        isLost();
        // A browser gives up after an answer that is no stream.
        if (source.readyState === EventSource.CLOSED) again = setTimeout(listen, RETRY);
    };
}

function stop() {
    clearTimeout(again);
    clearTimeout(tell);
    tell = 0;
    source?.close();
    source = null;
}

// Who does not look needs no stream: browsers have few connections for each server, and the server looks for those who look.
document.addEventListener("visibilitychange", () => document.hidden ? stop() : listen());
document.addEventListener("selectionchange", () => { if (wanted && !isMarking()) refresh(); });
addEventListener("pagehide", stop);
addEventListener("pageshow", event => { if (event.persisted) listen(); });

// Filter and order without loading the page: the address says the same as it would otherwise.
function goTo(address) {
    history.replaceState(null, "", address);
    refresh();
}

function filter() {
    const fields = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...fields]) if (value === "") fields.delete(name);
    goTo(`?${fields}`);
}

if (form) {
    let typing = 0;
    form.addEventListener("submit", event => { event.preventDefault(); clearTimeout(typing); filter(); });
    form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filter, TYPING); });
}

setClock();
setInterval(countOn, 1000);
if (!document.hidden) listen();
