// Draws what /admin/events tells, every two seconds.
"use strict";
const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function rate(bitsPerSecond) {
  return bitsPerSecond >= 1e6 ? `${(bitsPerSecond / 1e6).toFixed(1)} Mb/s` : `${Math.round(bitsPerSecond / 1e3)} kb/s`;
}

function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const id = (digits) => digits.replace(/(\d{3})(?=\d)/g, "$1 ");

function cell(tag, text, isNumber) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (isNumber) element.className = "number";
  return element;
}

// `columns`: name, and whether it holds numbers. `rows`: texts. `left` rows are not shown.
function table(element, columns, rows, left, nothing) {
  const body = document.createElement("tbody");
  for (const row of rows) {
    const line = document.createElement("tr");
    row.forEach((text, i) => line.append(cell("td", text, columns[i][1])));
    body.append(line);
  }
  if (rows.length === 0) element.replaceChildren(cell("caption", nothing));
  else {
    const head = document.createElement("thead");
    const line = document.createElement("tr");
    columns.forEach(([name, isNumber]) => line.append(cell("th", name, isNumber)));
    head.append(line);
    element.replaceChildren(head, body);
    if (left > 0) element.append(cell("caption", `and ${number.format(left)} more`));
  }
}

const SVG = "http://www.w3.org/2000/svg";
function path(kind, d) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", kind);
  element.setAttribute("d", d);
  return element;
}

// `series`: kind and values, oldest first; all share the scale from 0 to the largest value.
function plot(element, length, series) {
  const max = Math.max(1e-9, ...series.flatMap(([, values]) => values));
  const lines = series.map(([kind, values]) => {
    const x = (i) => (100 * (length - values.length + i)) / Math.max(1, length - 1);
    const points = values.map((value, i) => `${x(i).toFixed(2)} ${(98 - (96 * value) / max).toFixed(2)}`);
    return path(kind, points.length > 0 ? `M${points.join("L")}` : "");
  });
  element.replaceChildren(path("grid", "M0 98H100M0 50H100M0 2H100"), ...lines);
  return max;
}

function show(now) {
  at("clients").textContent = number.format(now.clients.total);
  at("callable").textContent = number.format(now.callable);
  at("sessions").textContent = number.format(now.sessions.total);
  at("rate").textContent = rate(now.bits_per_second);
  at("refused").textContent = number.format(now.refused_last_minute);
  at("uptime").textContent = span(now.uptime_secs);
  const { length, bits_per_second, clients, sessions } = now.history;
  const peak = plot(at("rate-plot"), length, [["one", bits_per_second]]);
  at("rate-max").textContent = `at most ${rate(peak)} in half an hour`;
  const most = plot(at("count-plot"), length, [["one", clients], ["two", sessions]]);
  at("count-max").textContent = `at most ${number.format(Math.round(most))}`;
  table(
    at("session-table"),
    [["viewer"], ["host"], ["viewer’s leg"], ["host’s leg"], ["since", true], ["idle", true], ["relayed", true]],
    now.sessions.rows.map((row) => [
      id(row.caller), id(row.target), row.caller_leg, row.target_leg, span(row.age_secs), span(row.idle_secs), bytes(row.bytes),
    ]),
    now.sessions.total - now.sessions.rows.length,
    "None now.",
  );
  table(
    at("client-table"),
    [["ID"], ["from"], ["can be called"], ["calls", true], ["since", true], ["last heard", true]],
    now.clients.rows.map((row) => [
      id(row.id), row.from, row.callable ? "yes" : "no", number.format(row.calls), span(row.age_secs), span(row.silent_secs),
    ]),
    now.clients.total - now.clients.rows.length,
    "Nobody is connected.",
  );
  table(
    at("refused-table"),
    [["reason"], ["in a minute", true], ["since the start", true]],
    now.refused.map((row) => [row.reason, number.format(row.last_minute), number.format(row.total)]),
    0,
    "Nothing so far.",
  );
}

function state(text, isBad) {
  at("state").textContent = text;
  at("state").classList.toggle("bad", isBad);
}

const events = new EventSource("/admin/events");
events.onmessage = (event) => {
  const now = JSON.parse(event.data);
  state(now.draining ? "draining" : "live", now.draining);
  show(now);
};
events.onerror = () => {
  state("no connection; trying again", true);
  // Closed for good: the session is over, or the relay was restarted.
  if (events.readyState === EventSource.CLOSED) location.assign("/admin");
};
