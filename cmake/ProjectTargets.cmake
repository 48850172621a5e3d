# The shape of every target: flags travel as targets, folders are libraries with explicit dependencies.

add_library(limewash_options INTERFACE)
target_compile_options(limewash_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wsuggest-override
  -Wimplicit-fallthrough
  # GCC 12 warns of its own <regex>/<optional> code in Release, of `"text" + string` (GCC bug 105651),
  # and of c10's alignment hints.
  -Wno-maybe-uninitialized -Wno-restrict -Wno-interference-size
  $<$<BOOL:${LIMEWASH_WERROR}>:-Werror>)
if(LIMEWASH_SANITIZE STREQUAL "address")
  target_compile_options(limewash_options INTERFACE
    -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(limewash_options INTERFACE -fsanitize=address,undefined)
elseif(LIMEWASH_SANITIZE STREQUAL "thread")
  # GCC warns of fences, which ThreadSanitizer does not follow, in headers of others.
  target_compile_options(limewash_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan)
  target_link_options(limewash_options INTERFACE -fsanitize=thread)
elseif(LIMEWASH_SANITIZE)
  message(FATAL_ERROR "LIMEWASH_SANITIZE is '${LIMEWASH_SANITIZE}': expected address, thread or nothing")
endif()

# limewash_library(NAME SOURCES.. HEADERS.. DEPS.. PRIVATE_DEPS.. [TORCH])
# Declaration order is a topological order, so a cycle can't be configured. TORCH: the .cpp files
# include LibTorch, and take it from the one precompiled header.
function(limewash_library NAME)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "TORCH" "" "HEADERS;SOURCES;DEPS;PRIVATE_DEPS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "limewash_library(${NAME}): unknown ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  foreach(dep IN LISTS ARG_DEPS ARG_PRIVATE_DEPS)
    if(dep MATCHES "::" AND NOT TARGET ${dep})
      message(FATAL_ERROR "limewash::${NAME} depends on ${dep}, declared later or never")
    endif()
  endforeach()
  add_library(limewash_${NAME} STATIC)
  add_library(limewash::${NAME} ALIAS limewash_${NAME})
  target_sources(limewash_${NAME} PRIVATE ${ARG_SOURCES}
    PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HEADERS})
  target_link_libraries(limewash_${NAME} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS} limewash_options)
  if(ARG_TORCH)
    limewash_use_torch(limewash_${NAME})
  endif()
endfunction()

# Link LibTorch and reuse the precompiled header.
function(limewash_use_torch TARGET)
  target_link_libraries(${TARGET} PRIVATE LibTorch::torch)
  # The same code generation for libraries and programs, or the precompiled header would not fit.
  set_target_properties(${TARGET} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${TARGET} PRIVATE -fPIC)
  target_precompile_headers(${TARGET} REUSE_FROM limewash_precompiled)
endfunction()

# Files of TARGET that call parallel_for: LibTorch's is compiled into its caller, and is one thread without OpenMP. The
# precompiled header does without, so that these files do without the precompiled header.
function(limewash_parallel_sources TARGET)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "${OpenMP_CXX_FLAGS}" SKIP_PRECOMPILE_HEADERS ON)
  # By the compiler's own option: the library by its path would compete with LibTorch's copy of it.
  target_link_options(${TARGET} INTERFACE ${OpenMP_CXX_FLAGS})
endfunction()

# limewash_test(FOLDER SOURCES.. DEPS.. [TORCH]): one executable for a folder's tests.
function(limewash_test NAME)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "TORCH" "" "SOURCES;DEPS")
  add_executable(${NAME}_tests ${ARG_SOURCES})
  target_link_libraries(${NAME}_tests PRIVATE ${ARG_DEPS} GTest::gtest_main GTest::gmock limewash_options)
  target_compile_definitions(${NAME}_tests PRIVATE
    LIMEWASH_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    LIMEWASH_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(ARG_TORCH)
    limewash_use_torch(${NAME}_tests)
  endif()
  # One CTest test an executable: loading LibTorch takes longer than most tests. One thread, since
  # several executables run side by side.
  add_test(NAME ${NAME} COMMAND ${NAME}_tests --gtest_brief=1)
  set_tests_properties(${NAME} PROPERTIES LABELS ${NAME} TIMEOUT 900 ENVIRONMENT "OMP_NUM_THREADS=1")
endfunction()
