#!/usr/bin/env python3
"""summary.py RESULTS SECONDS: the table of stages, their tests and times; the last line is 'N passed, N failed, N skipped'.

Counts every test of every GoogleTest and CTest report (*.xml) a stage left in RESULTS/STAGE, and each stage itself as one more.
Exit status 1 if anything failed or nothing passed.
"""
import pathlib
import sys
import xml.etree.ElementTree as ET


def cases(suite):
    """(passed, failed, skipped) of one report; disabled tests are not counted."""
    passed = failed = skipped = 0
    for case in suite.iter("testcase"):
        if case.get("status") in ("notrun", "disabled"):
            continue
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            failed += 1
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def count(folder):
    """A ctest entry that left a GoogleTest report is counted by that report, unless it failed and the report shows no failure (a crash)."""
    total, inner = [0, 0, 0], {}
    reports = {path: ET.parse(path).getroot() for path in sorted(folder.glob("**/*.xml")) if path.stat().st_size}
    for path, root in reports.items():
        if path.name != "ctest.xml":
            inner[path.stem] = cases(root)
            total = [a + b for a, b in zip(total, inner[path.stem])]
    for path, root in reports.items():
        if path.name != "ctest.xml":
            continue
        for case in root.iter("testcase"):
            one = cases_of_one(case)
            below = inner.get("test_" + case.get("name", ""))
            if below is None:
                total = [a + b for a, b in zip(total, one)]
            elif one[1] and not below[1]:
                total[1] += 1
    return total


def cases_of_one(case):
    holder = ET.Element("testsuite")
    holder.append(case)
    return cases(holder)


def main():
    results, seconds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    listing = results / "stages.tsv"
    rows = [line.split("\t") for line in listing.read_text().splitlines()] if listing.exists() else []
    total = [0, 0, 0]
    print(f"{'stage':<28} {'result':<8} {'seconds':>7} {'passed':>7} {'failed':>7} {'skipped':>8}")
    for name, verdict, took in rows:
        tests = count(results / name)
        print(f"{name:<28} {verdict:<8} {took:>7} {tests[0]:>7} {tests[1]:>7} {tests[2]:>8}")
        if tests[1] and verdict != "failed":
            verdict = "failed"
        stage = [verdict == "passed", verdict == "failed", verdict == "skipped"]
        total = [a + b + c for a, b, c in zip(total, tests, stage)]
    print(f"all {len(rows)} stages took {seconds // 60} min {seconds % 60} s; tests and stages together:")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
