"""What scripts/bench_planner measured as SVG: regret and printed gap of the planner, HiGHS and every rule, on a logarithmic axis."""
import math

from svg import GRID, OURS, PAPER, PEER, TEXT, document, text
from tables import best_known, groups, highs_row, planner_rows, quantile, regret, replan_rows

LEFT, WIDTH, RIGHT, ROW, TOP = 190, 560, 190, 24, 92
LEAST, MOST = 1e-3, 1e4  # percent; what is less is drawn as the least


def place(percent):
    return LEFT + WIDTH * math.log(max(LEAST, min(percent, MOST)) / LEAST) / math.log(MOST / LEAST)


def number(percent):
    return "0" if percent < LEAST / 2 else f"{percent:.3g}" if percent < 1000 else f"{percent:.0f}"


def spread(y, values, color, hollow=False):
    """5 to 95 % of the values as a bar with the median as a dot, or as a thin line with a ring."""
    low, middle, high = (place(quantile(values, q)) for q in (0.05, 0.5, 0.95))
    dot = f'fill="{PAPER}" stroke="{color}" stroke-width="1.5"' if hollow else f'fill="{color}"'
    return [f'<line x1="{low:.1f}" y1="{y}" x2="{max(high, low + 1):.1f}" y2="{y}" stroke="{color}" stroke-width="{1.5 if hollow else 6}"/>',
            f'<circle cx="{middle:.1f}" cy="{y}" r="{3.5 if hollow else 4.5}" {dot}/>']


def row(y, name, regrets, gaps, color, none=0):
    parts = [text(LEFT - 10, y + 14, name, "end"), *spread(y + 9, regrets, color)]
    said = number(quantile(regrets, .5)) + " / " + number(quantile(regrets, .95))
    if gaps:
        parts += spread(y + 18, gaps, color, hollow=True)
        said += ";  " + number(quantile(gaps, .5)) + " / " + number(quantile(gaps, .95))
    return parts + [text(LEFT + WIDTH + 14, y + 14, said + (f"  ({none} do not fit)" if none else ""), size=11)]


def key(x, name, hollow=False):
    at = f'transform="translate({x - place(LEAST):.1f} 0)"'
    return [f"<g {at}>", *spread(46, [LEAST, LEAST * 1.6, LEAST * 2.5], TEXT, hollow), "</g>", text(x + 42, 50, name)]


def rows(result, cases):
    """The arguments of row() for everything that is drawn of a group."""
    for r in planner_rows(cases):
        yield f"switchyard, effort {r['effort']:g}", r["regret"], r["gap"], OURS
    for r in replan_rows(cases):
        if r["name"].startswith("again"):
            yield "after a change, " + r["name"].split(", ")[1], r["regret"], r["gap"], OURS
    highs = highs_row(cases)
    if highs["regret"]:
        yield f"HiGHS, {result['seconds_of_highs']:g} s", highs["regret"], highs["gap"], TEXT
    for rule in result["rules"]:
        regrets = [max(0.0, regret(c, c["rules"][rule])) for c in cases if c["rules"][rule] is not None]
        yield rule, regrets, [], PEER, len(cases) - len(regrets)


def chart(result):
    parts, y = [], TOP
    for cases in groups(result).values():
        cases = [c for c in cases if best_known(c)[0] is not None and "brute_force" not in c]
        if not cases:
            continue
        devices = sorted({c["devices"] for c in cases})
        parts.append(text(10, y + 16, f"{' to '.join(dict.fromkeys((str(devices[0]), str(devices[-1]))))} devices: {len(cases)} problems", size=13, weight="bold"))
        y += 24
        for of in rows(result, cases):
            if of[1]:
                parts += row(y, *of)
                y += ROW
        y += 10
    grid = []
    for power in range(-3, 5):
        x = place(10.0**power)
        grid.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y}" stroke="{GRID}"/>')
        grid.append(text(x, TOP - 6, "0" if power == -3 else f"{10.0**power:g}" + ("" if power == 4 else " %"), "middle", 10))
    head = [text(10, 26, "How much dearer than the best known, and how much the printed bound leaves open", size=15, weight="bold"),
            text(10, 50, f"Median and 5 to 95 % of the problems of seed {result['seed']}:"), *key(350, "regret"), *key(450, "gap", hollow=True),
            text(LEFT + WIDTH + 14, 50, "median / 95 %: regret;  gap", size=11)]
    return document(LEFT + WIDTH + RIGHT, y + 12, [*head, *grid, *parts])
