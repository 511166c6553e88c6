# SPDX-License-Identifier: Apache-2.0
# How a room (a folder of sources) becomes a target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

add_library(minimax_options INTERFACE)
target_include_directories(minimax_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
target_compile_options(minimax_options INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra $<$<BOOL:${MINIMAX_WERROR}>:-Werror>>)
if(MINIMAX_SANITIZE)
  target_compile_options(minimax_options INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${MINIMAX_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all>)
  target_link_options(minimax_options INTERFACE -fsanitize=${MINIMAX_SANITIZE})
endif()

# minimax_room(TARGET SOURCES files... USES targets...): a static library of one folder. USES is the
# folder's row of the table in docs/architecture.md.
function(minimax_room target)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES" ${ARGN})
  add_library(${target} STATIC ${ROOM_SOURCES})
  target_link_libraries(${target} PUBLIC minimax_options ${ROOM_USES})
  set_property(GLOBAL APPEND PROPERTY MINIMAX_ROOMS ${target})
endfunction()
