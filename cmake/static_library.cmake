# SPDX-License-Identifier: Apache-2.0
# libminimax.a: all rooms in one object, whose only strong names are those of the C interface.
#
# Archives of C++ usually carry every internal name into the program they are linked into, where a second
# copy of a library (JSON, say) of another version meets them. Here the rooms are linked together once, and
# then their hidden names become local.

get_property(rooms GLOBAL PROPERTY MINIMAX_ROOMS)
set(archives ${rooms})
list(TRANSFORM archives REPLACE "(.+)" "$<TARGET_FILE:\\1>")
set(joined ${CMAKE_CURRENT_BINARY_DIR}/minimax.o)
add_custom_command(OUTPUT ${joined}
  COMMAND ${CMAKE_CXX_COMPILER} -r -nostdlib -Wl,--force-group-allocation -o ${joined}
          -Wl,--whole-archive ${archives} -Wl,--no-whole-archive
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${joined}
  DEPENDS ${rooms} COMMENT "Joining the rooms into ${joined}" VERBATIM)

add_library(minimax_static STATIC ${joined})
add_library(minimax::minimax_static ALIAS minimax_static)
set_source_files_properties(${joined} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set_target_properties(minimax_static PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME minimax)
target_compile_definitions(minimax_static INTERFACE MINIMAX_STATIC)
target_include_directories(minimax_static INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)

# What it is linked with, as targets for CMake and as flags for minimax.pc.
set(system_libraries ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})  # those that C compilers do not link by themselves
list(REMOVE_ITEM system_libraries ${CMAKE_C_IMPLICIT_LINK_LIBRARIES})
list(APPEND system_libraries ${CMAKE_DL_LIBS})

# The flag for a library's folder, unless linkers look there anyway.
function(minimax_folder_flag out folder)
  set(${out} "$<$<NOT:$<IN_LIST:${folder},${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES}>>:-L${folder} >" PARENT_SCOPE)
endfunction()

set(flags)
set(modules ${MINIMAX_MODULES})
while(modules)
  list(POP_FRONT modules prefix module)
  target_link_libraries(minimax_static INTERFACE
    $<BUILD_INTERFACE:PkgConfig::${prefix}> $<INSTALL_INTERFACE:PkgConfig::MINIMAX_${prefix}>)
  list(APPEND flags ${${prefix}_LDFLAGS})
endwhile()
foreach(folder ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES})
  list(REMOVE_ITEM flags -L${folder})
endforeach()

target_link_libraries(minimax_static INTERFACE
  opencv_imgcodecs opencv_core Threads::Threads ${system_libraries})
minimax_folder_flag(opencv_folder "$<TARGET_LINKER_FILE_DIR:opencv_core>")
list(JOIN flags " " MINIMAX_PRIVATE_FLAGS)
string(APPEND MINIMAX_PRIVATE_FLAGS " ${opencv_folder}-lopencv_imgcodecs -lopencv_core")
if(MINIMAX_CUDA)
  target_link_libraries(minimax_static INTERFACE CUDA::cudart_static)
  minimax_folder_flag(cuda_folder "$<TARGET_LINKER_FILE_DIR:CUDA::cudart_static>")
  string(APPEND MINIMAX_PRIVATE_FLAGS " ${cuda_folder}-lcudart_static -lrt")
endif()
list(TRANSFORM system_libraries PREPEND -l)
list(JOIN system_libraries " " system_libraries)
string(APPEND MINIMAX_PRIVATE_FLAGS " ${CMAKE_THREAD_LIBS_INIT} ${system_libraries}")
