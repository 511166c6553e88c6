# SPDX-License-Identifier: Apache-2.0
# What cmake --install puts where: runtime (the shared library), development (header, static library, how
# pkg-config and CMake find them, the C samples) and tools.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include(cmake/static_library.cmake)

# A prefix may be moved, so what is in it speaks of itself relatively; the system's own stays where it is.
set(prefix_is_system FALSE)
if(CMAKE_INSTALL_FULL_LIBDIR IN_LIST CMAKE_PLATFORM_IMPLICIT_LINK_DIRECTORIES OR
   CMAKE_INSTALL_FULL_LIBDIR IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
  set(prefix_is_system TRUE)
endif()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/minimax)
set(module_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

foreach(kind shared static)
  set(target minimax)
  if(kind STREQUAL static)
    set(target minimax_static)
  endif()
  install(TARGETS ${target} EXPORT minimax_${kind}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT minimax_${kind} NAMESPACE minimax:: FILE minimax-${kind}-targets.cmake
    DESTINATION ${package_folder} COMPONENT development)
endforeach()
install(FILES include/minimax.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

configure_package_config_file(cmake/minimax-config.cmake.in ${PROJECT_BINARY_DIR}/package/minimax-config.cmake
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/minimax-config-version.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/minimax-config.cmake
              ${PROJECT_BINARY_DIR}/package/minimax-config-version.cmake
  DESTINATION ${package_folder} COMPONENT development)

set(MINIMAX_PREFIX ${CMAKE_INSTALL_PREFIX})
if(NOT prefix_is_system)
  file(RELATIVE_PATH path_to_prefix /${module_folder} /)
  string(REGEX REPLACE "/$" "" path_to_prefix ${path_to_prefix})
  set(MINIMAX_PREFIX "\${pcfiledir}/${path_to_prefix}")
endif()
configure_file(cmake/minimax.pc.in ${PROJECT_BINARY_DIR}/package/minimax.pc.in @ONLY)
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/package/minimax.pc
  INPUT ${PROJECT_BINARY_DIR}/package/minimax.pc.in)
install(FILES ${PROJECT_BINARY_DIR}/package/minimax.pc DESTINATION ${module_folder} COMPONENT development)

if(MINIMAX_SAMPLES)
  if(NOT prefix_is_system)
    file(RELATIVE_PATH path_to_library ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(minimax-chat minimax-bench PROPERTIES INSTALL_RPATH "$ORIGIN/${path_to_library}")
  endif()
  install(TARGETS minimax-chat minimax-bench
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endif()
