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
    await Promise.all(waiting);
    dress();
    dark.addEventListener("change", dress);
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
