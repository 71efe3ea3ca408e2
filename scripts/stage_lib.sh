# For the files of stages/ and stacks/; sourced by them, not run. scripts/test sets STAGE, STACK, RESULTS, ROOT and JOBS.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
set -euo pipefail
cd "$ROOT"
: "${STAGE:=manual}" "${STACK:=}" "${RESULTS:=$ROOT/build/test-results}"
OUT=$RESULTS/$STAGE
mkdir -p "$OUT"

skip() { echo "$*"; exit 77; }

# No driver is found unless a stack says which: a run must not depend on what else is installed.
hide_drivers() {
  mkdir -p build/drivers/none
  export VK_DRIVER_FILES=$ROOT/build/drivers/none/none.json VK_ICD_FILENAMES=$ROOT/build/drivers/none/none.json
  export OCL_ICD_VENDORS=$ROOT/build/drivers/none
}

# programs BUILD PREFIX: names of the executables that this tree can build, by prefix (test_, fuzz_).
programs() { ninja -C "$1" -t targets all | sed -n "s|: CXX_EXECUTABLE_LINKER.*||p" | sed 's|.*/||' | grep "^$2" | sort -u || true; }

# has_target BUILD NAME
has_target() { ninja -C "$1" -t query "$2" >/dev/null 2>&1; }

# gtest PROGRAM [ARGUMENT...]: runs it, keeps the report. Status is the program's.
gtest() {
  local program=$1 name; shift
  name=$(basename "$program")
  echo "-- $name $*"
  "$program" --gtest_output="xml:$OUT/$name.xml" --gtest_brief=1 "$@"
}

# ran REPORT: how many tests a report holds that ran.
ran() { [ -s "$1" ] && grep -c '<testcase.*status="run"' "$1" || true; }

# fetch_chromium: sets `chromium` to the folder of the Vulkan parts of Debian's package of Chromium: SwiftShader and a new validation layer.
# The package is unpacked below build/, not installed. Ubuntu has no such package.
fetch_chromium() {
  local folder=$ROOT/build/drivers/chromium
  chromium=$folder/usr/lib/chromium
  [ ! -e "$folder/whole" ] || return 0
  apt-cache show --no-all-versions chromium-common >/dev/null 2>&1 || skip "no package chromium-common here"
  rm -rf "$folder"; mkdir -p "$folder/deb"
  (cd "$folder/deb" && apt-get download -qq chromium-common) || { echo "apt-get download chromium-common failed"; return 1; }
  dpkg-deb --fsys-tarfile "$folder"/deb/*.deb | tar -x -C "$folder" --wildcards '*vk_swiftshader*' '*VkLayer_khronos*' || return 1
  rm -rf "$folder/deb"
  touch "$folder/whole"
}

# has_verb VERB: does this tree's tool continue token ids / write logits?
has_verb() { build/release/switchyard "$1" --help 2>/dev/null | grep -q -- --tokens; }

# oracle_on DEVICE [FILTER...]: logits and greedy tokens of the reference's small models whose names hold FILTER (none: all), all on DEVICE.
oracle_on() {
  local device=$1 oracle tool=$ROOT/build/release/switchyard filter bad=0; shift
  oracle=$(find_oracle) || { echo "no reference results here"; return 1; }
  python_with checkers numpy safetensors || return 1
  [ $# -gt 0 ] || set -- ""
  (for filter in "$@"; do
    build/checkers/bin/python "$oracle/../check.py" --data "$oracle" --filter "$filter" \
      --cmd "$tool logits {model} --tokens {tokens} --out {out} --activations f32 --device $device --strict" \
      --generate "sh -c '$tool run {model} --tokens {tokens} -n {n} --activations f32 --device $device --strict --json > {out}'" || bad=1
  done; exit $bad) | tee "$OUT/oracle.log" || bad=1
  python3 "$SCRIPTS/oracle_report.py" "$OUT/oracle.log" "$OUT/oracle.xml"
  return $bad
}
