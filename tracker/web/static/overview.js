// Draws the charts of the overview out of their tables, and folds the tables away where it could.
// Colours come from the style sheet. Without this file the tables say the same.
(() => {
  "use strict";

  const { uPlot } = window;
  if (!uPlot) return;

  const drawn = new Set(); // what stands in the page, to be drawn anew in other colours or widths
  const opened = new Set(); // tables that the reader wants to see, by the part they are in

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  // Hours in seconds since 1970, oldest first, and one row of numbers for each column.
  function read(table) {
    const rows = [...table.tBodies[0].rows].reverse();
    const columns = [...table.tHead.rows[0].cells].slice(1);
    return {
      hours: rows.map((row) => Date.parse(row.cells[0].querySelector("time").dateTime) / 1000),
      names: columns.map((cell) => cell.dataset.part),
      labels: columns.map((cell) => cell.textContent),
      values: columns.map((_, number) => rows.map((row) => numberOf(row.cells[number + 1]))),
    };
  }

  function numberOf(cell) {
    const number = Number(cell.textContent);
    return Number.isNaN(number) ? null : number;
  }

  // Bars from the highest sum down to the lowest, each over the one before it.
  function stacks({ hours, names, values }) {
    const sums = [];
    for (const row of values) {
      const below = sums.at(-1);
      sums.push(row.map((value, hour) => value + (below ? below[hour] : 0)));
    }
    const bars = uPlot.paths.bars({ size: [0.8, 30] });
    const series = names.map((name) => ({
      fill: colour(`chart-${name}`), width: 0, paths: bars, points: { show: false },
    }));
    return { data: [hours, ...sums.reverse()], series: series.reverse() };
  }

  function lines({ hours, names, values }) {
    const series = names.map((name, number) => ({
      stroke: colour(`chart-${name}`), width: 2, dash: number ? [6, 4] : [],
      points: { size: 5, fill: colour(`chart-${name}`) },
    }));
    return { data: [hours, ...values], series };
  }

  function axis(unit) {
    return {
      stroke: colour("ink-soft"), grid: { stroke: colour("chart-grid"), width: 1 },
      ticks: { stroke: colour("chart-grid"), width: 1 }, font: "12px system-ui, sans-serif",
      ...(unit ? { values: (_, ticks) => ticks.map((tick) => `${tick} ${unit}`), size: 60 } : {}),
    };
  }

  // The hour, or the day where one begins, by the reader's clock.
  function hourNames(_, ticks) {
    return ticks.map((tick) => {
      const at = new Date(tick * 1000);
      return new Intl.DateTimeFormat("en-GB", at.getHours() ? CLOCK : DAY).format(at);
    });
  }

  const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const DAY = { day: "numeric", month: "short" };
  const HOUR = { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

  function draw(place) {
    const details = place.parentElement.querySelector("[data-hours]");
    const table = details.querySelector("[data-chart]");
    const found = read(table);
    const { data, series } = (table.dataset.chart === "stacks" ? stacks : lines)(found);
    const reading = document.createElement("p");
    reading.className = "chart__reading";
    const say = (at) => { reading.textContent = at === null ? "" : told(found, at, table.dataset.unit); };
    place.replaceChildren();
    const half = 1800;
    const chart = new uPlot({
      width: place.clientWidth || place.parentElement.clientWidth - 40,
      height: place.classList.contains("chart--low") ? 160 : 205,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { range: (_, min, max) => [min - half, max + half] },
        y: { range: (_, min, max) => [0, Math.max(1, max * 1.08)] },
      },
      axes: [{ ...axis(), values: hourNames, size: 32 }, axis(table.dataset.unit)],
      series: [{}, ...series],
      hooks: { setCursor: [(self) => say(self.cursor.idx ?? null)] },
    }, data, place);
    chart.root.setAttribute("role", "img");
    chart.root.setAttribute("aria-label", `${table.caption.textContent}. The table below has the numbers.`);
    place.append(reading);
    details.open = opened.has(keyOf(place));
    drawn.add({ chart, place });
  }

  function told({ hours, labels, values }, at, unit) {
    const hour = new Intl.DateTimeFormat("en-GB", HOUR).format(new Date(hours[at] * 1000));
    const said = labels.map((label, number) => {
      const value = values[number][at];
      return `${label.replace(/ \(s\)$/, "")} ${value === null ? "none" : value}${unit && value !== null ? ` ${unit}` : ""}`;
    });
    return `${hour}: ${said.join(", ")}`;
  }

  const keyOf = (place) => place.closest(".overview-part").id;

  function drawAll() {
    for (const one of drawn) {
      one.chart.destroy();
      drawn.delete(one);
    }
    for (const place of document.querySelectorAll("[data-chart-place]")) draw(place);
  }

  // Only parts that are new: the others are drawn already.
  function drawNew() {
    for (const one of drawn) if (!one.place.isConnected) { one.chart.destroy(); drawn.delete(one); }
    for (const place of document.querySelectorAll("[data-chart-place]")) {
      if (!place.querySelector(".uplot")) draw(place);
    }
  }

  function fit() {
    for (const { chart, place } of drawn) {
      if (place.clientWidth && place.clientWidth !== chart.width) {
        chart.setSize({ width: place.clientWidth, height: chart.height });
      }
    }
  }

  document.addEventListener("toggle", (event) => {
    const details = event.target;
    if (!details.matches?.("[data-hours]") || !details.isConnected) return;
    opened[details.open ? "add" : "delete"](details.closest(".overview-part").id);
  }, true);
  document.addEventListener("htmx:afterSwap", drawNew);
  window.addEventListener("resize", fit);
  matchMedia("screen and (prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
