# What is installed: the library with its CMake package and pkg-config file, the tools, their manual and completions.
include(CMakePackageConfigHelpers)

install(TARGETS rrdkit EXPORT rrdkit
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/rrdkit TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
if(RRDKIT_BUILD_TOOLS)
  if(BUILD_SHARED_LIBS AND NOT IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR}) # the tools find it wherever the tree lies
    file(RELATIVE_PATH rrdkit_to_libdir /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${CMAKE_INSTALL_LIBDIR})
    set_target_properties(${rrdkit_tools} PROPERTIES INSTALL_RPATH "\$ORIGIN/${rrdkit_to_libdir}")
  endif()
  install(TARGETS ${rrdkit_tools} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(rrdkit_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/rrdkit)
configure_package_config_file(cmake/rrdkit-config.cmake.in rrdkit-config.cmake
  INSTALL_DESTINATION ${rrdkit_package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(rrdkit-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT rrdkit NAMESPACE rrdkit:: FILE rrdkit-targets.cmake DESTINATION ${rrdkit_package_dir})
install(FILES ${PROJECT_BINARY_DIR}/rrdkit-config.cmake ${PROJECT_BINARY_DIR}/rrdkit-config-version.cmake
  DESTINATION ${rrdkit_package_dir})

# The way from the .pc file to the prefix, so that an installed tree can be moved.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(rrdkit_pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH rrdkit_pc_up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" rrdkit_pc_up "${rrdkit_pc_up}")
  set(rrdkit_pc_prefix "\${pcfiledir}/${rrdkit_pc_up}")
endif()
foreach(kind LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${kind}})
    set(rrdkit_pc_${kind} ${CMAKE_INSTALL_${kind}})
  else()
    set(rrdkit_pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  endif()
endforeach()
# Not as a requirement: a static link would then need everything that libarchive itself could be linked with.
string(REPLACE ";" " " rrdkit_pc_libarchive "${LIBARCHIVE_LDFLAGS}")
if(BUILD_SHARED_LIBS)
  set(rrdkit_pc_libs "-lrrdkit\nLibs.private:")
  set(rrdkit_pc_private .private)
else() # whoever links has only the archive, with or without --static
  set(rrdkit_pc_libs -lrrdkit)
  set(rrdkit_pc_private)
endif()
configure_file(cmake/rrdkit.pc.in rrdkit.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/rrdkit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE-MIT LICENSE-APACHE TYPE DOC)

file(GLOB rrdkit_manuals CONFIGURE_DEPENDS docs/man/*.1)
if(RRDKIT_BUILD_TOOLS)
  install(FILES ${rrdkit_manuals} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  foreach(tool ${rrdkit_tools}) # bash-completion loads a file by the command's name
    install(FILES completions/bash/rrd-tools RENAME ${tool} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  endforeach()
endif()
