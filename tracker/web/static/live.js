// Keeps the live part of a page new: asks the server every data-live-seconds, by htmx, while the
// tab is seen, nobody has paused it and nothing is being selected. The server answers 204 when
// nothing changed. htmx's own "every 2s [condition]" would need eval, which the pages forbid.
(() => {
  "use strict";

  const part = () => document.querySelector("[data-live-seconds]");
  if (!window.htmx || !part()) return;

  const control = document.querySelector("[data-live-switch]");
  const word = control.querySelector("[data-live-word]");
  const button = control.querySelector("button");
  let timer = 0;
  let isPaused = false;
  let opened = new Set();
  let focused = null;
  let news = part().dataset.news;

  function plan() {
    clearTimeout(timer);
    if (part()) timer = setTimeout(look, 1000 * Number(part().dataset.liveSeconds));
  }

  function look() {
    if (isWanted()) htmx.trigger(part(), "look");
    plan();
  }

  function isWanted() {
    return !isPaused && !document.hidden && getSelection().isCollapsed;
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
    if (!isPaused) look();
  }

  // What the reader opened stays open, and what has the focus keeps it.
  function remember() {
    opened = new Set([...part().querySelectorAll("details[open][id]")].map((one) => one.id));
    const active = document.activeElement;
    focused = part().contains(active) ? active.id || active.closest("[id]")?.id : null;
  }

  function restore() {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    const place = focused && document.getElementById(focused);
    const heir = place?.matches("details") ? place.querySelector("summary") : place;
    if (document.activeElement === document.body) heir?.focus({ preventScroll: true });
    tell();
    plan();
  }

  // For those who cannot see it change.
  function tell() {
    if (part().dataset.news === news) return;
    news = part().dataset.news;
    control.querySelector("[data-live-news]").textContent = news;
  }

  document.addEventListener("htmx:beforeSwap", remember);
  document.addEventListener("htmx:afterSwap", restore);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!isPaused) event.detail.successful ? say("Live", "live") : say("No connection", "lost");
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  button.addEventListener("click", toggle);
  control.hidden = false;
  say("Live", "live");
  plan();
})();
