#!/usr/bin/env python3
"""Holds the shape of the tree: who may include whom, no vendor's name above the backends, no file too long to read.

  layers.py [ROOT]       checks the tracked files of ROOT (default: the repository this file is in); exit status 1 on any finding
  layers.py --self-test  checks the checker: small wrong trees must each be found, a right one must pass

Only the standard library is used. The rules:
  includes    hal <- backends; hal <- kernels <- models; {backends, kernels} <- probes; {probes, models} <- scheduler
              <- {cli, bindings, examples}. kernels and backends never meet, except in backends/all.cpp. Above the backends only
              headers that lie directly in backends/ are seen. tests/ may include anything.
  vendor      hal, models, probes and scheduler name no vendor API in code, neither as an identifier nor in a comparison with a
              string. hal may use the enumerators of Format and Kind. A vendor's header belongs to that API's folders.
  kind        nobody outside backends/ and hal/ compares a Kind: ask the device for the property instead.
  length      code files have at most 800 lines (a warning from 500 on); one that says "generated" or "table" in line 1 is exempt.
  paths       no absolute path of somebody's machine in a tracked file.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

MAY_INCLUDE = {
    "hal": {"hal"},
    "backends": {"hal", "backends"},
    "kernels": {"hal", "kernels"},
    "models": {"hal", "kernels", "models"},
    "probes": {"hal", "kernels", "backends", "probes"},
    "scheduler": {"hal", "kernels", "models", "probes", "scheduler"},
    "cli": {"hal", "kernels", "backends", "models", "probes", "scheduler", "bindings", "cli"},
    "bindings": {"hal", "kernels", "backends", "models", "probes", "scheduler", "bindings"},
    "examples": {"hal", "kernels", "backends", "models", "probes", "scheduler", "bindings", "examples"},
}
LAYERS = list(MAY_INCLUDE)
SEES_ALL = {"backends/all.cpp"}
VENDOR_FREE = {"hal", "models", "probes", "scheduler"}
KIND_FREE = {"kernels", "models", "probes", "scheduler", "cli", "bindings", "examples"}
CXX = (".cpp", ".cc", ".c", ".h", ".hpp", ".inc", ".def")
CODE = CXX + (".cu", ".cuh", ".cl", ".comp", ".glsl", ".slang", ".py", ".sh", ".cmake")
LINES_MAX, LINES_WARN = 800, 500

VENDOR_PARTS = {"vulkan", "vk", "volk", "opencl", "cuda", "npu", "openvino", "sycl", "rocm", "hip", "oneapi", "nvml", "ze"}
VENDOR_WHOLE = re.compile(r"level_?zero|LevelZero|LEVEL_?ZERO|^cl[A-Z]|^(cl|CL)_|^cu[A-Z]|^CU_")
VENDOR_TEXT = re.compile(r"vulkan|opencl|cuda|level[_ ]?zero|\bnpu\b|openvino|nvidia|intel|\bamd\b", re.I)
VENDOR_HEADERS = [
    (re.compile(r"^(vulkan/|volk|vk_)"), "vulkan"),
    (re.compile(r"^CL/"), "opencl"),
    (re.compile(r"^(cuda|cublas|nvrtc|nvml|mma\.h|cooperative_groups)"), "cuda"),
    (re.compile(r"^(level_zero/|ze_)"), "level_zero|npu"),
    (re.compile(r"^openvino"), "tests"),
]
MACHINE_PATH = re.compile(r"(?<![\w.\-/}])/(" + "|".join(["work", "root", "home", "tmp"]) + r")/[\w.\-$%{]")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
COMPARED = re.compile(r'[=!]=\s*"([^"\n]*)"|"([^"\n]*)"(?:sv|s)?\s*[=!]=|(?:starts_with|ends_with|contains|find|compare|strcmp)\s*\([^;"\n]*"([^"\n]*)"')
KIND_COMPARED = re.compile(r"[=!]=\s*(?:\w+::)*Kind::\w|\bKind::\w+\s*[=!]=|\bcase\s+(?:\w+::)*Kind::")
TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\\ ]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip(text, strings):
    """Comments (and, unless `strings`, literals) as blanks; line numbers stay."""
    def blank(match):
        piece = match.group(0)
        if not piece.startswith("/") and strings:
            return piece
        quote = "" if piece.startswith("/") else piece[-1]
        return quote + "\n" * piece.count("\n") + quote
    return TOKENS.sub(blank, text)


def vendor_word(identifier):
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return any(p.lower() in VENDOR_PARTS for p in parts) or VENDOR_WHOLE.search(identifier)


def tracked(root):
    """Files git would commit: tracked ones, and new ones that are not ignored. Without git: all but build/."""
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
        names = [n for n in out.split("\0") if n]
        if names:
            return sorted(n for n in set(names) if os.path.isfile(os.path.join(root, n)))
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in ("build", ".git", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(found)


class Tree:
    def __init__(self, root):
        self.root, self.errors, self.warnings, self.lines, self.virtuals = root, [], [], {}, 0
        self.files = tracked(root)
        self.known = set(self.files)
        self.words = set()
        info = self.read("hal/info.h") if "hal/info.h" in self.known else ""
        for body in re.findall(r"enum class (?:Format|Kind)[^{]*\{([^}]*)\}", strip(info, False)):
            self.words |= set(re.findall(r"\w+", body))

    def read(self, name):
        with open(os.path.join(self.root, name), "rb") as f:
            data = f.read()
        return "" if b"\0" in data else data.decode("utf-8", "replace")

    def find(self, name, text, position, message):
        self.errors.append(f"{name}:{text.count(chr(10), 0, position) + 1}: {message}")

    def check(self):
        for name in self.files:
            text = self.read(name)
            for match in MACHINE_PATH.finditer(text):
                self.find(name, text, match.start(), f"paths: '{match.group(0)}' is a path of one machine")
            if name.endswith(CODE) or os.path.basename(name) == "CMakeLists.txt" or text.startswith("#!"):
                self.length(name, text)
            if name.endswith(CODE):
                self.includes(name, text)
            if name.endswith(CXX):
                self.words_of(name, text)
        return not self.errors

    def length(self, name, text):
        count, top = text.count("\n"), name.split("/")[0] if "/" in name else "."
        self.lines[top] = self.lines.get(top, 0) + count
        if re.search(r"generated|table", text.split("\n", 1)[0], re.I):
            return
        if count > LINES_MAX:
            self.errors.append(f"{name}: length: {count} lines, at most {LINES_MAX}: split it")
        elif count > LINES_WARN:
            self.warnings.append(f"{name}: {count} lines; think about a split from {LINES_WARN} on")

    def includes(self, name, text):
        code, top = strip(text, True), name.split("/")[0]
        for match in INCLUDE.finditer(code):
            quoted, target = match.group(1) == '"', match.group(2)
            beside = os.path.normpath(os.path.join(os.path.dirname(name), target))
            path = target if target in self.known or not quoted else beside if beside in self.known else None
            if path and "/" in path and path.split("/")[0] in LAYERS and top in LAYERS and (quoted or path in self.known):
                to = path.split("/")[0]
                if to not in MAY_INCLUDE[top] and name not in SEES_ALL:
                    self.find(name, code, match.start(), f"includes: {top}/ may not include {to}/ ({target})")
                elif to == "backends" and top != "backends" and path.count("/") > 1:
                    self.find(name, code, match.start(), f"includes: {target} is inside one backend; only backends/*.h is seen from {top}/")
            for header, folders in VENDOR_HEADERS:
                if header.search(target) and path not in self.known and top in LAYERS:
                    if not any(part in folders.split("|") for part in name.split("/")[1:-1]):
                        self.find(name, code, match.start(), f"vendor: <{target}> belongs into a folder named {folders}")

    def words_of(self, name, text):
        top = name.split("/")[0]
        code, with_strings = strip(text, False), strip(text, True)
        if top in VENDOR_FREE:
            plain = INCLUDE.sub(lambda m: " " * len(m.group(0)), code)
            for match in re.finditer(r"\b[A-Za-z_]\w*", plain):
                word = match.group(0)
                if vendor_word(word) and not (top == "hal" and word in self.words):
                    self.find(name, plain, match.start(), f"vendor: '{word}' names a vendor's API in {top}/")
            for match in COMPARED.finditer(with_strings):
                literal = next(g for g in match.groups() if g is not None)
                if VENDOR_TEXT.search(literal):
                    self.find(name, with_strings, match.start(), f'vendor: {top}/ decides by the name "{literal}"')
        if top in KIND_FREE:
            for match in KIND_COMPARED.finditer(code):
                self.find(name, code, match.start(), "kind: ask the device for the property, not for its Kind")
        if top == "hal":
            self.virtuals += len(re.findall(r"\bvirtual\b(?!\s*~)", code))

    def report(self):
        for line in self.warnings:
            print(f"warning: {line}")
        for line in self.errors:
            print(line)
        print("lines of code: " + ", ".join(f"{top} {n}" for top, n in sorted(self.lines.items())) + f"; all {sum(self.lines.values())}")
        print(f"virtual functions in hal/ (destructors not counted): {self.virtuals}")
        print(f"{len(self.files)} files, {len(self.errors)} findings, {len(self.warnings)} warnings")


def self_test():
    slash = "/"
    base = {"hal/info.h": "enum class Format { call, spirv_vulkan, opencl_c };\nenum class Kind { cpu, npu };\n",
            "hal/a.h": "struct A { virtual ~A() = default; virtual int f() = 0; };\n", "kernels/k.h": "", "backends/all.h": "",
            "backends/vulkan/device.h": "", "models/m.h": "", "probes/p.h": "", "scheduler/s.h": "", "cli/c.h": ""}
    right = {
        "hal/info.cpp": '#include "hal/info.h"\nconst char* f(Format x) { return x == Format::spirv_vulkan ? "vulkan" : "npu"; }\n',
        "backends/all.cpp": '#include "backends/all.h"\n#include "kernels/k.h"\n', "probes/p.cpp": '#include "backends/all.h"\n',
        "backends/vulkan/device.cpp": '#include <vulkan/vulkan.h>\n#include "device.h"\n',
        "kernels/gemm/vulkan/launch.cpp": '#include "kernels/k.h"\n', "scheduler/run/r.cpp": '#include "models/m.h"\n',
        "scheduler/words.cpp": "// vulkan is a word here\nint clear = 1, size = 0x1'000; char c = '\"';\nauto text = \"on cuda:0\";\n",
        "cli/main.cpp": '#include "scheduler/s.h"\n#include "backends/all.h"\nbool vulkan;\n',
        "tests/unit/t.cpp": '#include "backends/vulkan/device.h"\n#include <CL/cl.h>\nif (k == Kind::cpu) {}\n',
        "kernels/big.cpp": "// Generated.\n" + "\n" * 900, "docs/a.md": "build" + slash + "tmp" + slash + "x, $HOME" + slash + "tmp" + slash + "\n",
    }
    wrong = [
        ("includes", "kernels/x.cpp", '#include "backends/all.h"\n'), ("includes", "backends/cpu/x.cpp", '#include "kernels/k.h"\n'),
        ("includes", "hal/x.cpp", '#include "kernels/k.h"\n'), ("includes", "hal/x.cpp", '#include "../kernels/k.h"\n'),
        ("includes", "models/x.cpp", '#include "probes/p.h"\n'), ("includes", "probes/x.cpp", '#include "scheduler/s.h"\n'),
        ("includes", "scheduler/x.cpp", '#include "backends/all.h"\n'), ("includes", "scheduler/x.cpp", '#include "cli/c.h"\n'),
        ("includes", "cli/x.cpp", '#include "backends/vulkan/device.h"\n'), ("includes", "kernels/x.cpp", '#include <backends/all.h>\n'),
        ("vendor", "scheduler/x.cpp", "#include <vulkan/vulkan.h>\n"), ("vendor", "backends/cpu/x.cpp", "#include <CL/cl.h>\n"),
        ("vendor", "probes/x.cpp", "int use_cuda = 0;\n"), ("vendor", "models/x.cpp", "VkDevice d;\n"), ("vendor", "hal/x.cpp", "int npu_count;\n"),
        ("vendor", "scheduler/x.cpp", "auto q = clCreateKernel;\n"), ("vendor", "probes/x.cpp", "struct LevelZeroProbe {};\n"),
        ("vendor", "scheduler/x.cpp", 'if (info.api == "vulkan") {}\n'), ("vendor", "probes/x.cpp", 'if (id.starts_with("cuda:")) {}\n'),
        ("vendor", "scheduler/x.cpp", "f = hal::Format::spirv_vulkan;\n"), ("vendor", "scheduler/x.def", "X(vulkan)\n"),
        ("vendor", "scheduler/x.cpp", 'auto s = "//"; int vulkan;\n'), ("vendor", "scheduler/x.cpp", 'auto s = R"(")"; int vulkan; auto t = "";\n'),
        ("kind", "scheduler/x.cpp", "if (info.kind == hal::Kind::cpu) {}\n"), ("kind", "cli/x.cpp", "switch (k) { case Kind::cpu: break; }\n"),
        ("length", "cli/x.cpp", "int a;\n" * 801), ("length", "scripts/x", "#!/bin/sh\n" + ":\n" * 801),
        ("paths", "docs/x.md", "cd " + slash + "work" + slash + "main\n"), ("paths", "scripts/x.sh", "rm -rf " + slash + "tmp" + slash + "x\n"),
    ]
    def run(files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**base, **files}.items():
                os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                    f.write(text)
            tree = Tree(root)
            tree.check()
            return tree
    failed = []
    good = run(right)
    failed += [f"a right tree: {e}" for e in good.errors]
    if good.virtuals != 1:
        failed.append(f"virtual functions of a right tree: {good.virtuals}, expected 1")
    for rule, name, text in wrong:
        errors = run({name: text}).errors
        if len(errors) != 1 or not errors[0].startswith(name) or f" {rule}: " not in errors[0]:
            failed.append(f"{rule} in {name} {text[:60]!r}: found {errors}")
    for line in failed:
        print(line)
    print(f"{len(wrong) + 1 - len(failed)} of {len(wrong) + 1} small trees judged as they should be")
    return not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return 0 if self_test() else 1
    tree = Tree(options.root)
    tree.check()
    tree.report()
    return 1 if tree.errors else 0


if __name__ == "__main__":
    sys.exit(main())
