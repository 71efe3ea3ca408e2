"""What the charts of scripts/ share."""
from xml.sax.saxutils import escape

TEXT, GRID, OURS, PEER, PAPER = "#222222", "#dddddd", "#1f6fb2", "#c9a66b", "#ffffff"
DARK = {TEXT: "#e6edf3", GRID: "#3d444d", OURS: "#58a6ff", PEER: "#b8935a", PAPER: "#0d1117"}  # the same where pages are dark


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{TEXT}">'
            f'{escape(words)}</text>')


def document(width, height, parts):
    dark = " ".join(f'[fill="{light}"] {{ fill: {dark} }} [stroke="{light}"] {{ stroke: {dark} }}' for light, dark in DARK.items())
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
                      f'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">',
                      f"<style>@media (prefers-color-scheme: dark) {{ {dark} }}</style>",
                      f'<rect width="{width}" height="{height}" fill="{PAPER}"/>', *parts, "</svg>", ""])
