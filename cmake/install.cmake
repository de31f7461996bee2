# cmake --install BUILD --prefix P [--component barista_broker|barista_client]: the package that find_package(barista) finds.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/barista)

set(components broker)
if(TARGET barista_client)
  list(APPEND components client)
endif()
foreach(component ${components})
  string(SUBSTRING ${component} 0 1 initial)
  string(TOUPPER ${initial} initial)
  string(SUBSTRING ${component} 1 -1 rest)
  set(export barista${initial}${rest}Targets)
  install(TARGETS barista_${component} EXPORT ${export}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT barista_${component}
    FILE_SET headers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT barista_${component})
  install(EXPORT ${export} NAMESPACE barista:: DESTINATION ${package_dir} COMPONENT barista_${component})
endforeach()

configure_package_config_file(cmake/baristaConfig.cmake.in ${PROJECT_BINARY_DIR}/package/baristaConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a new minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/baristaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
foreach(component ${components})
  install(FILES ${PROJECT_BINARY_DIR}/package/baristaConfig.cmake ${PROJECT_BINARY_DIR}/package/baristaConfigVersion.cmake
    DESTINATION ${package_dir} COMPONENT barista_${component})
endforeach()
