# SPDX-License-Identifier: Apache-2.0
# Debian packages by CPack (scripts/package.sh): the library, what is needed to build on it, and the tools.
find_program(GZIP gzip REQUIRED)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME minimax)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_PACKAGE_CONTACT "${MINIMAX_MAINTAINER}")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime development tools)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 0upstream1)  # below Debian's own -1, which would take its place
set(CPACK_DEBIAN_PACKAGE_VERSION_FULL ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/sdk)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)

set(about "MiniMax-01 models (Text-01, VL-01, M1) are language models most of whose layers
remember a text of any length in the same space. The library loads the released
checkpoints as they are, keeps conversations as sessions that can be saved,
branched and taken back, and looks at pictures.")

# minimax_package(COMPONENT NAME SECTION SYNOPSIS LAST_SENTENCE)
macro(minimax_package component name section synopsis sentence)
  string(TOUPPER ${component} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${key}_PACKAGE_SECTION ${section})
  set(CPACK_COMPONENT_${key}_DESCRIPTION "${synopsis}\n${about}\n\n${sentence}")
  set(documents ${CMAKE_INSTALL_DATADIR}/doc/${name})
  install(FILES packaging/copyright DESTINATION ${documents} COMPONENT ${component})
  install(FILES ${PROJECT_BINARY_DIR}/package/changelog.gz ${PROJECT_BINARY_DIR}/package/changelog.Debian.gz
    DESTINATION ${documents} COMPONENT ${component})
  if(EXISTS ${PROJECT_SOURCE_DIR}/packaging/${name}.lintian-overrides)
    install(FILES packaging/${name}.lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides
      RENAME ${name} COMPONENT ${component})
  endif()
endmacro()

minimax_package(runtime libminimax${PROJECT_VERSION_MAJOR} libs
  "MiniMax-01 models inside your program: shared library"
  "This is the library that programs are started with.")
minimax_package(development libminimax-dev libdevel
  "MiniMax-01 models inside your program: development files"
  "This is what programs are built with: the header, the static library, what
pkg-config and CMake need to find them, and sample programs in C.")
minimax_package(tools minimax-tools utils
  "MiniMax-01 models inside your program: tools"
  "These are minimax-chat, which talks with a model, and minimax-bench, which
times it.")

set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/triggers)
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS runtime)
set(CPACK_COMPONENT_TOOLS_DEPENDS runtime)
# Only who links the static library needs these, and they are hundreds of megabytes.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS
  "libpcre2-dev, libsentencepiece-dev, libxxhash-dev, libopencv-dev, pkg-config")

string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH, where that is set
configure_file(packaging/changelog.in ${PROJECT_BINARY_DIR}/package/changelog.Debian @ONLY)
configure_file(CHANGELOG.md ${PROJECT_BINARY_DIR}/package/changelog COPYONLY)
execute_process(COMMAND ${GZIP} -9nkf changelog changelog.Debian
  WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/package COMMAND_ERROR_IS_FATAL ANY)
include(CPack)
