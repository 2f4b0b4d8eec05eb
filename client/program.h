/* program.h - the programs of this installation that a client starts, wherever it lives. */
#pragma once

/** program_find() - @name beside the running program; of the library's own installation (PREFIX/lib
 * or PREFIX/lib/ARCHITECTURE, and PREFIX/bin); in PATH. Return: an absolute path, heap; NULL if it
 * is nowhere, or out of memory. */
char *program_find(const char *name);
/** program_in_path() - in PATH only. Return: as above. */
char *program_in_path(const char *name);
/** program_in_folder() - Return: "FOLDER/NAME", heap; NULL if it cannot be run, or out of memory. */
char *program_in_folder(const char *folder, const char *name);
/** program_of_runner() - in the folder CASHET_RUNNER_PATH if that is set; else as program_find(). */
char *program_of_runner(const char *name);
