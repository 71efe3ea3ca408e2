// This program is its own host: the devices of its tests run in further processes of it.
#include <gtest/gtest.h>

#include "backends/all.h"
#include "kernels/library.h"

int main(int argc, char** argv) {
  if (auto code = switchyard::backends::remote::serve_if_host(argc, argv, switchyard::kernels::Library())) return *code;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
