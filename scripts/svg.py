"""What the charts of scripts/ share."""
from xml.sax.saxutils import escape

TEXT = "#222222"


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{TEXT}">'
            f'{escape(words)}</text>')


def document(width, height, parts):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
                      f'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">',
                      f'<rect width="{width}" height="{height}" fill="white"/>', *parts, "</svg>", ""])
