"""Problems of planner_cases on stdin, what HiGHS finds in the seconds given on stdout.

As a mixed integer program: a binary per option and per device used, a flow over the borders between units (its variables come out whole),
a row per unit, border and limit.
"""
import json
import sys
import time

import highspy
import numpy as np


def program(chain):
    """Costs, which variables are whole, and rows as (lower, upper, indices, values)."""
    places, rows, cost, whole = chain["places"], [], [], []
    inf = highspy.kHighsInf
    at = lambda u, a, b: chain["moves"][chain["border"][u]][a * (places + 1) + b]  # noqa: E731
    units, last = chain["units"], len(chain["units"]) - 1

    def variable(c, integer):
        cost.append(c)
        whole.append(integer)
        return len(cost) - 1

    x = []
    for u, options in enumerate(units):
        x.append([])
        for c, place, _, _ in options:
            c += at(0, places, place) if u == 0 else 0
            c += at(last + 1, place, places) if u == last else 0
            x[u].append(variable(c, True))
        rows.append((1, 1, x[u], [1] * len(x[u])))
    for u in range(last):
        here, there = sorted({o[1] for o in units[u]}), sorted({o[1] for o in units[u + 1]})
        flow = {(a, b): variable(at(u + 1, a, b), False) for a in here for b in there}
        for a in here:
            ids = [x[u][i] for i, o in enumerate(units[u]) if o[1] == a]
            rows.append((0, 0, ids + [flow[a, b] for b in there], [1] * len(ids) + [-1] * len(there)))
        for b in there:
            ids = [x[u + 1][i] for i, o in enumerate(units[u + 1]) if o[1] == b]
            rows.append((0, 0, ids + [flow[a, b] for a in here], [1] * len(ids) + [-1] * len(here)))
    used = [variable(0, True) for _ in range(chain["devices"])]
    for d in range(chain["devices"]):
        if any(chain["fixed"][d]):
            rows += [(-inf, 0, [x[u][i], used[d]], [1, -1]) for u, options in enumerate(units) for i, o in enumerate(options) if o[2] >> d & 1]
    for r, limit in enumerate(chain["limit"]):
        scale = max(1.0, float(limit))
        ids = [(x[u][i], o[3][r] / scale) for u, options in enumerate(units) for i, o in enumerate(options) if o[3][r]]
        ids += [(used[d], chain["fixed"][d][r] / scale) for d in range(chain["devices"]) if chain["fixed"][d][r]]
        if ids:
            rows.append((-inf, 1.0, [i for i, _ in ids], [v for _, v in ids]))
    return cost, whole, rows


def solve(chain, seconds):
    cost, whole, rows = program(chain)
    scale = 1 / max(cost)
    h = highspy.Highs()
    for name, value in (("output_flag", False), ("time_limit", seconds), ("threads", 1), ("mip_rel_gap", 1e-7), ("mip_feasibility_tolerance", 1e-9)):
        h.setOptionValue(name, value)
    n = len(cost)
    h.addVars(n, np.zeros(n), np.ones(n))
    h.changeColsCost(n, np.arange(n, dtype=np.int32), np.array(cost) * scale)
    integers = np.array([i for i in range(n) if whole[i]], dtype=np.int32)
    h.changeColsIntegrality(len(integers), integers, np.array([highspy.HighsVarType.kInteger] * len(integers)))
    for lower, upper, ids, values in rows:
        h.addRow(lower, upper, len(ids), np.array(ids, dtype=np.int32), np.array(values, dtype=float))
    begin, cpu = time.perf_counter(), time.process_time()
    h.run()
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    info, status = h.getInfo(), h.getModelStatus()
    infeasible = status == highspy.HighsModelStatus.kInfeasible
    found = not infeasible and info.primal_solution_status == 2
    return {"cost": info.objective_function_value / scale if found else None, "bound": info.mip_dual_bound / scale if np.isfinite(info.mip_dual_bound) and not infeasible else None,
            "infeasible": infeasible, "optimal": status == highspy.HighsModelStatus.kOptimal, "seconds": took, "cpu_seconds": cpu}


def main():
    seconds, cases = float(sys.argv[1]), json.load(sys.stdin)["cases"]
    answers = []
    for i, case in enumerate(cases):
        answers.append(solve(case["chain"], seconds))
        print(f"\rHiGHS: {i + 1} of {len(cases)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
