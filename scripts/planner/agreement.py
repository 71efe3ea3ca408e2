"""Whether the planner's answers and those of HiGHS can both be true, and its answers after a change among each other."""

TOLERANCE = 1e-6  # HiGHS's answers keep limits and whole numbers to about 1e-9 of a limit


def disagreements(result):
    """A line for each answer of the planner that HiGHS's contradicts, and how many answers were compared."""
    lines, compared = [], 0
    for number, case in enumerate(result["cases"]):
        highs = case.get("highs")
        if not highs or (highs["cost"] is None and highs["bound"] is None and not highs["infeasible"]):
            continue
        for r in case["results"]:
            compared += 1
            name = f"problem {number} ({case['machine']}, {case['model']}), effort {r['effort']:g}"
            if not r["fits"]:
                if r["bound"] is None and highs["cost"] is not None:
                    lines.append(f"{name}: said that nothing fits, HiGHS has a placement of cost {highs['cost']:.9g}")
                continue
            if highs["infeasible"]:
                lines.append(f"{name}: has a placement of cost {r['cost']:.9g}, HiGHS says that nothing fits")
            if highs["cost"] is not None and r["bound"] > highs["cost"] * (1 + TOLERANCE):
                lines.append(f"{name}: proved that nothing costs less than {r['bound']:.9g}, HiGHS has a placement of {highs['cost']:.9g}")
            if highs["bound"] is not None and r["cost"] < highs["bound"] * (1 - TOLERANCE):
                lines.append(f"{name}: has a placement of cost {r['cost']:.9g}, HiGHS proved that nothing costs less than {highs['bound']:.9g}")
    return lines + [line for number, case in enumerate(result["cases"]) for line in wrong_replans(number, case)], compared


def wrong_replans(number, case):
    for r in case["replans"]:
        name, again = f"problem {number} ({case['machine']}, {case['model']}), {r['change']}", r["again"]
        if r["stay"] is not None and not (again["fits"] and again["cost"] <= r["stay"] * (1 + 1e-9)):
            yield f"{name}: planned again {again['cost']}, worse than staying, {r['stay']:.9g}"
        answers = [again, *r["afresh"]]
        costs, bounds = [a["cost"] for a in answers if a["fits"]], [a["bound"] for a in answers if a["bound"] is not None]
        if costs and any(not a["fits"] and a["bound"] is None for a in answers):
            yield f"{name}: said that nothing fits, and has a placement of cost {min(costs):.9g}"
        if costs and bounds and max(bounds) > min(costs) * (1 + 1e-9):
            yield f"{name}: proved that nothing costs less than {max(bounds):.9g} and has a placement of {min(costs):.9g}"
