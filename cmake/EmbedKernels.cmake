# Device code becomes byte arrays in the library, so that the binary needs nothing but the driver.
#   switchyard_embed_opencl(gemm opencl/gemm.cl)   -> switchyard::kernels::embedded::gemm_gemm_cl   (text, common.cl prepended)
#   switchyard_embed_vulkan(gemm vulkan/gemm.comp) -> switchyard::kernels::embedded::gemm_gemm_comp (SPIR-V 1.3, Vulkan 1.1)
# Each is a std::span<const std::byte>, declared by its user:
#   namespace switchyard::kernels::embedded { extern const std::span<const std::byte> gemm_gemm_cl; }
find_program(GLSLC glslc)
find_path(SWITCHYARD_CL_HEADERS CL/cl.h)
find_path(SWITCHYARD_VK_HEADERS volk.h)
set(SWITCHYARD_HAVE_OPENCL 0)
set(SWITCHYARD_HAVE_VULKAN 0)
if(SWITCHYARD_OPENCL AND SWITCHYARD_CL_HEADERS)
  set(SWITCHYARD_HAVE_OPENCL 1)
endif()
if(SWITCHYARD_VULKAN AND SWITCHYARD_VK_HEADERS AND GLSLC)
  set(SWITCHYARD_HAVE_VULKAN 1)
endif()
message(STATUS "OpenCL backend: ${SWITCHYARD_HAVE_OPENCL} (headers: ${SWITCHYARD_CL_HEADERS})")
message(STATUS "Vulkan backend: ${SWITCHYARD_HAVE_VULKAN} (volk: ${SWITCHYARD_VK_HEADERS}, glslc: ${GLSLC})")
set(SWITCHYARD_EMBED ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)

function(switchyard_embed_file symbol input)
  set(out ${CMAKE_BINARY_DIR}/embedded/${symbol}.cpp)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DSYMBOL=${symbol} "-DINPUTS=${input}" -DOUTPUT=${out} -P ${SWITCHYARD_EMBED}
    DEPENDS ${input} ${SWITCHYARD_EMBED} VERBATIM)
  # A rule belongs to the folder it was written in; the library is another's target, so one of this folder asks for the file.
  add_custom_target(embed_${symbol} DEPENDS ${out})
  add_dependencies(switchyard embed_${symbol})
  target_sources(switchyard PRIVATE ${out})
endfunction()

function(switchyard_embed_opencl op source)
  get_filename_component(stem ${source} NAME_WE)
  switchyard_embed_file(${op}_${stem}_cl "${CMAKE_SOURCE_DIR}/kernels/common/opencl/common.cl;${source}")
endfunction()

function(switchyard_embed_vulkan op source)
  get_filename_component(stem ${source} NAME_WE)
  set(spv ${CMAKE_BINARY_DIR}/embedded/${op}_${stem}.spv)
  file(GLOB includes CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/common/vulkan/*.glsl ${CMAKE_SOURCE_DIR}/kernels/${op}/vulkan/*.glsl)
  add_custom_command(OUTPUT ${spv}
    COMMAND ${GLSLC} --target-env=vulkan1.1 -O -I ${CMAKE_SOURCE_DIR}/kernels/common/vulkan -o ${spv} ${source}
    DEPENDS ${source} ${includes} VERBATIM)
  switchyard_embed_file(${op}_${stem}_comp ${spv})
endfunction()
