// Keeps the live parts of a page new: asks the server for each every data-live-seconds, by htmx,
// while the tab is seen, nobody has paused it, nothing is being selected and no row is ticked. The
// server may answer 204 when nothing changed. A slow server is asked less often, and so is one that
// fails. htmx's own "every 2s [condition]" would need eval, which the pages forbid.
(() => {
  "use strict";

  const parts = () => [...document.querySelectorAll("[data-live-seconds][id]")];
  if (!window.htmx || !parts().length) return;

  const RESTS = 9; // for each second that an answer took, a part rests as many
  const MOST_FAILURES = 5; // each doubles the rest
  const control = document.querySelector("[data-live-switch]");
  const word = control.querySelector("[data-live-word]");
  const button = control.querySelector("button");
  const timers = new Map(); // all by the part's id
  const began = new Map();
  const took = new Map();
  const failures = new Map();
  const news = new Map(parts().map((part) => [part.id, part.dataset.news]));
  let isPaused = false;

  function plan(id) {
    clearTimeout(timers.get(id));
    const part = document.getElementById(id);
    if (part?.dataset.liveSeconds) timers.set(id, setTimeout(look, rest(part), id));
  }

  function rest(part) {
    const usual = 1000 * Number(part.dataset.liveSeconds);
    const doubled = 2 ** Math.min(MOST_FAILURES, failures.get(part.id) ?? 0);
    return Math.max(usual, RESTS * (took.get(part.id) ?? 0)) * doubled;
  }

  function look(id) {
    const part = document.getElementById(id);
    if (part && isWanted()) htmx.trigger(part, "look");
    plan(id);
  }

  function lookAtAll() {
    for (const part of parts()) look(part.id);
  }

  function isWanted() {
    return !isPaused && !document.hidden && getSelection().isCollapsed && !isTicked();
  }

  // A list that is renewed would lose its ticks, or carry them out of sight.
  function isTicked() {
    return document.querySelector("[data-tick]:checked") !== null;
  }

  function hold({ target }) {
    if (isPaused || !target.matches("[data-tick]")) return;
    if (isTicked()) return say("Waits for your ticks", "held");
    say("Live", "live");
    lookAtAll();
  }

  function say(text, state) {
    if (word.textContent !== text) word.textContent = text;
    control.dataset.state = state;
  }

  function toggle() {
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(isPaused));
    button.textContent = isPaused ? "Resume" : "Pause";
    say(isPaused ? "Paused" : "Live", isPaused ? "paused" : "live");
    if (!isPaused) lookAtAll();
  }

  // What the reader opened stays open, and what has the focus keeps it.
  let opened = new Set();
  let focused = null;

  function remember({ detail }) {
    const part = detail.target;
    opened = new Set([...part.querySelectorAll("details[open][id]")].map((one) => one.id));
    const active = document.activeElement;
    focused = part.contains(active) ? placeOf(active) : null;
  }

  // An id, or else which link of its part it was.
  function placeOf(active) {
    const near = active.id || active.closest("[id]")?.id;
    const address = active.getAttribute("href");
    return { near, address };
  }

  function restore({ detail }) {
    const { id } = detail.target;
    for (const one of opened) document.getElementById(one)?.setAttribute("open", "");
    if (focused && document.activeElement === document.body) heirOf(focused)?.focus({ preventScroll: true });
    tell(id);
  }

  function heirOf({ near, address }) {
    const place = near && document.getElementById(near);
    if (!place) return null;
    const link = address && [...place.querySelectorAll("a")].find((one) => one.getAttribute("href") === address);
    return link || (place.matches("details") ? place.querySelector("summary") : place);
  }

  // For those who cannot see it change.
  function tell(id) {
    const said = document.getElementById(id)?.dataset.news;
    if (said === undefined || said === news.get(id)) return;
    const isFirst = news.get(id) === undefined; // the part has only just come
    news.set(id, said);
    if (!isFirst) control.querySelector("[data-live-news]").textContent = said;
  }

  document.addEventListener("change", hold);
  document.addEventListener("htmx:beforeSwap", remember);
  document.addEventListener("htmx:afterSwap", restore);
  document.addEventListener("htmx:beforeRequest", ({ detail }) => began.set(detail.elt.id, performance.now()));
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { id } = detail.requestConfig.elt; // the event is its parent's: the part itself was swapped
    took.set(id, performance.now() - (began.get(id) ?? performance.now()));
    failures.set(id, detail.successful ? 0 : (failures.get(id) ?? 0) + 1);
    plan(id); // only now is known how long it took: the swap comes first
    if (!isPaused) detail.successful ? say("Live", "live") : say("No connection", "lost");
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) lookAtAll(); });
  button.addEventListener("click", toggle);
  control.hidden = false;
  say("Live", "live");
  for (const part of parts()) plan(part.id);
})();
