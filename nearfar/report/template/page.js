"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Bokeh draws on canvases, which no style sheet reaches: its models are told the colours of the page.
  const dressed = {
    Figure: () => ({background_fill_color: null, border_fill_color: null, outline_line_color: null}),
    LinearAxis: () => ({axis_line_color: colour("--line"), major_tick_line_color: colour("--line"),
      major_label_text_color: colour("--soft"), axis_label_text_color: colour("--soft")}),
    Grid: () => ({grid_line_color: colour("--line"), grid_line_alpha: 0.7}),
  };
  dressed.CategoricalAxis = dressed.LinearAxis;
  const dress = () => {
    for (const made of globalThis.Bokeh?.documents ?? []) {
      for (const model of made.all_models ?? made._all_models.values()) {
        const values = dressed[model.type]?.();
        if (values && !(model.type === "Grid" && model.dimension === 0)) model.setv(values);
      }
    }
  };

  // A finger that moves over a chart scrolls the page; a mouse that drags zooms.
  const forFingers = (view) => {
    if (!coarse.matches) return;
    const figure = view.model;
    if (figure.toolbar) figure.toolbar.active_drag = null;
  };

  const draw = async () => {
    const waiting = Object.entries(data.charts ?? {}).map(async ([id, item]) => {
      const views = await Bokeh.embed.embed_item(item, id);
      for (const view of views.roots ?? views) {
        forFingers(view);
        view.el?.addEventListener("dblclick", () => view.model.reset?.emit?.());
      }
    });
    await Promise.all([...waiting, sheet()]);
    dress();
    connect();
    dark.addEventListener("change", dress);
  };

  // The map: every example's likeness is a place in one sheet of thumbnails.
  const map = data.map;
  const sheet = async () => {
    if (!map?.sprite) return;
    const kept = await new Promise((done, failed) => {
      const image = new Image();
      image.onload = () => done(image);
      image.onerror = failed;
      image.src = map.sprite.source;
    });
    const canvas = document.createElement("canvas");
    canvas.width = kept.naturalWidth;
    canvas.height = kept.naturalHeight;
    canvas.getContext("2d").drawImage(kept, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    document.documentElement.style.setProperty("--sheet", `url("${URL.createObjectURL(blob)}")`);
    for (const element of document.querySelectorAll("i.thumb")) place(element, Number(element.dataset.row), 56);
  };
  const place = (element, row, side) => {
    element.style.backgroundSize = `${map.columns * side}px auto`;
    element.style.backgroundPosition = `${-side * (row % map.columns)}px ${-side * Math.floor(row / map.columns)}px`;
  };
  const made = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") element.textContent = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const thumb = (row, side, name = "thumb") => {
    const element = made("i", {class: name});
    place(element, row, side);
    return element;
  };

  let source = null;
  const choose = (row) => {
    if (source) source.selected.indices = [row];
    show(row);
  };
  const show = (row) => {
    const panel = document.getElementById("panel");
    const label = map.labels?.[row];
    panel.replaceChildren();
    if (map.sprite) panel.append(thumb(row, 144, "thumb big"));
    panel.append(made("h3", {text: map.texts[row] || map.ids[row]}));
    const what = [label && `label ${label}`, map.texts[row] && map.ids[row]].filter(Boolean).join(" · ");
    panel.append(made("p", {class: "soft small", text: what}), made("p", {class: "small", text: "Its nearest, by cosine:"}));
    const list = made("ol", {class: "near"});
    map.neighbours[row].forEach((other, place_) => {
      const button = made("button", {type: "button", class: "example", "data-row": other});
      if (map.sprite) button.append(thumb(other, 56));
      const words = made("span", {class: "words", text: map.texts[other] || (map.sprite ? "" : map.ids[other])});
      if (map.labels?.[other]) words.append(made("b", {text: map.labels[other]}));
      button.append(words, made("span", {class: "soft small", text: map.cosines[row][place_].toFixed(3)}));
      list.append(made("li", {}, button));
    });
    panel.append(list);
  };
  const narrow = () => {
    if (!source) return;
    const wanted = new Set([...document.querySelectorAll(".group[aria-pressed=true]")].map((each) => each.dataset.label));
    const word = document.getElementById("find").value.trim().toLowerCase();
    const listed = new Set([...document.querySelectorAll(".group")].map((each) => each.dataset.label));
    const alpha = map.ids.map((id, row) => {
      const label = map.labels?.[row] ?? "";
      const group = listed.has(label) ? label : "";
      const among = !wanted.size || wanted.has(group);
      const said = !word || [id, label, map.texts[row]].some((text) => text.toLowerCase().includes(word));
      return among && said ? 0.85 : 0.06;
    });
    source.data = {...Object.fromEntries(source.data instanceof Map ? source.data : Object.entries(source.data)), alpha};
  };
  const connect = () => {
    if (!map) return;
    for (const drawn of Bokeh.documents) {
      const figure = drawn.roots().find((root) => root.name === "map");
      if (figure) source = figure.renderers[0].data_source;
    }
    source.selected.properties.indices.change.connect(() => {
      const [row] = source.selected.indices;
      if (row !== undefined) show(row);
    });
    document.body.addEventListener("click", (event) => {
      const example = event.target.closest?.(".example");
      if (example) choose(Number(example.dataset.row));
      const group = event.target.closest?.(".group");
      if (group) {
        group.setAttribute("aria-pressed", String(group.getAttribute("aria-pressed") !== "true"));
        narrow();
      }
    });
    document.getElementById("find").addEventListener("input", narrow);
  };

  const copy = document.getElementById("copy");
  copy?.addEventListener("click", async () => {
    const code = document.getElementById("command");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
    }
    copy.textContent = "copied";
  });

  draw().then(() => { document.body.dataset.drawn = "yes"; }, (error) => { document.body.dataset.drawn = String(error); throw error; });
})();
