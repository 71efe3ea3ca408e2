# Included once per fuzzer `name`: seeds are written at build time to where scripts/stages/60-fuzz keeps found inputs.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  set(seeds ${CMAKE_BINARY_DIR}/../fuzz-corpus/fuzz_${name})
  add_custom_command(TARGET fuzz_${name} POST_BUILD VERBATIM
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${seeds}
                     COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/make_corpus.py ${name} ${seeds})
  # Formats with committed files: those.
  file(GLOB committed ${CMAKE_CURRENT_SOURCE_DIR}/data/*/*.${name})
  foreach(seed ${committed})
    add_custom_command(TARGET fuzz_${name} POST_BUILD VERBATIM COMMAND ${CMAKE_COMMAND} -E copy ${seed} ${seeds})
  endforeach()
  add_test(NAME fuzz.${name} COMMAND fuzz_${name} -max_total_time=20 -timeout=10 -rss_limit_mb=512 ${seeds})
endif()
