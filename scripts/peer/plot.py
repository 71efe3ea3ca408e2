"""A bar chart of saved results as SVG, written by hand: per row the share of the run's limit that each side reaches, and their ratio."""
import datetime

from common import count
from svg import GRID, OURS, PEER, TEXT, document, text

LABEL, BARS, RATIO = 430, 430, 90  # widths
ROW, BAR, TOP = 30, 11, 84


def bar(y, percent, scale, color):
    return (f'<rect x="{LABEL}" y="{y:.1f}" width="{max(1.0, percent * scale):.1f}" height="{BAR}" fill="{color}"/>'
            + text(LABEL + percent * scale + 4, y + BAR - 2, f"{percent:.0f}", size=10))


def chart(title, sections):
    """sections: (heading, [(name, our percent, the peer's, ratio)])"""
    largest = max([100.0] + [p for _, rows in sections for _, mine, peer, _ in rows for p in (mine, peer)])
    scale = (BARS - 24) / largest
    parts, y = [], TOP
    for heading, rows in sections:
        parts.append(text(10, y + 14, heading, size=13, weight="bold"))
        y += 24
        for name, mine, peer, ratio in rows:
            parts.append(text(LABEL - 8, y + 16, name, "end"))
            parts.append(bar(y + 2, mine, scale, OURS) + bar(y + 3 + BAR, peer, scale, PEER))
            parts.append(text(LABEL + BARS + RATIO - 12, y + 17, f"{ratio:.2f} x", "end", weight="bold"))
            y += ROW
        y += 8
    grid = []
    for percent in range(0, int(largest) + 1, 20 if largest < 180 else 50):
        x = LABEL + percent * scale
        grid.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y}" stroke="{TEXT if percent == 100 else GRID}" stroke-width="1"/>')
        grid.append(text(x, TOP - 6, f"{percent} %", "middle", size=10))
    legend = (f'<rect x="10" y="44" width="12" height="12" fill="{OURS}"/>' + text(28, 54, "switchyard")
              + f'<rect x="110" y="44" width="12" height="12" fill="{PEER}"/>' + text(128, 54, "llama.cpp, better of its weights repacked or not")
              + text(LABEL + BARS + RATIO - 12, TOP - 6, "ratio", "end", size=10))
    width, height = LABEL + BARS + RATIO, y + 10
    return document(width, height, [text(10, 26, title, size=15, weight="bold"), legend, *grid, *parts])


def title(circumstances):
    """One line for all results drawn."""
    if not circumstances:
        return f"Percent of the run's limit, {datetime.date.today()}"
    c = circumstances[0]
    days = sorted({one["date"] for one in circumstances})
    return (f"Percent of the run's own limit: {c['cpu']}, {count(c['threads'], 'thread')}, llama-cpp-python {c['llama_cpp_python']}, "
            + " to ".join(dict.fromkeys((days[0], days[-1]))))
