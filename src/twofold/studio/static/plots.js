// Plotly, fetched when the first plot is drawn, in the page's own colours.

let loading;
export function plotly() {
  loading ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "/plotly.js";
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error("Plotly could not be loaded."));
    document.head.append(script);
  });
  return loading;
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Draw, or draw anew, into a node; `what` is said to those who cannot see it.
export async function plot(node, traces, layout = {}, what = "a plot") {
  const Plotly = await plotly();
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", what);
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line") };
  const { xaxis, yaxis, ...rest } = layout;
  await Plotly.react(node, traces, {
    margin: { l: 52, r: 12, t: 12, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("ink"), family: "system-ui, sans-serif", size: 12 }, showlegend: traces.length > 1,
    legend: { orientation: "h", y: 1.15 }, colorway: [colour("one"), colour("two"), colour("good"), colour("soft"), "#8a63d2", "#c2913d"],
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
  }, { displayModeBar: false, responsive: true });
  return Plotly;
}
