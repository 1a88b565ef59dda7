# find_package(sandbox):
#   sandbox::sandbox  the header and mbedTLS: its own targets where it has a package,
#                     else the libraries by name
#   sandbox::no_tls   the header, with SBX_NO_TLS
get_filename_component(sandbox_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET sandbox::sandbox)
  find_package(MbedTLS CONFIG QUIET)
  set(sandbox_mbedtls mbedtls mbedx509 mbedcrypto)
  if(TARGET MbedTLS::mbedtls)
    set(sandbox_mbedtls MbedTLS::mbedtls)
  endif()
  foreach(name sandbox no_tls)
    add_library(sandbox::${name} INTERFACE IMPORTED)
    set_target_properties(sandbox::${name} PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${sandbox_root}/include")
  endforeach()
  set_target_properties(sandbox::sandbox PROPERTIES
    INTERFACE_LINK_LIBRARIES "${sandbox_mbedtls}")
  set_target_properties(sandbox::no_tls PROPERTIES
    INTERFACE_COMPILE_DEFINITIONS SBX_NO_TLS)
endif()
