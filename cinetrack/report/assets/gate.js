"use strict";
// The beam of a gated treatment, simulated: when it is on, and what a wider margin buys.

const BEAM = { predicted: "#d9480f", measured: "#66707f", truth: "#0a8f6c" };

// chart(options) draws above the others' time axis, see drawPlots.
function drawGate(page, chart, host) {
  const gate = page.gating;
  if (!gate) return;
  const setting = `${gate.margin_mm} mm, ${gate.latency_ms} ms from frame to beam, on ${(gate.duty_cycle * 100).toFixed(0)} % of the time`;
  htmlElement("h2", "Gated beam", host, "gatehead");
  htmlElement("p", "Simulated, with prediction. No medical device: research and simulation.", host, "hint");
  const traces = Object.entries(page.traces).filter(([name]) => !name.startsWith("observer")).reverse();
  chart({
    title: "Beam on (bars) and SI motion", unit: setting, bars: gate.beam,
    series: traces.map(([name, trace]) => ({
      name, color: lineColor(name),
      values: trace.si.map((value, frame) => (trace.area[frame] ? value : null)),
    })),
  });
  const line = (name, color, values, dash) => ({ name, color, values, dash });
  const { predicted, measured } = gate.curve;
  const duty = [line("duty cycle, predicted", BEAM.predicted, predicted.duty_cycle), line("duty cycle, measured", BEAM.measured, measured.duty_cycle)];
  if (gate.true_duty_cycle) duty.push(line("duty cycle, truth", BEAM.truth, gate.true_duty_cycle));
  lineChart(host, { title: "Duty cycle by margin", unit: "share of the time", x: gate.margins_mm, xUnit: "mm", series: duty, floor: 0, ceiling: 1 });
  if (gate.true_duty_cycle) {
    const coverage = [line("coverage, predicted", BEAM.predicted, predicted.target_coverage), line("coverage, measured", BEAM.measured, measured.target_coverage)];
    lineChart(host, { title: "Target inside while the beam is on, by margin", unit: "share of the beam's time", x: gate.margins_mm, xUnit: "mm", series: coverage, ceiling: 1 });
  }
  const legend = htmlElement("div", undefined, host, "legend");
  const names = { predicted: "position predicted ahead", measured: "position as measured", truth: "truth" };
  for (const [key, text] of Object.entries(names)) {
    if (key === "truth" && !gate.true_duty_cycle) continue;
    const item = htmlElement("span", undefined, legend);
    htmlElement("i", undefined, item, "swatch").style.background = BEAM[key];
    htmlElement("span", text, item);
  }
}
