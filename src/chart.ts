/**
 * Line charts as SVG.
 *
 * @module
 */

/** One axis of a chart. */
export interface Axis {
  /** What it shows, with the unit. */
  label: string;
  /** Value at its beginning. */
  low: number;
  /** Value at its end, more than `low`. */
  high: number;
  /** Values that are written, with their texts. */
  ticks: readonly (readonly [value: number, text: string])[];
  /** Equal ratios are equally long; `low` must be above 0. */
  logarithmic?: boolean;
}

/** One line of a chart. */
export interface Curve {
  /** Its text in the legend. */
  name: string;
  /** Its corners. */
  points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 720, HEIGHT = 400, LEFT = 56, BOTTOM = 40, TOP = 36, RIGHT = 16;
const COLORS = ["#4a6fa5", "#b3541e", "#2e7d4f", "#7b4fa3", "#8a6d1d", "#a33b5c", "#3b8c9a"];

/** Where a value stands along its axis, from 0 to 1. */
function share({ low, high, logarithmic }: Axis, value: number): number {
  return logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
}

/** Draws curves, with lines across at the ticks of y and a legend at the top right. */
export function lineChart(
  { title, x, y, curves }: { title: string; x: Axis; y: Axis; curves: readonly Curve[] },
): string {
  const across = (value: number) => LEFT + share(x, value) * (WIDTH - LEFT - RIGHT);
  const down = (value: number) => TOP + (1 - share(y, value)) * (HEIGHT - TOP - BOTTOM);
  const escape = (text: string) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const lines: string[] = [];
  for (const [value, text] of y.ticks) {
    const at = down(value);
    lines.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${at + 4}" text-anchor="end">${escape(text)}</text>`,
    );
  }
  for (const [value, text] of x.ticks) {
    lines.push(
      `<text x="${across(value)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${
        escape(text)
      }</text>`,
    );
  }
  curves.forEach(({ name, points }, i) => {
    const color = COLORS[i % COLORS.length];
    const path = points.map(([px, py]) => `${across(px).toFixed(1)},${down(py).toFixed(1)}`);
    lines.push(
      `<polyline points="${path.join(" ")}" fill="none" stroke="${color}" stroke-width="1.6"/>`,
      `<text x="${WIDTH - RIGHT - 6}" y="${TOP + 16 + 16 * i}" text-anchor="end" fill="${color}">${
        escape(name)
      }</text>`,
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
    `font-family="sans-serif" font-size="12" role="img">\n` +
    `<title>${escape(title)}</title>\n<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>\n` +
    `<text x="${LEFT}" y="20" font-size="14">${escape(title)}</text>\n` +
    `<text x="${WIDTH / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escape(x.label)}</text>\n` +
    `<text x="14" y="${HEIGHT / 2}" transform="rotate(-90 14 ${HEIGHT / 2})" ` +
    `text-anchor="middle">${escape(y.label)}</text>\n${lines.join("\n")}\n</svg>\n`;
}
