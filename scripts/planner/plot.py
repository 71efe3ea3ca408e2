"""What scripts/bench_planner measured as SVG: how much dearer than the best known placement each rule's is, on a logarithmic axis."""
import math

from svg import document, text
from tables import best_known, groups, quantile

LEFT, WIDTH, ROW, TOP = 190, 560, 22, 70
COLOR, OURS, GRID = "#c9a66b", "#1f6fb2", "#dddddd"
MOST = 32


def place(ratio):
    return LEFT + WIDTH * math.log2(max(1.0, min(ratio, MOST))) / math.log2(MOST)


def row(y, name, ratios, color):
    low, middle, high = (quantile(ratios, q) for q in (0.05, 0.5, 0.95))
    return [text(LEFT - 8, y + 15, name, "end"),
            f'<line x1="{place(low):.1f}" y1="{y + 11}" x2="{max(place(high), place(low) + 1):.1f}" y2="{y + 11}" stroke="{color}" stroke-width="6"/>',
            f'<circle cx="{place(middle):.1f}" cy="{y + 11}" r="5" fill="{color}"/>',
            text(LEFT + WIDTH + 8, y + 15, f"{middle:.3f}" if middle < 1.1 else f"{middle:.2f}", size=11)]


def chart(result):
    parts, y = [], TOP
    for name, cases in groups(result).items():
        possible = [c for c in cases if best_known(c)[0] is not None]
        parts.append(text(10, y + 14, f"{name}: {len(possible)} problems", size=13, weight="bold"))
        y += 22
        ours = [c["results"][0]["cost"] / best_known(c)[0] for c in possible if c["results"][0]["fits"]]
        if ours:
            parts += row(y, "switchyard", ours, OURS)
            y += ROW
        for rule in result["rules"]:
            ratios = [c["rules"][rule] / best_known(c)[0] for c in possible if c["rules"][rule] is not None]
            if ratios:
                parts += row(y, rule, ratios, COLOR)
                y += ROW
        y += 10
    grid = []
    for ratio in (1, 2, 4, 8, 16, 32):
        grid.append(f'<line x1="{place(ratio):.1f}" y1="{TOP}" x2="{place(ratio):.1f}" y2="{y}" stroke="{GRID}"/>')
        grid.append(text(place(ratio), TOP - 6, f"{ratio} x", "middle", 10))
    height, width = y + 12, LEFT + WIDTH + 60
    title = f"Cost of a placement over the best known: median (dot), 5 to 95 % of problems (bar), seed {result['seed']}"
    return document(width, height, [text(10, 26, title, size=14, weight="bold"), *grid, *parts])
