"""Tables of what scripts/bench_planner measured."""


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


def best_known(case):
    """The cheapest placement anyone found, and whether it is proven to be the best there is."""
    costs = [r["cost"] for r in case["results"] if r["fits"]]
    proven = any(r["optimal"] for r in case["results"])
    highs = case.get("highs")
    if highs and highs["cost"] is not None:
        costs.append(highs["cost"])
        proven = proven or highs["optimal"]
    if case.get("brute_force") is not None:
        costs.append(case["brute_force"])
        proven = True
    return (min(costs), proven) if costs else (None, proven)


def size(case):
    return "brute-forced" if "brute_force" in case else "up to 4 devices" if case["devices"] <= 4 else "more devices"


def groups(result):
    found = {}
    for case in result["cases"]:
        found.setdefault(size(case), []).append(case)
    return found


def regret(case, cost):
    best, _ = best_known(case)
    return 100 * (cost / best - 1)


def percent(values, digits=2):
    return f"{quantile(values, .5):.{digits}f} / {quantile(values, .95):.{digits}f} / {max(values, default=float('nan')):.{digits}f}"


def planner_rows(cases):
    """A row per effort."""
    for i, effort in enumerate(r["effort"] for r in cases[0]["results"]):
        answers = [(c, c["results"][i]) for c in cases]
        fits = [(c, r) for c, r in answers if r["fits"] and best_known(c)[0] is not None]
        gaps = [100 * (r["cost"] - r["bound"]) / r["cost"] for _, r in fits]
        yield {"effort": effort, "problems": len(answers), "proven": sum(r["optimal"] for _, r in fits),
               "regret": [max(0.0, regret(c, r["cost"])) for c, r in fits], "gap": gaps,
               "wrong_bound": sum(r["bound"] > best_known(c)[0] * (1 + 1e-6) for c, r in fits),
               "missed": sum(not r["fits"] and best_known(c)[0] is not None for c, r in answers),
               "below_density": sum(c["rules"]["density"] is not None and r["cost"] > c["rules"]["density"] * (1 + 1e-9) for c, r in fits),
               "ms": [1e3 * r["cpu_seconds"] for _, r in answers]}


def highs_row(cases):
    """The regrets and gaps of HiGHS, as in planner_rows()."""
    found = [(c, c["highs"]) for c in cases if c.get("highs") and c["highs"]["cost"] is not None]
    return {"regret": [max(0.0, regret(c, h["cost"])) for c, h in found],
            "gap": [100 * (h["cost"] - h["bound"]) / h["cost"] for _, h in found if h["bound"] is not None and h["cost"] > 0]}


def replan_rows(cases):
    """What came of all changes: a row for staying, planning again from the answer before, and planning afresh with each effort."""
    changed = [r for c in cases for r in c["replans"]]
    known = [(r, min(costs)) for r in changed if (costs := [a["cost"] for a in (r["again"], *r["afresh"]) if a["fits"]])]

    def row(name, answer):
        answers = [(answer(r), best) for r, best in known]
        fits = [(a, best) for a, best in answers if a["fits"]]
        return {"name": name, "changes": len(known), "none": len(answers) - len(fits), "regret": [100 * (a["cost"] / best - 1) for a, best in fits],
                "gap": [100 * (a["cost"] - a["bound"]) / a["cost"] for a, _ in fits if "bound" in a],
                "ms": [1e3 * answer(r)["cpu_seconds"] for r in changed if "cpu_seconds" in answer(r)]}
    if not known:
        return
    yield row("staying", lambda r: {"fits": r["stay"] is not None, "cost": r["stay"]})
    yield row(f"again, effort {changed[0]['again']['effort']:g}", lambda r: r["again"])
    for i, a in enumerate(changed[0]["afresh"]):
        yield row(f"afresh, effort {a['effort']:g}", lambda r, i=i: r["afresh"][i])


def show(result):
    print(f"seed {result['seed']}; median / 95th percentile / largest")
    for name, cases in groups(result).items():
        possible = [c for c in cases if best_known(c)[0] is not None]
        print(f"\n{name}: {len(cases)} problems, {len(possible)} that fit, {sum(best_known(c)[1] for c in possible)} with a proven best placement; "
              f"{min(c['units'] for c in cases)} to {max(c['units'] for c in cases)} units, {min(c['devices'] for c in cases)} to {max(c['devices'] for c in cases)} devices")
        print(f"{'planner':<18}{'proven':>8}{'regret, %':>24}{'gap printed, %':>24}{'gap <= 1, 2 %':>15}{'CPU ms':>22}  wrong bounds, missed, worse than density")
        for row in planner_rows(cases):
            within = ", ".join(f"{100 * sum(g <= most for g in row['gap']) / max(1, len(row['gap'])):.0f}" for most in (1, 2))
            print(f"effort {row['effort']:<11g}{row['proven']:>8}{percent(row['regret'], 3):>24}{percent(row['gap']):>24}{within + ' %':>15}"
                  f"{percent(row['ms'], 1):>22}  {row['wrong_bound']}, {row['missed']}, {row['below_density']}")
        highs = [c["highs"] for c in cases if "highs" in c]
        if highs:
            print(f"{'HiGHS, ' + format(result['seconds_of_highs'], 'g') + ' s':<18}{sum(h['optimal'] for h in highs):>8}"
                  f"{percent(highs_row(possible)['regret'], 3):>24}{percent(highs_row(possible)['gap']):>24}{'':>15}"
                  f"{percent([1e3 * h['seconds'] for h in highs], 0):>22}")
        print(f"{'after a change':<26}{'regret, %':>24}{'gap printed, %':>24}{'CPU ms':>22}  changes, of which it finds none that fits")
        for row in replan_rows(cases):
            print(f"{row['name']:<26}{percent(row['regret'], 3):>24}{percent(row['gap']) if row['gap'] else '':>24}"
                  f"{percent(row['ms'], 1) if row['ms'] else '':>22}  {row['changes']}, {row['none']}")
        print(f"{'rule':<18}{'cost over the best known: median / 95 % / largest':<52}finds none that fits")
        for rule, what in result["rules"].items():
            ratios = [c["rules"][rule] / best_known(c)[0] for c in possible if c["rules"][rule] is not None]
            print(f"{rule:<18}{percent(ratios):<52}{len(possible) - len(ratios):<6}{what}")
