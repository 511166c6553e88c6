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

# Tools, with the manual that they give themselves.
if(MINIMAX_SAMPLES)
  if(NOT prefix_is_system)
    file(RELATIVE_PATH path_to_library ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(minimax-chat minimax-bench PROPERTIES INSTALL_RPATH "$ORIGIN/${path_to_library}")
  endif()
  install(TARGETS minimax-chat minimax-bench
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)

  find_program(HELP2MAN help2man)
  find_program(GZIP gzip)
  if(HELP2MAN AND GZIP AND NOT CMAKE_CROSSCOMPILING AND NOT MINIMAX_SANITIZE)
    foreach(tool "minimax-chat: talks with a MiniMax-01 model" "minimax-bench: times a MiniMax-01 model")
      string(REGEX MATCH "(.*): (.*)" tool ${tool})
      set(tool ${CMAKE_MATCH_1})
      set(page ${PROJECT_BINARY_DIR}/package/${tool}.1)
      add_custom_command(OUTPUT ${page}.gz DEPENDS ${tool} VERBATIM
        COMMAND ${HELP2MAN} --no-info --name ${CMAKE_MATCH_2} --version-string ${PROJECT_VERSION}
                --output ${page} $<TARGET_FILE:${tool}>
        COMMAND ${GZIP} -9nf ${page})
      list(APPEND pages ${page}.gz)
    endforeach()
    add_custom_target(minimax_man_pages ALL DEPENDS ${pages})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tools)
  endif()
endif()

# Documents. Debian has a folder of them for each package.
set(development_documents ${CMAKE_INSTALL_DOCDIR})
if(MINIMAX_DEB)
  set(development_documents ${CMAKE_INSTALL_DATADIR}/doc/libminimax-dev)
else()
  install(FILES LICENSE packaging/copyright CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
endif()
install(FILES samples/hello.c samples/describe_image.c samples/many_sessions.c samples/save_and_resume.c
  DESTINATION ${development_documents}/examples COMPONENT development)
