// Comforts of every page: times in the reader's zone, copy buttons, forms that are sent once, a tab
// that tells of trouble.
// Every page works without them.
(() => {
  "use strict";

  const SHORT = {
    day: "numeric", month: "short",
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  };
  const SHAPES = {
    full: { ...SHORT, year: "numeric", timeZoneName: "short" },
    dated: { ...SHORT, year: "numeric" },
    short: SHORT,
  };
  const THIS_YEAR = new Date().getFullYear();

  function showTimes(root) {
    for (const time of root.querySelectorAll("time[data-shows]")) {
      const at = new Date(time.dateTime);
      const isOld = time.dataset.shows === "short" && at.getFullYear() !== THIS_YEAR;
      const shape = SHAPES[isOld ? "dated" : time.dataset.shows];
      time.textContent = new Intl.DateTimeFormat("en-GB", shape).format(at);
    }
    const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" })
      .formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
    for (const place of root.querySelectorAll("[data-zone]")) place.textContent = zone;
  }

  function addCopyButtons(root) {
    if (!navigator.clipboard) return; // only https and localhost have one
    for (const text of root.querySelectorAll("[data-copy]")) {
      if (text.nextElementSibling) continue; // it has its button
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      const name = text.closest("div")?.querySelector("dt")?.textContent;
      button.setAttribute("aria-label", name ? `Copy ${name}` : "Copy the command");
      button.addEventListener("click", () => copy(text.textContent, button));
      text.after(button);
    }
  }

  async function copy(text, button) {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function sendOnce(event) {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.isSent) event.preventDefault();
    form.dataset.isSent = "yes";
  }

  // The tab says how much is wrong, also while nobody looks at it; "!" when nobody answers.
  function showTrouble(said) {
    const place = document.getElementById("trouble");
    if (!place) return;
    const count = said ?? (Number(place.dataset.count) || "");
    const title = document.title.replace(/^\([\d,!]+\) /, "");
    document.title = count ? `(${count.toLocaleString("en")}) ${title}` : title;
    const icon = document.querySelector("link[rel=icon]");
    const href = count ? place.dataset.iconTrouble : place.dataset.icon;
    if (icon && href && icon.getAttribute("href") !== href) icon.href = href;
  }

  function prepare(root) {
    showTimes(root);
    addCopyButtons(root);
  }

  prepare(document);
  document.addEventListener("submit", sendOnce);
  document.addEventListener("htmx:afterSwap", () => prepare(document));
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.elt.id === "trouble" || detail.target?.id === "trouble") showTrouble(detail.successful ? undefined : "!");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-once]")) delete form.dataset.isSent;
  });
})();
