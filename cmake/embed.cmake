# Makes a C header of files: cmake -DOUT=header.h -DFILES="a;b" -P embed.cmake. "dir/replay_page.js" becomes
# replay_page_js and replay_page_js_size.
set(text "/* Generated from the files named below. */\n#include <stddef.h>\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  string(MAKE_C_IDENTIFIER ${name} identifier)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND text "/* ${name} */\nstatic const unsigned char ${identifier}[] = {${bytes}};\n"
                     "static const size_t ${identifier}_size = sizeof ${identifier};\n")
endforeach()
file(WRITE ${OUT} "${text}")
