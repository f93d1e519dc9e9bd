// Draws /openapi.json: every operation, what goes in and what comes out, and
// a way to try it. Text enters the page as text, never as markup.

/** An element with its attributes and children. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** The schema itself, where `schema` only refers to it. */
function resolve(api, schema) {
  for (let hops = 0; schema?.$ref && hops < 10; hops += 1) {
    const path = schema.$ref.replace("#/", "").split("/");
    schema = path.reduce((at, key) => at?.[key], api);
  }
  return schema ?? {};
}

/** A schema as nested lists. */
function drawSchema(api, schema, depth = 0) {
  const { oneOf, properties, required = [], ...rest } = resolve(api, schema);
  const parts = [];
  const type = [rest.type].flat().filter(Boolean).join(" or ");
  const limits = ["minLength", "maxLength", "minimum", "contentMediaType"]
    .filter((key) => key in rest)
    .map((key) => `${key} ${rest[key]}`);
  const values = rest.enum?.map((value) => JSON.stringify(value)) ?? [];
  parts.push([type, ...values, ...limits].filter(Boolean).join(", "));
  if (rest.description) parts.push(` – ${rest.description}`);
  if (depth > 8) return el("span", {}, "…");
  const drawn = el("div", {}, ...parts);
  const list = el("ul");
  for (const [name, property] of Object.entries(properties ?? {})) {
    const optional = required.includes(name) ? "" : " (optional)";
    list.append(el("li", {}, el("code", {}, name), optional, " ",
      drawSchema(api, property, depth + 1)));
  }
  for (const one of oneOf ?? []) {
    const title = resolve(api, one).title ?? "one of";
    list.append(el("li", {}, el("b", {}, title), " ",
      drawSchema(api, one, depth + 1)));
  }
  if (rest.contentSchema) {
    list.append(el("li", {}, "in it: ",
      drawSchema(api, rest.contentSchema, depth + 1)));
  }
  if (list.children.length) drawn.append(list);
  return drawn;
}

/** A value that fits the schema, to start from. */
function example(api, schema) {
  const { examples, example: one, properties, type } = resolve(api, schema);
  const given = one ?? examples?.[0];
  if (given !== undefined) return given;
  if (!properties) return type === "string" ? "" : null;
  return Object.fromEntries(Object.entries(properties)
    .map(([name, property]) => [name, example(api, property)]));
}

/** Buttons that listen to an event stream; each event is shown on arrival. */
function listen(path, types) {
  const out = el("pre", { "aria-live": "polite" });
  let source;
  const show = ({ type, lastEventId, data }) => {
    out.append(`${type} ${lastEventId ?? ""} ${data ?? ""}\n`);
    while (out.childNodes.length > 200) out.firstChild.remove();
    out.scrollTop = out.scrollHeight;
  };
  const start = el("button", { onclick: () => {
    source?.close();
    source = new EventSource(path);
    const known = new Set([...types, "message", "open", "error"]);
    for (const type of known) source.addEventListener(type, show);
  } }, "Listen");
  const stop = el("button", { onclick: () => source?.close() }, "Stop");
  return el("div", {}, start, " ", stop, out);
}

/** A form that sends JSON and shows the answer. */
function send(api, method, path, schema) {
  const out = el("pre", { "aria-live": "polite" });
  const text = JSON.stringify(example(api, schema), null, 2);
  const body = el("textarea", { rows: 5, "aria-label": "Body" }, text);
  const button = el("button", { onclick: async () => {
    try {
      const response = await fetch(path, {
        method,
        headers: { "Content-Type": "application/json" },
        body: body.value,
      });
      const { status, statusText } = response;
      out.textContent = `${status} ${statusText}\n${await response.text()}`;
    } catch (error) {
      out.textContent = String(error);
    }
  } }, "Send");
  return el("div", {}, body, el("br"), button, out);
}

function drawOperation(api, path, method, operation) {
  const section = el("section", {},
    el("h2", {}, el("code", {}, `${method.toUpperCase()} ${path}`)),
    el("p", {}, el("b", {}, operation.summary ?? ""), " ",
      operation.description ?? ""));
  for (const parameter of operation.parameters ?? []) {
    section.append(el("p", {}, "Parameter ", el("code", {}, parameter.name),
      ` (${parameter.in}): ${parameter.description ?? ""}`));
  }
  const json = operation.requestBody?.content?.["application/json"];
  if (json) {
    section.append(el("h3", {}, "Body"), drawSchema(api, json.schema));
  }
  section.append(el("h3", {}, "Responses"));
  let types;
  for (const [status, response] of Object.entries(operation.responses)) {
    const about = el("details", {},
      el("summary", {}, el("b", {}, status), ` ${response.description}`));
    for (const [type, content] of Object.entries(response.content ?? {})) {
      const schema = content.itemSchema ?? content.schema;
      about.append(el("code", {}, type), drawSchema(api, schema));
      if (type === "text/event-stream") {
        const events = resolve(api, schema);
        types = (events.oneOf ?? [events])
          .flatMap((one) => resolve(api, one).properties?.event?.enum ?? []);
      }
    }
    section.append(about);
  }
  if (types && method === "get") section.append(listen(path, types));
  if (json) section.append(send(api, method, path, json.schema));
  return section;
}

const main = document.getElementById("api");
try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`status ${response.status}`);
  const api = await response.json();
  const sections = Object.entries(api.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) =>
      drawOperation(api, path, method, operation)));
  document.title = api.info.title;
  main.replaceChildren(el("h1", {}, api.info.title),
    el("p", {}, api.info.description ?? ""),
    el("p", {}, el("a", { href: "/openapi.json" }, "/openapi.json")),
    ...sections);
} catch (error) {
  main.replaceChildren(el("p", {}, `/openapi.json: ${error.message}`));
}
