# cmake --install BUILD --prefix P [--component barista_broker]: the package that find_package(barista) finds.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/barista)

install(TARGETS barista_broker EXPORT baristaBrokerTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT barista_broker
  FILE_SET headers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT barista_broker)
install(EXPORT baristaBrokerTargets NAMESPACE barista:: DESTINATION ${package_dir} COMPONENT barista_broker)

configure_package_config_file(cmake/baristaConfig.cmake.in ${PROJECT_BINARY_DIR}/package/baristaConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a new minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/baristaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/baristaConfig.cmake ${PROJECT_BINARY_DIR}/package/baristaConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT barista_broker)
