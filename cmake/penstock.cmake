# Two functions, so that a folder's CMakeLists.txt is a list of its parts and what they lean on.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(GTest REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
include(GoogleTest)

# What runs once a command, or only in tests, is optimized less: half the compile time, which is most of the build.
set(PENSTOCK_QUICK_COMPILE -O1)

# penstock_library(name SOURCES a.cc b.cc DEPS other ...)
function(penstock_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/bpf)
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
endfunction()

# penstock_test(name SOURCES a_test.cc DEPS lib ... [LABELS unit|net|sim|scenario] [TIMEOUT seconds] [SERIAL] [PATHS])
# Tests labelled `net` need root and make their own namespaces.
# SERIAL: the tests of this binary never run beside others (they measure time).
# PATHS: they are told where source and build are. Only where it is needed: such objects are compiled anew in every
# checkout, others come from the compiler cache.
function(penstock_test name)
  cmake_parse_arguments(ARG "SERIAL;PATHS" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/bpf
                                             ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE ${PENSTOCK_QUICK_COMPILE})
  if(ARG_PATHS)
    target_compile_definitions(${name} PRIVATE PENSTOCK_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                               PENSTOCK_BUILD_DIR="${PROJECT_BINARY_DIR}")
  endif()
  set(serial FALSE)
  if(ARG_SERIAL)
    set(serial TRUE)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ${serial})
endfunction()
