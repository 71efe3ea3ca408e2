# Toolchain file: 64-bit ARM Linux from another Debian or Ubuntu system. ctest runs the programs under emulation.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
find_program(QEMU_AARCH64 NAMES qemu-aarch64-static qemu-aarch64)
if(QEMU_AARCH64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${QEMU_AARCH64} -L /usr/aarch64-linux-gnu -cpu max)
endif()
# hwloc's header includes one made for the processor it was installed for.
set(SWITCHYARD_HWLOC_HEADERS OFF CACHE STRING "")
