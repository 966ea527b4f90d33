// A ramp that is even to the eye and to those who see few colours, from dark violet (low) by green to yellow (high).

const stops = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];

export function ramp(share) {
    const at = Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0)) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    return stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * (at - low)));
}

export const css = (rgb, alpha = 1) => `rgba(${rgb.join(',')},${alpha})`;
