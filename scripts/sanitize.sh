# sanitized PRESET KINDS [CMAKE OPTION...]: builds the test programs with clang and runs a bounded part of them. Sourced by stages.
# What is left out: scripts/sanitized.table, lines 'PRESET | PROGRAM | GoogleTest filter'; a program without a line runs whole.
sanitized() {
  local preset=$1 kinds=$2 program filter bad=0 count total=0; shift 2
  local cc cxx
  cc=$(command -v clang-14 || command -v clang) && cxx=$(command -v clang++-14 || command -v clang++) || skip "no clang here"
  mkdir -p build
  # -O1 keeps stacks readable and the build short; the code of one instruction set is enough for memory and thread errors.
  configure "$preset" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" "-DSWITCHYARD_SANITIZE=$kinds" \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -gline-tables-only" "$@"
  local programs fuzzers
  programs=$(programs "build/$preset" test_)
  fuzzers=$(programs "build/$preset" fuzz_)
  [ -n "$programs" ] || { echo "no test program in this tree"; return 1; }
  ninja -C "build/$preset" -j "$JOBS" $programs $fuzzers
  export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
  if oracle=$(find_oracle); then export SWITCHYARD_ORACLE=$oracle; fi
  for program in $programs; do
    filter=$(sed -n "s/^$preset *| *${program#test_} *| *//p" "$SCRIPTS/sanitized.table" | head -1)
    [ "$filter" != none ] || continue
    gtest "build/$preset/$program" --gtest_filter="${filter:-*}" || bad=1
    count=$(ran "$OUT/$program.xml")
    total=$((total + count))
    echo "-- $program: $count tests"
  done
  [ "$total" != 0 ] || { echo "no test ran"; return 1; }
  return $bad
}

# sanitized_over PRESET STACK...: the programs that sanitized() built, over a real driver each: the tests of its devices alone. Leaks are
# not looked for there: drivers keep what they allocate once.
sanitized_over() {
  local preset=$1 bad=0 count total stack; shift
  export ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1
  for stack in "$@"; do
    local backend="" models="" all_models="" without="" filter=""
    (
      . "$SCRIPTS/stacks/$stack.env"
      fetch || exit $?
      use
      total=0
      for program in $(programs "build/$preset" test_); do
        filter=$(sed -n "s/^$preset-$stack *| *${program#test_} *| *//p" "$SCRIPTS/sanitized.table" | head -1)
        [ "$filter" != none ] || continue
        mv -f "$OUT/$program.xml" "$OUT/$program-hidden.xml" 2>/dev/null || true
        gtest "build/$preset/$program" --gtest_filter="${filter:-*$backend*}" || bad=1
        count=$(ran "$OUT/$program.xml")
        mv -f "$OUT/$program.xml" "$OUT/$program-$stack.xml" 2>/dev/null || true
        total=$((total + count))
        echo "-- $program: $count tests over $stack"
      done
      [ "$total" != 0 ] || { echo "no test ran over $stack"; exit 1; }
      exit $bad
    ) || { [ $? = 77 ] || bad=1; }
  done
  return $bad
}
