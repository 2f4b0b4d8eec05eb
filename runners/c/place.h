/* place.h - where things of this installation are. */
#pragma once

/** place_include() - the folder of cashet/task.h; static. "" if it is nowhere. */
const char *place_include(void);
/** place_compiler_include() - the folder of gcc's own headers; static. "" if there is none. */
const char *place_compiler_include(void);
/** place_program() - this program; static. */
const char *place_program(void);
