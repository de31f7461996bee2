# A room is one folder with one responsibility (ARCHITECTURE.md, "Rooms"). Each room is
#
#   barista_room_<name>   an INTERFACE target: the include path of this room and of the rooms its arrows allow
#   barista_obj_<name>    an OBJECT library of its sources, compiled with exactly that include path
#
# The include path of a room is not the source tree but a directory in the build tree that holds one symbolic link to the
# room's folder. A file that includes a header of a room its arrows do not reach therefore does not compile.
#
#   barista_room(queue DIR broker/queue SOURCES standard_queue.cc DEPS commit LIBS absl::strings)
#
# DEPS are the arrows (rooms), LIBS the libraries of others. Sources are relative to DIR.
function(barista_room name)
  cmake_parse_arguments(ROOM "" "DIR" "SOURCES;DEPS;LIBS" ${ARGN})
  set(view ${PROJECT_BINARY_DIR}/rooms/${name})
  get_filename_component(parent ${view}/${ROOM_DIR} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${ROOM_DIR} ${view}/${ROOM_DIR} SYMBOLIC)

  add_library(barista_room_${name} INTERFACE)
  target_include_directories(barista_room_${name} INTERFACE $<BUILD_INTERFACE:${view}>)
  list(TRANSFORM ROOM_DEPS PREPEND barista_room_ OUTPUT_VARIABLE arrows)
  target_link_libraries(barista_room_${name} INTERFACE ${arrows} ${ROOM_LIBS})

  if(ROOM_SOURCES)
    list(TRANSFORM ROOM_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/${ROOM_DIR}/ OUTPUT_VARIABLE sources)
    add_library(barista_obj_${name} OBJECT ${sources})
    target_link_libraries(barista_obj_${name} PRIVATE barista_room_${name})
    set_property(GLOBAL APPEND PROPERTY BARISTA_ROOMS_WITH_OBJECTS ${name})
  endif()
endfunction()
