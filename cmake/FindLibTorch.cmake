# LibTorch out of the PyPI wheel in .venv, by imported targets of our own: the wheel's CMake files
# want a CUDA toolkit, and the C++ parts do not.   Gives LibTorch::torch.
file(GLOB _venv_site_packages ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages)
set(LIMEWASH_SITE_PACKAGES "${_venv_site_packages}" CACHE PATH "The site-packages folder that holds torch")
set(_torch ${LIMEWASH_SITE_PACKAGES}/torch)
include(FindPackageHandleStandardArgs)
if(EXISTS ${_torch}/version.py)
  file(STRINGS ${_torch}/version.py _line REGEX "^__version__ = ")
  string(REGEX REPLACE ".*'([0-9.]+).*" "\\1" LibTorch_VERSION "${_line}")
endif()
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${_torch}/lib NO_DEFAULT_PATH)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_CPU_LIBRARY VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "no torch in '${LIMEWASH_SITE_PACKAGES}': run 'make setup' first")
if(NOT LibTorch_VERSION VERSION_EQUAL 2.11.0)
  message(FATAL_ERROR "limewash is pinned to torch 2.11.0, but ${_torch} is ${LibTorch_VERSION}: run 'make setup'")
endif()

add_library(LibTorch::torch INTERFACE IMPORTED)
target_include_directories(LibTorch::torch SYSTEM INTERFACE
  ${_torch}/include ${_torch}/include/torch/csrc/api/include
  ${LIMEWASH_SITE_PACKAGES}/nvidia/cu13/include ${LIMEWASH_SITE_PACKAGES}/nvidia/nccl/include)
target_compile_definitions(LibTorch::torch INTERFACE USE_DISTRIBUTED USE_C10D_NCCL)
# libtorch_cuda registers its kernels when it is loaded; nothing refers to it by symbol.
target_link_libraries(LibTorch::torch INTERFACE
  ${_torch}/lib/libtorch_cpu.so ${_torch}/lib/libc10.so
  -Wl,--no-as-needed ${_torch}/lib/libtorch.so ${_torch}/lib/libtorch_cuda.so ${_torch}/lib/libc10_cuda.so
  -Wl,--as-needed)
target_link_options(LibTorch::torch INTERFACE -Wl,-rpath,${_torch}/lib)
