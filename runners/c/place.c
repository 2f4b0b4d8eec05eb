/* place.c - see place.h. An installation may be moved: all is found from the program itself. */
#include "runners/c/place.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *place_program(void)
{
	static char path[PATH_MAX];
	if (!path[0]) {
		ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
		path[size > 0 ? size : 0] = '\0';
	}
	return path;
}

const char *place_include(void)
{
	static char found[PATH_MAX];
	char path[PATH_MAX + 64];
	if (found[0])
		return found;
	snprintf(path, sizeof path, "%s", place_program());
	char *slash = strrchr(path, '/');
	if (!slash)
		return "";
	snprintf(slash, sizeof path - (size_t)(slash - path),
		 "/../include/cashet/task.h");
	if (!realpath(path, found)) {
		found[0] = '\0';
		return "";
	}
	for (int i = 0; i < 2; i++)
		*strrchr(found, '/') = '\0'; /* task.h, cashet */
	return found;
}

const char *place_compiler_include(void)
{
	static char found[PATH_MAX];
	static int looked;
	glob_t list;
	if (looked++)
		return found;
	if (glob("/usr/lib/gcc/*/*/include", 0, NULL, &list) == 0 && list.gl_pathc > 0)
		snprintf(found, sizeof found, "%s", list.gl_pathv[list.gl_pathc - 1]);
	globfree(&list);
	return found;
}
