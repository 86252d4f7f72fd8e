// The keyboard: / to the search, arrows through the rows of a list, ? for the list of keys.
// Nothing is taken from fields, and whoever needs these keys otherwise switches them off.
(() => {
  "use strict";

  const help = document.getElementById("keys");
  if (!help?.showModal) return;

  const OFF = "tracker.keys-off"; // in this browser alone
  const FIELDS = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
  const ROWS = "main table tbody th[scope=row] a[href]";
  const STEPS = { ArrowDown: 1, ArrowUp: -1 };
  const chosen = help.querySelector("[data-keys-on]");
  const opener = document.querySelector("[data-keys-open]");

  function isOn() {
    try {
      return localStorage.getItem(OFF) === null;
    } catch {
      return true; // a browser that keeps nothing
    }
  }

  function choose() {
    try {
      chosen.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "yes");
    } catch { /* it holds for this page */ }
  }

  function isOurs(event) {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return false;
    return !event.target.closest?.(FIELDS) && !help.open && isOn();
  }

  function goToSearch() {
    const field = document.getElementById("q");
    if (!field) location.href = help.dataset.search;
    else {
      field.focus();
      field.select();
    }
  }

  // From the page itself to its first row in sight, from a row to its neighbour; what else has the
  // focus keeps its arrows.
  function rowAfter(step) {
    const rows = [...document.querySelectorAll(ROWS)].filter((row) => row.checkVisibility?.() ?? true);
    const active = document.activeElement;
    const place = rows.indexOf(active);
    if (place >= 0) return rows[place + step];
    if (active !== document.body && active?.id !== "content") return null;
    return step > 0 ? rows.find((row) => row.getBoundingClientRect().top >= 0) : null;
  }

  function move(event) {
    const row = rowAfter(STEPS[event.key]);
    if (!row) return;
    event.preventDefault();
    row.focus({ preventScroll: true });
    row.closest("tr").scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (!isOurs(event)) return;
    if (event.key in STEPS && !event.shiftKey) move(event);
    else if (event.key === "/" || event.key === "?") {
      event.preventDefault();
      event.key === "/" ? goToSearch() : help.showModal();
    }
  });

  chosen.checked = isOn();
  chosen.addEventListener("change", choose);
  opener.hidden = false;
  opener.addEventListener("click", () => help.showModal());
  if (location.hash === "#q") goToSearch();
})();
