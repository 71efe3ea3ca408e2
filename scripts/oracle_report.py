#!/usr/bin/env python3
"""oracle_report.py LOG XML: the 'pass'/'FAIL' lines of the reference check as a JUnit report, so that each case is counted."""
import sys
import xml.etree.ElementTree as ET

suite = ET.Element("testsuite", name="oracle")
with open(sys.argv[1], encoding="utf-8") as log:
    for line in log:
        word, _, rest = line.partition("  ")
        if word in ("pass", "FAIL"):
            case = ET.SubElement(suite, "testcase", name=" ".join(rest.split()[:2]), status="run")
            if word == "FAIL":
                ET.SubElement(case, "failure", message=rest.strip())
ET.ElementTree(suite).write(sys.argv[2])
